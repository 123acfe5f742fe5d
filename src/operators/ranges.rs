//! The scan of a range of a sorted bag. It does not read partitions outside of the range.

use std::cmp::Ordering;
use std::ops::{Bound, ControlFlow, RangeBounds};

use super::scan::{Scan, Summarized};
use crate::pipeline::{Call, Data, Peek, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::Flow;

/// The bounds of a range, with its start and its end.
pub(crate) type KeyBounds<K> = (Bound<K>, Bound<K>);

pub(crate) fn bounds_of<K: Clone>(range: &impl RangeBounds<K>) -> KeyBounds<K> {
    (range.start_bound().cloned(), range.end_bound().cloned())
}

/// Returns whether a key is before the range, in it, or after it. `compare` compares the key with a bound.
pub(crate) fn place<K>(bounds: &KeyBounds<K>, compare: impl Fn(&K) -> Ordering) -> Ordering {
    let is_before = match &bounds.0 {
        Bound::Included(start) => compare(start).is_lt(),
        Bound::Excluded(start) => compare(start).is_le(),
        Bound::Unbounded => false,
    };
    let is_after = match &bounds.1 {
        Bound::Included(end) => compare(end).is_gt(),
        Bound::Excluded(end) => compare(end).is_ge(),
        Bound::Unbounded => false,
    };
    match (is_before, is_after) {
        (true, _) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => Ordering::Equal,
    }
}

/// A closure that returns the key of a record, and a range of keys.
pub(crate) struct KeyRange<C, K> {
    pub(crate) key_of: C,
    pub(crate) bounds: KeyBounds<K>,
}

portable! { [C: Portable, K: Data] KeyRange<C, K> { key_of: part, bounds: value } }

/// The records of a sorted bag for which a closure returns `Equal`. It returns `Less` for those before them, and
/// `Greater` for those after them.
pub(crate) struct InRange<C>(pub(crate) C);

portable! { [C: Portable] InRange<C> { 0: part } }

impl<T, C> Scan<T> for InRange<C>
where
    T: Record + ?Sized,
    C: for<'a> Call<(Peek<'a, T>,), Out = Ordering>,
{
    type Out = T;
    /// The place of the first record: -1, 0 or 1 as that of [`Ordering`].
    type Summary = Option<i8>;
    /// Whether the partition may have a record in the range.
    type State = bool;

    fn empty(&self) -> Option<i8> {
        None
    }

    fn add(&self, first: &mut Option<i8>, record: Ref<'_, T>) -> Flow {
        *first = Some(self.0.call((T::peek(&record),)) as i8);
        ControlFlow::Break(())
    }

    fn states(&self, partitions: Vec<Summarized<Option<i8>>>) -> Vec<bool> {
        // From the last partition to the first. A partition ends before the next one that has records begins.
        let mut next = None;
        let state = |partition: &Summarized<Option<i8>>| {
            let Some(first) = partition.summary else {
                return false;
            };
            let next = next.replace(first);
            first <= 0 && next.is_none_or(|next| next >= 0)
        };
        let mut states: Vec<_> = partitions.iter().rev().map(state).collect();
        states.reverse();
        states
    }

    fn is_needed(&self, is_needed: &bool) -> bool {
        *is_needed
    }

    #[inline]
    fn push<S>(&self, _: &mut bool, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        match self.0.call((T::peek(&record),)) {
            Ordering::Less => ControlFlow::Continue(()),
            Ordering::Equal => sink(record),
            Ordering::Greater => ControlFlow::Break(()),
        }
    }
}
