//! The first few of many records in the order of a comparison: `top` and `bottom`.

use std::cmp::Ordering;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::definition::Summary;
use super::order::{CompareBy, CompareByKey, Descending, Natural, Order};
use super::records::ClonedRecord;
use crate::pipeline::Record;
use crate::portable::{Portable, portable};

/// Maximum `n` for which records are kept sorted. More are sorted from time to time.
const MAX_KEPT_SORTED: usize = 16;

/// The first `n` records so far, in the order of a comparison. Records that compare equal keep their order.
#[derive(Serialize, Deserialize)]
#[serde(bound(
    serialize = "T::Owned: Serialize",
    deserialize = "T::Owned: Deserialize<'de>"
))]
pub struct Ranked<T: Record + ?Sized> {
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
        if !self.is_beyond(T::peek(&record), compare) {
            self.push(T::into_owned(record), compare);
        }
    }

    /// Returns whether a later record is known not to be among the first `n`.
    #[inline]
    fn is_beyond<'a>(
        &'a self,
        record: T::Peek<'a>,
        compare: &impl for<'b> Fn(T::Peek<'b>, T::Peek<'b>) -> Ordering,
    ) -> bool {
        if self.sorted < self.n {
            return false;
        }
        // A record that is equal to the last one comes after it.
        let last = self.records[..self.n].last();
        last.is_none_or(|last| compare(record, T::peek_owned(last)).is_ge())
    }

    /// Offers a borrowed record, which is copied only if it is among the first.
    #[inline]
    fn offer_copy(&mut self, record: T::Peek<'_>, order: &impl Order<T>)
    where
        T: ClonedRecord,
    {
        if self.sorted == self.n {
            let last = self.records[..self.n].last();
            if last.is_none_or(|last| order.compare(record, T::peek_owned(last)).is_ge()) {
                return;
            }
        }
        self.push(T::cloned(record), &comparison(order));
    }

    #[inline]
    fn push(
        &mut self,
        record: T::Owned,
        compare: &impl for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering,
    ) {
        if self.n <= MAX_KEPT_SORTED && self.is_sorted() {
            let at = self.records.partition_point(|known| {
                compare(T::peek_owned(known), T::peek_owned(&record)).is_le()
            });
            self.records.truncate(self.n - 1);
            self.records.insert(at, record);
            self.sorted = self.records.len();
            return;
        }
        self.records.push(record);
        if self.records.len() >= self.n.saturating_mul(2) {
            self.cut(compare);
        }
    }

    pub(crate) fn merge(
        &mut self,
        later: Self,
        compare: &impl for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering,
    ) {
        for record in later.records {
            if !self.is_beyond(T::peek_owned(&record), compare) {
                self.push(record, compare);
            }
        }
    }

    /// Sorts the records, and drops all but the first `n`. The sort is stable, so equal records keep their order.
    fn is_sorted(&self) -> bool {
        self.sorted == self.records.len()
    }

    fn cut(&mut self, compare: &impl for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering) {
        self.records
            .sort_by(|a, b| compare(T::peek_owned(a), T::peek_owned(b)));
        self.records.truncate(self.n);
        self.sorted = self.records.len();
    }

    /// Returns the records. Those that compare equal are in order.
    pub(crate) fn into_records(self) -> Vec<T::Owned> {
        self.records
    }

    pub(crate) fn into_sorted(
        mut self,
        compare: &impl for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering,
    ) -> Vec<T::Owned> {
        if !self.is_sorted() {
            self.cut(compare);
        }
        self.records
    }
}

impl<T: Record + ?Sized> std::fmt::Debug for Ranked<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ranked")
            .field("n", &self.n)
            .finish_non_exhaustive()
    }
}

/// Returns an order as a closure. It is the same one for all methods, so that sorting by it is compiled once.
#[inline(always)]
fn comparison<T, O>(order: &O) -> impl for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering
where
    T: Record + ?Sized,
    O: Order<T>,
{
    |a, b| order.compare(a, b)
}

/// Returns the `n` greatest records, greatest first. Equal records keep the order of the bag.
///
/// Needs memory for 2 `n` records per thread, or for each key.
///
/// # Examples
///
/// ```
/// use holdall::summary::{bottom, top};
///
/// let numbers = holdall::from_vec(vec![3, 1, 4, 1, 5]);
/// assert_eq!(numbers.summarize((top(2), bottom(2)))?, (vec![5, 4], vec![1, 1]));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn top(n: usize) -> RankedSummary<Descending<Natural>> {
    let order = Descending(Natural(PhantomData));
    RankedSummary { n, order }
}

/// Returns the `n` greatest records according to `compare`, like [`top`].
///
/// # Examples
///
/// ```
/// use holdall::summary::{bottom_by, top_by};
///
/// let numbers = holdall::from_vec(vec![0.5, -2.0, 1.5]);
/// let ends = numbers.summarize((top_by(1, f64::total_cmp), bottom_by(1, f64::total_cmp)))?;
/// assert_eq!(ends, (vec![1.5], vec![-2.0]));
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn top_by<F>(n: usize, compare: F) -> RankedSummary<Descending<CompareBy<F>>> {
    let order = Descending(CompareBy(compare));
    RankedSummary { n, order }
}

/// Returns the `n` records with the greatest keys, like [`top`]. `key_of` is called again for each comparison.
///
/// # Examples
///
/// ```
/// use holdall::summary::{bottom_by_key, top_by_key};
///
/// let words = holdall::from_vec(vec!["bag", "of", "words"]);
/// let (longest, shortest) = words.summarize((
///     top_by_key(1, |word: &&str| word.len()),
///     bottom_by_key(2, |word: &&str| word.len()),
/// ))?;
/// assert_eq!((longest, shortest), (vec!["words"], vec!["of", "bag"]));
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn top_by_key<F>(n: usize, key_of: F) -> RankedSummary<Descending<CompareByKey<F>>> {
    let order = Descending(CompareByKey(key_of));
    RankedSummary { n, order }
}

/// Returns the `n` smallest records, smallest first. Equal records keep the order of the bag.
///
/// # Examples
///
/// See [`top`].
#[must_use]
pub fn bottom(n: usize) -> RankedSummary<Natural> {
    RankedSummary {
        n,
        order: Natural(PhantomData),
    }
}

/// Returns the `n` smallest records according to `compare`, like [`bottom`].
///
/// # Examples
///
/// See [`top_by`].
pub fn bottom_by<F>(n: usize, compare: F) -> RankedSummary<CompareBy<F>> {
    let order = CompareBy(compare);
    RankedSummary { n, order }
}

/// Returns the `n` records with the smallest keys, like [`bottom`]. `key_of` is called again for each comparison.
///
/// # Examples
///
/// See [`top_by_key`].
pub fn bottom_by_key<F>(n: usize, key_of: F) -> RankedSummary<CompareByKey<F>> {
    let order = CompareByKey(key_of);
    RankedSummary { n, order }
}

/// The first records of an order. Created by [`top`], [`bottom`] and related functions.
#[derive(Clone, Copy, Debug)]
pub struct RankedSummary<O> {
    n: usize,
    order: O,
}

portable! { [O: Portable] RankedSummary<O> { n: data, order: part } }

impl<T, O> Summary<T> for RankedSummary<O>
where
    T: ClonedRecord + ?Sized,
    O: Order<T>,
{
    type Part = Ranked<T>;
    type Output = Vec<T::Owned>;

    fn start(&self) -> Ranked<T> {
        Ranked::new(self.n)
    }

    #[inline]
    fn add(&self, ranked: &mut Ranked<T>, record: T::Peek<'_>) {
        ranked.offer_copy(record, &self.order);
    }

    fn merge(&self, ranked: &mut Ranked<T>, later: Ranked<T>) {
        ranked.merge(later, &comparison(&self.order));
    }

    fn finish(&self, ranked: Ranked<T>) -> Vec<T::Owned> {
        ranked.into_sorted(&comparison(&self.order))
    }
}
