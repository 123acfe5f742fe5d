//! Blocks of map output, grouped by file: what the driver holds and sends.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{FilePart, MapBlock};
use crate::error::{Result, plain};
use crate::id::ShuffleId;
use crate::storage::bytes;
use crate::storage::codec;
use crate::storage::scratch::{Scratch, ScratchFile};
use crate::storage::transfer::Home;

/// Output of a map task for the next stage: blocks of records in one file, or blocks without records.
///
/// A block takes about ten bytes, so the output of 1,000 map tasks for 1,000 partitions takes 10 MB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MapOutput {
    /// Number of the shuffle that it belongs to.
    pub shuffle: u64,
    /// The file with the records, if there are any: a path, or `home://`, the [home](Self::home) and the path there.
    #[serde(with = "plain")]
    pub file: Option<PathBuf>,
    /// Whether all partitions may read the blocks.
    is_for_all: bool,
    /// Length of the file up to the end of the last block, in bytes.
    pub file_bytes: u64,
    /// The blocks, as [`Row`]s.
    #[serde(with = "bytes")]
    blocks: Vec<u8>,
}

/// A block without its file.
#[derive(Serialize, Deserialize)]
struct Row {
    partition: Option<usize>,
    /// Number of bytes between the end of the previous block in the file and this one, modulo 2^64: mostly 0.
    gap: u64,
    bytes: u64,
    records: u64,
    #[serde(with = "bytes")]
    about: Vec<u8>,
}

impl MapOutput {
    /// Returns the [home](crate::executor#workers-that-share-no-disk) of the file, if workers share no disk.
    #[must_use]
    pub fn home(&self) -> Option<Home> {
        Home::split(self.file.as_ref()?).map(|(home, _)| home)
    }

    /// Creates the output without blocks, which shows that a shuffle exists although its map tasks may have left none.
    pub(crate) fn of_all(shuffle: ShuffleId) -> Self {
        Self::new(shuffle.number(), None, true)
    }

    fn new(shuffle: u64, file: Option<PathBuf>, is_for_all: bool) -> Self {
        Self {
            shuffle,
            file,
            is_for_all,
            file_bytes: 0,
            blocks: Vec::new(),
        }
    }

    /// Returns the output as that of the join filter of its shuffle, or `None` if partitions read it.
    pub(crate) fn of_filter(&self, filter: ShuffleId) -> Option<Self> {
        self.is_for_all.then(|| Self {
            shuffle: filter.number(),
            ..self.clone()
        })
    }

    /// Groups neighbouring blocks that are in the same file, or in none, and that the same partitions may read.
    pub(crate) fn group(blocks: impl IntoIterator<Item = MapBlock>) -> Result<Vec<Self>> {
        let mut outputs: Vec<Self> = Vec::new();
        let mut end = 0;
        for MapBlock {
            shuffle,
            partition,
            file,
            about,
        } in blocks
        {
            let (path, part) = match file {
                Some(FilePart {
                    path,
                    offset,
                    bytes,
                    records,
                }) => (Some(path), (offset, bytes, records)),
                None => (None, (0, 0, 0)),
            };
            let last = outputs.last_mut();
            let is_for_all = partition.is_none();
            let is_of = |output: &&mut Self| {
                output.shuffle == shuffle && output.file == path && output.is_for_all == is_for_all
            };
            let output = match last.filter(is_of) {
                Some(last) => last,
                None => {
                    end = 0;
                    outputs.push(Self::new(shuffle, path, is_for_all));
                    let pushed = outputs.last_mut();
                    pushed.unwrap_or_else(|| unreachable!("it was pushed"))
                }
            };
            let (offset, bytes, records) = part;
            let row = Row {
                partition,
                gap: offset.wrapping_sub(end),
                bytes,
                records,
                about,
            };
            codec::encode_own(&row, &mut output.blocks)?;
            end = offset.saturating_add(bytes);
            output.file_bytes = end.max(output.file_bytes);
        }
        Ok(outputs)
    }

    /// Returns the partition and the length of each block with records.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (usize, u64)> {
        let mut rows = &self.blocks[..];
        std::iter::from_fn(move || {
            // Its reader finds out if it cannot be decoded.
            let row = codec::decode_prefix::<Row>(&mut rows).ok()?;
            Some(row.partition.map(|partition| (partition, row.bytes)))
        })
        .flatten()
    }

    /// Returns the blocks, in their order.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Result<MapBlock>> {
        let (mut rows, mut end) = (&self.blocks[..], 0_u64);
        std::iter::from_fn(move || {
            if rows.is_empty() {
                return None;
            }
            let row = codec::decode_prefix::<Row>(&mut rows);
            // An error is the last item.
            let row = row.inspect_err(|_| rows = &[]);
            Some(row.map(|row| {
                let offset = end.wrapping_add(row.gap);
                end = offset.saturating_add(row.bytes);
                MapBlock {
                    shuffle: self.shuffle,
                    partition: row.partition,
                    file: self.file.clone().map(|path| FilePart {
                        path,
                        offset,
                        bytes: row.bytes,
                        records: row.records,
                    }),
                    about: row.about,
                }
            }))
        })
    }

    /// Returns the files of `outputs`, with their lengths.
    fn files<'o>(outputs: impl IntoIterator<Item = &'o Self>) -> HashMap<&'o PathBuf, u64> {
        let mut lengths = HashMap::new();
        for output in outputs {
            if let Some(path) = &output.file {
                let length = lengths.entry(path).or_default();
                *length = output.file_bytes.max(*length);
            }
        }
        lengths
    }

    /// Moves the files of `outputs`. `copy` receives a file and its length, and returns the name of a copy. The original
    /// is deleted, even after an error.
    pub(crate) fn relocate(
        outputs: &mut [Self],
        scratch: &Scratch,
        mut copy: impl FnMut(&ScratchFile, u64) -> Result<PathBuf>,
    ) -> Result<()> {
        let mut copies = Ok(HashMap::new());
        for (path, bytes) in Self::files(&*outputs) {
            if let Ok(known) = &mut copies {
                match copy(&scratch.borrow(path.clone()), bytes) {
                    Ok(copied) => _ = known.insert(path.clone(), copied),
                    Err(error) => copies = Err(error),
                }
            }
            scratch.discard(path);
        }
        let copies = copies?;
        for file in outputs.iter_mut().filter_map(|output| output.file.as_mut()) {
            if let Some(copied) = copies.get(file) {
                file.clone_from(copied);
            }
        }
        Ok(())
    }

    /// Takes ownership of the files of `outputs`. They are deleted when the returned values are dropped.
    pub(crate) fn adopt<'o>(
        outputs: impl IntoIterator<Item = &'o Self>,
        scratch: &Scratch,
    ) -> Result<Vec<Arc<ScratchFile>>> {
        let lengths = Self::files(outputs);
        let mut files = Vec::with_capacity(lengths.len());
        let mut outcome = Ok(());
        for (path, bytes) in lengths {
            // Continue after an error, so that no file is left behind.
            match scratch.adopt(path.clone(), bytes) {
                Ok(file) => files.push(file),
                Err(error) => outcome = Err(error),
            }
        }
        outcome.map(|()| files)
    }
}

/// The blocks of one shuffle, for its reader.
#[derive(Clone, Copy)]
pub(crate) struct MapBlocks<'o>(pub(super) &'o [MapOutput]);

impl<'o> MapBlocks<'o> {
    /// Returns the blocks that only one partition reads. The others of a keyed shuffle are its join filter.
    pub(crate) fn of_partitions(self) -> impl Iterator<Item = Result<MapBlock>> + use<'o> {
        let of_all =
            |block: &Result<MapBlock>| matches!(block, Ok(block) if block.partition.is_none());
        self.iter().filter(move |block| !of_all(block))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Result<MapBlock>> + use<'o> {
        self.0.iter().flat_map(MapOutput::blocks)
    }
}

#[cfg(test)]
impl<'o> From<&'o [MapOutput]> for MapBlocks<'o> {
    fn from(outputs: &'o [MapOutput]) -> Self {
        Self(outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(partition: usize, path: &str, offset: u64, bytes: u64) -> MapBlock {
        MapBlock {
            shuffle: 7,
            partition: Some(partition),
            file: Some(FilePart {
                path: path.into(),
                offset,
                bytes,
                records: bytes / 9,
            }),
            about: vec![partition as u8, 0],
        }
    }

    fn blocks(outputs: &[MapOutput]) -> Vec<MapBlock> {
        MapBlocks(outputs).iter().collect::<Result<_>>().unwrap()
    }

    #[test]
    fn blocks_are_the_same_after_they_were_grouped() {
        let without = MapBlock {
            partition: None,
            file: None,
            ..block(1, "", 0, 0)
        };
        let all = vec![
            block(0, "a", 50, 100),
            block(3, "a", 150, 10),
            block(2, "a", 7, u64::MAX),
            block(2, "b", 9, 1),
            without.clone(),
            without,
            block(1, "a", 0, 5),
        ];
        let outputs = MapOutput::group(all.clone()).unwrap();
        let files = outputs.iter().map(|output| output.file.as_deref());
        let files: Vec<_> = files
            .map(|file| file.and_then(|file| file.to_str()))
            .collect();
        assert_eq!(files, [Some("a"), Some("b"), None, Some("a")]);
        assert_eq!(outputs[1].file_bytes, 10);
        assert_eq!(blocks(&outputs), all);
        let none = MapOutput::of_all(ShuffleId::next());
        assert!(blocks(&[none]).is_empty());
    }

    #[test]
    fn the_blocks_of_many_partitions_take_little() {
        let path = "home://machine17:40123/var/tmp/holdall-1234-6618b99c1305d-71-312f46b3/w1-s60-1-shuffle-3";
        let blocks = (0..1_000).map(|n| block(n, path, n as u64 * 30_000, 30_000));
        let outputs = MapOutput::group(blocks).unwrap();
        let mut bytes = Vec::new();
        codec::encode_own(&outputs, &mut bytes).unwrap();
        assert!(bytes.len() < 14_000, "{}", bytes.len());
    }

    #[test]
    fn rows_that_no_group_has_are_an_error() {
        let mut outputs = MapOutput::group([block(0, "a", 0, 1)]).unwrap();
        outputs[0].blocks.push(9);
        let read: Vec<_> = MapBlocks(&outputs).iter().collect();
        assert!(read.len() == 2 && read[0].is_ok() && read[1].is_err());
    }
}
