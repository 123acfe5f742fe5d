//! Files of records of a fixed length, as bytes: read in parts of a file, and written to a directory, on any file system
//! of the context.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use holdall::files::{FinishedFile, InputFile, NewOutput, OutputFile, OutputOptions, OutputWriter};
use holdall::{
    Attempt, Bag, BoxError, Context, IntoInputs, PartitionWriter, Pipeline, Reading, Result, Sink,
    Source,
};
use serde::{Deserialize, Serialize};

/// Maximum number of bytes that are read at once.
const BLOCK_BYTES: usize = 64 << 10;

/// Returns the records of files, in splits of up to `split_records` records.
///
/// # Errors
///
/// Returns an error if a file is missing, or if its length is not a multiple of `record_bytes`.
#[track_caller]
pub fn read_fixed_length<I: IntoInputs>(
    context: &Context,
    inputs: I,
    record_bytes: usize,
    split_records: u64,
) -> Result<Bag<[u8], impl Pipeline<Out = [u8]> + use<I>>> {
    context.from_source(FixedLength {
        files: context.find_files(inputs)?,
        record_bytes,
        split_records,
    })
}

/// Files of records that all have `record_bytes` bytes. A record of `ff` bytes only is an error.
#[derive(Debug, Serialize, Deserialize)]
pub struct FixedLength {
    files: Vec<InputFile>,
    record_bytes: usize,
    split_records: u64,
}

/// Consecutive records of a file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Span {
    file: InputFile,
    /// Number of the first record, from 0.
    first: u64,
    records: u64,
}

impl Source for FixedLength {
    type Split = Span;
    type Item = [u8];

    fn splits(&self) -> Result<Vec<Span>, BoxError> {
        let mut splits = Vec::new();
        for file in &self.files {
            let (bytes, each) = (file.bytes(), self.record_bytes as u64);
            if !bytes.is_multiple_of(each) {
                let path = file.path().display();
                return Err(format!("{path} has {bytes} bytes, not a multiple of {each}").into());
            }
            let records = bytes / each;
            splits.extend(
                (0..records)
                    .step_by(self.split_records as usize)
                    .map(|first| Span {
                        file: file.clone(),
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
        reading.set_file(split.file.path());
        reading.set_record(split.first + 1);
        let mut offset = split.first * self.record_bytes as u64;
        reading.set_offset(offset);
        let end = offset + split.records * self.record_bytes as u64;
        let mut file = split.file.open(offset..end)?;
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
                if record.iter().all(|byte| *byte == u8::MAX) {
                    return Err(
                        io::Error::new(io::ErrorKind::InvalidData, "an erased record").into(),
                    );
                }
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
        format!("{} files", self.files.len())
    }

    fn bytes(&self, split: &Span) -> Option<u64> {
        Some(split.records * self.record_bytes as u64)
    }
}

/// Writes a directory with a file for each partition. Returns the number of records, and the files.
#[derive(Debug)]
pub struct FixedLengthSink {
    output: NewOutput,
    record_bytes: usize,
}

impl FixedLengthSink {
    /// Begins an output at `directory`, which must not exist.
    ///
    /// # Errors
    ///
    /// Returns an error if it exists, or if the file system fails.
    pub fn new(
        context: &Context,
        directory: impl AsRef<Path>,
        record_bytes: usize,
    ) -> Result<Self> {
        Ok(Self {
            output: context.begin_output(directory, &OutputOptions::default())?,
            record_bytes,
        })
    }
}

impl Sink<[u8]> for FixedLengthSink {
    type Writer = FixedLengthWriter;
    type Output = (u64, Vec<PathBuf>);

    fn begin(&mut self, partitions: Option<usize>) -> Result<FixedLengthWriter, BoxError> {
        Ok(FixedLengthWriter {
            output: self.output.writer("bin", partitions)?,
            record_bytes: self.record_bytes,
        })
    }

    fn commit(self, parts: Vec<(FinishedFile, u64)>) -> Result<Self::Output, BoxError> {
        let (files, records): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        Ok((records.iter().sum(), self.output.commit(files)?))
    }

    fn name(&self) -> &'static str {
        "write_fixed_length"
    }
}

/// Writes the partitions of a [`FixedLengthSink`].
#[derive(Debug, Serialize, Deserialize)]
pub struct FixedLengthWriter {
    output: OutputWriter,
    record_bytes: usize,
}

impl PartitionWriter<[u8]> for FixedLengthWriter {
    type Open = (OutputFile, u64);
    type Part = (FinishedFile, u64);

    fn open(&self, attempt: &Attempt) -> Result<Self::Open, BoxError> {
        let file = self.output.create(attempt.partition(), attempt.name())?;
        Ok((file, 0))
    }

    fn write(&self, (file, records): &mut Self::Open, record: &[u8]) -> Result<(), BoxError> {
        if record.len() != self.record_bytes {
            let (bytes, expected) = (record.len(), self.record_bytes);
            return Err(format!("a record has {bytes} bytes, not {expected}").into());
        }
        file.write_all(record)?;
        *records += 1;
        Ok(())
    }

    fn finish(&self, (file, records): Self::Open) -> Result<Self::Part, BoxError> {
        Ok((file.finish()?, records))
    }
}
