//! Writing of Parquet.

use std::io::Write;
use std::path::Path;

use arrow_schema::SchemaRef;
use holdall::files::{OutputFile, OutputOptions};
use holdall::{Bag, BoxError, FormatSink, Pipeline, RecordFormat, Result, Written};
use parquet::arrow::ArrowWriter;
use parquet::basic::{self, BrotliLevel, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::batches::{BatchBuilder, schema_or_of};

/// Maximum size of a row group, in bytes. A larger one has better statistics of sizes, and needs more memory: a task holds
/// one when it writes, and one when it reads.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// Number of rows that are encoded at once.
const BATCH_ROWS: usize = 1024;

/// Writes Parquet: a directory with a file for each partition.
///
/// The schema is that of the type of the records: each field of a struct is a column, and an `Option` may be null. Set
/// another one by [`schema`](Self::schema), for example for dates. The directory appears as a whole or not at all, as that of
/// [`write_text`](Bag::write_text), on any file system of the context. [`ParquetReader`](crate::ParquetReader) has an
/// example.
#[derive(Clone, Debug)]
#[must_use = "a writer does nothing until it is given a bag"]
pub struct ParquetWriter {
    schema: Option<SchemaRef>,
    row_group_rows: usize,
    compression: Compression,
    output: OutputOptions,
}

/// The compression of the pages of a Parquet file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Compression {
    /// None.
    None,
    /// Snappy, which every program can read. The default.
    #[default]
    Snappy,
    /// Deflate, in the format of gzip.
    Gzip,
    /// Brotli.
    Brotli,
    /// Blocks of LZ4, without frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl From<Compression> for basic::Compression {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::UNCOMPRESSED,
            Compression::Snappy => Self::SNAPPY,
            Compression::Gzip => Self::GZIP(GzipLevel::default()),
            Compression::Brotli => Self::BROTLI(BrotliLevel::default()),
            Compression::Lz4 => Self::LZ4_RAW,
            Compression::Zstd => Self::ZSTD(ZstdLevel::default()),
        }
    }
}

impl Default for ParquetWriter {
    fn default() -> Self {
        Self {
            schema: None,
            row_group_rows: 1 << 20,
            compression: Compression::default(),
            output: OutputOptions::default().durable(true),
        }
    }
}

impl ParquetWriter {
    /// Creates a writer that compresses with Snappy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the schema. serde maps each record to it. Default: that of the type, see [`schema_of`](crate::schema_of).
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets the maximum number of rows of a row group. Default: 1,048,576. A row group also ends at 128 MiB.
    pub fn row_group_rows(mut self, rows: usize) -> Self {
        self.row_group_rows = rows.max(1);
        self
    }

    /// Sets the compression. Default: [`Compression::Snappy`].
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the options of the output, for example to replace an existing one. Default: nothing is replaced, and the
    /// output is on disk when [`write`](Self::write) returns.
    pub fn output(mut self, options: OutputOptions) -> Self {
        self.output = options;
        self
    }

    /// Writes the records of a bag. Runs a job. Returns the number of records and bytes, and the files, such as
    /// `part-00000.parquet`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Bag::write_text`], and [`ErrorKind::Write`](holdall::ErrorKind::Write) if the type has
    /// no schema, or if a record does not have the form of the schema.
    #[track_caller]
    pub fn write<T, P>(&self, bag: &Bag<T, P>, path: impl AsRef<Path>) -> Result<Written>
    where
        T: Serialize + DeserializeOwned + 'static,
        P: Pipeline<Out = T>,
    {
        let format = Parquet {
            schema: schema_or_of::<T>(self.schema.as_ref())?,
            row_group_rows: self.row_group_rows,
            compression: self.compression,
        };
        let output = bag.context().begin_output(path, &self.output)?;
        let sink = FormatSink::new(output, format);
        bag.write(sink.name("write_parquet").extension("parquet"))
    }
}

/// Parquet, and the options of its writer.
#[derive(Clone, Serialize, Deserialize)]
struct Parquet {
    schema: SchemaRef,
    row_group_rows: usize,
    compression: Compression,
}

/// A file that is being written. The writer of Parquet writes to memory, because a file of holdall stays on its thread.
struct OpenParquet {
    file: OutputFile,
    writer: ArrowWriter<Vec<u8>>,
    batch: BatchBuilder,
}

impl OpenParquet {
    fn flush_batch(&mut self) -> Result<(), BoxError> {
        self.writer.write(&self.batch.finish()?)?;
        self.file.write_all(self.writer.inner())?;
        self.writer.inner_mut().clear();
        Ok(())
    }
}

impl<T: Serialize + 'static> RecordFormat<T> for Parquet {
    type Open = OpenParquet;

    fn open(&self, file: OutputFile) -> Result<OpenParquet, BoxError> {
        let properties = WriterProperties::builder()
            .set_compression(self.compression.into())
            .set_max_row_group_row_count(Some(self.row_group_rows))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .build();
        Ok(OpenParquet {
            file,
            writer: ArrowWriter::try_new(Vec::new(), self.schema.clone(), Some(properties))?,
            batch: BatchBuilder::new(&self.schema)?,
        })
    }

    #[inline]
    fn write(&self, open: &mut OpenParquet, record: &T) -> Result<(), BoxError> {
        open.batch.push(record)?;
        if open.batch.rows() == BATCH_ROWS {
            open.flush_batch()?;
        }
        Ok(())
    }

    fn finish(&self, mut open: OpenParquet) -> Result<OutputFile, BoxError> {
        open.flush_batch()?;
        let rest = open.writer.into_inner()?;
        open.file.write_all(&rest)?;
        Ok(open.file)
    }
}
