//! Statistics of all columns of a frame.
//!
//! A median needs all values of its column. DataFusion holds them in memory.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray,
};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::functions_aggregate::expr_fn::{avg, count, max, median, min, stddev};
use datafusion::logical_expr::{Expr, expr_fn, ident, lit};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use holdall::extend::ContextResources;
use holdall::{BoxError, Error, Result};

use crate::failure::cause;
use crate::frame::Frame;
use crate::job::run;

/// A median is computed in memory if its values take at most the memory budget divided by this number. While DataFusion
/// collects the values, they exist several times.
const BUDGET_OF_VALUES: u64 = 8;

/// Names of the rows.
const ROWS: [&str; 7] = ["count", "null_count", "mean", "std", "min", "max", "median"];

/// The row of the medians.
const MEDIAN: usize = 6;

/// Name of the only column of a sort.
const VALUE: &str = "value";

impl Frame {
    /// Computes statistics of each column: the numbers of values and of nulls, the mean, the standard deviation, the minimum,
    /// the maximum and the median. Runs jobs.
    ///
    /// Returns a frame with a row for each of them, in this order. The first column, `describe`, has their names. Columns of
    /// numbers become floating-point numbers, other columns become texts.
    ///
    /// The rows are read once for all statistics but the medians, and again for the medians of as many columns as fit into
    /// memory together. A column that does not fit is sorted on disk.
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
        let mut values = one_row(&self.agg(aggregates)?.batches_by(job)?)?;
        let medians = self.medians(&values)?;
        for (values, median) in values.chunks_mut(ROWS.len()).zip(medians) {
            values[MEDIAN] = Arc::new(Float64Array::from(vec![median]));
        }
        let described = transposed(&schema, &values).map_err(Error::other)?;
        Self::from_batches(self.context(), described.schema(), vec![described])
    }

    /// Returns the medians of the columns of numbers. `values` are the other statistics.
    #[track_caller]
    fn medians(&self, values: &[ArrayRef]) -> Result<Vec<Option<f64>>> {
        let budget = ContextResources::new(self.context()).budget_bytes() as u64;
        let most = budget / BUDGET_OF_VALUES / size_of::<f64>() as u64;
        let schema = self.schema();
        let mut medians = vec![None; schema.fields().len()];
        let (mut together, mut in_memory) = (Vec::new(), 0);
        for (column, field) in schema.fields().iter().enumerate() {
            if !field.data_type().is_numeric() {
                continue;
            }
            let count = count_in(&values[column * ROWS.len()])?;
            if count > most {
                medians[column] = self.median_by_sort(field.name(), count)?;
                continue;
            }
            if in_memory + count > most {
                self.medians_in_memory(&mut together, &mut medians)?;
                in_memory = 0;
            }
            together.push(column);
            in_memory += count;
        }
        self.medians_in_memory(&mut together, &mut medians)?;
        Ok(medians)
    }

    /// Computes the medians of these columns, and empties the list of them.
    #[track_caller]
    fn medians_in_memory(
        &self,
        columns: &mut Vec<usize>,
        medians: &mut [Option<f64>],
    ) -> Result<()> {
        if columns.is_empty() {
            return Ok(());
        }
        let schema = self.schema();
        let of_column = |column: &usize| {
            let values = as_float(schema.field(*column).name());
            median(values).alias(column.to_string())
        };
        let job = self.job("describe");
        let frame = self.agg(columns.iter().map(of_column))?;
        let values = one_row(&frame.batches_by(job)?)?;
        for (column, value) in columns.drain(..).zip(&values) {
            medians[column] = float_in(value);
        }
        Ok(())
    }

    /// Sorts the `count` values of a column, and returns the one in the middle, or the mean of the two.
    #[track_caller]
    fn median_by_sort(&self, column: &str, count: u64) -> Result<Option<f64>> {
        let values = self.filter(ident(column).is_not_null())?;
        let values = values.select([as_float(column).alias(VALUE)])?;
        let sorted = values.sort_by([VALUE])?;
        let middle = [(count - 1) / 2, count / 2];
        let found = run(
            self.context(),
            self.job("describe"),
            sorted.plan(),
            async |running| {
                // Sorted rows are one partition.
                let rows = |_, mut batches: SendableRecordBatchStream| async move {
                    let (mut found, mut first) = (Vec::new(), 0);
                    while let Some(batch) = batches.try_next().await.map_err(cause)? {
                        let rows = batch.num_rows() as u64;
                        let here = middle.iter().filter_map(|row| row.checked_sub(first));
                        let here = here.filter(|row| *row < rows);
                        found.extend(here.map(|row| batch.column(0).slice(row as usize, 1)));
                        first += rows;
                    }
                    Ok(found)
                };
                Ok(running.each_partition(rows).await?.concat())
            },
        )?;
        let found: Vec<f64> = found.iter().filter_map(float_in).collect();
        match found[..] {
            [low, high] => Ok(Some(low.midpoint(high))),
            _ => Err(Error::other("the number of rows has changed")),
        }
    }
}

/// Returns the columns of the only row.
fn one_row(batches: &[RecordBatch]) -> Result<Vec<ArrayRef>> {
    match batches {
        [batch] if batch.num_rows() == 1 => Ok(batch.columns().to_vec()),
        _ => Err(Error::other("the statistics are missing")),
    }
}

fn as_float(column: &str) -> Expr {
    expr_fn::cast(ident(column), DataType::Float64)
}

fn float_in(value: &ArrayRef) -> Option<f64> {
    let values = value.as_any().downcast_ref::<Float64Array>()?;
    values.is_valid(0).then(|| values.value(0))
}

fn count_in(value: &ArrayRef) -> Result<u64> {
    let counts = value.as_any().downcast_ref::<Int64Array>();
    let count = counts.and_then(|counts| u64::try_from(counts.value(0)).ok());
    count.ok_or_else(|| Error::other("the count is missing"))
}

/// Returns the values of a column, in the order of the rows. The median is missing.
fn statistics(field: &Field) -> [Expr; 7] {
    let column = ident(field.name());
    let nulls = count(lit(1)) - count(column.clone());
    let none = || min(lit(ScalarValue::Utf8(None)));
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
        none(),
    ]
}

/// Makes a column of the values of each column.
fn transposed(schema: &Schema, values: &[ArrayRef]) -> Result<RecordBatch, BoxError> {
    let mut fields = vec![Field::new("describe", DataType::Utf8, false)];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(ROWS.to_vec()))];
    for (field, values) in schema.fields().iter().zip(values.chunks(ROWS.len())) {
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
