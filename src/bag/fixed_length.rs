//! Records of a fixed length.

use std::io::Read;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::Bag;
use crate::context::Context;
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::files::{InputFile, IntoInputs};
use crate::operators::from_source::{FromSource, Reading, Source};
use crate::operators::read_text::describe;
use crate::task::Site;

/// Maximum number of bytes that are read at once, unless a record is longer.
const BLOCK_BYTES: u64 = 256 << 10;

/// Maximum number of partitions, if the input is not larger than that number of the largest ones.
const PARTITIONS: u64 = 256;
const MIN_PARTITION_BYTES: u64 = 1 << 20;
const MAX_PARTITION_BYTES: u64 = 64 << 20;

/// Returns the records of files in which each record has `record_bytes` bytes. Short for
/// [`Context::read_fixed_length`] on the default context.
///
/// # Errors
///
/// Returns the same errors as [`Context::read_fixed_length`].
///
/// # Examples
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("pixels");
/// std::fs::write(&path, [0, 255, 0, 9, 9, 9])?;
/// let green = holdall::read_fixed_length(&path, 3)?.filter(|pixel| pixel == [0, 255, 0]);
/// assert_eq!(green.count()?, 1);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn read_fixed_length(
    inputs: impl IntoInputs,
    record_bytes: usize,
) -> Result<Bag<[u8], FromSource<FixedLength>>> {
    Context::default().read_fixed_length(inputs, record_bytes)
}

impl Context {
    /// Returns the records of files in which each record has `record_bytes` bytes, as a bag of `[u8]`.
    ///
    /// Large files are divided into several partitions, by sizes that depend only on the input. No two files share a
    /// partition. The order is that of the files and their records. Compressed files are not decoded. Files are read as
    /// they were found: if a file has changed since, the job fails with
    /// [`InputChanged`](crate::ErrorKind::InputChanged).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`find_files`](Context::find_files), [`InvalidSetting`](crate::ErrorKind::InvalidSetting)
    /// if `record_bytes` is 0, and [`Read`](crate::ErrorKind::Read) if the length of a file is not a multiple of it.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// std::fs::write(&path, [1_u32, 2, 3].map(u32::to_le_bytes).concat())?;
    /// let records = holdall::Context::default().read_fixed_length(&path, 4)?;
    /// let numbers = records.try_map(|record| Ok::<_, holdall::BoxError>(u32::from_le_bytes(record.try_into()?)));
    /// assert_eq!(numbers.collect()?, [1, 2, 3]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn read_fixed_length(
        &self,
        inputs: impl IntoInputs,
        record_bytes: usize,
    ) -> Result<Bag<[u8], FromSource<FixedLength>>> {
        if record_bytes == 0 {
            return Err(Error::new(ErrorKind::InvalidSetting {
                setting: "record_bytes",
                value: "0".to_owned(),
                expected: "at least 1",
            }));
        }
        self.from_source(FixedLength {
            files: self.find_files_at(Site::new("read_fixed_length"), inputs)?,
            record_bytes: record_bytes as u64,
        })
    }
}

/// Files of records that all have the same length.
#[derive(Debug, Serialize, Deserialize)]
pub struct FixedLength {
    files: Vec<InputFile>,
    record_bytes: u64,
}

/// Consecutive records of a file: from a byte up to another one.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecordRange {
    file: InputFile,
    start: u64,
    end: u64,
}

impl Source for FixedLength {
    type Split = RecordRange;
    type Item = [u8];

    fn splits(&self) -> Result<Vec<RecordRange>, BoxError> {
        let total: u64 = self.files.iter().map(InputFile::bytes).sum();
        let target = (total / PARTITIONS).clamp(MIN_PARTITION_BYTES, MAX_PARTITION_BYTES);
        let each = (target / self.record_bytes).max(1) * self.record_bytes;
        let mut splits = Vec::new();
        for file in &self.files {
            let (bytes, record) = (file.bytes(), self.record_bytes);
            if bytes == 0 {
                // What is not a file has no size, and cannot be opened.
                file.open(0..0)?;
            }
            if !bytes.is_multiple_of(record) {
                let path = file.path().display();
                return Err(format!(
                    "{path} has {bytes} bytes, which is not a multiple of {record}"
                )
                .into());
            }
            let starts = (0..bytes).step_by(usize::try_from(each).unwrap_or(usize::MAX));
            splits.extend(starts.map(|start| RecordRange {
                file: file.clone(),
                start,
                end: bytes.min(start + each),
            }));
        }
        Ok(splits)
    }

    fn read(
        &self,
        split: &RecordRange,
        reading: &Reading<'_>,
        mut emit: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        let record_bytes = usize::try_from(self.record_bytes)?;
        let mut file = split.file.open(split.start..split.end)?;
        reading.set_file(split.file.path());
        reading.set_record(split.start / self.record_bytes + 1);
        let at_once = (BLOCK_BYTES / self.record_bytes).max(1) * self.record_bytes;
        let mut block = Vec::new();
        let mut offset = split.start;
        while offset < split.end {
            reading.set_offset(offset);
            block.resize(usize::try_from(at_once.min(split.end - offset))?, 0);
            file.read_exact(&mut block)?;
            reading.count_bytes(block.len() as u64);
            for record in block.chunks_exact(record_bytes) {
                reading.set_offset(offset);
                if emit(record).is_break() {
                    return Ok(());
                }
                offset += self.record_bytes;
            }
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "read_fixed_length"
    }

    fn detail(&self) -> String {
        let bytes = self.files.iter().map(InputFile::bytes).sum();
        describe(self.files.len(), bytes)
    }

    fn bytes(&self, split: &RecordRange) -> Option<u64> {
        Some(split.end - split.start)
    }
}
