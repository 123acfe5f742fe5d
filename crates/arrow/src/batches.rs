//! Single record batches, for crates that compute on columns.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use holdall::{BoxError, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_arrow::ArrayBuilder;

use crate::readable::readable;
use crate::rows::Rows;
use crate::shape::Shape;

/// Maps the rows of a record batch to values, in their order.
///
/// A struct takes the columns with the names of its fields, and a tuple takes the first columns.
///
/// # Errors
///
/// Returns an error, with the column and the number of the row, if a row does not have the form of `T`.
///
/// # Examples
///
/// ```
/// use holdall_arrow::{from_batch, schema_of, to_batch};
///
/// let schema = schema_of::<(String, Option<u32>)>()?;
/// let batch = to_batch(&schema, &[("ada", Some(36)), ("alan", None)])?;
/// let rows: Vec<(String, Option<u32>)> = from_batch(&batch)?;
/// assert_eq!(rows[1], ("alan".to_owned(), None));
/// let error = from_batch::<(String, u32)>(&batch).unwrap_err();
/// assert!(error.to_string().starts_with("row 2: column `1`: "));
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn from_batch<T: DeserializeOwned>(batch: &RecordBatch) -> Result<Vec<T>> {
    let batch = readable(batch).map_err(Error::other)?;
    let mut rows = Rows::new(&batch, Shape::of::<T>()).map_err(Error::other)?;
    let value = |row: usize| {
        let failed = |error| Error::other(format!("row {}: {error}", row + 1));
        rows.get(row).map_err(failed)
    };
    (0..batch.num_rows()).map(value).collect()
}

/// Returns a record batch whose rows are the values, in their order. [`schema_of`](crate::schema_of) returns a schema
/// for a type.
///
/// # Errors
///
/// Returns an error if a value does not have the form of the schema.
pub fn to_batch<T: Serialize>(schema: &SchemaRef, values: &[T]) -> Result<RecordBatch> {
    let batch = || {
        let mut rows = ArrayBuilder::from_arrow(schema.fields())?;
        for value in values {
            rows.push(value)?;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(values.len()));
        let schema = SchemaRef::clone(schema);
        Ok::<_, BoxError>(RecordBatch::try_new_with_options(
            schema,
            rows.to_arrow()?,
            &options,
        )?)
    };
    batch().map_err(Error::other)
}
