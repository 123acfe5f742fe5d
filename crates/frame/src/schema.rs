//! Comparison of the columns of files.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use holdall::BoxError;

/// Returns the schema of files with the columns of both schemas, which must have the same names in the same order.
/// `common` returns the type for the values of two types, or `None` if there is no such type.
pub(crate) fn merged(
    first: &Schema,
    found: &Schema,
    common: impl Fn(&DataType, &DataType) -> Option<DataType>,
) -> Result<SchemaRef, BoxError> {
    let pairs = first.fields().iter().zip(found.fields());
    for (number, (expected, found)) in pairs.clone().enumerate() {
        if expected.name() != found.name() {
            let (number, expected, found) = (number + 1, expected.name(), found.name());
            let message =
                format!("column {number} is `{found}`, but that of the first file is `{expected}`");
            return Err(message.into());
        }
    }
    let (expected, columns) = (first.fields().len(), found.fields().len());
    if expected != columns {
        let message = format!("it has {columns} columns, but the first file has {expected}");
        return Err(message.into());
    }
    let field = |(a, b): (&Arc<Field>, &Arc<Field>)| {
        let (name, types) = (a.name(), (a.data_type(), b.data_type()));
        let common = common(types.0, types.1).ok_or_else(|| {
            format!(
                "column `{name}` has the type {}, but that of the first file has {}",
                types.1, types.0
            )
        })?;
        Ok::<_, BoxError>(Field::new(name, common, a.is_nullable() || b.is_nullable()))
    };
    let fields = pairs.map(field).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(Schema::new(fields)))
}
