//! Goes through the groups of sorted entries.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::ops::Range;
use std::slice;

use super::entry::{self, Order};
use super::sorted::{Slot, Sorted};
use crate::storage::memory::Reservation;

/// How many entries ahead of the one that is looked at are fetched.
const PREFETCH_ENTRIES: usize = 12;

/// Goes through the groups of sorted entries that have a key in common.
#[derive(Debug)]
pub(crate) struct SortedCursor<S> {
    sorted: S,
    next_slice: usize,
    /// Those of the slice it is in, and room to sort the next.
    slots: Vec<Slot>,
    scratch: Vec<Slot>,
    /// Slots before this are in order of the whole places, and of the keys.
    parted: usize,
    /// Entries before this have been fetched.
    fetched: usize,
    _reservation: Option<Reservation>,

    /// Those of the group it is in.
    group: Range<usize>,
    /// The one that comes next.
    next: usize,
}

impl<S: Borrow<Sorted>> SortedCursor<S> {
    /// `reservation` is for sorting.
    pub(crate) fn new(sorted: S, reservation: Option<Reservation>) -> Self {
        Self {
            sorted,
            next_slice: 0,
            slots: Vec::new(),
            scratch: Vec::new(),
            parted: 0,
            fetched: 0,
            _reservation: reservation,
            group: 0..0,
            next: 0,
        }
    }

    /// Goes to the next entry; false if there is none.
    #[inline]
    pub(crate) fn advance(&mut self) -> bool {
        self.advance_in_group() || self.next_group() && self.advance_in_group()
    }

    /// Goes to the next entry of the group; false if there is none.
    #[inline]
    pub(crate) fn advance_in_group(&mut self) -> bool {
        let has_next = self.next < self.group.end;
        self.next += usize::from(has_next);
        has_next
    }

    /// Goes to the next group, before its first entry; false if there is none.
    #[inline]
    pub(crate) fn next_group(&mut self) -> bool {
        let start = self.group.end;
        if start == self.slots.len() && !self.advance_slice() {
            return false;
        }
        let start = self.group.end;
        self.group = start..self.end_of_group(start);
        self.next = start;
        true
    }

    /// Passes groups whose places come before that of the group that `other` is in, without a look at their entries;
    /// maybe not all of them.
    #[inline]
    pub(crate) fn pass<T: Borrow<Sorted>>(&mut self, other: &SortedCursor<T>) {
        let at_bits = self.common_at_bits(other);
        let place = other.slots[other.group.start] >> at_bits;
        let left = self.slots[self.group.end..].iter();
        self.group.end += left.take_while(|slot| *slot >> at_bits < place).count();
    }

    /// Slots of both are to be compared without so many of their bits.
    #[inline]
    fn common_at_bits<T: Borrow<Sorted>>(&self, other: &SortedCursor<T>) -> u32 {
        self.sorted
            .borrow()
            .at_bits
            .max(other.sorted.borrow().at_bits)
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
        (self.parted, self.fetched) = (0, 0);
        self.group = 0..0;
        true
    }

    /// Where the entries of the key at `start` end.
    #[inline]
    fn end_of_group(&mut self, start: usize) -> usize {
        let sorted = self.sorted.borrow();
        let first = self.slots[start];
        let key = sorted.key(first);
        let mut end = start;
        let mut fetched = self.fetched.max(start);
        loop {
            let ahead = self.slots.len().min(end + PREFETCH_ENTRIES);
            while fetched < ahead {
                sorted.prefetch(self.slots[fetched]);
                fetched += 1;
            }
            self.fetched = fetched;
            end += 1;
            match self.slots.get(end) {
                Some(slot) if sorted.is_alike(*slot, first) => {
                    if !entry::is_same(sorted.key(*slot), key) {
                        return self.part(start, end);
                    }
                }
                _ => return end,
            }
        }
    }

    /// The same where different keys are alike as far as slots can tell: `end` is the first of another key, unless
    /// these have not been put in order yet.
    #[cold]
    fn part(&mut self, start: usize, end: usize) -> usize {
        if start < self.parted {
            return end;
        }
        let sorted = self.sorted.borrow();
        let first = self.slots[start];
        let alike = self.slots[start..].iter();
        let alike = alike.take_while(|slot| sorted.is_alike(**slot, first));
        self.parted = start + alike.count();
        self.slots[start..self.parted].sort_by(|a, b| {
            let (a, b) = (sorted.key(*a), sorted.key(*b));
            let by_place = sorted.place(a).cmp(&sorted.place(b));
            by_place.then_with(|| a.cmp(b))
        });
        self.end_of_group(start)
    }

    /// The place of the key.
    #[inline]
    pub(crate) fn place(&self) -> u64 {
        self.sorted.borrow().place(self.key())
    }

    /// The key of the group.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.sorted.borrow().key(self.slots[self.group.start])
    }

    /// How the group stands to that of another cursor.
    #[inline]
    pub(crate) fn compare<T: Borrow<Sorted>>(&self, other: &SortedCursor<T>) -> Ordering {
        let (a, b) = (self.slots[self.group.start], other.slots[other.group.start]);
        // Mostly these tell, without a look at the entries.
        let at_bits = self.common_at_bits(other);
        (a >> at_bits).cmp(&(b >> at_bits)).then_with(|| {
            if entry::is_same(self.key(), other.key()) {
                return Ordering::Equal;
            }
            let by_place = self.place().cmp(&other.place());
            by_place.then_with(|| self.key().cmp(other.key()))
        })
    }

    /// The values of the group, all of them.
    #[inline]
    pub(crate) fn values(&self) -> GroupValues<'_> {
        GroupValues {
            sorted: self.sorted.borrow(),
            slots: self.slots[self.group.clone()].iter(),
        }
    }

    /// The value of the entry it is at.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.sorted.borrow().value(self.slots[self.next - 1])
    }

    #[inline]
    pub(crate) fn order(&self) -> Order {
        let slot = self.slots[self.next - 1];
        self.sorted.borrow().chunk(slot).order
    }
}

/// The values of a group in memory.
#[derive(Clone, Debug)]
pub(crate) struct GroupValues<'a> {
    sorted: &'a Sorted,
    slots: slice::Iter<'a, Slot>,
}

impl<'a> Iterator for GroupValues<'a> {
    type Item = &'a [u8];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let slot = self.slots.next()?;
        Some(self.sorted.value(*slot))
    }
}

#[cfg(test)]
mod tests;
