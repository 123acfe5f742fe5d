//! Keys and combined values as bytes: the output of combining if it is not a table.
//!
//! ```text
//!  block  bits (one byte), entry*
//!  entry  length of the key (varint), key, value
//! ```
//!
//! The entries of a sequence of blocks are in ascending order of the first `bits` bits of their hash ranks. If `bits`
//! is 64, they are in order of (hash rank, key). In memory, a block is a piece of a slab; in a run, it is a record.

use super::entry;
use super::partitioner::{HashPartitioner, HashRank};
use crate::error::{Error, Result};
use crate::pipeline::Data;
use crate::shuffle::memory::slab::SlabSpan;
use crate::shuffle::table::hash_table::{HashedKey, Table};
use crate::storage::codec::{self, Short};
use crate::storage::merge::MergeInput as _;
use crate::storage::run::{Run, RunFile, RunReader, RunWriter};
use crate::task::{Flow, StopFlag};

/// Number of bits in blocks whose entries are in order of (hash rank, key).
pub(crate) const ALL_BITS: u8 = u64::BITS as u8;

/// Approximate length of the blocks of a spilled table, in bytes.
const BLOCK_BYTES: usize = 32 << 10;

/// Writes the keys of a table, in order, and leaves the table empty.
pub(crate) fn write_table<V: Data>(
    file: &mut RunFile,
    table: &mut Table<V>,
    stop: &StopFlag,
) -> Result<Run> {
    write_sorted(file, |writer| {
        let mut checks = stop.checks();
        let mut keys = table.sorted();
        while let Some(written) = keys.take(|key, value| writer.append(key, &value)) {
            written?;
            checks.count()?;
        }
        Ok(())
    })
}

/// Writes the entries that `write` appends in order of (hash rank, key).
pub(crate) fn write_sorted(
    file: &mut RunFile,
    write: impl FnOnce(&mut SortedWriter<'_>) -> Result<()>,
) -> Result<Run> {
    let mut writer = SortedWriter {
        run: file.run(),
        block: vec![ALL_BITS],
    };
    write(&mut writer)?;
    writer.end_block()?;
    writer.run.finish()
}

/// Returns whether the source of keys continues after one has been consumed. It stops after an error, which is stored
/// in `outcome`.
#[inline]
pub(crate) fn go_on(taken_in: Result<()>, outcome: &mut Result<()>) -> Flow {
    *outcome = taken_in;
    match outcome {
        Ok(()) => Flow::Continue(()),
        Err(_) => Flow::Break(()),
    }
}

/// Writes a run of sorted entries.
pub(crate) struct SortedWriter<'f> {
    run: RunWriter<'f>,
    block: Vec<u8>,
}

impl SortedWriter<'_> {
    #[inline]
    pub(crate) fn append<V: Data>(&mut self, key: &[u8], value: &V) -> Result<()> {
        push_entry(&mut self.block, key, value)?;
        if self.block.len() < BLOCK_BYTES {
            return Ok(());
        }
        self.end_block()
    }

    fn end_block(&mut self) -> Result<()> {
        if self.block.len() > 1 {
            self.run.append(&self.block)?;
            self.block.truncate(1);
        }
        Ok(())
    }
}

/// Appends an entry to a block.
#[inline]
pub(crate) fn push_entry<V: Data>(block: &mut Vec<u8>, key: &[u8], value: &V) -> Result<()> {
    entry::push_varint(block, key.len() as u64);
    block.extend_from_slice(key);
    codec::encode_into(value, block)
}

/// Reads blocks, each entry once.
pub(crate) struct BlockReader {
    input: Input,
    /// Length of all blocks, in bytes.
    bytes: usize,
    /// KeyPosition of the next entry in the current block: the length of the block after its last entry, 0 before the
    /// first block.
    at: usize,
}

enum Input {
    Memory {
        pieces: std::vec::IntoIter<SlabSpan>,
        current: SlabSpan,
    },
    Run {
        run: Run,
        reader: RunReader,
    },
}

impl Input {
    #[inline]
    fn block(&self) -> &[u8] {
        match self {
            Self::Memory { current, .. } => current,
            Self::Run { reader, .. } => reader.current().unwrap_or_default(),
        }
    }

    fn advance(&mut self) -> Result<bool> {
        match self {
            Self::Memory { pieces, current } => {
                *current = pieces.next().unwrap_or_default();
                Ok(!current.is_empty())
            }
            Self::Run { reader, .. } => reader.advance(),
        }
    }

    #[cold]
    fn corrupt(&self) -> Error {
        match self {
            Self::Memory { .. } => unreachable!("a block in memory has whole entries"),
            Self::Run { run, .. } => run.corrupt("an entry has no key"),
        }
    }
}

impl BlockReader {
    pub(crate) fn memory(pieces: Vec<SlabSpan>) -> Self {
        Self {
            bytes: pieces.iter().map(|piece| piece.len()).sum(),
            input: Input::Memory {
                pieces: pieces.into_iter(),
                current: SlabSpan::default(),
            },
            at: 0,
        }
    }

    pub(crate) fn run(run: &Run) -> Self {
        Self {
            bytes: run.bytes() as usize,
            input: Input::Run {
                run: run.clone(),
                reader: run.reader(),
            },
            at: 0,
        }
    }

    pub(crate) fn is_run(&self) -> bool {
        matches!(self.input, Input::Run { .. })
    }

    /// Reads the first block, unless one has been read. Returns the number of ordered bits of the hash ranks, and the
    /// approximate number of entries in all blocks.
    pub(crate) fn open(&mut self) -> Result<(u8, usize)> {
        if self.at == 0 && !self.next_block()? {
            return Ok((ALL_BITS, 0));
        }
        let block = self.input.block();
        let Some(bits) = block.first() else {
            return Ok((ALL_BITS, 0));
        };
        let (key_len, from_key) =
            split_key(&block[self.at..]).ok_or_else(|| self.input.corrupt())?;
        // One byte for the value, if it has any: its length is unknown without its type.
        let entry_bytes = block.len() - self.at - from_key.len() + key_len + 1;
        Ok((*bits, self.bytes / entry_bytes))
    }

    /// Returns the length of all blocks, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn next_block(&mut self) -> Result<bool> {
        self.at = 1;
        self.input.advance()
    }

    /// Calls `each` with the next entries, up to and including those of hash rank `last`.
    #[inline]
    pub(crate) fn take_to<V: Data>(
        &mut self,
        last: HashRank,
        partitioner: HashPartitioner,
        stop: &StopFlag,
        mut each: impl FnMut(HashedKey, &[u8], V) -> Result<()>,
    ) -> Result<()> {
        if self.at == 0 && !self.next_block()? {
            return Ok(());
        }
        loop {
            let block = self.input.block();
            let mut at = self.at;
            while at < block.len() {
                let Some((key_len, from_key)) = split_key(&block[at..]) else {
                    return Err(self.input.corrupt());
                };
                let short = Short::first_of(from_key, key_len);
                let (key, mut rest) = from_key.split_at(key_len);
                let (_, hashed) = HashedKey::of(partitioner, short, key);
                if hashed.rank() > last {
                    self.at = at;
                    return Ok(());
                }
                let value = codec::decode_prefix(&mut rest)?;
                at = block.len() - rest.len();
                each(hashed, key, value)?;
            }
            stop.check()?;
            if !self.next_block()? {
                return Ok(());
            }
        }
    }
}

/// Returns the length of the key of the entry at the start of `bytes`, and the bytes from that key on. Returns `None`
/// if there is no valid entry.
#[inline(always)]
fn split_key(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (key_len, from_key) = match bytes {
        [len @ 0..0x80, from_key @ ..] => (usize::from(*len), from_key),
        _ => long_key(bytes)?,
    };
    (key_len <= from_key.len()).then_some((key_len, from_key))
}

#[cold]
fn long_key(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut at = 0;
    let len = usize::try_from(entry::varint_at(bytes, &mut at)?).ok()?;
    Some((len, &bytes[at..]))
}
