//! Counts, sums, statistics and summaries of the values of each key.

use std::marker::PhantomData;
use std::sync::Arc;

use super::keyed::finish;
use super::per_key::equal_are_same;
use super::{Bag, PerKey};
use crate::operators::combines::ByClosures;
use crate::pipeline::{Data, Pipeline, Plain};
use crate::portable::Portable;
use crate::shuffle::{AnyOrder, EntriesOfValues};
use crate::summary::{self, Histogram, Numeric, Stats, Summary};
use crate::task::Site;

/// All values of each key, combined into one.
impl<K: Data + Eq, V: Data, P: Pipeline<Out = (K, V)>> PerKey<K, V, P> {
    /// Sets the number of partitions of the result, like [`Bag::shuffle_partitions`].
    ///
    /// # Panics
    ///
    /// Panics if `partitions` is 0 or more than 2^24.
    ///
    /// # Examples
    ///
    /// ```
    /// let counts = holdall::range(0..100).map(|n| (n % 7, n)).per_key().shuffle_partitions(4).count();
    /// assert_eq!(counts.partitions(), Some(4));
    /// ```
    #[track_caller]
    pub fn shuffle_partitions(self, partitions: usize) -> Self {
        let pairs = self.pairs.shuffle_partitions(partitions);
        Self { pairs }
    }

    /// Counts the values of each key, like [`Bag::count_by_key`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 3), ('b', 1), ('a', 7)]);
    /// assert_eq!(pairs.per_key().count().sort().collect()?, [('a', 2), ('b', 1)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn count(self) -> Bag<(K, u64)> {
        self.pairs.count_by_key_at(Site::new("count"))
    }

    /// Combines the values of each key into one with `op`, like [`Bag::reduce_by_key`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 6), ('b', 4), ('a', 3)]);
    /// let bits = pairs.per_key().reduce(|a, b| a | b).sort();
    /// assert_eq!(bits.collect()?, [('a', 7), ('b', 4)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn reduce<F>(self, op: F) -> Bag<(K, V)>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
    {
        self.pairs.reduce_by_key_at(Site::new("reduce"), Plain(op))
    }

    /// Folds the values of each key with `op`, which changes the value so far, starting from `initial`. Like
    /// [`Bag::fold_by_key`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 6), ('b', 4), ('a', 3)]);
    /// let products = pairs.per_key().fold(1, |product, n| *product *= n).sort();
    /// assert_eq!(products.collect()?, [('a', 18), ('b', 4)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn fold<F>(self, initial: V, op: F) -> Bag<(K, V)>
    where
        V: Clone + Sync,
        F: Fn(&mut V, V) + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("fold"), Arc::new(Plain(op)));
        self.pairs
            .aggregate_by_key_at(site, initial, Arc::clone(&op), op)
    }

    /// Adds the values of each key to an accumulator with `op`, starting from `initial`, and merges the accumulators of
    /// several partitions with `merge`. Like [`Bag::aggregate_by_key`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::BTreeSet;
    ///
    /// let pairs = holdall::from_vec(vec![('a', 6), ('a', 4), ('a', 6)]);
    /// let sets = pairs.per_key().aggregate(
    ///     BTreeSet::new(),
    ///     |set, n| {
    ///         set.insert(n);
    ///     },
    ///     BTreeSet::extend,
    /// );
    /// assert_eq!(sets.collect()?, [('a', [4, 6].into())]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn aggregate<A, Op, Merge>(self, initial: A, op: Op, merge: Merge) -> Bag<(K, A)>
    where
        A: Data + Clone + Sync,
        Op: Fn(&mut A, V) + Send + Sync + 'static,
        Merge: Fn(&mut A, A) + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("aggregate"), Arc::new(Plain(op)));
        self.pairs
            .aggregate_by_key_at(site, initial, op, Plain(merge))
    }

    /// Computes several results for the values of each key in one pass: a [summary](crate::summary), or a tuple of up to
    /// twelve.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::summary::{count, mean, minmax_by};
    ///
    /// let readings = holdall::from_vec(vec![('a', 3.5), ('b', 1.0), ('a', 0.5)]);
    /// let summaries = readings.per_key().summarize((count(), mean(), minmax_by(f64::total_cmp)));
    /// let summaries = summaries.sort_by_key(|(station, _)| *station).collect()?;
    /// assert_eq!(summaries[0], ('a', (2, Some(2.0), Some((0.5, 3.5)))));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn summarize<S>(self, summary: S) -> Bag<(K, S::Output)>
    where
        S: Summary<V, Output: 'static> + Portable,
    {
        self.pairs
            .summarize_by_key_at(Site::new("summarize"), summary)
    }

    /// Returns the smallest and the greatest value of each key; of equal ones the first and the last.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::range(1..11).map(|n| (n % 3, n));
    /// assert_eq!(pairs.per_key().minmax().sort().collect()?, [(0, (3, 9)), (1, (1, 10)), (2, (2, 8))]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn minmax(self) -> Bag<(K, (V, V))>
    where
        V: Clone + Ord,
    {
        let first = |value: V| (value.clone(), value);
        let add = |(min, max): &mut (V, V), value: V| {
            if value < *min {
                *min = value;
            } else if value >= *max {
                *max = value;
            }
        };
        let merge = |(min, max): &mut (V, V), later: (V, V)| {
            if later.0 < *min {
                *min = later.0;
            }
            if later.1 >= *max {
                *max = later.1;
            }
        };
        let minmax = ByClosures {
            create: Plain(first),
            add: Plain(add),
            merge: Plain(merge),
            types: PhantomData,
        };
        let site = Site::new("minmax");
        match equal_are_same::<V>() {
            true => self.pairs.combine_at(site, AnyOrder(minmax)),
            false => self.pairs.combine_at(site, EntriesOfValues(minmax)),
        }
    }

    /// Counts the distinct values of each key, which must fit into memory.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 3), ('b', 1), ('a', 3), ('a', 4)]);
    /// assert_eq!(pairs.per_key().count_distinct().sort().collect()?, [('a', 2), ('b', 1)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn count_distinct(self) -> Bag<(K, u64)>
    where
        V: Clone + Ord,
    {
        self.pairs
            .summarize_by_key_at(Site::new("count_distinct"), summary::count_distinct())
    }

    /// Returns the [statistics](Stats) of the numbers that `number_of` returns for the values of each key.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["pear", "fig", "plum", "fennel"]);
    /// let lengths = words.key_by(|word| word.chars().next()).per_key().stats_of(|word| word.len());
    /// let means = lengths.map_values(|lengths| lengths.mean()).sort_by_key(|(letter, _)| *letter);
    /// assert_eq!(means.collect()?, [(Some('f'), Some(4.5)), (Some('p'), Some(4.0))]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn stats_of<N, F>(self, number_of: F) -> Bag<(K, Stats)>
    where
        N: Numeric,
        F: Fn(&V) -> N + Send + Sync + 'static,
    {
        self.pairs
            .summarize_by_key_at(Site::new("stats_of"), summary::stats_of(number_of))
    }
}

/// Statistics of the numbers of each key. They are computed in the order of the bag; see
/// [order](crate#order-and-partitions) for the last digits.
impl<K: Data + Eq, V: Numeric, P: Pipeline<Out = (K, V)>> PerKey<K, V, P> {
    /// Sums the values of each key, like [`Bag::sum_by_key`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 0.5), ('b', 1.0), ('a', 0.25)]);
    /// let sums = pairs.per_key().sum().sort_by_key(|(key, _)| *key);
    /// assert_eq!(sums.collect()?, [('a', 0.75), ('b', 1.0)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sum(self) -> Bag<(K, V)> {
        self.pairs.sum_by_key_at(Site::new("sum"))
    }

    /// Multiplies the values of each key.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 6), ('b', 4), ('a', 3)]);
    /// assert_eq!(pairs.per_key().product().sort().collect()?, [('a', 18), ('b', 4)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn product(self) -> Bag<(K, V)> {
        self.pairs
            .summarize_by_key_at(Site::new("product"), summary::product())
    }

    /// Returns the arithmetic mean of the values of each key.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 1), ('b', 5), ('a', 2)]);
    /// let means = pairs.per_key().mean().sort_by_key(|(key, _)| *key);
    /// assert_eq!(means.collect()?, [('a', 1.5), ('b', 5.0)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn mean(self) -> Bag<(K, f64)> {
        let site = Site::new("mean");
        let means = self.pairs.summarize_by_key_at(site, summary::mean());
        // Each key has a value.
        let mean = |(key, mean): (K, Option<f64>)| (key, mean.unwrap_or(f64::NAN));
        finish(means, site, Plain(mean))
    }

    /// Returns the count, sum, mean, variance, minimum and maximum of the values of each key.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 4.0), ('a', 7.0), ('a', 13.0), ('a', 16.0)]);
    /// let stats = pairs.per_key().stats().map_values(|stats| stats.variance());
    /// assert_eq!(stats.collect()?, [('a', Some(22.5))]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn stats(self) -> Bag<(K, Stats)> {
        self.pairs
            .summarize_by_key_at(Site::new("stats"), summary::stats())
    }

    /// Counts the values of each key by buckets, like [`Bag::histogram`].
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two edges, or if they do not ascend.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::range(0..20).map(|n| (n % 2, n));
    /// let counts = pairs.per_key().histogram(&[0.0, 5.0, 10.0]).map_values(|sizes| sizes.counts().to_vec());
    /// assert_eq!(counts.sort().collect()?, [(0, vec![3, 3]), (1, vec![2, 3])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn histogram(self, edges: &[f64]) -> Bag<(K, Histogram)> {
        self.pairs
            .summarize_by_key_at(Site::new("histogram"), summary::histogram(edges))
    }
}

/// Sums that do not depend on the partitioning.
impl<K, V, P> PerKey<K, V, P>
where
    K: Data + Eq,
    V: Data + Copy + Into<f64>,
    P: Pipeline<Out = (K, V)>,
{
    /// Sums the values of each key exactly, and rounds the sum once, like [`Bag::sum_exact`]. Unlike other sums of
    /// floating-point numbers by key, the result does not depend on the partitioning or the memory.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 1e100), ('a', 1.0), ('a', -1e100)]);
    /// assert_eq!(pairs.per_key().sum_exact().collect()?, [('a', 1.0)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sum_exact(self) -> Bag<(K, f64)> {
        self.pairs
            .summarize_by_key_at(Site::new("sum_exact"), summary::sum_exact())
    }
}
