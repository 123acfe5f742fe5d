//! Keeps the first few of many records in the order of a comparison, for `top` and `bottom`.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::pipeline::Record;

/// The first `n` records so far, in the order of a comparison. Records that compare equal keep their order.
#[derive(Serialize, Deserialize)]
#[serde(bound(
    serialize = "T::Owned: Serialize",
    deserialize = "T::Owned: Deserialize<'de>"
))]
pub(crate) struct Ranked<T: Record + ?Sized> {
    n: usize,
    /// Up to 2 `n` records, of which the first `sorted` are sorted.
    records: Vec<T::Owned>,
    sorted: usize,
}

impl<T: Record + ?Sized> Ranked<T> {
    pub(crate) fn new(n: usize) -> Self {
        Self {
            n,
            records: Vec::new(),
            sorted: 0,
        }
    }

    /// Creates it from unsorted records.
    pub(crate) fn of(n: usize, records: Vec<T::Owned>) -> Self {
        Self {
            n,
            records,
            sorted: 0,
        }
    }

    #[inline]
    pub(crate) fn offer(
        &mut self,
        record: T::Ref<'_>,
        compare: &impl for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering,
    ) {
        if self.sorted == self.n {
            // A record that is equal to the last one comes after it.
            let last = self.records[..self.n].last();
            if last.is_none_or(|last| compare(T::peek(&record), T::peek_owned(last)).is_ge()) {
                return;
            }
        }
        self.records.push(T::into_owned(record));
        if self.records.len() >= self.n.saturating_mul(2) {
            self.cut(compare);
        }
    }

    pub(crate) fn merge(
        &mut self,
        later: Self,
        compare: &impl for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering,
    ) {
        self.records.extend(later.records);
        self.cut(compare);
    }

    /// Sorts the records, and drops all but the first `n`. The sort is stable, so equal records keep their order.
    fn cut(&mut self, compare: &impl for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering) {
        self.records
            .sort_by(|a, b| compare(T::peek_owned(a), T::peek_owned(b)));
        self.records.truncate(self.n);
        self.sorted = self.records.len();
    }

    pub(crate) fn into_sorted(
        mut self,
        compare: &impl for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering,
    ) -> Vec<T::Owned> {
        self.cut(compare);
        self.records
    }
}
