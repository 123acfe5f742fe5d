//! Transformations by key. They are wide: each record is shuffled to the partition of its key.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Bag;
use crate::lineage::{Keyed, Node, Parent};
use crate::operators::Narrow;
use crate::operators::combine_in_order::CombiningInOrder;
use crate::operators::combines::{
    ByClosures, BySummary, CountByKey, CountByValue, Distinct, Reduce, SumByKey,
};
use crate::operators::combining::{CombineInPlace, CombineRead, Combining};
use crate::operators::map::Map;
use crate::pipeline::{Call, Data, Given, Initial, Key, Owned, Pipeline, Plain, Record};
use crate::portable::Portable;
use crate::shuffle::{Combine, EntriesOfValues, HashPartitioner};
use crate::summary::{Numeric, Summary};
use crate::task::Site;

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Combines the values of each key: in place if each record is already in the partition of its key, otherwise by a
    /// shuffle.
    pub(super) fn combine_at<C>(self, site: Site, combine: C) -> Bag<(Owned<C::Key>, C::Combined)>
    where
        C: Combine<In = T>,
    {
        let keyed = self.keyed_by::<C::Key>();
        if self.node.keyed == Some(keyed) {
            self.combine_in_place(site, combine, keyed).boxed()
        } else {
            self.combine_by_shuffle(site, combine, keyed).boxed()
        }
    }

    #[expect(clippy::type_complexity, reason = "an alias would hide the pair")]
    fn combine_by_shuffle<C>(
        self,
        site: Site,
        combine: C,
        keyed: Keyed,
    ) -> Bag<(Owned<C::Key>, C::Combined), CombineRead<C>>
    where
        C: Combine<In = T>,
    {
        let combine = Arc::new(combine);
        let partitioner = HashPartitioner::new(keyed.partitions);
        let combining = Combining {
            combine: Arc::clone(&combine),
            partitioner,
        };
        let (shuffle, dependency) = if C::COMMUTES {
            self.shuffle(site, combining, None)
        } else {
            self.shuffle(site, CombiningInOrder(combining), None)
        };
        let combined = CombineRead {
            shuffle,
            combine,
            partitioner,
            site,
        };
        let node = Node::by_hash(site, keyed, vec![dependency]);
        Bag::new(combined, node, self.context)
    }

    #[expect(clippy::type_complexity, reason = "an alias would hide the pair")]
    fn combine_in_place<C>(
        self,
        site: Site,
        combine: C,
        keyed: Keyed,
    ) -> Bag<(Owned<C::Key>, C::Combined), CombineInPlace<P, C>>
    where
        C: Combine<In = T>,
    {
        let node = Node::by_hash(site, keyed, vec![Parent::narrow(&self.node)]);
        let pipeline = CombineInPlace {
            parent: self.pipeline,
            combine,
            partitioner: HashPartitioner::new(keyed.partitions),
            site,
        };
        Bag::new(pipeline, node, self.context)
    }
}

/// Adds the values of a key to an accumulator, starting from `initial`.
pub(super) fn aggregate<K, V, A, C, Merge>(
    initial: A,
    op: Arc<C>,
    merge: Merge,
) -> impl Combine<In = (K, V), Key = K, Combined = A>
where
    K: Data + Eq,
    V: 'static,
    A: Data + Clone + Sync,
    C: for<'a> Call<(&'a mut A, V), Out = ()>,
    Merge: for<'a> Call<(&'a mut A, A), Out = ()>,
{
    let first = |(initial, op): &(Initial<A>, Arc<C>), value: V| {
        let mut first = initial.call(());
        op.call((&mut first, value));
        first
    };
    ByClosures {
        create: Given((Initial(initial), Arc::clone(&op)), first),
        add: op,
        merge,
        types: PhantomData,
    }
}

/// Converts combined pairs by `op`, which leaves their keys as they are. Adds no node to the lineage, so the plan shows
/// one operator.
pub(super) fn finish<K, C, U, Op, P>(bag: Bag<(K, C), P>, site: Site, op: Op) -> Bag<U>
where
    K: 'static,
    C: 'static,
    U: 'static,
    Op: Call<((K, C),), Out = U>,
    P: Pipeline<Out = (K, C)>,
{
    let op = Map::new(op, site);
    Bag::new(Narrow::new(bag.pipeline, op), bag.node, bag.context).boxed()
}

/// Keyed transformations of whole records. They are wide: an action runs everything before them as a separate stage.
///
/// A shuffle brings equal records together. The result has
/// [`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions) partitions (64 by default), and is ordered by the
/// [hash](crate#hash) of the serialised record, then by its bytes. It is the same on every executor, with any number of
/// threads and of partitions.
///
/// An action [fails](crate#types-of-records) if serde cannot read the records back.
impl<T: Key + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Counts how often each record occurs. Returns pairs of a record and its count.
    ///
    /// Each thread counts its records before the shuffle, and copies each distinct text once.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["to be or not to be"]).flat_map_str(|line, emit| line.split(' ').for_each(emit));
    /// let mut counts = words.count_by_value().collect()?;
    /// counts.sort();
    /// assert_eq!(counts[0], ("be".to_owned(), 2));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn count_by_value(self) -> Bag<(T::Owned, u64)> {
        self.combine_at(Site::new("count_by_value"), CountByValue(PhantomData))
    }

    /// Returns each distinct record once. The order is that of the hash, not of first occurrence.
    ///
    /// # Examples
    ///
    /// ```
    /// let remainders = holdall::range(0..1000).map(|n| n % 3).distinct();
    /// assert_eq!(remainders.count()?, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn distinct(self) -> Bag<T::Owned> {
        self.distinct_at(Site::new("distinct"))
    }

    pub(super) fn distinct_at(self, site: Site) -> Bag<T::Owned> {
        let distinct = Distinct(PhantomData);
        let key = Plain(|(key, ()): (T::Owned, ())| key);
        let keyed = self.keyed_by::<T>();
        if self.node.keyed == Some(keyed) {
            finish(self.combine_in_place(site, distinct, keyed), site, key)
        } else {
            finish(self.combine_by_shuffle(site, distinct, keyed), site, key)
        }
    }
}

/// Keyed transformations of pairs. They are wide: an action runs everything before them as a separate stage.
///
/// A shuffle brings pairs with equal keys together. The result has
/// [`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions) partitions (64 by default), and is ordered by the
/// [hash](crate#hash) of the serialised key, then by the bytes of the key. It is the same on every executor, with any
/// number of threads and of partitions.
///
/// The values of a key are combined in the order of the bag, first within partitions, then across partitions. A
/// combining closure must therefore be associative, but need not be commutative. Floating-point sums may differ in the
/// last digits; see [order](crate#order-and-partitions).
///
/// Data that exceeds the [memory](crate#memory-and-disk) of the context is written to files and merged from there. An
/// action [fails](crate#types-of-records) if serde cannot read the records back.
impl<K: Data + Eq, V: 'static, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Counts how often each key occurs. Ignores the values.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![("a", 1.5), ("b", 0.5), ("a", 2.5)]);
    /// let pairs = pairs.map(|(key, n)| (key.to_owned(), n));
    /// let mut counts = pairs.count_by_key().collect()?;
    /// counts.sort();
    /// assert_eq!(counts, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn count_by_key(self) -> Bag<(K, u64)> {
        self.count_by_key_at(Site::new("count_by_key"))
    }

    pub(super) fn count_by_key_at(self, site: Site) -> Bag<(K, u64)> {
        self.combine_at(site, CountByKey(PhantomData))
    }

    /// Sums the values of each key, which must be [numbers](Numeric).
    ///
    /// For integers, needs less time and memory than [`reduce_by_key`](Bag::reduce_by_key), because they can be summed in
    /// any order. On overflow, it behaves as `+` does. Floating-point numbers are summed in the order of the bag; see
    /// [order](crate#order-and-partitions). For a sum that does not depend on the partitioning, use
    /// [`per_key().sum_exact()`](crate::PerKey::sum_exact).
    ///
    /// # Examples
    ///
    /// ```
    /// let sums = holdall::range(0..10).map(|n| (n % 2, n)).sum_by_key();
    /// let mut sums = sums.collect()?;
    /// sums.sort();
    /// assert_eq!(sums, [(0, 20), (1, 25)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sum_by_key(self) -> Bag<(K, V)>
    where
        V: Numeric,
    {
        self.sum_by_key_at(Site::new("sum_by_key"))
    }

    pub(super) fn sum_by_key_at(self, site: Site) -> Bag<(K, V)>
    where
        V: Numeric,
    {
        self.combine_at(site, SumByKey(PhantomData))
    }

    /// Combines the values of each key into one value with `op`. Values are combined before the shuffle.
    ///
    /// # Examples
    ///
    /// ```
    /// let longest = holdall::from_vec(vec!["pear", "fig", "plum tree", "fennel"])
    ///     .map(|name| (name.chars().next(), name.to_owned()))
    ///     .reduce_by_key(|a, b| if b.len() > a.len() { b } else { a });
    /// let mut longest = longest.values().collect()?;
    /// longest.sort();
    /// assert_eq!(longest, ["fennel", "plum tree"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn reduce_by_key<F>(self, op: F) -> Bag<(K, V)>
    where
        V: Data,
        F: Fn(V, V) -> V + Send + Sync + 'static,
    {
        self.reduce_by_key_at(Site::new("reduce_by_key"), Plain(op))
    }

    pub(super) fn reduce_by_key_at<C>(self, site: Site, op: C) -> Bag<(K, V)>
    where
        V: Data,
        C: Call<(V, V), Out = V>,
    {
        let types = PhantomData;
        self.combine_at(site, Reduce { op, types })
    }

    /// Summarises the values of each key.
    pub(super) fn summarize_by_key_at<S>(self, site: Site, summary: S) -> Bag<(K, S::Output)>
    where
        V: Data,
        S: Summary<V, Output: 'static> + Portable,
    {
        let summary = Arc::new(summary);
        let combine = EntriesOfValues(BySummary {
            summary: Arc::clone(&summary),
            types: PhantomData,
        });
        let result = |summary: &Arc<S>, (key, part)| (key, summary.finish(part));
        finish(self.combine_at(site, combine), site, Given(summary, result))
    }

    pub(super) fn combine_by_key_at<C, Create, Add, Merge>(
        self,
        site: Site,
        create: Create,
        add: Add,
        merge: Merge,
    ) -> Bag<(K, C)>
    where
        C: Data,
        Create: Call<(V,), Out = C>,
        Add: for<'a> Call<(&'a mut C, V), Out = ()>,
        Merge: for<'a> Call<(&'a mut C, C), Out = ()>,
    {
        let types = PhantomData;
        let combine = ByClosures {
            create,
            add,
            merge,
            types,
        };
        self.combine_at(site, combine)
    }

    /// Adds the values of each key to an accumulator with `op`, starting from `initial`, and merges the accumulators of
    /// several partitions with `merge`. The accumulator stays where it is, so a collection of any size can be one.
    ///
    /// A key may start from `initial` several times, for example once in each partition that has the key. `initial`
    /// must therefore be neutral: 0 for a sum, an empty collection for a union.
    ///
    /// # Examples
    ///
    /// ```
    /// let lengths = holdall::from_vec(vec![(1, "a"), (2, "bb"), (1, "ccc")])
    ///     .aggregate_by_key(0, |sum, text| *sum += text.len(), |sum, later| *sum += later);
    /// let mut lengths = lengths.collect()?;
    /// lengths.sort();
    /// assert_eq!(lengths, [(1, 4), (2, 2)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn aggregate_by_key<A, Op, Merge>(self, initial: A, op: Op, merge: Merge) -> Bag<(K, A)>
    where
        A: Data + Clone + Sync,
        Op: Fn(&mut A, V) + Send + Sync + 'static,
        Merge: Fn(&mut A, A) + Send + Sync + 'static,
    {
        let site = Site::new("aggregate_by_key");
        self.aggregate_by_key_at(site, initial, Arc::new(Plain(op)), Plain(merge))
    }

    pub(super) fn aggregate_by_key_at<A, C, Merge>(
        self,
        site: Site,
        initial: A,
        op: Arc<C>,
        merge: Merge,
    ) -> Bag<(K, A)>
    where
        A: Data + Clone + Sync,
        C: for<'a> Call<(&'a mut A, V), Out = ()>,
        Merge: for<'a> Call<(&'a mut A, A), Out = ()>,
    {
        self.combine_at(site, aggregate(initial, op, merge))
    }

    /// Folds the values of each key with `op`, starting from `initial`: `op` changes the value so far, which stays where
    /// it is.
    ///
    /// A key may start from `initial` several times, for example once in each partition that has the key. `initial`
    /// must therefore be neutral: 0 for a sum.
    ///
    /// # Examples
    ///
    /// ```
    /// let products = holdall::range(1..6).map(|n| (n % 2, n)).fold_by_key(1, |product, n| *product *= n);
    /// let mut products = products.collect()?;
    /// products.sort();
    /// assert_eq!(products, [(0, 8), (1, 15)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn fold_by_key<F>(self, initial: V, op: F) -> Bag<(K, V)>
    where
        V: Data + Clone + Sync,
        F: Fn(&mut V, V) + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("fold_by_key"), Arc::new(Plain(op)));
        self.aggregate_by_key_at(site, initial, Arc::clone(&op), op)
    }

    /// Combines the values of each key into a combined value of another type. The other combining methods are special
    /// cases of this one.
    ///
    /// `create` converts the first value of a key to a combined value, `add` adds a further value to a combined value,
    /// and `merge` merges the combined values of several partitions. The first argument of `merge` comes from an
    /// earlier part of the bag than the second. The combined value stays where it is, so it may be a collection of any
    /// size: `combine_by_key(|value| vec![value], Vec::push, Vec::extend)` collects the values of each key.
    ///
    /// # Examples
    ///
    /// ```
    /// let means = holdall::from_vec(vec![("a", 1.0), ("b", 5.0), ("a", 2.0)])
    ///     .map(|(key, n)| (key.to_owned(), n))
    ///     .combine_by_key(
    ///         |n| (n, 1),
    ///         |(sum, count), n| (*sum, *count) = (*sum + n, *count + 1),
    ///         |(sum, count), later| (*sum, *count) = (*sum + later.0, *count + later.1),
    ///     )
    ///     .map_values(|(sum, count)| sum / f64::from(count));
    /// assert!(means.collect()?.contains(&("a".to_owned(), 1.5)));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn combine_by_key<C, Create, Add, Merge>(
        self,
        create: Create,
        add: Add,
        merge: Merge,
    ) -> Bag<(K, C)>
    where
        C: Data,
        Create: Fn(V) -> C + Send + Sync + 'static,
        Add: Fn(&mut C, V) + Send + Sync + 'static,
        Merge: Fn(&mut C, C) + Send + Sync + 'static,
    {
        let site = Site::new("combine_by_key");
        self.combine_by_key_at(site, Plain(create), Plain(add), Plain(merge))
    }
}
