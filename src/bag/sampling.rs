//! Random samples and permutations.

use std::collections::HashMap;
use std::hash::Hash;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Bag;
use crate::error::Result;
use crate::lineage::RecordOrder;
use crate::operators::actions::{Collect, TakeSample, keep_least};
use crate::operators::lend::Lend;
use crate::operators::map::Map;
use crate::operators::sample::{Cell, CellOfKey, RandomRank, Repeat, Sample, WithRandom};
use crate::operators::sample_exact::SampleExact;
use crate::operators::scans::Draw;
use crate::operators::{Narrow, Then};
use crate::pipeline::{Data, Pipeline, Plain, Record, Storable};
use crate::shuffle::sort::{ByNumberPair, ByRankedKey, Typed};
use crate::task::Site;

fn assert_fraction(fraction: f64) {
    assert!(
        (0.0..=1.0).contains(&fraction),
        "a fraction from 0 to 1, not {fraction}"
    );
}

/// Random samples. They depend only on `seed`, the partitions of the bag, and the order in them.
///
/// The same program therefore chooses the same records in every run and on every executor. A different seed or
/// partitioning selects other records. To sample several bags of the same partitioning independently, use different
/// seeds.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Keeps each record with probability `fraction`, independently of the others. Narrow: keeps partitions and order.
    ///
    /// The choice depends only on `seed`, the partition, and the position in it. The same program therefore keeps the
    /// same records in every run and on every executor. A different seed or partitioning selects other records. For an
    /// exact number of records, use [`take_sample`](Bag::take_sample).
    ///
    /// # Panics
    ///
    /// Panics if `fraction` is not in `0.0..=1.0`.
    ///
    /// # Examples
    ///
    /// ```
    /// let tenth = holdall::range(0..10_000).sample(0.1, 7);
    /// assert!((900..1_100).contains(&tenth.count()?));
    /// assert_eq!(tenth.collect()?, tenth.collect()?);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sample(self, fraction: f64, seed: u64) -> Bag<T, impl Pipeline<Out = T>> {
        assert_fraction(fraction);
        self.sample_at(Site::new("sample"), (0.0, fraction), seed)
    }

    fn sample_at(self, site: Site, range: (f64, f64), seed: u64) -> Bag<T, Sample<P, Cell>> {
        let keyed = self.node.keyed;
        let cell = Cell(range);
        self.then(site, |parent| Sample { parent, cell, seed })
            .keyed(keyed)
    }

    /// Repeats each record a random number of times, on average `mean` times. Narrow: keeps partitions and order; the
    /// copies of a record are neighbours.
    ///
    /// This is a sample with replacement, in which `mean` is the size of the sample relative to the bag: 1.0 for a
    /// bootstrap. The numbers of copies have a Poisson distribution and are independent, so the size of the sample
    /// varies. For an exact size, use [`take_sample_with_replacement`](Bag::take_sample_with_replacement).
    ///
    /// # Panics
    ///
    /// Panics if `mean` is negative, infinite or not a number.
    ///
    /// # Examples
    ///
    /// ```
    /// let copies = holdall::range(0..10_000).sample_with_replacement(1.0, 7);
    /// assert!((9_600..10_400).contains(&copies.count()?));
    /// assert!((6_000..6_600).contains(&copies.dedup().count()?)); // about 1 - 1/e of the records
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sample_with_replacement(self, mean: f64, seed: u64) -> Bag<T, impl Pipeline<Out = T>>
    where
        T::Owned: Clone,
    {
        assert!(
            mean.is_finite() && mean >= 0.0,
            "a mean of 0 or more, not {mean}"
        );
        let keyed = self.node.keyed;
        let site = Site::new("sample_with_replacement");
        self.then(site, |parent| Repeat { parent, mean, seed })
            .keyed(keyed)
    }

    /// Divides the records at random: each record is in one of the bags that this method returns, with a probability
    /// proportional to the weight of that bag. Narrow: each bag keeps partitions and order.
    ///
    /// An action on one of the bags computes all records of this bag, and drops those of the others. If that is
    /// expensive, [`persist`](Bag::persist) this bag first.
    ///
    /// # Panics
    ///
    /// Panics if a weight is negative, infinite or not a number, or if all weights are 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let [training, test] = holdall::range(0..10_000).split_random([4.0, 1.0], 7);
    /// assert!((7_800..8_200).contains(&training.count()?));
    /// assert_eq!(training.union(test).distinct().count()?, 10_000);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn split_random<const N: usize>(
        self,
        weights: [f64; N],
        seed: u64,
    ) -> [Bag<T, impl Pipeline<Out = T> + use<T, P, N>>; N] {
        let is_weight = |weight: &f64| weight.is_finite() && *weight >= 0.0;
        let total: f64 = weights.iter().sum();
        assert!(
            weights.iter().all(is_weight) && total.is_finite() && (total > 0.0 || N == 0),
            "weights of 0 or more, and not all 0, not {weights:?}"
        );
        let site = Site::new("split_random");
        let mut before = 0.0;
        let mut sum = 0.0;
        weights.map(|weight| {
            sum += weight;
            let range = (before, sum / total);
            before = range.1;
            self.clone().sample_at(site, range, seed)
        })
    }

    /// Returns `n` records chosen at random, or all records if there are fewer. Runs a job.
    ///
    /// Each set of `n` records is as likely as any other. The records are in the order of the bag. The job reads the
    /// bag once, and needs memory for `n` records per partition that is not merged yet.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let sample = holdall::range(0..10_000).take_sample(3, 7)?;
    /// assert_eq!(sample.len(), 3);
    /// assert!(sample.is_sorted());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn take_sample(&self, n: usize, seed: u64) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
    {
        let (site, records) = (Site::new("take_sample"), PhantomData);
        let action = TakeSample {
            site,
            n,
            seed,
            records,
        };
        let mut chosen = Vec::new();
        self.run(&action, |task, part: Vec<_>| {
            // Dropping records may run user code.
            task.call(&site, || {
                chosen.extend(part);
                keep_least(&mut chosen, n);
            });
            ControlFlow::Continue(())
        })?;
        let in_order = |((_, partition, position), _): &(RandomRank, _)| (*partition, *position);
        chosen.sort_unstable_by_key(in_order);
        Ok(chosen.into_iter().map(|(_, record)| record).collect())
    }

    /// Returns `n` records, each chosen at random from all records, so that a record may occur several times. Returns
    /// no records if the bag is empty. Runs a job.
    ///
    /// The records are in the order of the bag. The job first counts the records, and so computes the bag twice; see
    /// [`zip_with_index`](Bag::zip_with_index).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect), and
    /// [`NotRepeatable`](crate::ErrorKind::NotRepeatable) if a partition has another number of records the second time.
    ///
    /// # Examples
    ///
    /// ```
    /// let throws = holdall::range(1..=6).take_sample_with_replacement(100, 7)?;
    /// assert_eq!(throws.len(), 100);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn take_sample_with_replacement(&self, n: usize, seed: u64) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data + Clone,
    {
        let site = Site::new("take_sample_with_replacement");
        let drawn = self.clone().scan_at(site, Draw { n, seed });
        let mut all = Vec::new();
        drawn.run(&Collect::all(site), |_, records: Vec<_>| {
            all.extend(records);
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }

    /// Brings the records into a random order: each order is as likely as any other. Wide: sorts by random numbers.
    ///
    /// The result has [`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions) partitions (64 by default). To
    /// distribute records evenly without a random order, use [`repartition`](Bag::repartition).
    ///
    /// # Examples
    ///
    /// ```
    /// let cards = holdall::range(0..52).permute(7);
    /// assert!(!cards.collect()?.is_sorted());
    /// assert_eq!(cards.sort().collect()?, (0..52).collect::<Vec<_>>());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[doc(alias = "shuffle")]
    #[track_caller]
    pub fn permute(self, seed: u64) -> Bag<T>
    where
        T: Storable,
    {
        let site = Site::new("permute");
        // The sort is stable, so records with equal numbers keep their order, unless the records are numbers, too.
        let (key_of, types) = (Plain(|(number, _): &(u64, T::Owned)| *number), PhantomData);
        let by_number = Typed(ByRankedKey { key_of, types });
        let numbered = self.then(site, |parent| WithRandom { parent, seed });
        let sorted = match ByNumberPair::new() {
            Some(pairs) => numbered.sort_at(site, pairs),
            None => numbered.sort_at(site, by_number),
        };
        let sorted = sorted.ordered(RecordOrder::Random);
        // These steps belong to the same node.
        let record = Map::new(Plain(|(_, record): (u64, T::Owned)| record), site);
        let lent = Narrow::new(sorted.pipeline, Then(record, Lend::new()));
        Bag::new(lent, sorted.node, sorted.context).boxed()
    }
}

/// Random samples by key. They depend only on `seed`, the partitions of the bag, and the order in them.
impl<K: Data + Eq + Hash + Sync, V: 'static, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Keeps each pair with the probability that `fractions` has for its key, independently of the others. Drops pairs
    /// whose key `fractions` does not have. Narrow: keeps partitions and order.
    ///
    /// # Panics
    ///
    /// Panics if a fraction is not in `0.0..=1.0`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// let pairs = holdall::range(0..10_000).map(|n| (n % 2, n));
    /// let sample = pairs.sample_by_key(HashMap::from([(0, 0.1), (1, 1.0)]), 7);
    /// assert!((5_400..5_600).contains(&sample.count()?));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sample_by_key(
        self,
        fractions: HashMap<K, f64>,
        seed: u64,
    ) -> Bag<(K, V), impl Pipeline<Out = (K, V)>> {
        fractions.values().copied().for_each(assert_fraction);
        let keyed = self.node.keyed;
        let cell = CellOfKey(Arc::new(fractions));
        let site = Site::new("sample_by_key");
        self.then(site, |parent| Sample { parent, cell, seed })
            .keyed(keyed)
    }

    /// Keeps the fraction of the pairs of each key that `fractions` has for that key, chosen at random: exactly this
    /// fraction of their number, rounded up. Drops pairs whose key `fractions` does not have. Keeps partitions and
    /// order.
    ///
    /// Of the pairs of a key, each set of that size is as likely as any other. A separate stage first counts the pairs of
    /// each key and partition. A job therefore computes the bag twice, and the bag must be finite; see
    /// [`zip_with_index`](Bag::zip_with_index). Each process divides the samples among the partitions, which takes some
    /// ten nanoseconds for each chosen pair.
    ///
    /// # Errors
    ///
    /// An action fails with [`NotRepeatable`](crate::ErrorKind::NotRepeatable) if a partition has another number of records
    /// the second time, and with [`StreamReadTwice`](crate::ErrorKind::StreamReadTwice) if the bag reads a pipe.
    ///
    /// # Panics
    ///
    /// Panics if a fraction is not in `0.0..=1.0`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// let pairs = holdall::range(0..300).map(|n| (n % 3, n));
    /// let sample = pairs.sample_exact_by_key(HashMap::from([(0, 0.1), (1, 1.0)]), 7);
    /// let mut counts = sample.count_by_key().collect()?;
    /// counts.sort();
    /// assert_eq!(counts, [(0, 10), (1, 100)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sample_exact_by_key(
        self,
        fractions: HashMap<K, f64>,
        seed: u64,
    ) -> Bag<(K, V), impl Pipeline<Out = (K, V)>>
    where
        K: Clone,
    {
        fractions.values().copied().for_each(assert_fraction);
        let site = Site::new("sample_exact_by_key");
        let keyed = self.node.keyed;
        let sample = SampleExact {
            fractions: Arc::new(fractions),
            seed,
            pairs: PhantomData,
        };
        self.scan_at(site, sample).keyed(keyed)
    }
}
