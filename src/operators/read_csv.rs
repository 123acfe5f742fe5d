//! `CsvReader`: records of CSV, mapped by serde. A source.

use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::csv_records::{CsvOptions, CsvPart, CsvPartReader, PartUnread};
use super::from_source::{Reading, Source};
use super::read_text::describe;
use crate::error::{BoxError, Result};
use crate::files::InputFile;
use crate::text::is_plain_file;

/// Cost of opening a file, expressed as the number of bytes that could be read in that time.
const FILE_COST_BYTES: u64 = 16 << 10;

/// Records of files.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ReadCsv<U> {
    pub(crate) files: Vec<InputFile>,
    pub(crate) options: CsvOptions,
    pub(crate) records: PhantomData<fn() -> U>,
}

impl<U> fmt::Debug for ReadCsv<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadCsv")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl<U> ReadCsv<U> {
    /// Returns the parts of a file. A compressed file is one part.
    fn parts(&self, file: &InputFile, split_bytes: u64) -> Result<Vec<CsvPart>> {
        let part = |range| CsvPart {
            file: file.clone(),
            range,
        };
        if file.bytes() <= split_bytes {
            return Ok(vec![part(None)]);
        }
        match is_plain_file(file) {
            Ok(true) => {}
            Err(error) if self.options.bad.is_none() => return Err(error),
            _ => return Ok(vec![part(None)]),
        }
        let count = file.bytes().div_ceil(split_bytes);
        let cut = |n: u64| (u128::from(file.bytes()) * u128::from(n) / u128::from(count)) as u64;
        let ranges = (0..count).map(|n| (cut(n), cut(n + 1)));
        Ok(ranges.map(|range| part(Some(range))).collect())
    }
}

impl<U: DeserializeOwned + 'static> Source for ReadCsv<U> {
    type Split = Vec<CsvPart>;
    type Item = U;

    fn splits(&self) -> Result<Vec<Vec<CsvPart>>, BoxError> {
        let cost = |file: &InputFile| file.bytes().saturating_add(FILE_COST_BYTES);
        let total: u64 = self.files.iter().map(cost).fold(0, u64::saturating_add);
        let by_input = || (total / 256).clamp(1 << 20, 64 << 20);
        let split_bytes = self.options.split_bytes.unwrap_or_else(by_input);
        let mut splits: Vec<Vec<CsvPart>> = Vec::new();
        let mut room = 0;
        for file in &self.files {
            let mut parts = self.parts(file, split_bytes)?;
            match splits.last_mut() {
                Some(split) if parts.len() == 1 && cost(file) <= room => split.append(&mut parts),
                _ => {
                    room = if parts.len() == 1 { split_bytes } else { 0 };
                    splits.extend(parts.into_iter().map(|part| vec![part]));
                }
            }
            room = room.saturating_sub(cost(file));
        }
        Ok(splits)
    }

    fn read(
        &self,
        split: &Vec<CsvPart>,
        reading: &Reading<'_>,
        mut emit: impl FnMut(U) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        for part in split {
            let read = CsvPartReader::open(part, &self.options, reading)
                .and_then(|reader| reader.read(&mut emit));
            match (read, &self.options.bad) {
                (Ok(ControlFlow::Continue(())), _) => {}
                (Ok(ControlFlow::Break(())), _) => return Ok(()),
                (Err(PartUnread::File(error)), Some(bad)) => {
                    let path = part.file.path();
                    reading.reject_file(bad, path, &error)?;
                }
                (Err(PartUnread::File(error) | PartUnread::Record(error)), _) => return Err(error),
            }
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "read_csv"
    }

    fn detail(&self) -> String {
        describe(
            self.files.len(),
            self.files.iter().map(InputFile::bytes).sum(),
        )
    }

    fn bytes(&self, split: &Vec<CsvPart>) -> Option<u64> {
        let bytes = |part: &CsvPart| match part.range {
            Some((start, end)) => end - start,
            None => part.file.bytes(),
        };
        Some(split.iter().map(bytes).sum())
    }
}
