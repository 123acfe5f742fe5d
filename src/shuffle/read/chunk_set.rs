//! Entries in memory that can be read in the order of (hash rank, key), and of arrival among equals.
//!
//! The map side has divided the entries of a partition into radix partitions. One of them fits into the CPU cache, with
//! all that is needed to sort it. A radix partition is sorted when a reader reaches it. Its chunks do not move; the
//! sort moves one number per entry. Readers that combine values can read the entries unsorted.

use std::ops::Range;
use std::slice;
use std::sync::Arc;

use crate::error::Result;
use crate::shuffle::key::entry;
use crate::shuffle::key::partitioner::{HashPartitioner, HashRank};
use crate::shuffle::key::slices::{SliceLayout, slice_of};
use crate::shuffle::memory::hints::prefetch;
use crate::shuffle::memory::radix_sort::radix_sort;
use crate::shuffle::outputs::part::Share;
use crate::shuffle::outputs::segment::{Chunk, MAX_CHUNK_BYTES, OFFSET_BITS};
use crate::shuffle::table::hash_table::HashedKey;
use crate::storage::codec::Short;
use crate::storage::memory::Reservation;
use crate::task::StopFlag;

/// A slot, which the sort moves: as many top bits of an entry's hash rank as fit, then the number of its chunk and its
/// offset there. Because of the latter, the sort is stable.
pub(crate) type ChunkSlot = u64;

/// Maximum number of chunks of a radix partition that are inspected for streaks, and of entries in each.
const SAMPLED_CHUNKS: usize = 16;
const SAMPLED_ENTRIES: usize = 8;

/// Memory to sort one entry, in bytes.
pub(crate) const SORT_BYTES: usize = 2 * size_of::<ChunkSlot>();

/// Number of bits of the prefixes of an index in addition to those needed to count the entries. With one or two more
/// bits, most prefixes have no entry or one, so the CPU rarely mispredicts how many entries it must compare.
const MORE_INDEX_BITS: u32 = 2;

/// Maximum memory for an index of one entry, in bytes, while it is made.
pub(crate) const INDEX_BYTES: usize =
    2 * size_of::<ChunkSlot>() + (size_of::<u32>() << MORE_INDEX_BITS);

/// Chunks whose entries can be read in order.
#[derive(Debug)]
pub(crate) struct ChunkSet {
    /// By radix partition, and in order within each.
    chunks: Vec<Chunk>,
    /// Range of chunks of each radix partition.
    pub(crate) slices: Vec<Range<usize>>,
    /// Number of top bits of a hash rank that are equal within a radix partition.
    slice_bits: u32,
    /// Number of low bits of a slot that address the entry.
    pub(crate) at_bits: u32,
    /// Mask of the bits for the number of a chunk.
    chunk_mask: u64,
    partitioner: HashPartitioner,
    /// Shares of the kept bytes.
    _shares: Vec<Share>,
}

impl ChunkSet {
    pub(crate) fn new(mut chunks: Vec<Chunk>, layout: SliceLayout, shares: Vec<Share>) -> Self {
        chunks.sort_by_key(|chunk| (chunk.slice, chunk.order));
        let mut slices = Vec::with_capacity(chunks.len().min(1 << layout.slice_bits));
        let mut start = 0;
        for slice in chunks.chunk_by(|a, b| a.slice == b.slice) {
            slices.push(start..start + slice.len());
            start += slice.len();
        }
        let numbers = chunks.len().next_power_of_two();
        Self {
            at_bits: OFFSET_BITS + numbers.ilog2(),
            chunk_mask: numbers as u64 - 1,
            chunks,
            slices,
            slice_bits: layout.slice_bits,
            partitioner: layout.partitioner,
            _shares: shares,
        }
    }

    /// Returns the number of entries.
    pub(crate) fn entries(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.entries).sum()
    }

    /// Returns the number of entries of the largest radix partition.
    pub(crate) fn largest_slice(&self) -> usize {
        self.largest(|chunk| chunk.entries)
    }

    /// Returns the length of the largest radix partition, in bytes.
    pub(crate) fn largest_slice_bytes(&self) -> usize {
        self.largest(|chunk| chunk.bytes.len())
    }

    fn largest(&self, size: impl Fn(&Chunk) -> usize) -> usize {
        let chunks = self.slices.iter().map(|slice| &self.chunks[slice.clone()]);
        let sizes = chunks.map(|chunks| chunks.iter().map(&size).sum());
        sizes.max().unwrap_or(0)
    }

    /// Returns whether slots for [streaks](Self::sort_slice) pay off in a radix partition: whether more than three of four
    /// entries of a sample are followed by one with the same key. Shorter streaks cost more in mispredicted branches than
    /// they save.
    pub(crate) fn has_streaks(&self, slice: Range<usize>) -> bool {
        let chunks = &self.chunks[slice];
        let (mut inspected, mut followed) = (0, 0);
        for chunk in chunks.iter().step_by(chunks.len().div_ceil(SAMPLED_CHUNKS)) {
            let mut bytes = &chunk.bytes[..];
            for _ in 0..SAMPLED_ENTRIES.min(chunk.entries) {
                let (key, _, rest) = entry::split_first(bytes);
                inspected += 1;
                followed += usize::from(entry::split_same(key, rest).is_some());
                bytes = rest;
            }
        }
        4 * followed > 3 * inspected
    }

    /// Fills `slots` with the entries of a radix partition, in the order of the hash rank bits that slots hold. If `STREAKS`,
    /// a slot is that of a streak: an entry and those after it in its chunk, up to the next one with another key.
    pub(crate) fn sort_slice<const STREAKS: bool>(
        &self,
        slice: Range<usize>,
        slots: &mut Vec<ChunkSlot>,
        scratch: &mut Vec<ChunkSlot>,
    ) {
        slots.clear();
        let chunks = &self.chunks[slice.clone()];
        slots.reserve(chunks.iter().map(|chunk| chunk.entries).sum());
        for (number, chunk) in slice.zip(chunks) {
            let mut bytes = &chunk.bytes[..];
            while !bytes.is_empty() {
                entry::fetch_ahead(bytes);
                let (key_len, value_len, rest) = entry::lengths(bytes);
                let offset = chunk.bytes.len() - bytes.len();
                let rank = self.partitioner.position_of_first(rest, key_len).rank.0;
                slots.push(self.slot(rank, number, offset));
                bytes = &rest[key_len + value_len..];
                while STREAKS && let Some((_, rest)) = entry::split_same(&rest[..key_len], bytes) {
                    bytes = rest;
                }
            }
        }
        radix_sort(slots, scratch, self.slice_bits);
    }

    #[inline]
    pub(crate) fn rank(&self, key: &[u8]) -> u64 {
        self.partitioner.position(key).rank.0
    }

    #[inline]
    fn slot(&self, rank: u64, chunk: usize, offset: usize) -> ChunkSlot {
        debug_assert!(offset < MAX_CHUNK_BYTES, "an entry begins at {offset}");
        rank >> self.at_bits << self.at_bits | (chunk as u64) << OFFSET_BITS | offset as u64
    }

    /// Returns whether the hash ranks of two slots agree in the bits that slots hold.
    #[inline]
    pub(crate) fn is_alike(&self, a: ChunkSlot, b: ChunkSlot) -> bool {
        (a ^ b) >> self.at_bits == 0
    }

    /// Returns the chunk of an entry.
    #[inline(always)]
    pub(crate) fn chunk(&self, slot: ChunkSlot) -> &Chunk {
        &self.chunks[(slot >> OFFSET_BITS & self.chunk_mask) as usize]
    }

    /// Returns the key and the value of an entry.
    #[inline(always)]
    pub(crate) fn entry(&self, slot: ChunkSlot) -> (&[u8], &[u8]) {
        let (key, value, _) = entry::split_first(self.from(slot));
        (key, value)
    }

    #[inline(always)]
    pub(crate) fn key(&self, slot: ChunkSlot) -> &[u8] {
        self.entry(slot).0
    }

    #[inline(always)]
    pub(crate) fn value(&self, slot: ChunkSlot) -> &[u8] {
        self.entry(slot).1
    }

    /// Returns the slot of the entry after this one, if it belongs to the same streak.
    #[inline]
    pub(crate) fn next_of_streak(&self, slot: ChunkSlot) -> Option<ChunkSlot> {
        let bytes = self.from(slot);
        let (key, _, rest) = entry::split_first(bytes);
        entry::split_same(key, rest)?;
        Some(slot + (bytes.len() - rest.len()) as u64)
    }

    /// Returns the bytes of an entry, and those after it in its chunk.
    #[inline(always)]
    pub(crate) fn from(&self, slot: ChunkSlot) -> &[u8] {
        &self.chunk(slot).bytes[offset(slot)..]
    }

    #[inline]
    pub(crate) fn prefetch(&self, slot: ChunkSlot) {
        prefetch(self.chunk(slot).bytes.as_ptr().wrapping_add(offset(slot)));
    }

    /// Returns an index of all entries. `reservation` is for [`INDEX_BYTES`] of each.
    pub(crate) fn index(&self, reservation: Reservation, stop: &StopFlag) -> Result<ChunkIndex> {
        let mut slots = Vec::with_capacity(self.entries());
        let (mut sorted, mut scratch) = (Vec::new(), Vec::new());
        for slice in &self.slices {
            stop.check()?;
            self.sort_slice::<false>(slice.clone(), &mut sorted, &mut scratch);
            slots.extend_from_slice(&sorted);
        }
        let bits = slots.len().max(2).ilog2() + MORE_INDEX_BITS;
        let bits = bits.min(u64::BITS - self.at_bits);
        let shift = u64::BITS - bits;
        let mut starts = vec![0_u32; (1 << bits) + 1];
        for slot in &slots {
            starts[(slot >> shift) as usize + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Ok(ChunkIndex {
            slots,
            starts,
            shift,
            _reservation: reservation,
        })
    }

    /// Returns the keys and the values of indexed entries, in the order of the index.
    pub(crate) fn indexed<'a>(
        &'a self,
        index: &'a ChunkIndex,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
        index.slots.iter().map(|slot| self.entry(*slot))
    }

    /// Returns the values of a key, in order. A short key needs no bytes.
    #[inline(always)]
    pub(crate) fn matches<'a>(
        &'a self,
        index: &'a ChunkIndex,
        rank: u64,
        short: Option<Short>,
        key: &'a [u8],
    ) -> Matches<'a> {
        let start = (rank >> index.shift) as usize;
        let range = index.starts[start] as usize..index.starts[start + 1] as usize;
        Matches {
            sorted: self,
            slots: index.slots[range].iter(),
            rank,
            short,
            key,
        }
    }
}

/// The values of a key in indexed entries.
pub(crate) struct Matches<'a> {
    sorted: &'a ChunkSet,
    /// Slots of the prefix of the hash rank.
    slots: slice::Iter<'a, ChunkSlot>,
    rank: u64,
    short: Option<Short>,
    key: &'a [u8],
}

impl<'a> Iterator for Matches<'a> {
    type Item = &'a [u8];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let slot = *self.slots.next()?;
            if !self.sorted.is_alike(slot, self.rank) {
                continue;
            }
            let (key_len, value_len, rest) = entry::lengths(self.sorted.from(slot));
            // Short keys are compared in registers, without a call.
            let is_same = match self.short {
                Some(short) => short.is_first_of(rest, key_len),
                None => rest[..key_len] == *self.key,
            };
            if is_same {
                return Some(&rest[key_len..key_len + value_len]);
            }
        }
    }
}

/// Reads entries in the order of arrival, one radix partition after another, each entry once.
pub(crate) struct ChunkReader {
    sorted: Arc<ChunkSet>,
    /// Chunks before this one have been read.
    next: usize,
}

impl ChunkReader {
    pub(crate) fn new(sorted: Arc<ChunkSet>) -> Self {
        Self { sorted, next: 0 }
    }

    /// Returns the number of ordered bits of the hash ranks.
    pub(crate) fn bits(&self) -> u32 {
        self.sorted.slice_bits
    }

    pub(crate) fn entries(&self) -> usize {
        self.sorted.entries()
    }

    /// Returns the length of all entries, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.sorted
            .chunks
            .iter()
            .map(|chunk| chunk.bytes.len())
            .sum()
    }

    /// Calls `each` with the keys and encoded values of the next radix partitions, up to and including hash rank `last`,
    /// which must be the last of a radix partition.
    #[inline]
    pub(crate) fn take_to(
        &mut self,
        last: HashRank,
        stop: &StopFlag,
        mut each: impl FnMut(HashedKey, &[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        let ChunkSet {
            chunks,
            slice_bits,
            partitioner,
            ..
        } = &*self.sorted;
        let last_slice = slice_of(last.0, *slice_bits);
        while let Some(chunk) = chunks.get(self.next)
            && chunk.slice <= last_slice
        {
            stop.check()?;
            let mut bytes = &chunk.bytes[..];
            while !bytes.is_empty() {
                let (key_len, value_len, rest) = entry::lengths(bytes);
                let short = Short::first_of(rest, key_len);
                let (key, rest) = rest.split_at(key_len);
                let (value, rest) = rest.split_at(value_len);
                let (_, hashed) = HashedKey::of(*partitioner, short, key);
                each(hashed, key, value)?;
                bytes = rest;
            }
            self.next += 1;
        }
        Ok(())
    }
}

/// ChunkSet entries, indexed by the prefixes of their hash ranks.
#[derive(Debug)]
pub(crate) struct ChunkIndex {
    slots: Vec<ChunkSlot>,
    /// Start position of each prefix, and the end.
    starts: Vec<u32>,
    shift: u32,
    _reservation: Reservation,
}

/// Returns the offset of an entry in its chunk.
#[inline]
fn offset(slot: ChunkSlot) -> usize {
    slot as usize & (MAX_CHUNK_BYTES - 1)
}
