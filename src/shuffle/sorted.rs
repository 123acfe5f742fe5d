//! Entries in memory, sorted by (place, key) and, among equals, as they came.
//!
//! The map side has divided the entries of a partition into slices of its range of places, so that a slice with all
//! that is needed to sort it fits into the processor's cache. Slices are sorted one by one, when a reader gets there:
//! chunks stay where they are, and what is sorted are 16 bytes an entry. Places are hashes, so their top bits say
//! nearly all: a radix sort by these leaves groups of a few entries, which are sorted by insertion.

use std::ops::{ControlFlow, Range};

use super::entry::{self, Order, Span};
use super::group_outputs::Share;
use super::partitioner::HashPartitioner;
use super::slab::Piece;
use crate::storage::memory::Reservation;

/// Entries of one slice of a partition and of one task, one behind the other.
#[derive(Debug)]
pub(crate) struct Chunk {
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

/// Where an entry is, and its place: what is sorted. The places of entries ascend as they came.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    place: u64,
    at: u64,
}

impl Slot {
    fn new(place: u64, chunk: usize, offset: usize) -> Self {
        // An entry longer than 4 GiB is not taken in, so that no offset is.
        let at = (chunk as u64) << 32 | offset as u64;
        Self { place, at }
    }

    #[inline]
    fn chunk(self) -> usize {
        (self.at >> 32) as usize
    }

    #[inline]
    fn offset(self) -> usize {
        self.at as u32 as usize
    }
}

/// The memory that sorting takes for one entry.
pub(crate) const SORT_BYTES: usize = 2 * size_of::<Slot>();

/// Digits of the radix sort have so many bits at the most: as many counters fit into the first cache.
const DIGIT_BITS: u32 = 11;

/// Groups up to this length are sorted by insertion.
const INSERTION_LEN: usize = 24;

/// How many entries ahead of the one that is read are fetched.
const PREFETCH_ENTRIES: usize = 12;

/// Chunks whose entries are to be read in order.
#[derive(Debug)]
pub(crate) struct Sorted {
    /// By slice, and in each in order.
    chunks: Vec<Chunk>,
    /// Which chunks are of one slice.
    slices: Vec<Range<usize>>,
    /// How many bits of a place are the same in a slice.
    slice_bits: u32,
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
        Self {
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

    /// Puts the entries of a slice into `slots`, in order of their places.
    fn sort_slice(&self, slice: Range<usize>, slots: &mut Vec<Slot>, scratch: &mut Vec<Slot>) {
        slots.clear();
        for (number, chunk) in self.chunks[slice.clone()].iter().enumerate() {
            let mut offset = 0;
            while offset < chunk.bytes.len() {
                let span = entry::span_at(&chunk.bytes, offset);
                let key = &chunk.bytes[span.key..span.value];
                let position = self.partitioner.position(key);
                slots.push(Slot::new(position.place.0, slice.start + number, offset));
                offset = span.end;
            }
        }
        sort(slots, scratch, self.slice_bits);
    }

    /// Where the entries of the key at `start` end. Different keys of one place are put in order of their bytes first.
    #[inline]
    fn end_of_key(&self, slots: &mut [Slot], start: usize) -> usize {
        let place = slots[start].place;
        let same = slots[start..].iter().take_while(|slot| slot.place == place);
        let end = start + same.count();
        let slots = &mut slots[start..end];
        let first = self.key(slots[0]);
        let is_same = |slot: &Slot| entry::is_same(self.key(*slot), first);
        if !slots[1..].iter().all(is_same) {
            return start + self.part_collision(slots);
        }
        end
    }

    /// Sorts different keys of one place, and says how many entries the first of them has.
    #[cold]
    fn part_collision(&self, slots: &mut [Slot]) -> usize {
        slots.sort_by(|a, b| self.key(*a).cmp(self.key(*b)));
        let first = self.key(slots[0]);
        slots.partition_point(|slot| self.key(*slot) == first)
    }

    #[inline]
    fn key(&self, slot: Slot) -> &[u8] {
        let bytes = &self.chunks[slot.chunk()].bytes;
        let span = entry::span_at(bytes, slot.offset());
        &bytes[span.key..span.value]
    }

    /// All entries with an index of about as many starts of places.
    pub(crate) fn index(&self, reservation: Reservation) -> Index {
        let mut slots = Vec::with_capacity(self.entries());
        let (mut sorted, mut scratch) = (Vec::new(), Vec::new());
        for slice in &self.slices {
            self.sort_slice(slice.clone(), &mut sorted, &mut scratch);
            slots.extend_from_slice(&sorted);
        }
        let bits = slots.len().max(2).ilog2();
        let shift = u64::BITS - bits;
        let mut starts = vec![0_u32; (1 << bits) + 1];
        for slot in &slots {
            starts[(slot.place >> shift) as usize + 1] += 1;
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
            if slot.place == place {
                let bytes = &self.chunks[slot.chunk()].bytes;
                let span = entry::span_at(bytes, slot.offset());
                if bytes[span.key..span.value] == *key {
                    each(&bytes[span.value..span.end])?;
                }
            }
        }
        ControlFlow::Continue(())
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

/// Sorts by place; what is equal stays in its order. The top `same_bits` of all places are the same.
fn sort(slots: &mut Vec<Slot>, scratch: &mut Vec<Slot>, same_bits: u32) {
    // Groups of two on average.
    let bits = slots.len().checked_ilog2().unwrap_or(0).saturating_sub(1);
    if bits <= 3 {
        return slots.sort_by_key(|slot| slot.place);
    }
    let passes = bits.div_ceil(DIGIT_BITS);
    let digit_bits = bits.div_ceil(passes);
    scratch.clear();
    scratch.resize(slots.len(), Slot::default());
    for pass in (0..passes).rev() {
        // The last pass is by the topmost bits.
        let shift = u64::BITS - same_bits - digit_bits * (pass + 1);
        scatter(slots, scratch, shift, digit_bits);
        std::mem::swap(slots, scratch);
    }
    let shift = u64::BITS - same_bits - digit_bits * passes;
    for group in slots.chunk_by_mut(|a, b| a.place >> shift == b.place >> shift) {
        sort_group(group);
    }
}

/// Moves `from` to `to` in the order of one digit.
fn scatter(from: &[Slot], to: &mut [Slot], shift: u32, digit_bits: u32) {
    let digits = 1_usize << digit_bits;
    let digit = |slot: &Slot| (slot.place >> shift) as usize & (digits - 1);
    let mut ends = vec![0_usize; digits];
    for slot in from {
        ends[digit(slot)] += 1;
    }
    let mut start = 0;
    for end in &mut ends {
        start += std::mem::replace(end, start);
    }
    for slot in from {
        let next = &mut ends[digit(slot)];
        to[*next] = *slot;
        *next += 1;
    }
}

#[inline]
fn sort_group(group: &mut [Slot]) {
    if group.len() > INSERTION_LEN {
        // One key that comes often, mostly.
        if !group.is_sorted_by_key(|slot| slot.place) {
            group.sort_unstable_by_key(|slot| (slot.place, slot.at));
        }
        return;
    }
    for next in 1..group.len() {
        let slot = group[next];
        let mut at = next;
        while at > 0 && group[at - 1].place > slot.place {
            group[at] = group[at - 1];
            at -= 1;
        }
        group[at] = slot;
    }
}

/// Goes through sorted entries.
#[derive(Debug)]
pub(crate) struct SortedCursor<S> {
    sorted: S,
    next_slice: usize,
    /// Those of the slice it is in, and room to sort the next.
    slots: Vec<Slot>,
    scratch: Vec<Slot>,
    _reservation: Option<Reservation>,

    // The entry it is at, and those of the same key.
    next: usize,
    key_end: usize,
    is_first: bool,
    slot: Slot,
    span: Span,
}

impl<S: std::borrow::Borrow<Sorted>> SortedCursor<S> {
    /// `reservation` is for sorting.
    pub(crate) fn new(sorted: S, reservation: Option<Reservation>) -> Self {
        Self {
            sorted,
            next_slice: 0,
            slots: Vec::new(),
            scratch: Vec::new(),
            _reservation: reservation,
            next: 0,
            key_end: 0,
            is_first: false,
            slot: Slot::default(),
            span: Span::default(),
        }
    }

    /// Goes to the next entry; false if there is none.
    #[inline]
    pub(crate) fn advance(&mut self) -> bool {
        if self.next == self.slots.len() && !self.advance_slice() {
            return false;
        }
        let sorted = self.sorted.borrow();
        if let Some(ahead) = self.slots.get(self.next + PREFETCH_ENTRIES) {
            super::kernel::prefetch(&sorted.chunks[ahead.chunk()].bytes[ahead.offset()]);
        }
        self.is_first = self.next == self.key_end;
        if self.is_first {
            self.key_end = sorted.end_of_key(&mut self.slots, self.next);
        }
        self.slot = self.slots[self.next];
        self.span = entry::span_at(&sorted.chunks[self.slot.chunk()].bytes, self.slot.offset());
        self.next += 1;
        true
    }

    #[cold]
    fn advance_slice(&mut self) -> bool {
        let sorted = self.sorted.borrow();
        let Some(slice) = sorted.slices.get(self.next_slice) else {
            return false;
        };
        // No slice is empty.
        sorted.sort_slice(slice.clone(), &mut self.slots, &mut self.scratch);
        self.next_slice += 1;
        (self.next, self.key_end) = (0, 0);
        true
    }

    /// Whether the entry it is at is the first of its key.
    #[inline]
    pub(crate) fn is_first(&self) -> bool {
        self.is_first
    }

    #[inline]
    pub(crate) fn place(&self) -> u64 {
        self.slot.place
    }

    #[inline]
    pub(crate) fn order(&self) -> Order {
        self.sorted.borrow().chunks[self.slot.chunk()].order
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.chunk()[self.span.key..self.span.value]
    }

    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        &self.chunk()[self.span.value..self.span.end]
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        &self.sorted.borrow().chunks[self.slot.chunk()].bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_by_place_then_as_they_came() {
        let partitioner = HashPartitioner::new(1);
        for (entries, keys) in [(0_u32, 1), (1, 1), (20, 3), (5_000, 1), (100_000, 30_000)] {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for n in 0..entries {
                let key = (n.wrapping_mul(2_654_435_761) % keys).to_le_bytes();
                entry::push(&mut bytes, 4, &[key, n.to_le_bytes()].concat());
                expected.push((partitioner.position(&key).place.0, key, n));
            }
            expected.sort();
            let order = Order::default();
            let chunks = if entries == 0 {
                Vec::new()
            } else {
                vec![Chunk {
                    bytes: Piece::copy(&bytes, None),
                    entries: entries as usize,
                    slice: 0,
                    order,
                }]
            };
            let sorted = Sorted::new(chunks, 0, partitioner, Vec::new());
            let mut cursor = SortedCursor::new(&sorted, None);
            for (place, key, n) in expected {
                assert!(cursor.advance());
                assert_eq!((cursor.place(), cursor.key()), (place, &key[..]));
                assert_eq!(cursor.value(), n.to_le_bytes());
            }
            assert!(!cursor.advance());
        }
    }

    #[test]
    fn different_keys_of_one_place_are_parted() {
        let mut bytes = Vec::new();
        let mut slots = Vec::new();
        for (place, key, value) in [(1, b"b", 0), (1, b"a", 1), (1, b"b", 2), (2, b"a", 3)] {
            slots.push(Slot::new(place, 0, bytes.len()));
            entry::push(&mut bytes, 1, &[key[0], value]);
        }
        let chunk = Chunk {
            bytes: Piece::copy(&bytes, None),
            entries: 4,
            ..Chunk::empty()
        };
        let sorted = Sorted::new(vec![chunk], 0, HashPartitioner::new(1), Vec::new());
        let mut cursor = SortedCursor::new(&sorted, None);
        assert!(cursor.advance_slice());
        cursor.slots = slots;
        let mut found = Vec::new();
        while cursor.advance() {
            found.push((cursor.key()[0], cursor.value()[0], cursor.is_first()));
        }
        let expected = [
            (b'a', 1, true),
            (b'b', 0, true),
            (b'b', 2, false),
            (b'a', 3, true),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn groups_of_one_prefix_are_sorted_whatever_their_length() {
        let mut slots: Vec<_> = (0..4096_u64)
            .map(|n| Slot {
                place: n * 7919 % 13,
                at: n,
            })
            .collect();
        let mut expected: Vec<_> = slots.iter().map(|slot| (slot.place, slot.at)).collect();
        sort(&mut slots, &mut Vec::new(), 0);
        expected.sort_unstable();
        let sorted: Vec<_> = slots.iter().map(|slot| (slot.place, slot.at)).collect();
        assert_eq!(sorted, expected);
    }
}
