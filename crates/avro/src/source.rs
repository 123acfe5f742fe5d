//! The records of Avro files, as a source.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::{Error, from_value};
use holdall::files::InputFile;
use holdall::{BadRecords, BoxError, Reading, Source};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::container::{Block, Blocks, Header};

/// Cost of opening a file, expressed as the number of bytes that could be read in that time.
const FILE_COST_BYTES: u64 = 16 << 10;

/// Maximum number of partitions, if the input is not larger than that number of the largest ones.
const PARTITIONS: u64 = 256;
const MIN_PARTITION_BYTES: u64 = 1 << 20;
const MAX_PARTITION_BYTES: u64 = 64 << 20;

/// The records of files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ReadAvro<T> {
    pub(crate) files: Vec<InputFile>,
    pub(crate) partition_bytes: Option<u64>,
    pub(crate) bad: Option<BadRecords>,
    pub(crate) records: PhantomData<fn() -> T>,
}

/// The blocks of a file that begin in a range.
#[derive(Debug, Serialize, Deserialize)]
pub struct AvroPart {
    file: usize,
    range: (u64, u64),
}

/// Outcome of reading a part: `Break(Some(error))` if a record is bad, and `Break(None)` if no more records are needed.
type RecordFlow = ControlFlow<Option<BoxError>>;

impl<T: DeserializeOwned + 'static> ReadAvro<T> {
    fn read_part(
        &self,
        part: &AvroPart,
        reading: &Reading<'_>,
        emit: &mut impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<RecordFlow, BoxError> {
        let file = &self.files[part.file];
        let header = Header::read(file)?;
        let mut records = RecordReader {
            reader: GenericDatumReader::builder(&header.schema).build()?,
            by_value: false,
        };
        let mut blocks = Blocks::open(file, &header, part.range)?;
        while let Some(start) = blocks.next_start() {
            if reading.is_stopped() {
                break;
            }
            reading.set_offset(start);
            let block = blocks.read().and_then(|mut block| {
                reading.count_bytes(block.data.len() as u64);
                header.codec.decompress(&mut block.data)?;
                Ok(block)
            });
            let read = block.and_then(|block| self.read_block(&block, &mut records, reading, emit));
            match (read, &self.bad) {
                (Ok(ControlFlow::Continue(())), _) => {}
                (Ok(flow), _) => return Ok(flow),
                (Err(error), None) => return Err(error),
                (Err(error), Some(bad)) => {
                    let reason = format!("the block at byte {start}: {error}");
                    if let Err(error) = reading.reject_file(bad, file.path(), &reason) {
                        return Ok(ControlFlow::Break(Some(error)));
                    }
                    blocks.seek_block(start + 1)?;
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn read_block(
        &self,
        block: &Block,
        records: &mut RecordReader<'_>,
        reading: &Reading<'_>,
        emit: &mut impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<RecordFlow, BoxError> {
        let mut rest = block.data.as_slice();
        for _ in 0..block.records {
            let failed = match (records.read(&mut rest)?, &self.bad) {
                (Ok(value), _) => match emit(value) {
                    ControlFlow::Continue(()) => continue,
                    ControlFlow::Break(()) => None,
                },
                (Err(error), None) => Some(error.into()),
                (Err(error), Some(bad)) => match reading.reject(bad, &error, None) {
                    Ok(()) => continue,
                    Err(error) => Some(error),
                },
            };
            return Ok(ControlFlow::Break(failed));
        }
        match rest.is_empty() {
            true => Ok(ControlFlow::Continue(())),
            false => Err("the block has more bytes than records".into()),
        }
    }
}

/// Decodes records and maps them.
struct RecordReader<'s> {
    reader: GenericDatumReader<'s>,
    /// Whether records are decoded to `apache_avro`'s values before they are mapped. That takes longer, but maps an `int`
    /// to an `i64`, and a union with a number to a number.
    by_value: bool,
}

impl RecordReader<'_> {
    /// Reads the next record. The outer error is that of a damaged block, and the inner one that of a record which is not a
    /// `T`.
    fn read<T: DeserializeOwned>(
        &mut self,
        rest: &mut &[u8],
    ) -> Result<Result<T, Error>, BoxError> {
        let start = *rest;
        if !self.by_value
            && let Ok(value) = self.reader.read_deser(rest)
        {
            return Ok(Ok(value));
        }
        *rest = start;
        let value = from_value(&self.reader.read_value(rest)?);
        self.by_value |= value.is_ok();
        Ok(value)
    }
}

impl<T: DeserializeOwned + 'static> Source for ReadAvro<T> {
    type Split = Vec<AvroPart>;
    type Item = T;

    fn splits(&self) -> Result<Vec<Vec<AvroPart>>, BoxError> {
        let cost = |file: &InputFile| file.bytes().saturating_add(FILE_COST_BYTES);
        let total = self.files.iter().map(cost).fold(0, u64::saturating_add);
        let by_input = (total / PARTITIONS).clamp(MIN_PARTITION_BYTES, MAX_PARTITION_BYTES);
        let target = self.partition_bytes.unwrap_or(by_input);
        let mut splits: Vec<Vec<AvroPart>> = Vec::new();
        let mut room = 0;
        for (number, file) in self.files.iter().enumerate() {
            let (bytes, parts) = (file.bytes(), file.bytes().div_ceil(target).max(1));
            let cut = |n| (u128::from(bytes) * u128::from(n) / u128::from(parts)) as u64;
            let part = |n| AvroPart {
                file: number,
                range: (cut(n), cut(n + 1)),
            };
            match splits.last_mut() {
                Some(split) if parts == 1 && cost(file) <= room => split.push(part(0)),
                _ => {
                    splits.extend((0..parts).map(|n| vec![part(n)]));
                    room = if parts == 1 { target } else { 0 };
                }
            }
            room = room.saturating_sub(cost(file));
        }
        Ok(splits)
    }

    fn read(
        &self,
        split: &Vec<AvroPart>,
        reading: &Reading<'_>,
        mut emit: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        for part in split {
            let path = self.files[part.file].path();
            reading.set_file(path);
            match (self.read_part(part, reading, &mut emit), &self.bad) {
                (Ok(ControlFlow::Continue(())), _) => {}
                (Ok(ControlFlow::Break(None)), _) => break,
                (Ok(ControlFlow::Break(Some(error))), _) | (Err(error), None) => return Err(error),
                (Err(error), Some(bad)) => reading.reject_file(bad, path, &error)?,
            }
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "read_avro"
    }

    fn detail(&self) -> String {
        format!("{} files", self.files.len())
    }

    fn bytes(&self, split: &Vec<AvroPart>) -> Option<u64> {
        Some(split.iter().map(|part| part.range.1 - part.range.0).sum())
    }
}
