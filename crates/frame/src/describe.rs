//! Statistics of all columns of a frame.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::functions_aggregate::expr_fn::{avg, count, max, median, min, stddev};
use datafusion::logical_expr::{Expr, ident, lit};
use holdall::{BoxError, Error, Result};

use crate::frame::Frame;

/// Names of the rows.
const ROWS: [&str; 7] = ["count", "null_count", "mean", "std", "min", "max", "median"];

impl Frame {
    /// Computes statistics of each column: the numbers of values and of nulls, the mean, the standard deviation, the minimum,
    /// the maximum and the median. Runs a job.
    ///
    /// Returns a frame with a row for each of them, in this order. The first column, `describe`, has their names. Columns of
    /// numbers become floating-point numbers, other columns become texts. The median keeps all values of its column in
    /// memory; if the memory budget refuses, the job fails.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`batches`](Self::batches).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_frame::read_csv;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("flights.csv", "carrier,delay\nUA,2\nAA,\nUA,14\n")?;
    /// let rows: Vec<(String, Option<String>, f64)> = read_csv("flights.csv")?.describe()?.collect()?;
    /// assert_eq!(rows[0], ("count".to_owned(), Some("3".to_owned()), 2.0));
    /// assert_eq!(rows[2], ("mean".to_owned(), None, 8.0));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn describe(&self) -> Result<Self> {
        let job = self.job("describe");
        let schema = self.schema();
        let mut aggregates = Vec::new();
        for (column, field) in schema.fields().iter().enumerate() {
            let values = statistics(field);
            let named = values.into_iter().enumerate();
            aggregates.extend(named.map(|(row, value)| value.alias(format!("{column}_{row}"))));
        }
        let batches = self.agg(aggregates)?.batches_by(job)?;
        let batch = batches.first().filter(|batch| batch.num_rows() == 1);
        let batch = batch.ok_or_else(|| Error::other("the statistics are missing"))?;
        let described = transposed(&schema, batch).map_err(Error::other)?;
        Self::from_batches(self.context(), described.schema(), vec![described])
    }
}

/// Returns the values of a column, in the order of the rows.
fn statistics(field: &Field) -> [Expr; 7] {
    let column = ident(field.name());
    let nulls = count(lit(1)) - count(column.clone());
    let none = || min(lit(datafusion::scalar::ScalarValue::Utf8(None)));
    let (is_number, is_bool) = (
        field.data_type().is_numeric(),
        *field.data_type() == DataType::Boolean,
    );
    let of_number = |aggregate: fn(Expr) -> Expr| match is_number {
        true => aggregate(column.clone()),
        false => none(),
    };
    let of_order = |aggregate: fn(Expr) -> Expr| match is_bool {
        true => none(),
        false => aggregate(column.clone()),
    };
    [
        count(column.clone()),
        nulls,
        of_number(avg),
        of_number(stddev),
        of_order(min),
        of_order(max),
        of_number(median),
    ]
}

/// Makes a column of the values of each column.
fn transposed(schema: &Schema, batch: &RecordBatch) -> Result<RecordBatch, BoxError> {
    let mut fields = vec![Field::new("describe", DataType::Utf8, false)];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(ROWS.to_vec()))];
    for (field, values) in schema
        .fields()
        .iter()
        .zip(batch.columns().chunks(ROWS.len()))
    {
        let data_type = match field.data_type().is_numeric() {
            true => DataType::Float64,
            false => DataType::Utf8,
        };
        let values = values.iter().map(|value| cast(value, &data_type));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let values: Vec<&dyn Array> = values.iter().map(|value| &**value).collect();
        columns.push(concat(&values)?);
        fields.push(Field::new(field.name(), data_type, true));
    }
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}
