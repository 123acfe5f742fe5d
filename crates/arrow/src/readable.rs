//! Columns of types that serde_arrow does not read, as those of types that it reads.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema};

/// Returns a batch with the same values: the instants of any time zone are in UTC, and dictionaries are of text only.
pub(crate) fn readable(batch: &RecordBatch) -> Result<Cow<'_, RecordBatch>, ArrowError> {
    let schema = batch.schema_ref();
    let fields = readable_fields(schema.fields());
    if fields == *schema.fields() {
        return Ok(Cow::Borrowed(batch));
    }
    let columns = batch.columns().iter().zip(&fields);
    let columns = columns.map(
        |(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast(column, field.data_type()),
        },
    );
    let columns = columns.collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::new(Schema::new(fields));
    RecordBatch::try_new_with_options(schema, columns, &options).map(Cow::Owned)
}

fn readable_fields(fields: &Fields) -> Fields {
    fields.iter().map(readable_field).collect()
}

fn readable_field(field: &FieldRef) -> FieldRef {
    let data_type = readable_type(field.data_type());
    match data_type == *field.data_type() {
        true => Arc::clone(field),
        false => Arc::new(Field::clone(field).with_data_type(data_type)),
    }
}

fn readable_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("UTC".into())),
        DataType::Dictionary(_, values)
            if !matches!(**values, DataType::Utf8 | DataType::LargeUtf8) =>
        {
            readable_type(values)
        }
        DataType::List(field) => DataType::List(readable_field(field)),
        DataType::LargeList(field) => DataType::LargeList(readable_field(field)),
        DataType::FixedSizeList(field, len) => DataType::FixedSizeList(readable_field(field), *len),
        DataType::Struct(fields) => DataType::Struct(readable_fields(fields)),
        DataType::Map(entries, is_sorted) => DataType::Map(readable_field(entries), *is_sorted),
        other => other.clone(),
    }
}
