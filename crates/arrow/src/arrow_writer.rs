//! Writing of Arrow IPC files.

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter as IpcWriter, IpcWriteOptions};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::coalesce::BatchCoalescer;
use holdall::BoxError;
use holdall::files::OutputFile;
use serde::{Deserialize, Serialize};

use crate::writer::{BatchFile, BatchFormat, FileWriter};

/// Size at which a record batch ends, in bytes. A larger one has fewer headers, and needs more memory.
const BATCH_BYTES: usize = 64 << 20;

/// Writes Arrow IPC files, also known as Feather V2: a [`FileWriter`] that does not compress unless you set it.
///
/// [`ArrowReader`](crate::ArrowReader) has an example.
pub type ArrowWriter = FileWriter<ArrowIpc>;

/// The compression of the buffers of a record batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum BatchCompression {
    /// Frames of LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// The Arrow IPC format, and the options of its writer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArrowIpc {
    batch_rows: usize,
    compression: Option<BatchCompression>,
}

impl Default for ArrowIpc {
    fn default() -> Self {
        Self {
            batch_rows: 1 << 16,
            compression: None,
        }
    }
}

impl FileWriter<ArrowIpc> {
    /// Sets the maximum number of rows of a record batch. Default: 65,536. A batch also ends at about 64 MiB.
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.format.batch_rows = rows.max(1);
        self
    }

    /// Sets the compression. Default: none.
    pub fn compression(mut self, compression: BatchCompression) -> Self {
        self.format.compression = Some(compression);
        self
    }
}

impl BatchFormat for ArrowIpc {
    const NAME: &'static str = "write_arrow";
    const EXTENSION: &'static str = "arrow";

    fn create(&self, file: OutputFile, schema: &SchemaRef) -> Result<Box<dyn BatchFile>, BoxError> {
        let compression = self.compression.map(|compression| match compression {
            BatchCompression::Lz4 => CompressionType::LZ4_FRAME,
            BatchCompression::Zstd => CompressionType::ZSTD,
        });
        let options = IpcWriteOptions::default().try_with_compression(compression)?;
        let writer = IpcWriter::try_new_with_options(file, schema, options).map_err(cause)?;
        Ok(Box::new(OpenArrow {
            writer,
            batches: BatchCoalescer::new(SchemaRef::clone(schema), self.batch_rows),
            bytes: 0,
        }))
    }
}

/// An Arrow IPC file that is being written.
struct OpenArrow {
    writer: IpcWriter<OutputFile>,
    batches: BatchCoalescer,
    /// Size of the rows that are not in a complete batch.
    bytes: usize,
}

impl OpenArrow {
    fn write_complete_batches(&mut self) -> Result<(), BoxError> {
        while let Some(batch) = self.batches.next_completed_batch() {
            self.writer.write(&batch).map_err(cause)?;
            self.bytes = 0;
        }
        Ok(())
    }
}

impl BatchFile for OpenArrow {
    fn write(&mut self, rows: RecordBatch) -> Result<(), BoxError> {
        self.bytes += rows.get_array_memory_size();
        self.batches.push_batch(rows)?;
        if self.bytes >= BATCH_BYTES {
            self.batches.finish_buffered_batch()?;
        }
        self.write_complete_batches()
    }

    fn finish(mut self: Box<Self>) -> Result<OutputFile, BoxError> {
        self.batches.finish_buffered_batch()?;
        self.write_complete_batches()?;
        self.writer.into_inner().map_err(cause)
    }
}

/// Returns the error of the file, if it has failed.
#[cold]
fn cause(error: ArrowError) -> BoxError {
    match error {
        ArrowError::IoError(_, error) => error.into(),
        error => error.into(),
    }
}
