//! Frames with a sorted index, and ranges of it.

use std::io::{BufReader, Cursor, Read};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv::ReaderBuilder;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{ScalarValue, Statistics, plan_err};
use datafusion::error::Result as PlanResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, Literal};
use futures::TryStreamExt;
use holdall::extend::ContextResources;
use holdall::files::InputFile;
use holdall::{BoxError, Error, Result};

use crate::chunk_table::ChunkTable;
use crate::chunks::{ChunkWriter, Chunks};
use crate::csv_source::CsvOptions;
use crate::failure::{cause, in_file, invalid};
use crate::files::{Format, TableFile};
use crate::frame::Frame;
use crate::job::run;

/// Number of bytes at the end of a file in which the last line is searched first.
const TAIL_BYTES: u64 = 4 << 10;

/// Number of rows that are parsed together in search of the last one.
const BATCH_ROWS: usize = 1024;

impl Frame {
    /// Returns this frame with `column` as its index. The rows of each file must be sorted by that column, and the files
    /// must follow each other in its order, as one file for each day does.
    ///
    /// Reads the first and the last row of each CSV file, which means all of a compressed one; Parquet files have
    /// statistics. Afterwards, a job with a filter on
    /// the index, such as [`between`](Self::between), opens only the files that may have such rows. A job that reads the
    /// index of a CSV file checks its order.
    ///
    /// # Errors
    ///
    /// Returns an error if the column does not exist, if this frame is not one that [`read_csv`](crate::read_csv) or
    /// [`read_parquet`](crate::read_parquet) has returned, and, with the names of the files, if they are not in the order of
    /// the column.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_frame::read_csv;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("2013-03-01.csv", "day,flights\n2013-03-01,958\n")?;
    /// std::fs::write("2013-03-02.csv", "day,flights\n2013-03-02,765\n")?;
    /// std::fs::write("2013-03-03.csv", "day,flights\n2013-03-03,919\n")?;
    /// let flights = read_csv("2013-*-*.csv")?.with_sorted_index("day")?;
    /// std::fs::remove_file("2013-03-03.csv")?; // it will not be opened
    /// assert_eq!(flights.between("2013-03-01", "2013-03-02")?.count()?, 2);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn with_sorted_index(&self, column: &str) -> Result<Self> {
        self.column(column)?;
        let Some(files) = self.files() else {
            let message = "only files, as they are read, can have a sorted index; for other frames, use `set_index`";
            return Err(Error::other(message));
        };
        let mut indexed = files.clone();
        let number = indexed.schema.index_of(column).map_err(Error::other)?;
        let mut last: Option<(ScalarValue, InputFile)> = None;
        for file in &mut indexed.files {
            let named = |error: BoxError| in_file(file.file.path(), error);
            let range = match &files.format {
                Format::Csv(options) => csv_range(file, options, &files.schema, number),
                Format::Parquet => parquet_range(file, number),
            };
            let Some((start, end)) = range.map_err(named)? else {
                continue; // it has no rows
            };
            if start > end {
                return Err(named(
                    format!("its rows are not sorted by `{column}`").into(),
                ));
            }
            if let Some((last, before)) = &last
                && start < *last
            {
                let before = before.path();
                let reason = format!(
                    "`{column}` begins with {start}, but the file before it, {before:?}, ends with {last}"
                );
                return Err(named(reason.into()));
            }
            last = Some((end.clone(), file.file.clone()));
            let known = file.statistics.as_deref().cloned();
            let known = known.unwrap_or_else(|| Statistics::new_unknown(&files.schema));
            file.statistics = Some(Arc::new(with_range(known, number, start, end)));
        }
        if let Format::Csv(options) = &mut indexed.format {
            Arc::make_mut(options).sorted_by = Some(number);
        }
        Ok(Self::of_table(self.context(), Arc::new(indexed))?.with_index(column))
    }

    /// Sorts the rows by `column`, and makes it the index. Runs a job.
    ///
    /// The job writes the sorted rows to a scratch file, which exists as long as the frame. A job with a filter on the
    /// index reads only the parts of the file that may have such rows.
    ///
    /// # Errors
    ///
    /// Returns an error if the column does not exist, the errors of [`batches`](Self::batches), and
    /// [`DiskFull`](holdall::ErrorKind::DiskFull) or [`QuotaExceeded`](holdall::ErrorKind::QuotaExceeded).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_frame::read_csv;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("flights.csv", "carrier,delay\nUA,2\nAA,-3\nUA,14\n")?;
    /// let flights = read_csv("flights.csv")?.set_index("delay")?;
    /// let rows: Vec<(String, i64)> = flights.between(-5, 5)?.collect()?;
    /// assert_eq!(rows, [("AA".to_owned(), -3), ("UA".to_owned(), 2)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn set_index(&self, column: &str) -> Result<Self> {
        let job = self.job("set_index");
        let sorted = self.sort_by([self.column(column)?])?;
        let schema = self.schema();
        let number = schema.index_of(column).map_err(Error::other)?;
        let resources = ContextResources::new(self.context());
        let parts = run(self.context(), job, sorted.plan(), async |running| {
            let write = |_, batches| {
                let (resources, schema) = (resources.clone(), running.plan().schema());
                async move {
                    let writer = ChunkWriter::new(schema, resources.create_file()?);
                    write_sorted(writer, batches, number).await
                }
            };
            running.each_partition(write).await
        })?;
        // Sorted rows are one partition.
        let missing = || Error::other("the sorted rows are missing");
        let (chunks, statistics) = parts.into_iter().next().ok_or_else(missing)?;
        let table = ChunkTable {
            schema,
            chunks,
            statistics,
        };
        Ok(Self::of_table(self.context(), Arc::new(table))?.with_index(column))
    }

    /// Keeps the rows whose index is in the range, both ends included. Keeps the order.
    ///
    /// The ends are converted to the type of the index. A date, such as `2013-03-31`, as the upper end of points of time
    /// stands for the whole day.
    ///
    /// # Errors
    ///
    /// Returns an error if the frame has no index ([`with_sorted_index`](Self::with_sorted_index),
    /// [`set_index`](Self::set_index)), or if an end cannot be converted.
    pub fn between(&self, low: impl Literal, high: impl Literal) -> Result<Self> {
        let name = self.index().ok_or_else(|| {
            Error::other("the frame has no index; create one by `with_sorted_index` or `set_index`")
        })?;
        let column = self.column(name)?;
        let schema = self.schema();
        let data_type = schema
            .field_with_name(name)
            .map_err(Error::other)?
            .data_type();
        let low = converted(low, data_type).map_err(invalid)?;
        let is_below = match end_of_day(&high, data_type).map_err(invalid)? {
            Some(next) => column.clone().lt(Expr::Literal(next, None)),
            None => column.clone().lt_eq(Expr::Literal(
                converted(high, data_type).map_err(invalid)?,
                None,
            )),
        };
        self.filter(column.gt_eq(Expr::Literal(low, None)).and(is_below))
    }
}

fn scalar(value: &impl Literal) -> PlanResult<ScalarValue> {
    match value.lit() {
        Expr::Literal(value, _) => Ok(value),
        other => plan_err!("{other} is no value"),
    }
}

fn converted(value: impl Literal, data_type: &DataType) -> PlanResult<ScalarValue> {
    scalar(&value)?.cast_to(data_type)
}

/// Returns the begin of the day after `high`, if that is a date and `data_type` is one of points of time.
fn end_of_day(high: &impl Literal, data_type: &DataType) -> PlanResult<Option<ScalarValue>> {
    let date = match (scalar(high)?, data_type) {
        (ScalarValue::Utf8(Some(text)), DataType::Timestamp(..)) if text.len() == 10 => {
            ScalarValue::Utf8(Some(text)).cast_to(&DataType::Date32)?
        }
        (date @ ScalarValue::Date32(_), DataType::Timestamp(..)) => date,
        _ => return Ok(None),
    };
    match date {
        ScalarValue::Date32(Some(day)) => ScalarValue::Date32(Some(day + 1))
            .cast_to(data_type)
            .map(Some),
        _ => Ok(None),
    }
}

/// Writes the rows of a sorted stream. Returns the chunks, and the range of the index of each.
async fn write_sorted(
    mut writer: ChunkWriter,
    mut batches: SendableRecordBatchStream,
    number: usize,
) -> Result<(Chunks, Vec<Arc<Statistics>>), BoxError> {
    let mut statistics = Vec::new();
    loop {
        let batch = batches.try_next().await.map_err(cause)?;
        let is_end = batch.is_none();
        let written = match batch {
            Some(batch) => writer.add(batch),
            None => writer.flush(),
        }?;
        if let (Some(first), Some(last)) = (written.first(), written.last()) {
            let schema = first.schema();
            let (start, end) = (
                value(first, number, 0)?,
                value(last, number, last.num_rows() - 1)?,
            );
            let unknown = Statistics::new_unknown(&schema);
            // Nulls, which come last, have no place in a range.
            statistics.push(Arc::new(match end.is_null() {
                true => unknown,
                false => with_range(unknown, number, start, end),
            }));
        }
        if is_end {
            return Ok((writer.finish()?, statistics));
        }
    }
}

fn value(batch: &RecordBatch, column: usize, row: usize) -> PlanResult<ScalarValue> {
    ScalarValue::try_from_array(batch.column(column), row)
}

/// Sets the range of a column.
fn with_range(
    mut statistics: Statistics,
    column: usize,
    start: ScalarValue,
    end: ScalarValue,
) -> Statistics {
    let column = &mut statistics.column_statistics[column];
    column.min_value = Precision::Exact(start);
    column.max_value = Precision::Exact(end);
    statistics
}

type ValueRange = Option<(ScalarValue, ScalarValue)>;

/// Returns the least and the greatest value of a column, which the statistics of the file have.
fn parquet_range(file: &TableFile, column: usize) -> Result<ValueRange, BoxError> {
    let statistics = file.statistics.as_ref().ok_or("it has no statistics")?;
    if statistics.num_rows.get_value() == Some(&0) {
        return Ok(None);
    }
    let column = &statistics.column_statistics[column];
    match (column.min_value.get_value(), column.max_value.get_value()) {
        (Some(start), Some(end)) if !start.is_null() && !end.is_null() => {
            Ok(Some((start.clone(), end.clone())))
        }
        _ => Err("it has no statistics of the column".into()),
    }
}

/// Returns the first and the last value of a column of a CSV file.
fn csv_range(
    file: &TableFile,
    options: &CsvOptions,
    schema: &SchemaRef,
    column: usize,
) -> Result<ValueRange, BoxError> {
    let reader = |has_headers, rows| {
        ReaderBuilder::new(Arc::clone(schema))
            .with_format(options.format(has_headers))
            .with_projection(vec![column])
            // Each reader allocates memory for a batch.
            .with_batch_size(rows)
    };
    let reads_all = options.line_ends_in_quotes || file.is_compressed;
    let whole = BufReader::new(file.file.open_decoded()?);
    let batch_rows = if reads_all { BATCH_ROWS } else { 1 };
    let mut rows = reader(options.has_headers, batch_rows).build_buffered(whole)?;
    let Some(first) = rows.next().transpose()? else {
        return Ok(None);
    };
    let last = match reads_all {
        true => rows.last().transpose()?.unwrap_or_else(|| first.clone()),
        false => {
            let last = last_line(&file.file)?;
            let last = reader(false, 1).build(Cursor::new(last))?.last();
            last.transpose()?.ok_or("it has no last row")?
        }
    };
    let (start, end) = (value(&first, 0, 0)?, value(&last, 0, last.num_rows() - 1)?);
    if start.is_null() || end.is_null() {
        return Err("its first or last row has no value in the column".into());
    }
    Ok(Some((start, end)))
}

/// Returns the last line of a file that is not empty.
fn last_line(file: &InputFile) -> Result<Vec<u8>, BoxError> {
    let mut length = TAIL_BYTES.min(file.bytes());
    loop {
        let mut tail = Vec::new();
        file.open(file.bytes() - length..file.bytes())?
            .read_to_end(&mut tail)?;
        while tail.pop_if(|byte| matches!(byte, b'\n' | b'\r')).is_some() {}
        let start = tail.iter().rposition(|byte| *byte == b'\n');
        match start {
            Some(start) => return Ok(tail.split_off(start + 1)),
            None if length == file.bytes() => return Ok(tail),
            None => length = (2 * length).min(file.bytes()),
        }
    }
}
