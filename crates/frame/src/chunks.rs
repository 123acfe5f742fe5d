//! Rows in scratch files: chunks of record batches, which are read one by one.

use std::io::Cursor;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use holdall::extend::{SpillFile, SpillWriter};
use holdall::{BoxError, Result};
use serde::{Deserialize, Serialize};

/// Minimum size of a chunk, in bytes. The schema, which each of them has, takes little of that.
const CHUNK_BYTES: usize = 1 << 20;

/// Rows in a file. Can be sent to worker processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Chunks {
    pub(crate) file: SpillFile,
    pub(crate) chunks: Vec<Chunk>,
}

/// A part of the file with the encoded batches of some rows.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Chunk {
    offset: u64,
    bytes: u64,
    pub(crate) rows: u64,
}

impl Chunks {
    pub(crate) fn rows(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.rows).sum()
    }
}

impl Chunk {
    /// Returns the batches of a chunk of a file.
    pub(crate) fn read(&self, file: &SpillFile) -> Result<Vec<RecordBatch>, BoxError> {
        let mut bytes = vec![0; usize::try_from(self.bytes)?];
        file.read_at(self.offset, &mut bytes)?;
        Ok(decoded(&bytes)?)
    }
}

/// Encodes record batches.
pub(crate) fn encoded(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.into_inner()
}

fn decoded(bytes: &[u8]) -> Result<Vec<RecordBatch>, ArrowError> {
    StreamReader::try_new(Cursor::new(bytes), None)?.collect()
}

/// Writes chunks.
pub(crate) struct ChunkWriter {
    schema: SchemaRef,
    file: SpillWriter,
    chunks: Vec<Chunk>,
    /// Batches that are not written yet.
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl ChunkWriter {
    pub(crate) fn new(schema: SchemaRef, file: SpillWriter) -> Self {
        Self {
            schema,
            file,
            chunks: Vec::new(),
            batches: Vec::new(),
            bytes: 0,
        }
    }

    /// Adds rows. Returns those of a chunk once it is complete.
    pub(crate) fn add(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>, BoxError> {
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
        match self.bytes >= CHUNK_BYTES {
            true => self.flush(),
            false => Ok(Vec::new()),
        }
    }

    /// Writes the rest of the rows. Returns those of the last chunk.
    pub(crate) fn flush(&mut self) -> Result<Vec<RecordBatch>, BoxError> {
        let batches = std::mem::take(&mut self.batches);
        self.bytes = 0;
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        if rows > 0 {
            self.add_encoded(&encoded(&self.schema, &batches)?, rows)?;
        }
        Ok(batches)
    }

    /// Adds a chunk that is already encoded.
    pub(crate) fn add_encoded(&mut self, bytes: &[u8], rows: u64) -> Result<()> {
        self.chunks.push(Chunk {
            offset: self.file.bytes(),
            bytes: bytes.len() as u64,
            rows,
        });
        self.file.append(bytes)
    }

    pub(crate) fn finish(mut self) -> Result<Chunks, BoxError> {
        self.flush()?;
        Ok(Chunks {
            file: self.file.finish()?,
            chunks: self.chunks,
        })
    }
}
