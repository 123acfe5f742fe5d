//! Entries in memory, sorted by (place, key) and, among equals, as they came.
//!
//! Chunks stay where they are; what is sorted are 16 bytes an entry. Places are hashes, so their top bits say nearly
//! all: two passes of a radix sort by these leave groups of a few entries, which are sorted by insertion. For a million
//! entries this takes a third of the time of `sort_unstable`.

use std::ops::ControlFlow;

use super::entry::{self, Order, Span};
use super::group_outputs::Share;
use super::partitioner::HashPartitioner;
use crate::storage::memory::Reservation;

/// Entries of one partition and one task, one behind the other.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) order: Order,
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

/// Chunks, and their entries in order.
#[derive(Debug)]
pub(crate) struct Sorted {
    chunks: Vec<Chunk>,
    slots: Vec<Slot>,
    /// What the chunks take of the budget, and what the slots do.
    _shares: Vec<Share>,
    _reservation: Option<Reservation>,
}

impl Sorted {
    /// Sorts the entries of `chunks`, which are in order.
    pub(crate) fn new(
        chunks: Vec<Chunk>,
        entries: usize,
        partitioner: HashPartitioner,
        shares: Vec<Share>,
        mut reservation: Option<Reservation>,
    ) -> Self {
        let mut slots = Vec::with_capacity(entries);
        for (number, chunk) in chunks.iter().enumerate() {
            let mut offset = 0;
            while offset < chunk.bytes.len() {
                let span = entry::span_at(&chunk.bytes, offset);
                let position = partitioner.position(&chunk.bytes[span.key..span.value]);
                slots.push(Slot::new(position.place.0, number, offset));
                offset = span.end;
            }
        }
        sort(&mut slots);
        if let Some(reservation) = &mut reservation {
            reservation.shrink(slots.len() * SORT_BYTES / 2);
        }
        let mut sorted = Self {
            chunks,
            slots,
            _shares: shares,
            _reservation: reservation,
        };
        sorted.part_collisions();
        sorted
    }

    /// Sorts different keys of one place by their bytes.
    fn part_collisions(&mut self) {
        let (chunks, slots) = (&self.chunks, &mut self.slots);
        let key = |slot: &Slot| {
            let bytes = &chunks[slot.chunk()].bytes;
            let span = entry::span_at(bytes, slot.offset());
            &bytes[span.key..span.value]
        };
        for equal in slots.chunk_by_mut(|a, b| a.place == b.place) {
            if equal.len() > 1 {
                let first = key(&equal[0]);
                if equal[1..].iter().any(|slot| key(slot) != first) {
                    equal.sort_by(|a, b| key(a).cmp(key(b)));
                }
            }
        }
    }
}

/// Which slots are of places that start alike.
#[derive(Debug)]
pub(crate) struct Index {
    /// One for each start, and the end.
    starts: Vec<u32>,
    shift: u32,
}

impl Sorted {
    /// An index of about as many starts as there are entries.
    pub(crate) fn index(&self) -> Index {
        let bits = self.slots.len().max(2).ilog2();
        let shift = u64::BITS - bits;
        let mut starts = vec![0_u32; (1 << bits) + 1];
        for slot in &self.slots {
            starts[(slot.place >> shift) as usize + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Index { starts, shift }
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
        for slot in &self.slots[range] {
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

/// Sorts by place; what is equal stays in its order.
fn sort(slots: &mut Vec<Slot>) {
    // Groups of two on average.
    let bits = slots.len().checked_ilog2().unwrap_or(0).saturating_sub(1);
    if bits > 3 {
        let passes = bits.div_ceil(DIGIT_BITS);
        let digit_bits = bits.div_ceil(passes);
        let mut scratch = vec![Slot::default(); slots.len()];
        for pass in (0..passes).rev() {
            // The last pass is by the topmost bits.
            let shift = u64::BITS - digit_bits * (pass + 1);
            scatter(slots, &mut scratch, shift, digit_bits);
            std::mem::swap(slots, &mut scratch);
        }
        let shift = u64::BITS - digit_bits * passes;
        for group in slots.chunk_by_mut(|a, b| a.place >> shift == b.place >> shift) {
            sort_group(group);
        }
    } else {
        slots.sort_by_key(|slot| slot.place);
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
    next: usize,
    slot: Slot,
    span: Span,
}

impl<S: std::borrow::Borrow<Sorted>> SortedCursor<S> {
    pub(crate) fn new(sorted: S) -> Self {
        Self {
            sorted,
            next: 0,
            slot: Slot::default(),
            span: Span::default(),
        }
    }

    /// Goes to the next entry; false if there is none.
    #[inline]
    pub(crate) fn advance(&mut self) -> bool {
        let sorted = self.sorted.borrow();
        let Some(slot) = sorted.slots.get(self.next) else {
            return false;
        };
        if let Some(ahead) = sorted.slots.get(self.next + PREFETCH_ENTRIES) {
            super::kernel::prefetch(&sorted.chunks[ahead.chunk()].bytes[ahead.offset()]);
        }
        self.slot = *slot;
        self.span = entry::span_at(&sorted.chunks[slot.chunk()].bytes, slot.offset());
        self.next += 1;
        true
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
            let chunks = vec![Chunk { bytes, order }];
            let sorted = Sorted::new(chunks, entries as usize, partitioner, Vec::new(), None);
            let mut cursor = SortedCursor::new(&sorted);
            for (place, key, n) in expected {
                assert!(cursor.advance());
                assert_eq!((cursor.place(), cursor.key()), (place, &key[..]));
                assert_eq!(cursor.value(), n.to_le_bytes());
            }
            assert!(!cursor.advance());
        }
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
        sort(&mut slots);
        expected.sort_unstable();
        let sorted: Vec<_> = slots.iter().map(|slot| (slot.place, slot.at)).collect();
        assert_eq!(sorted, expected);
    }
}
