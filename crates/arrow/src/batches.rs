//! Builds record batches of records.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use holdall::BoxError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_arrow::ArrayBuilder;

use crate::schema::schema_of;

/// Returns the given schema, or that of `T`.
pub(crate) fn schema_or_of<T: DeserializeOwned>(
    schema: Option<&SchemaRef>,
) -> holdall::Result<SchemaRef> {
    match schema {
        Some(schema) => Ok(SchemaRef::clone(schema)),
        None => schema_of::<T>(),
    }
}

/// Collects the rows of a batch.
pub(crate) struct BatchBuilder {
    schema: SchemaRef,
    columns: ArrayBuilder,
    rows: usize,
}

impl BatchBuilder {
    pub(crate) fn new(schema: &SchemaRef) -> serde_arrow::Result<Self> {
        Ok(Self {
            columns: ArrayBuilder::from_arrow(schema.fields())?,
            schema: SchemaRef::clone(schema),
            rows: 0,
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    #[inline]
    pub(crate) fn push<T: Serialize>(&mut self, record: &T) -> serde_arrow::Result<()> {
        self.rows += 1;
        self.columns.push(record)
    }

    /// Returns the batch, and begins another one.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, BoxError> {
        let rows = Some(std::mem::take(&mut self.rows));
        let options = RecordBatchOptions::new().with_row_count(rows);
        let (schema, columns) = (SchemaRef::clone(&self.schema), self.columns.to_arrow()?);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}
