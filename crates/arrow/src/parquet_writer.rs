//! Writing of Parquet.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use holdall::BoxError;
use holdall::files::OutputFile;
use parquet::arrow::ArrowWriter;
use parquet::basic::{self, BrotliLevel, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use crate::writer::{BatchFile, BatchFormat, FileWriter};

/// Maximum size of a row group, in bytes. A larger one has better statistics of sizes, and needs more memory: a task holds
/// one when it writes, and one when it reads.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// Writes Parquet: a [`FileWriter`] that compresses with Snappy unless you set another compression.
///
/// [`ParquetReader`](crate::ParquetReader) has an example.
pub type ParquetWriter = FileWriter<Parquet>;

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

/// Parquet, and the options of its writer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parquet {
    row_group_rows: usize,
    compression: Compression,
}

impl Default for Parquet {
    fn default() -> Self {
        Self {
            row_group_rows: 1 << 20,
            compression: Compression::default(),
        }
    }
}

impl FileWriter<Parquet> {
    /// Sets the maximum number of rows of a row group. Default: 1,048,576. A row group also ends at 128 MiB.
    pub fn row_group_rows(mut self, rows: usize) -> Self {
        self.format.row_group_rows = rows.max(1);
        self
    }

    /// Sets the compression. Default: [`Compression::Snappy`].
    pub fn compression(mut self, compression: Compression) -> Self {
        self.format.compression = compression;
        self
    }
}

impl BatchFormat for Parquet {
    const NAME: &'static str = "write_parquet";
    const EXTENSION: &'static str = "parquet";

    fn create(&self, file: OutputFile, schema: &SchemaRef) -> Result<Box<dyn BatchFile>, BoxError> {
        let properties = WriterProperties::builder()
            .set_compression(self.compression.into())
            .set_max_row_group_row_count(Some(self.row_group_rows))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .build();
        let schema = SchemaRef::clone(schema);
        Ok(Box::new(OpenParquet {
            file,
            writer: ArrowWriter::try_new(Vec::new(), schema, Some(properties))?,
        }))
    }
}

/// A Parquet file that is being written. Its writer writes to memory, because a file of holdall stays on its thread.
struct OpenParquet {
    file: OutputFile,
    writer: ArrowWriter<Vec<u8>>,
}

impl BatchFile for OpenParquet {
    fn write(&mut self, rows: RecordBatch) -> Result<(), BoxError> {
        self.writer.write(&rows)?;
        self.file.write_all(self.writer.inner())?;
        self.writer.inner_mut().clear();
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<OutputFile, BoxError> {
        self.file.write_all(&self.writer.into_inner()?)?;
        Ok(self.file)
    }
}
