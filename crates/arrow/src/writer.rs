//! The options that the writers of all formats share, and the batches of rows that they write.

use std::fmt::Debug;
use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use holdall::files::{OutputFile, OutputOptions};
use holdall::{Bag, BoxError, Data, FormatSink, Pipeline, RecordFormat, Result, Written};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_arrow::ArrayBuilder;

use crate::schema::schema_of;

/// Number of rows that a format receives together.
const BATCH_ROWS: usize = 1024;

/// Writes rows in a format: a directory with a file for each partition.
///
/// [`ParquetWriter`](crate::ParquetWriter) and [`ArrowWriter`](crate::ArrowWriter) describe the formats.
///
/// The schema is that of the type of the records: each field of a struct is a column, and an `Option` may be null. Set
/// another one by [`schema`](Self::schema), for example for dates. The directory appears as a whole or not at all, as that
/// of [`write_text`](Bag::write_text), on any file system of the context.
#[derive(Clone, Debug)]
#[must_use = "a writer does nothing until it is given a bag"]
pub struct FileWriter<F> {
    pub(crate) format: F,
    schema: Option<SchemaRef>,
    output: OutputOptions,
}

/// A format of record batches, and the options of its writer.
pub trait BatchFormat: Clone + Debug + Default + Data + Sync {
    /// Name of the method that runs the action.
    const NAME: &'static str;

    /// Extension of the files.
    const EXTENSION: &'static str;

    /// Begins a file.
    fn create(&self, file: OutputFile, schema: &SchemaRef) -> Result<Box<dyn BatchFile>, BoxError>;
}

/// A file that is being written.
pub trait BatchFile {
    /// Writes rows.
    fn write(&mut self, rows: RecordBatch) -> Result<(), BoxError>;

    /// Completes the file.
    fn finish(self: Box<Self>) -> Result<OutputFile, BoxError>;
}

impl<F: BatchFormat> Default for FileWriter<F> {
    fn default() -> Self {
        Self {
            format: F::default(),
            schema: None,
            output: OutputOptions::default(),
        }
    }
}

impl<F: BatchFormat> FileWriter<F> {
    /// Creates a writer with the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the schema. serde maps each record to it. Default: that of the type, see [`schema_of`].
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets whether an existing output is replaced, once the new one is complete. Default: `false`. See
    /// [`TextWriter::overwrite`](holdall::TextWriter::overwrite).
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.output.overwrite = overwrite;
        self
    }

    /// Sets whether the output is on disk when [`write`](Self::write) returns. Default: `true`. See
    /// [`TextWriter::durable`](holdall::TextWriter::durable).
    pub fn durable(mut self, durable: bool) -> Self {
        self.output.durable = durable;
        self
    }

    /// Sets whether the files are added to those of an existing output. Default: `false`. See
    /// [`TextWriter::append`](holdall::TextWriter::append).
    pub fn append(mut self, append: bool) -> Self {
        self.output.append = append;
        self
    }

    /// Writes the records of a bag. Runs a job. Returns the number of records and bytes, and the files, such as
    /// `part-00000.parquet`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Bag::write_text`], and [`ErrorKind::Write`](holdall::ErrorKind::Write) if a record does
    /// not have the form of the schema. Returns an error if the type has no schema.
    #[track_caller]
    pub fn write<T, P>(&self, bag: &Bag<T, P>, path: impl AsRef<Path>) -> Result<Written>
    where
        T: Serialize + DeserializeOwned + 'static,
        P: Pipeline<Out = T>,
    {
        let rows = Rows {
            schema: self.schema.clone().map_or_else(schema_of::<T>, Ok)?,
            format: self.format.clone(),
        };
        let output = bag.context().begin_output(path, &self.output)?;
        let sink = FormatSink::new(output, rows);
        bag.write(sink.name(F::NAME).extension(F::EXTENSION))
    }
}

/// Rows with this schema, in a format.
#[derive(Clone, Serialize, Deserialize)]
struct Rows<F> {
    schema: SchemaRef,
    format: F,
}

/// A file, and rows that it has not received yet.
struct OpenFile {
    file: Box<dyn BatchFile>,
    rows: ArrayBuilder,
    count: usize,
}

impl<F: BatchFormat> Rows<F> {
    fn flush(&self, open: &mut OpenFile) -> Result<(), BoxError> {
        let count = Some(std::mem::take(&mut open.count));
        let options = RecordBatchOptions::new().with_row_count(count);
        let (schema, columns) = (SchemaRef::clone(&self.schema), open.rows.to_arrow()?);
        let rows = RecordBatch::try_new_with_options(schema, columns, &options)?;
        open.file.write(rows)
    }
}

impl<T: Serialize + 'static, F: BatchFormat> RecordFormat<T> for Rows<F> {
    type Open = OpenFile;

    fn open(&self, file: OutputFile) -> Result<OpenFile, BoxError> {
        Ok(OpenFile {
            file: self.format.create(file, &self.schema)?,
            rows: ArrayBuilder::from_arrow(self.schema.fields())?,
            count: 0,
        })
    }

    #[inline]
    fn write(&self, open: &mut OpenFile, record: &T) -> Result<(), BoxError> {
        open.rows.push(record)?;
        open.count += 1;
        if open.count == BATCH_ROWS {
            self.flush(open)?;
        }
        Ok(())
    }

    fn finish(&self, mut open: OpenFile) -> Result<OutputFile, BoxError> {
        self.flush(&mut open)?;
        open.file.finish()
    }
}
