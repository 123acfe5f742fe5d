//! The memory budget of a context, and reservations of it.
//!
//! A context has one [`MemoryBudget`]. A component requests memory from a [`Reservation`] of it before its data grows.
//! No component waits for memory: if the budget refuses, the component spills its data. Tasks therefore cannot block
//! one another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Step in which reservations take from the budget, in bytes. With larger steps, more of the budget is reserved but
/// unused; with smaller ones, growth updates the shared counter more often.
pub(crate) const GRANULE_BYTES: usize = 64 << 10;

/// Limit on the memory that reservations hold, in bytes. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBudget(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
}

impl MemoryBudget {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self(Arc::new(Counters {
            limit_bytes,
            used_bytes: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
        }))
    }

    /// Creates a budget that refuses nothing, but still counts.
    #[cfg(test)]
    pub(crate) fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    pub(crate) fn limit_bytes(&self) -> usize {
        self.0.limit_bytes
    }

    /// Returns the number of bytes that reservations hold now. They are rounded up to whole granules unless the budget
    /// is almost exhausted.
    pub(crate) fn used_bytes(&self) -> usize {
        self.0.used_bytes.load(Ordering::Relaxed)
    }

    /// Returns the highest number of bytes that reservations have held.
    pub(crate) fn peak_bytes(&self) -> usize {
        self.0.peak_bytes.load(Ordering::Relaxed)
    }

    /// Records the peak of another process.
    pub(crate) fn note_peak(&self, bytes: usize) {
        self.0.peak_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Returns an empty reservation.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation {
            budget: self.clone(),
            bytes: 0,
            granted_bytes: 0,
        }
    }

    /// Returns a reservation of `bytes`, or `None` if the budget refuses.
    pub(crate) fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let mut reservation = self.reservation();
        reservation.try_grow(bytes).then_some(reservation)
    }

    /// Reserves memory for `most` items of `bytes_of_each` bytes. If the budget refuses, tries half as many, and so on,
    /// down to `least`. Returns the number of items and the reservation. If the budget refuses even `least` items,
    /// returns `least` and an empty reservation: the caller then exceeds the budget.
    pub(crate) fn reserve_most(
        &self,
        most: usize,
        least: usize,
        bytes_of_each: usize,
    ) -> (usize, Reservation) {
        let mut reservation = self.reservation();
        let mut count = most;
        while !reservation.try_resize(count * bytes_of_each) && count > least {
            count = (count / 2).max(least);
        }
        (count, reservation)
    }

    // All orderings are relaxed: the counters order no other memory, and each of them changes in one atomic step.
    fn take(&self, bytes: usize) -> bool {
        let counters = &*self.0;
        let grown = |used: usize| {
            let used = used.checked_add(bytes)?;
            (used <= counters.limit_bytes).then_some(used)
        };
        let before = counters
            .used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
        if let Ok(before) = before {
            counters
                .peak_bytes
                .fetch_max(before + bytes, Ordering::Relaxed);
        }
        before.is_ok()
    }

    fn release(&self, bytes: usize) {
        self.0.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A part of a [`MemoryBudget`]. Dropping it returns its memory to the budget.
///
/// It never holds less of the budget than [`bytes`](Self::bytes).
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: MemoryBudget,
    /// Number of bytes that the holder requested.
    bytes: usize,
    /// Number of bytes taken from the budget: at least `bytes`, and less than a granule more.
    granted_bytes: usize,
}

impl Reservation {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Requests `bytes` more. If the budget refuses, returns `false` and changes nothing. The caller must then hold no
    /// more memory than before.
    #[inline]
    #[must_use]
    pub(crate) fn try_grow(&mut self, bytes: usize) -> bool {
        match self.bytes.checked_add(bytes) {
            Some(wanted) if wanted <= self.granted_bytes => {
                self.bytes = wanted;
                true
            }
            Some(wanted) => self.try_grow_to(wanted),
            None => false,
        }
    }

    /// Requests `bytes` in total, more or less than before. A smaller number is never refused.
    #[must_use]
    pub(crate) fn try_resize(&mut self, bytes: usize) -> bool {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.try_grow(more),
            None => {
                self.shrink(self.bytes - bytes);
                true
            }
        }
    }

    /// Returns `bytes` to the budget, or all that is held if that is less.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let kept = whole_granules(self.bytes);
        if kept < self.granted_bytes {
            self.budget.release(self.granted_bytes - kept);
            self.granted_bytes = kept;
        }
    }

    /// Returns the memory beyond [`bytes`](Self::bytes) to the budget. Use it if the reservation will not grow.
    pub(crate) fn trim(&mut self) {
        self.budget.release(self.granted_bytes - self.bytes);
        self.granted_bytes = self.bytes;
    }

    /// Moves everything out, and leaves an empty reservation.
    pub(crate) fn take(&mut self) -> Self {
        let nothing = self.budget.reservation();
        std::mem::replace(self, nothing)
    }

    /// Returns all memory to the budget.
    pub(crate) fn clear(&mut self) {
        self.shrink(self.bytes);
    }

    #[cold]
    fn try_grow_to(&mut self, wanted: usize) -> bool {
        let missing = wanted - self.granted_bytes;
        let rounded = whole_granules(wanted).saturating_sub(self.granted_bytes);
        // If no whole granule is left, request the exact number of bytes, so that rounding wastes nothing of a small
        // budget.
        for more in [rounded, missing] {
            if more >= missing && self.budget.take(more) {
                self.granted_bytes += more;
                self.bytes = wanted;
                return true;
            }
        }
        false
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.release(self.granted_bytes);
    }
}

fn whole_granules(bytes: usize) -> usize {
    bytes
        .checked_next_multiple_of(GRANULE_BYTES)
        .unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_takes_whole_granules_and_gives_them_back() {
        let budget = MemoryBudget::new(10 * GRANULE_BYTES);
        let mut reservation = budget.try_reserve(1).unwrap();
        assert_eq!(budget.used_bytes(), GRANULE_BYTES);
        assert!(reservation.try_grow(GRANULE_BYTES - 1));
        assert_eq!(budget.used_bytes(), GRANULE_BYTES);
        assert!(reservation.try_grow(3 * GRANULE_BYTES + 1));
        assert_eq!(budget.used_bytes(), 5 * GRANULE_BYTES);
        reservation.shrink(4 * GRANULE_BYTES);
        assert_eq!(
            (reservation.bytes(), budget.used_bytes()),
            (1, GRANULE_BYTES)
        );
        reservation.clear();
        assert_eq!((reservation.bytes(), budget.used_bytes()), (0, 0));
        assert!(reservation.try_resize(7));
        drop(reservation);
        assert_eq!(
            (budget.used_bytes(), budget.peak_bytes()),
            (0, 5 * GRANULE_BYTES)
        );
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let budget = MemoryBudget::new(3 * GRANULE_BYTES);
        let mut first = budget.try_reserve(2 * GRANULE_BYTES).unwrap();
        let mut second = budget.try_reserve(GRANULE_BYTES / 2).unwrap();
        assert!(!first.try_grow(1));
        assert!(!first.try_grow(usize::MAX) && !first.try_resize(usize::MAX));
        assert_eq!(first.bytes(), 2 * GRANULE_BYTES);
        assert!(second.try_grow(GRANULE_BYTES / 2));
        assert!(first.try_resize(5));
        assert!(second.try_grow(GRANULE_BYTES));
        assert!(budget.try_reserve(1).is_none());
    }

    #[test]
    fn a_budget_below_a_granule_can_be_used_up() {
        let budget = MemoryBudget::new(1000);
        let mut reservation = budget.try_reserve(999).unwrap();
        assert!(reservation.try_grow(1) && !reservation.try_grow(1));
        assert_eq!(budget.peak_bytes(), 1000);
    }

    #[test]
    fn an_unlimited_budget_counts() {
        let budget = MemoryBudget::unlimited();
        let first = budget.try_reserve(1 << 40).unwrap();
        let _second = budget.try_reserve(1 << 40).unwrap();
        drop(first);
        assert_eq!(
            (budget.used_bytes(), budget.peak_bytes()),
            (1 << 40, 2 << 40)
        );
    }

    #[test]
    fn the_limit_holds_among_threads() {
        let budget = MemoryBudget::new(20 * GRANULE_BYTES + 123);
        std::thread::scope(|scope| {
            for step in 1..5 {
                let budget = &budget;
                scope.spawn(move || {
                    for _ in 0..200 {
                        let mut reservation = budget.reservation();
                        while reservation.try_grow(step * 5000) {
                            assert!(budget.used_bytes() <= budget.limit_bytes());
                        }
                    }
                });
            }
        });
        assert_eq!(budget.used_bytes(), 0);
        assert!(budget.peak_bytes() <= budget.limit_bytes());
    }
}
