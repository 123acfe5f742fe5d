//! Statistics: actions on bags of numbers, and on records with an order.

use std::iter::Product;
use std::ops::ControlFlow;

use super::{Bag, Sortable};
use crate::error::Result;
use crate::operators::actions::Count;
use crate::operators::map_partitions::Records;
use crate::operators::persist::StorageLevel;
use crate::pipeline::{Call, ClosureState, Data, Key, Pipeline, Plain, Record, Stated, Storable};
use crate::summary::{
    self, ClonedRecord, Histogram, HistogramSummary, Numeric, OrderedRecord, Stats,
};
use crate::task::Site;

/// Statistics of numbers. To compute several of them in one pass, use [`stats`](Bag::stats) or
/// [`summarize`](Bag::summarize).
impl<T: Numeric, P: Pipeline<Out = T>> Bag<T, P> {
    /// Returns the arithmetic mean, or `None` if the bag is empty. Runs a job.
    ///
    /// The sum is as accurate as if it had been computed with twice the digits of an `f64` and then rounded.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(1..5).mean()?, Some(2.5));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn mean(&self) -> Result<Option<f64>> {
        self.summarize_at(Site::new("mean"), summary::mean())
    }

    /// Returns the count, sum, mean, variance, minimum and maximum of the numbers. Runs a job, which reads the bag once.
    ///
    /// The variance is numerically stable. Its last digits depend on the partitioning, but not on the run.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let stats = holdall::from_vec(vec![4.0, 7.0, 13.0, 16.0]).stats()?;
    /// assert_eq!((stats.mean(), stats.variance()), (Some(10.0), Some(22.5)));
    /// assert_eq!((stats.min(), stats.max()), (Some(4.0), Some(16.0)));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn stats(&self) -> Result<Stats> {
        self.summarize_at(Site::new("stats"), summary::stats())
    }

    /// Counts the numbers by buckets. Bucket `i` is the range from `edges[i]` to `edges[i + 1]`, without the upper
    /// edge, except that the last bucket includes its upper edge. Numbers outside of all buckets are counted separately,
    /// and so are NaNs. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two edges, or if they do not ascend.
    ///
    /// # Examples
    ///
    /// ```
    /// let histogram = holdall::range(0..100).histogram(&[0.0, 10.0, 50.0])?;
    /// assert_eq!(histogram.counts(), [10, 41]);
    /// assert_eq!(histogram.above(), 49);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn histogram(&self, edges: &[f64]) -> Result<Histogram> {
        self.summarize_at(Site::new("histogram"), summary::histogram(edges))
    }

    /// Counts the numbers by `buckets` buckets of equal width, from the smallest number to the greatest. Runs two jobs:
    /// the first finds these two.
    ///
    /// Infinite numbers are counted as below or above all buckets. If all finite numbers are equal, the buckets extend
    /// by 0.5 in both directions; if there are none, from 0 to 1. An edge at zero is 0.0, not -0.0.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Panics
    ///
    /// Panics if `buckets` is 0 or more than 2^24.
    ///
    /// # Examples
    ///
    /// ```
    /// let histogram = holdall::range(0..=100).histogram_even(4)?;
    /// assert_eq!(histogram.edges(), [0.0, 25.0, 50.0, 75.0, 100.0]);
    /// assert_eq!(histogram.counts(), [25, 25, 25, 26]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn histogram_even(&self, buckets: usize) -> Result<Histogram> {
        assert!(buckets > 0, "a histogram needs a bucket");
        assert!(
            buckets <= MAX_BUCKETS,
            "at most {MAX_BUCKETS} buckets, not {buckets}"
        );
        let site = Site::new("histogram_even");
        let is_finite = |number: &T| number.to_f64().is_finite();
        let stats = self.summarize_at(site, summary::filter(is_finite, summary::stats()))?;
        let histogram = HistogramSummary::even(stats.min().zip(stats.max()), buckets);
        self.summarize_at(site, histogram)
    }
}

/// Sums that do not depend on the partitioning.
impl<T: Data + Copy + Into<f64>, P: Pipeline<Out = T>> Bag<T, P> {
    /// Sums the numbers exactly, and rounds the sum to the nearest `f64` once. Runs a job.
    ///
    /// The result does not depend on the order of the numbers, nor on the partitioning, unlike that of
    /// [`sum`](Bag::sum). For `f64` and all types that convert to it without loss. Uses a
    /// [superaccumulator](crate::summary::ExactSum).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec![1e100, 1.0, -1e100]);
    /// assert_eq!(numbers.sum::<f64>()?, 0.0);
    /// assert_eq!(numbers.sum_exact()?, 1.0);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sum_exact(&self) -> Result<f64> {
        self.summarize_at(Site::new("sum_exact"), summary::sum_exact())
    }
}

/// Statistics of any records.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Returns the [statistics](Stats) of the numbers that `number_of` returns for the records. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["a", "bag", "of", "words"]);
    /// let lengths = words.stats_of(|word| word.len())?;
    /// assert_eq!((lengths.sum(), lengths.max()), (11.0, Some(5.0)));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn stats_of<N, F>(&self, number_of: F) -> Result<Stats>
    where
        N: Numeric,
        F: for<'a> Fn(T::Peek<'a>) -> N + Send + Sync + 'static,
    {
        self.summarize_at(Site::new("stats_of"), summary::stats_of(number_of))
    }

    /// Returns the product of all records; that of no records is 1. Runs a job.
    ///
    /// On overflow, it behaves as `*` does. A floating-point product depends on the partitioning, but not on the run.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(1..6).product::<u64>()?, 120);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn product<S>(&self) -> Result<S>
    where
        S: for<'a> Product<T::Ref<'a>> + Product<S> + Data,
    {
        let add = |product: S, record: T::Ref<'_>| {
            let factors = [product, std::iter::once(record).product()];
            factors.into_iter().product::<S>()
        };
        let make = || std::iter::empty::<S>().product::<S>();
        let merge = |product, later| [product, later].into_iter().product();
        self.fold_at(Site::new("product"), Plain(make), Plain(add), merge)
    }

    /// Returns the smallest and the greatest record, or `None` if the bag is empty. If several records are equally
    /// small or great, returns the first of the smallest and the last of the greatest. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::from_vec(vec![3, 1, 2]).minmax()?, Some((1, 3)));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn minmax(&self) -> Result<Option<(T::Owned, T::Owned)>>
    where
        T: ClonedRecord + OrderedRecord,
    {
        self.summarize_at(Site::new("minmax"), summary::minmax())
    }

    /// Returns the number of distinct records. Runs a job with a shuffle, as [`distinct`](Bag::distinct) does.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(0..1000).map(|n| n % 7).count_distinct()?, 7);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn count_distinct(&self) -> Result<u64>
    where
        T: Key,
    {
        let site = Site::new("count_distinct");
        let distinct = self.clone().distinct_at(site);
        distinct.summarize_at(site, summary::count())
    }
}

/// Quantiles.
impl<T, P> Bag<T, P>
where
    T: Storable + ClonedRecord + ?Sized,
    P: Pipeline<Out = T>,
{
    /// Returns exact quantiles: for each fraction of `at`, the smallest record such that at least this fraction of all
    /// records are not greater. 0.5 is the median, 0 the minimum and 1 the maximum. If the bag is empty, the result is
    /// empty, too. Runs two jobs: the first one sorts and counts the records, which are
    /// [persisted](StorageLevel::MemoryThenDisk) until the second one has found the quantiles.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Panics
    ///
    /// Panics if a fraction is not in `0.0..=1.0`.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range(1..=1000).map(|n| n * 3 % 1001);
    /// assert_eq!(numbers.quantiles(&[0.5, 0.99, 0.0])?, [500, 990, 1]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn quantiles(&self, at: &[f64]) -> Result<Vec<T::Owned>>
    where
        T: Sortable,
    {
        check_fractions(at);
        let site = Site::new("quantiles");
        T::sort_bag(self.clone(), "quantiles").ranked_at(site, at)
    }

    /// Returns exact [quantiles](Bag::quantiles) in the order of `compare`, which must be a total order. Runs two jobs.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Panics
    ///
    /// Panics if a fraction is not in `0.0..=1.0`.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec![2.5, -1.0, 0.5]);
    /// assert_eq!(numbers.quantiles_by(&[0.5], f64::total_cmp)?, [0.5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn quantiles_by<F>(&self, at: &[f64], compare: F) -> Result<Vec<T::Owned>>
    where
        F: for<'a, 'b> Fn(T::Peek<'a>, T::Peek<'b>) -> std::cmp::Ordering + Send + Sync + 'static,
    {
        self.quantiles_by_at(Site::new("quantiles_by"), at, Plain(compare))
    }

    #[track_caller]
    pub(super) fn quantiles_by_at<C>(
        &self,
        site: Site,
        at: &[f64],
        compare: C,
    ) -> Result<Vec<T::Owned>>
    where
        C: for<'a, 'b> Call<(T::Peek<'a>, T::Peek<'b>), Out = std::cmp::Ordering>,
    {
        check_fractions(at);
        let sorted = self.clone().sort_by_at(site, compare);
        sorted.ranked_at(site, at)
    }

    /// Returns the records of a sorted bag at fractions of its length.
    fn ranked_at(self, site: Site, at: &[f64]) -> Result<Vec<T::Owned>> {
        let sorted = self.persist(StorageLevel::default());
        let mut ends = Vec::new();
        sorted.run(&Count { site }, |_, count| {
            ends.push(ends.last().copied().unwrap_or(0) + count);
            ControlFlow::Continue(())
        })?;
        let Some(&count) = ends.last().filter(|count| **count > 0) else {
            return Ok(Vec::new());
        };
        // Each as the index of a record, and the index of its fraction.
        let mut ranks: Vec<_> = at.iter().map(|at| rank(*at, count)).zip(0..).collect();
        ranks.sort_unstable();
        let places = ranks.iter().map(|(rank, _)| {
            let partition = ends.partition_point(|end| end <= rank);
            let start = partition.checked_sub(1).map_or(0, |before| ends[before]);
            (partition, rank - start)
        });
        let places: Vec<Place> = places.collect();
        let found = sorted.at_places(site, places)?;
        let mut found: Vec<_> = ranks.into_iter().zip(found).collect();
        found.sort_unstable_by_key(|((_, index), _): &((u64, usize), T::Owned)| *index);
        Ok(found.into_iter().map(|(_, record)| record).collect())
    }

    /// Returns the records at `places`, which must be in ascending order.
    fn at_places(self, site: Site, places: Vec<Place>) -> Result<Vec<T::Owned>> {
        let choose = |places: &Vec<Place>,
                      partition: usize,
                      records: Records<'_, T>,
                      emit: &mut dyn FnMut(T::Owned)| {
            let first = places.partition_point(|(of, _)| *of < partition);
            let places = places[first..].iter();
            let places = places.take_while(|(of, _)| *of == partition);
            let mut positions = places.map(|(_, position)| *position).peekable();
            if positions.peek().is_none() {
                return;
            }
            let mut position = 0;
            records.try_for_each(|record| {
                while positions.next_if_eq(&position).is_some() {
                    emit(T::cloned(T::peek(&record)));
                }
                position += 1;
                match positions.peek() {
                    Some(_) => ControlFlow::Continue(()),
                    None => ControlFlow::Break(()),
                }
            });
        };
        let chosen = self.map_partitions_at(site, Stated(ClosureState::given(places), choose));
        chosen.collect_at(site)
    }
}

/// Maximum number of buckets of equal width. Each takes 16 bytes in each task, so a much larger number would be no error
/// of the job: it would exhaust the memory.
const MAX_BUCKETS: usize = 1 << 24;

/// A partition, and a position in it.
type Place = (usize, u64);

#[track_caller]
fn check_fractions(at: &[f64]) {
    for fraction in at {
        assert!(
            (0.0..=1.0).contains(fraction),
            "a quantile is at a fraction from 0 to 1, not {fraction}"
        );
    }
}

/// Returns the index of a quantile among `count` records.
fn rank(at: f64, count: u64) -> u64 {
    ((at * count as f64).ceil() as u64).clamp(1, count) - 1
}
