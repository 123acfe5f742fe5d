//! Entries in memory, sorted by (place, key) and, among equals, as they came.
//!
//! The map side has divided the entries of a partition into slices of its range of places, so that a slice with all
//! that is needed to sort it fits into the processor's cache. Slices are sorted one by one, when a reader gets there:
//! chunks stay where they are, and what is sorted is one number for each entry. Who combines values may read slices as they
//! are.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::Data;
use crate::shuffle::key::entry::{self, Order};
use crate::shuffle::key::partitioner::{HashPartitioner, Place};
use crate::shuffle::key::slices::slice_of;
use crate::shuffle::memory::hints::prefetch;
use crate::shuffle::memory::radix_sort::radix_sort;
use crate::shuffle::memory::slab::Piece;
use crate::shuffle::outputs::group_outputs::Share;
use crate::shuffle::table::hash_table::Probe;
use crate::storage::codec::{self, Short};
use crate::storage::memory::Reservation;

/// Entries of one slice of a partition and of one task, one behind the other.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// No entry begins behind the first [`MOST_CHUNK_BYTES`], however long it is.
    pub(crate) bytes: Piece,
    pub(crate) entries: usize,
    pub(crate) slice: usize,
    pub(crate) order: Order,
}

impl Chunk {
    pub(crate) fn empty() -> Self {
        Self {
            bytes: Piece::default(),
            entries: 0,
            slice: 0,
            order: Order::default(),
        }
    }
}

/// The length of a chunk, but for one that a long entry ends.
pub(crate) const MOST_CHUNK_BYTES: usize = 1 << OFFSET_BITS;

/// So many bits say where in its chunk an entry begins.
const OFFSET_BITS: u32 = 15;

/// What is sorted of an entry: the top bits of its place, as many as there is room for, then the number of its chunk
/// and where it begins there. So it stays among others of its place as they came.
pub(crate) type Slot = u64;

/// The memory that sorting takes for one entry.
pub(crate) const SORT_BYTES: usize = 2 * size_of::<Slot>();

/// Chunks whose entries are to be read in order.
#[derive(Debug)]
pub(crate) struct Sorted {
    /// By slice, and in each in order.
    chunks: Vec<Chunk>,
    /// Which chunks are of one slice.
    pub(crate) slices: Vec<Range<usize>>,
    /// How many bits of a place are the same in a slice.
    slice_bits: u32,
    /// How many bits of a slot say where the entry is.
    pub(crate) at_bits: u32,
    /// The bits of the number of a chunk.
    chunk_mask: u64,
    partitioner: HashPartitioner,
    /// What the chunks take of the budget.
    _shares: Vec<Share>,
}

impl Sorted {
    pub(crate) fn new(
        mut chunks: Vec<Chunk>,
        slice_bits: u32,
        partitioner: HashPartitioner,
        shares: Vec<Share>,
    ) -> Self {
        chunks.sort_by_key(|chunk| (chunk.slice, chunk.order));
        let mut slices = Vec::new();
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
            slice_bits,
            partitioner,
            _shares: shares,
        }
    }

    /// How many entries there are.
    pub(crate) fn entries(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.entries).sum()
    }

    /// The number of entries of the slice that has the most.
    pub(crate) fn largest_slice(&self) -> usize {
        let entries = |slice: &Range<usize>| {
            let chunks = self.chunks[slice.clone()].iter();
            chunks.map(|chunk| chunk.entries).sum()
        };
        self.slices.iter().map(entries).max().unwrap_or(0)
    }

    /// Puts the entries of a slice into `slots`, in order of what these have of their places.
    pub(crate) fn sort_slice(
        &self,
        slice: Range<usize>,
        slots: &mut Vec<Slot>,
        scratch: &mut Vec<Slot>,
    ) {
        slots.clear();
        for number in slice {
            let chunk = &self.chunks[number];
            slots.reserve(chunk.entries);
            let mut bytes = &chunk.bytes[..];
            while !bytes.is_empty() {
                let (key_len, value_len, rest) = entry::lengths(bytes);
                let offset = chunk.bytes.len() - bytes.len();
                let place = self.partitioner.position_of_first(rest, key_len).place.0;
                slots.push(self.slot(place, number, offset));
                bytes = &rest[key_len + value_len..];
            }
        }
        radix_sort(slots, scratch, self.slice_bits);
    }

    #[inline]
    pub(crate) fn place(&self, key: &[u8]) -> u64 {
        self.partitioner.position(key).place.0
    }

    #[inline]
    fn slot(&self, place: u64, chunk: usize, offset: usize) -> Slot {
        debug_assert!(offset < MOST_CHUNK_BYTES, "an entry begins at {offset}");
        place >> self.at_bits << self.at_bits | (chunk as u64) << OFFSET_BITS | offset as u64
    }

    /// Whether the places of two slots are the same as far as slots have them.
    #[inline]
    pub(crate) fn is_alike(&self, a: Slot, b: Slot) -> bool {
        (a ^ b) >> self.at_bits == 0
    }

    /// The chunk of an entry.
    #[inline(always)]
    pub(crate) fn chunk(&self, slot: Slot) -> &Chunk {
        &self.chunks[(slot >> OFFSET_BITS & self.chunk_mask) as usize]
    }

    /// The key and the value of an entry.
    #[inline(always)]
    pub(crate) fn entry(&self, slot: Slot) -> (&[u8], &[u8]) {
        let (key, value, _) = entry::split_first(&self.chunk(slot).bytes[offset(slot)..]);
        (key, value)
    }

    #[inline(always)]
    pub(crate) fn key(&self, slot: Slot) -> &[u8] {
        self.entry(slot).0
    }

    #[inline(always)]
    pub(crate) fn value(&self, slot: Slot) -> &[u8] {
        self.entry(slot).1
    }

    #[inline]
    pub(crate) fn prefetch(&self, slot: Slot) {
        prefetch(self.chunk(slot).bytes.as_ptr().wrapping_add(offset(slot)));
    }

    /// All entries with an index of about as many starts of places.
    pub(crate) fn index(&self, reservation: Reservation) -> Index {
        let mut slots = Vec::with_capacity(self.entries());
        let (mut sorted, mut scratch) = (Vec::new(), Vec::new());
        for slice in &self.slices {
            self.sort_slice(slice.clone(), &mut sorted, &mut scratch);
            slots.extend_from_slice(&sorted);
        }
        let bits = slots.len().max(2).ilog2().min(u64::BITS - self.at_bits);
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
        Index {
            slots,
            starts,
            shift,
            _reservation: reservation,
        }
    }

    /// Calls `each` with the values of a key, in order.
    #[inline]
    pub(crate) fn find<B>(
        &self,
        index: &Index,
        place: u64,
        key: &[u8],
        mut each: impl FnMut(&[u8]) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let start = (place >> index.shift) as usize;
        let range = index.starts[start] as usize..index.starts[start + 1] as usize;
        for slot in &index.slots[range] {
            if self.is_alike(*slot, place) {
                let (its_key, value) = self.entry(*slot);
                if its_key == key {
                    each(value)?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Reads entries as they came, slice by slice, each once.
pub(crate) struct ChunkReader {
    sorted: Arc<Sorted>,
    /// Chunks before this have been read.
    next: usize,
}

impl ChunkReader {
    pub(crate) fn new(sorted: Arc<Sorted>) -> Self {
        Self { sorted, next: 0 }
    }

    /// How many bits of places are in order.
    pub(crate) fn bits(&self) -> u32 {
        self.sorted.slice_bits
    }

    pub(crate) fn entries(&self) -> usize {
        self.sorted.entries()
    }

    /// The length of all of them.
    pub(crate) fn bytes(&self) -> usize {
        self.sorted
            .chunks
            .iter()
            .map(|chunk| chunk.bytes.len())
            .sum()
    }

    /// Takes the entries of the slices that come next, as long as their places are not above `last`, which is the last of
    /// a slice.
    #[inline]
    pub(crate) fn take_to<V: Data>(
        &mut self,
        last: Place,
        mut each: impl FnMut(Probe, &[u8], V) -> Result<()>,
    ) -> Result<()> {
        let Sorted {
            chunks,
            slice_bits,
            partitioner,
            ..
        } = &*self.sorted;
        let last_slice = slice_of(last.0, *slice_bits);
        while let Some(chunk) = chunks.get(self.next)
            && chunk.slice <= last_slice
        {
            let mut bytes = &chunk.bytes[..];
            while !bytes.is_empty() {
                let (key_len, value_len, rest) = entry::lengths(bytes);
                let short = Short::first_of(rest, key_len);
                let (key, rest) = rest.split_at(key_len);
                let (value, rest) = rest.split_at(value_len);
                let (_, probe) = Probe::of(*partitioner, short, key);
                each(probe, key, codec::decode(value)?)?;
                bytes = rest;
            }
            self.next += 1;
        }
        Ok(())
    }
}

/// Sorted entries, and which of them have places that start alike.
#[derive(Debug)]
pub(crate) struct Index {
    slots: Vec<Slot>,
    /// One for each start, and the end.
    starts: Vec<u32>,
    shift: u32,
    _reservation: Reservation,
}

/// Where in its chunk an entry begins.
#[inline]
fn offset(slot: Slot) -> usize {
    slot as usize & (MOST_CHUNK_BYTES - 1)
}
