//! Writing of Arrow IPC files.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use holdall::files::{OutputFile, OutputOptions};
use holdall::{Bag, BoxError, FormatSink, Pipeline, RecordFormat, Result, Written};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::batches::{BatchBuilder, schema_or_of};

/// Size at which a record batch ends, in bytes. A larger one has fewer headers, and needs more memory.
const BATCH_BYTES: usize = 64 << 20;

/// Number of rows after which the size of a batch is checked.
const CHECK_ROWS: usize = 1024;

/// Writes Arrow IPC files: a directory with a file for each partition.
///
/// The schema is that of the type of the records, as for a [`ParquetWriter`](crate::ParquetWriter). The directory appears
/// as a whole or not at all, as that of [`write_text`](Bag::write_text), on any file system of the context.
/// [`ArrowReader`](crate::ArrowReader) has an example.
#[derive(Clone, Debug)]
#[must_use = "a writer does nothing until it is given a bag"]
pub struct ArrowWriter {
    schema: Option<SchemaRef>,
    batch_rows: usize,
    compression: Option<BatchCompression>,
    output: OutputOptions,
}

/// The compression of the buffers of a record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum BatchCompression {
    /// Frames of LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Default for ArrowWriter {
    fn default() -> Self {
        Self {
            schema: None,
            batch_rows: 1 << 16,
            compression: None,
            output: OutputOptions::default().durable(true),
        }
    }
}

impl ArrowWriter {
    /// Creates a writer that does not compress.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the schema. serde maps each record to it. Default: that of the type, see [`schema_of`](crate::schema_of).
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets the maximum number of rows of a record batch. Default: 65,536. A batch also ends at about 64 MiB.
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows.max(1);
        self
    }

    /// Sets the compression. Default: none.
    pub fn compression(mut self, compression: BatchCompression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets the options of the output, for example to replace an existing one. Default: nothing is replaced, and the
    /// output is on disk when [`write`](Self::write) returns.
    pub fn output(mut self, options: OutputOptions) -> Self {
        self.output = options;
        self
    }

    /// Writes the records of a bag. Runs a job. Returns the number of records and bytes, and the files, such as
    /// `part-00000.arrow`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`ParquetWriter::write`](crate::ParquetWriter::write).
    #[track_caller]
    pub fn write<T, P>(&self, bag: &Bag<T, P>, path: impl AsRef<Path>) -> Result<Written>
    where
        T: Serialize + DeserializeOwned + 'static,
        P: Pipeline<Out = T>,
    {
        let format = ArrowIpc {
            schema: schema_or_of::<T>(self.schema.as_ref())?,
            batch_rows: self.batch_rows,
            compression: self.compression,
        };
        let output = bag.context().begin_output(path, &self.output)?;
        let sink = FormatSink::new(output, format);
        bag.write(sink.name("write_arrow").extension("arrow"))
    }
}

/// The Arrow IPC format, and the options of its writer.
#[derive(Clone, Serialize, Deserialize)]
struct ArrowIpc {
    schema: SchemaRef,
    batch_rows: usize,
    compression: Option<BatchCompression>,
}

/// A file that is being written.
struct OpenArrow {
    file: FileWriter<OutputFile>,
    batch: BatchBuilder,
    /// Parts of the next record batch.
    parts: Vec<RecordBatch>,
    /// Number of rows in the parts.
    rows: usize,
}

impl OpenArrow {
    fn end_part(&mut self, max_rows: usize) -> Result<(), BoxError> {
        let part = self.batch.finish()?;
        self.rows += part.num_rows();
        self.parts.push(part);
        let bytes = self.parts.iter().map(RecordBatch::get_array_memory_size);
        if self.rows >= max_rows || bytes.sum::<usize>() >= BATCH_BYTES {
            self.end_batch()?;
        }
        Ok(())
    }

    fn end_batch(&mut self) -> Result<(), BoxError> {
        if self.rows > 0 {
            let batch = concat_batches(self.file.schema(), &self.parts)?;
            self.file.write(&batch)?;
        }
        self.parts.clear();
        self.rows = 0;
        Ok(())
    }
}

impl<T: Serialize + 'static> RecordFormat<T> for ArrowIpc {
    type Open = OpenArrow;

    fn open(&self, file: OutputFile) -> Result<OpenArrow, BoxError> {
        let compression = self.compression.map(|compression| match compression {
            BatchCompression::Lz4 => CompressionType::LZ4_FRAME,
            BatchCompression::Zstd => CompressionType::ZSTD,
        });
        let options = IpcWriteOptions::default().try_with_compression(compression)?;
        Ok(OpenArrow {
            file: FileWriter::try_new_with_options(file, &self.schema, options)?,
            batch: BatchBuilder::new(&self.schema)?,
            parts: Vec::new(),
            rows: 0,
        })
    }

    #[inline]
    fn write(&self, open: &mut OpenArrow, record: &T) -> Result<(), BoxError> {
        open.batch.push(record)?;
        let rows = open.batch.rows();
        if rows == CHECK_ROWS || open.rows + rows == self.batch_rows {
            open.end_part(self.batch_rows)?;
        }
        Ok(())
    }

    fn finish(&self, mut open: OpenArrow) -> Result<OutputFile, BoxError> {
        open.end_part(self.batch_rows)?;
        open.end_batch()?;
        Ok(open.file.into_inner()?)
    }
}
