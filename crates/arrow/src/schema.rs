//! The Arrow schema of a type.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use holdall::{Error, Result};
use serde::de::DeserializeOwned;
use serde_arrow::schema::{SchemaLike, TracingOptions};

/// Returns the schema of records of type `T`, which follows from the values that `T` requests of its deserializer.
///
/// It does not depend on the records, so that all files of an output have the same schema. A text is `LargeUtf8`, bytes
/// are `LargeBinary`, a sequence is a `LargeList`, a map is a `Map`, an enum without data is a text, and any other enum is
/// a `Union`, which Parquet does not have.
///
/// # Errors
///
/// Returns an error if `T` is not a struct or a tuple, or if a part of it can have any form, as `serde_json::Value` can.
///
/// # Examples
///
/// ```
/// let schema = holdall_arrow::schema_of::<(String, Option<u32>)>()?;
/// assert_eq!(schema.field(1).data_type().to_string(), "UInt32");
/// assert!(schema.field(1).is_nullable() && !schema.field(0).is_nullable());
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn schema_of<T: DeserializeOwned>() -> Result<SchemaRef> {
    let options = TracingOptions::default()
        .map_as_struct(false)
        .enums_without_data_as_strings(true);
    let fields = Vec::<FieldRef>::from_type::<T>(options).map_err(|error| {
        let name = std::any::type_name::<T>();
        Error::other(format!("{name} has no Arrow schema: {error}"))
    })?;
    let fields: Fields = fields.iter().map(without_dictionaries).collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// Replaces dictionaries by their values: an Arrow file can have only one dictionary for a column, and each partition
/// would have its own.
fn without_dictionaries(field: &FieldRef) -> FieldRef {
    let all = |fields: &Fields| fields.iter().map(without_dictionaries).collect();
    let data_type = match field.data_type() {
        DataType::Dictionary(_, values) => (**values).clone(),
        DataType::List(field) => DataType::List(without_dictionaries(field)),
        DataType::LargeList(field) => DataType::LargeList(without_dictionaries(field)),
        DataType::FixedSizeList(field, len) => {
            DataType::FixedSizeList(without_dictionaries(field), *len)
        }
        DataType::Map(field, sorted) => DataType::Map(without_dictionaries(field), *sorted),
        DataType::Struct(fields) => DataType::Struct(all(fields)),
        other => other.clone(),
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}
