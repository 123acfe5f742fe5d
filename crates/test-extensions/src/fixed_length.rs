//! Files of records of a fixed length, as bytes: read in parts of a file, and written to a directory.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use holdall::{
    Attempt, Bag, BoxError, Context, PartitionWriter, Pipeline, Reading, Result, Sink, Source,
};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// Maximum number of bytes that are read at once.
const BLOCK_BYTES: usize = 64 << 10;

/// Returns the records of files, in splits of up to `split_records` records.
///
/// # Errors
///
/// Returns an error if a file is missing, or if its length is not a multiple of `record_bytes`.
#[track_caller]
pub fn read_fixed_length(
    context: &Context,
    paths: Vec<PathBuf>,
    record_bytes: usize,
    split_records: u64,
) -> Result<Bag<[u8], impl Pipeline<Out = [u8]> + use<>>> {
    context.from_source(FixedLength {
        paths,
        record_bytes,
        split_records,
    })
}

/// Files of records that all have `record_bytes` bytes.
#[derive(Debug, Serialize, Deserialize)]
pub struct FixedLength {
    paths: Vec<PathBuf>,
    record_bytes: usize,
    split_records: u64,
}

/// Consecutive records of a file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Span {
    path: PathBuf,
    /// Number of the first record, from 0.
    first: u64,
    records: u64,
}

impl Source for FixedLength {
    type Split = Span;
    type Item = [u8];

    fn splits(&self) -> Result<Vec<Span>, BoxError> {
        let mut splits = Vec::new();
        for path in &self.paths {
            let (bytes, each) = (fs::metadata(path)?.len(), self.record_bytes as u64);
            if !bytes.is_multiple_of(each) {
                let path = path.display();
                return Err(format!("{path} has {bytes} bytes, not a multiple of {each}").into());
            }
            let records = bytes / each;
            splits.extend(
                (0..records)
                    .step_by(self.split_records as usize)
                    .map(|first| Span {
                        path: path.clone(),
                        first,
                        records: self.split_records.min(records - first),
                    }),
            );
        }
        Ok(splits)
    }

    fn read(
        &self,
        split: &Span,
        reading: &Reading<'_>,
        mut emit: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        reading.set_file(&split.path);
        reading.set_record(split.first + 1);
        let mut offset = split.first * self.record_bytes as u64;
        reading.set_offset(offset);
        let mut file = File::open(&split.path)?;
        file.seek(SeekFrom::Start(offset))?;
        let at_once = (BLOCK_BYTES / self.record_bytes).max(1) as u64;
        let mut block = Vec::new();
        let mut left = split.records;
        while left > 0 {
            let records = left.min(at_once);
            left -= records;
            block.resize(records as usize * self.record_bytes, 0);
            file.read_exact(&mut block)?;
            reading.count_bytes(block.len() as u64);
            for record in block.chunks(self.record_bytes) {
                reading.set_offset(offset);
                if emit(record).is_break() {
                    return Ok(());
                }
                offset += record.len() as u64;
            }
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "read_fixed_length"
    }

    fn detail(&self) -> String {
        format!("{} files", self.paths.len())
    }

    fn bytes(&self, split: &Span) -> Option<u64> {
        Some(split.records * self.record_bytes as u64)
    }
}

/// Writes a directory with a file for each partition. Returns the number of records.
#[derive(Debug)]
pub struct FixedLengthSink {
    directory: PathBuf,
    record_bytes: usize,
    /// Deleted when it is dropped.
    unfinished: TempDir,
}

impl FixedLengthSink {
    /// Begins an output at `directory`, which must not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if a temporary directory beside it cannot be created.
    pub fn new(directory: &Path, record_bytes: usize) -> Result<Self> {
        let parent = directory.parent().unwrap_or(directory);
        Ok(Self {
            directory: directory.to_owned(),
            record_bytes,
            unfinished: tempfile::Builder::new()
                .prefix(".unfinished-")
                .tempdir_in(parent)?,
        })
    }
}

impl Sink<[u8]> for FixedLengthSink {
    type Writer = FixedLengthWriter;
    type Output = u64;

    fn begin(&mut self, _partitions: Option<usize>) -> Result<FixedLengthWriter, BoxError> {
        Ok(FixedLengthWriter {
            directory: self.unfinished.path().to_owned(),
            record_bytes: self.record_bytes,
        })
    }

    fn commit(self, parts: Vec<(PathBuf, u64)>) -> Result<u64, BoxError> {
        fs::create_dir(&self.directory)?;
        for (number, (path, _)) in parts.iter().enumerate() {
            fs::rename(path, self.directory.join(format!("{number:05}")))?;
        }
        Ok(parts.iter().map(|(_, records)| records).sum())
    }

    fn name(&self) -> &'static str {
        "write_fixed_length"
    }
}

/// Writes the partitions of a [`FixedLengthSink`].
#[derive(Debug, Serialize, Deserialize)]
pub struct FixedLengthWriter {
    directory: PathBuf,
    record_bytes: usize,
}

impl PartitionWriter<[u8]> for FixedLengthWriter {
    type Open = (PathBuf, BufWriter<File>, u64);
    type Part = (PathBuf, u64);

    fn open(&self, attempt: &Attempt) -> Result<Self::Open, BoxError> {
        let path = self.directory.join(attempt.name());
        let file = File::create_new(&path)?;
        Ok((path, BufWriter::new(file), 0))
    }

    fn write(&self, (_, file, records): &mut Self::Open, record: &[u8]) -> Result<(), BoxError> {
        if record.len() != self.record_bytes {
            let (bytes, expected) = (record.len(), self.record_bytes);
            return Err(format!("a record has {bytes} bytes, not {expected}").into());
        }
        file.write_all(record)?;
        *records += 1;
        Ok(())
    }

    fn finish(&self, (path, mut file, records): Self::Open) -> Result<Self::Part, BoxError> {
        file.flush()?;
        Ok((path, records))
    }
}
