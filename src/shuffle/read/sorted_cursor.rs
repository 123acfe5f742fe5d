//! Iterates over the groups of sorted entries.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::mem;
use std::ops::{ControlFlow, Range};
use std::slice;
use std::sync::Arc;

use super::chunk_set::{ChunkSet, ChunkSlot};
use crate::error::Result;
use crate::shuffle::key::entry::{self, EntrySeq};
use crate::storage::memory::Reservation;
use crate::task::{Flow, StopCheck, StopFlag};

/// Prefetch distance, in entries. Half of them are prefetched in one batch: a check for each entry whether to prefetch
/// would be a mispredicted branch.
const PREFETCH_ENTRIES: usize = 32;

/// Iterates over the groups of sorted entries. The entries of a group have the same key.
#[derive(Debug)]
pub(crate) struct SortedCursor<S> {
    sorted: S,
    next_slice: usize,
    /// Slots of the current radix partition, and memory to sort the next.
    slots: Vec<ChunkSlot>,
    scratch: Vec<ChunkSlot>,
    /// Slots before this one are in the order of whole hash ranks and keys.
    parted: usize,
    /// Entries before this one have been prefetched.
    fetched: usize,
    /// Whether slots may be those of streaks, and whether those of the current radix partition are.
    may_have_streaks: bool,
    has_streaks: bool,
    _reservation: Option<Reservation>,
    checks: StopCheck,

    /// Slots of the current group.
    group: Range<usize>,
    /// The next slot in the group.
    next: usize,
    /// Whether the slot before `next` is that of an entry in a streak, whose later entries are unread.
    is_in_streak: bool,
}

/// Groups of a partition in memory.
pub(crate) type SortedGroups = SortedCursor<Arc<ChunkSet>>;

impl<S: Borrow<ChunkSet>> SortedCursor<S> {
    /// Creates a cursor before the first group. `reservation` is the memory for sorting.
    pub(crate) fn new(sorted: S, reservation: Option<Reservation>, stop: &StopFlag) -> Self {
        Self {
            sorted,
            next_slice: 0,
            slots: Vec::new(),
            scratch: Vec::new(),
            parted: 0,
            fetched: 0,
            may_have_streaks: false,
            has_streaks: false,
            _reservation: reservation,
            checks: stop.checks(),
            group: 0..0,
            next: 0,
            is_in_streak: false,
        }
    }

    /// Allows slots for streaks, which take less time to sort. Not for [`values`](Self::values) and
    /// [`for_each_of`](Self::for_each_of), which read one entry from each slot.
    pub(crate) fn with_streaks(self) -> Self {
        Self {
            may_have_streaks: true,
            ..self
        }
    }

    /// Returns all entries, for readers that do not need them in order.
    pub(crate) fn sorted(&self) -> &S {
        &self.sorted
    }

    /// Advances to the next entry. Returns `false` if there is none.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool> {
        Ok(self.advance_in_group()? || self.next_group()? && self.advance_in_group()?)
    }

    /// Advances to the next entry of the group. Returns `false` if there is none.
    #[inline]
    pub(crate) fn advance_in_group(&mut self) -> Result<bool> {
        self.checks.count()?;
        if self.is_in_streak && self.advance_in_streak() {
            return Ok(true);
        }
        let has_next = self.next < self.group.end;
        self.next += usize::from(has_next);
        self.is_in_streak = has_next && self.has_streaks;
        Ok(has_next)
    }

    /// Advances the last slot to the next entry of its streak. Returns `false` if there is none.
    #[inline]
    fn advance_in_streak(&mut self) -> bool {
        let slot = &mut self.slots[self.next - 1];
        let next = self.sorted.borrow().next_of_streak(*slot);
        *slot = next.unwrap_or(*slot);
        next.is_some()
    }

    /// Advances past up to `most` entries of the group, or past a streak, and returns their values. Returns `None` if
    /// there are none.
    #[inline]
    pub(crate) fn take(&mut self, most: usize) -> Result<Option<TakenValues<'_>>> {
        if self.has_streaks {
            return self.take_streak();
        }
        let taken = self.next..self.group.end.min(self.next + most);
        if taken.is_empty() {
            return Ok(None);
        }
        self.next = taken.end;
        self.checks.count_all(taken.len())?;
        Ok(Some(TakenValues::Slots(GroupValues {
            sorted: self.sorted.borrow(),
            slots: self.slots[taken].iter(),
        })))
    }

    /// Advances past the unread part of the current streak, which may be empty, or past the next streak.
    fn take_streak(&mut self) -> Result<Option<TakenValues<'_>>> {
        self.checks.check()?;
        let is_first = !mem::take(&mut self.is_in_streak);
        if is_first {
            if self.next == self.group.end {
                return Ok(None);
            }
            self.next += 1;
        }
        let bytes = self.sorted.borrow().from(self.slots[self.next - 1]);
        let (key, _, rest) = entry::split_first(bytes);
        let bytes = if is_first { bytes } else { rest };
        Ok(Some(TakenValues::Streak(StreakValues { key, bytes })))
    }

    /// Advances to the next group, before its first entry. Returns `false` if there is none.
    #[inline]
    pub(crate) fn next_group(&mut self) -> Result<bool> {
        if !self.has_next()? {
            return Ok(false);
        }
        let start = self.group.end;
        self.group = start..self.end_of_group(start)?;
        (self.next, self.is_in_streak) = (start, false);
        Ok(true)
    }

    /// Skips groups whose hash ranks come before that of the current group of `other`, without reading their entries.
    /// It may not skip all of them.
    #[inline]
    pub(crate) fn pass<T: Borrow<ChunkSet>>(&mut self, other: &SortedCursor<T>) {
        self.pass_before(other.slots[other.group.start], self.common_at_bits(other));
    }

    /// Like [`pass`](Self::pass), for the hash rank of the next entry in `other`. Returns `false` if there is none.
    #[inline]
    pub(crate) fn pass_to_next<T: Borrow<ChunkSet>>(
        &mut self,
        other: &mut SortedCursor<T>,
    ) -> Result<bool> {
        let has_next = other.has_next()?;
        if has_next {
            self.pass_before(other.slots[other.group.end], self.common_at_bits(other));
        }
        Ok(has_next)
    }

    /// Returns whether there are entries after the group.
    #[inline]
    fn has_next(&mut self) -> Result<bool> {
        Ok(self.group.end < self.slots.len() || self.advance_slice()?)
    }

    #[inline]
    fn pass_before(&mut self, slot: ChunkSlot, at_bits: u32) {
        let is_before = |other: &&ChunkSlot| **other >> at_bits < slot >> at_bits;
        let left = self.slots[self.group.end..].iter();
        self.group.end += left.take_while(is_before).count();
    }

    /// Calls `each` with the values of the key of the current group of `other`, until it breaks. Skips the entries
    /// before them.
    ///
    /// The entries of this cursor need not be grouped for that. Each is compared only with the key of the other side,
    /// and its value is emitted immediately.
    #[inline]
    pub(crate) fn for_each_of<T: Borrow<ChunkSet>>(
        &mut self,
        other: &SortedCursor<T>,
        mut each: impl FnMut(&[u8]) -> Result<Flow>,
    ) -> Result<Flow> {
        let at_bits = self.common_at_bits(other);
        let first = other.slots[other.group.start];
        let key = other.key();
        self.pass_before(first, at_bits);
        while self.group.end == self.slots.len() && self.advance_slice()? {
            self.pass_before(first, at_bits);
        }
        while let Some(slot) = self.slots.get(self.group.end).copied()
            && (slot ^ first) >> at_bits == 0
        {
            self.fetch_ahead(self.group.end)?;
            let (its_key, value) = self.sorted.borrow().entry(slot);
            if !entry::is_same(its_key, key) {
                if self.part(self.group.end) {
                    continue; // the next entry has changed
                }
                if self.compare_next(other).is_gt() {
                    break;
                }
                self.group.end += 1;
                continue;
            }
            self.group.end += 1;
            if each(value)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Returns the number of low bits to ignore when slots of both cursors are compared.
    #[inline]
    fn common_at_bits<T: Borrow<ChunkSet>>(&self, other: &SortedCursor<T>) -> u32 {
        self.sorted
            .borrow()
            .at_bits
            .max(other.sorted.borrow().at_bits)
    }

    #[cold]
    fn advance_slice(&mut self) -> Result<bool> {
        self.checks.check()?;
        let sorted = self.sorted.borrow();
        let Some(slice) = sorted.slices.get(self.next_slice) else {
            return Ok(false);
        };
        // No radix partition is empty.
        let slice = slice.clone();
        self.has_streaks = self.may_have_streaks && sorted.has_streaks(slice.clone());
        match self.has_streaks {
            true => sorted.sort_slice::<true>(slice, &mut self.slots, &mut self.scratch),
            false => sorted.sort_slice::<false>(slice, &mut self.slots, &mut self.scratch),
        }
        self.next_slice += 1;
        (self.parted, self.fetched) = (0, 0);
        self.group = 0..0;
        Ok(true)
    }

    /// Compares the next entry with the current group of another cursor.
    #[cold]
    fn compare_next<T: Borrow<ChunkSet>>(&self, other: &SortedCursor<T>) -> Ordering {
        let sorted = self.sorted.borrow();
        let key = sorted.key(self.slots[self.group.end]);
        (sorted.rank(key), key).cmp(&(other.rank(), other.key()))
    }

    /// Returns the end of the entries with the key at `start`.
    #[inline(always)]
    fn end_of_group(&mut self, start: usize) -> Result<usize> {
        let first = self.slots[start];
        let mut end = start;
        loop {
            self.fetch_ahead(end)?;
            end += 1;
            let sorted = self.sorted.borrow();
            match self.slots.get(end) {
                Some(slot) if sorted.is_alike(*slot, first) => {
                    if !entry::is_same(sorted.key(*slot), sorted.key(first)) {
                        break;
                    }
                }
                _ => return Ok(end),
            }
        }
        match self.part(start) {
            true => self.end_of_parted(start),
            false => Ok(end),
        }
    }

    #[cold]
    fn end_of_parted(&mut self, start: usize) -> Result<usize> {
        self.end_of_group(start)
    }

    /// Prefetches the entries that follow the one at `start`, if necessary. Each batch of them counts towards the next
    /// check of the stop flag, so that the loops over entries need no counter of their own.
    #[inline(always)]
    fn fetch_ahead(&mut self, start: usize) -> Result<()> {
        if start + PREFETCH_ENTRIES / 2 >= self.fetched {
            return self.fetch_from(start);
        }
        Ok(())
    }

    #[inline(never)]
    fn fetch_from(&mut self, start: usize) -> Result<()> {
        let end = self.slots.len().min(start + PREFETCH_ENTRIES);
        let sorted = self.sorted.borrow();
        for slot in &self.slots[self.fetched.clamp(start, end)..end] {
            sorted.prefetch(*slot);
        }
        self.fetched = start + PREFETCH_ENTRIES;
        self.checks.count_all(PREFETCH_ENTRIES / 2)
    }

    /// Sorts the entries from `start` on whose slots agree, by hash rank and key. Returns `false` if they are already
    /// sorted.
    #[cold]
    fn part(&mut self, start: usize) -> bool {
        if start < self.parted {
            return false;
        }
        let sorted = self.sorted.borrow();
        let first = self.slots[start];
        let alike = self.slots[start..].iter();
        let alike = alike.take_while(|slot| sorted.is_alike(**slot, first));
        self.parted = start + alike.count();
        self.slots[start..self.parted].sort_by(|a, b| {
            let (a, b) = (sorted.key(*a), sorted.key(*b));
            let by_place = sorted.rank(a).cmp(&sorted.rank(b));
            by_place.then_with(|| a.cmp(b))
        });
        true
    }

    /// Returns the hash rank of the key.
    #[inline]
    pub(crate) fn rank(&self) -> u64 {
        self.sorted.borrow().rank(self.key())
    }

    /// Returns the key of the group.
    #[inline(always)]
    pub(crate) fn key(&self) -> &[u8] {
        self.sorted.borrow().key(self.slots[self.group.start])
    }

    /// Compares the current group with that of another cursor.
    #[inline]
    pub(crate) fn compare<T: Borrow<ChunkSet>>(&self, other: &SortedCursor<T>) -> Ordering {
        let (a, b) = (self.slots[self.group.start], other.slots[other.group.start]);
        // In most cases the slots differ, and the entries are not read.
        let at_bits = self.common_at_bits(other);
        (a >> at_bits).cmp(&(b >> at_bits)).then_with(|| {
            if entry::is_same(self.key(), other.key()) {
                return Ordering::Equal;
            }
            let by_place = self.rank().cmp(&other.rank());
            by_place.then_with(|| self.key().cmp(other.key()))
        })
    }

    /// Returns all values of the group.
    #[inline]
    pub(crate) fn values(&self) -> GroupValues<'_> {
        GroupValues {
            sorted: self.sorted.borrow(),
            slots: self.slots[self.group.clone()].iter(),
        }
    }

    /// Returns the current value.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.sorted.borrow().value(self.slots[self.next - 1])
    }

    #[inline]
    pub(crate) fn order(&self) -> EntrySeq {
        let slot = self.slots[self.next - 1];
        self.sorted.borrow().chunk(slot).order
    }
}

/// Values of a group in memory that are next to be read.
pub(crate) enum TakenValues<'a> {
    Slots(GroupValues<'a>),
    Streak(StreakValues<'a>),
}

/// Values of a streak.
pub(crate) struct StreakValues<'a> {
    key: &'a [u8],
    /// The streak, and what follows it in its chunk.
    bytes: &'a [u8],
}

impl<'a> Iterator for StreakValues<'a> {
    type Item = &'a [u8];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (value, rest) = entry::split_same(self.key, self.bytes)?;
        self.bytes = rest;
        Some(value)
    }
}

/// Values of a group in memory.
#[derive(Clone, Debug)]
pub(crate) struct GroupValues<'a> {
    sorted: &'a ChunkSet,
    slots: slice::Iter<'a, ChunkSlot>,
}

impl<'a> Iterator for GroupValues<'a> {
    type Item = &'a [u8];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let slot = self.slots.next()?;
        Some(self.sorted.value(*slot))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.slots.size_hint()
    }
}

impl ExactSizeIterator for GroupValues<'_> {}

#[cfg(test)]
mod tests;
