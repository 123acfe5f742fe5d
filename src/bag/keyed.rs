//! Transformations by key. They are wide: records travel to the partition that their key belongs to.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Bag;
use crate::lineage::{Keyed, Node, Parent};
use crate::operators::Narrow;
use crate::operators::combine_by_key::{CombineInPlace, Combined, Combining};
use crate::operators::combine_in_order::CombiningInOrder;
use crate::operators::combines::{CountByKey, CountByValue, Distinct, SumByKey, WholeNumber};
use crate::operators::map::Map;
use crate::pipeline::{Data, Key, Owned, Pipeline, Record};
use crate::shuffle::{Combine, HashPartitioner};
use crate::task::Site;

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Combines the values of each key: in place, if the records are where their keys belong, or else by a shuffle.
    pub(super) fn combine_at<C>(self, site: Site, combine: C) -> Bag<(Owned<C::Key>, C::Combined)>
    where
        C: Combine<In = T>,
    {
        let keyed = Keyed::by::<C::Key>(self.context.shuffle_partitions());
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
    ) -> Bag<(Owned<C::Key>, C::Combined), Combined<C>>
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
        let combined = Combined {
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

/// The keys of what was combined: one operator to whoever looks at the plan, so no node of its own.
fn keys_of<K: 'static, C: 'static, P: Pipeline<Out = (K, C)>>(
    bag: Bag<(K, C), P>,
    site: Site,
) -> Bag<K> {
    let key = Map {
        state: Arc::new(()),
        op: |(): &(), (key, _): (K, C)| key,
        site,
        out: PhantomData,
    };
    Bag::new(Narrow::new(bag.pipeline, key), bag.node, bag.context).boxed()
}

/// Keyed transformations of the records themselves.
///
/// Equal records are brought together by a shuffle. What comes out has as many partitions as the context says
/// ([`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions), 64 by default) and is in the order of the
/// [hash](crate#hash) of the serialised record, then of its bytes: the same on every executor, with any number of
/// threads and of partitions.
///
/// They are wide: an action runs all before it as a stage of its own. Records that serde cannot read back are
/// [refused](crate#types-of-records) when it runs.
impl<T: Key + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Counts how often each record comes: gives pairs of a record and its count.
    ///
    /// Records are counted before they travel. Text is not copied, but once for each that is new to its thread.
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

    /// Each record once, in the order of its hash, not of its first place.
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
        let site = Site::new("distinct");
        let distinct = Distinct(PhantomData);
        let keyed = Keyed::by::<T>(self.context.shuffle_partitions());
        if self.node.keyed == Some(keyed) {
            keys_of(self.combine_in_place(site, distinct, keyed), site)
        } else {
            keys_of(self.combine_by_shuffle(site, distinct, keyed), site)
        }
    }
}

/// Keyed transformations of pairs.
///
/// Pairs of equal keys are brought together by a shuffle. What comes out has as many partitions as the context says
/// ([`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions), 64 by default) and is in the order of the
/// [hash](crate#hash) of the serialised key, then of its bytes: the same on every executor, with any number of
/// threads and of partitions. The values of a key are combined in the order of the bag, first within partitions, then
/// across partitions; so a combining closure must be associative, but need not be commutative. What `+` of
/// floating-point numbers gives may differ in the last digits, see [order](crate#order-and-partitions).
///
/// What does not fit into the [memory](crate#memory-and-disk) of the context is written to files and merged from there.
///
/// They are wide: an action runs all before it as a stage of its own. Records that serde cannot read back are
/// [refused](crate#types-of-records) when it runs.
impl<K: Data + Eq, V: 'static, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Counts how often each key comes. The values are not looked at.
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
        self.combine_at(Site::new("count_by_key"), CountByKey(PhantomData))
    }

    /// Sums the values of each key, which are whole numbers.
    ///
    /// Needs less memory and time than [`reduce_by_key`](Bag::reduce_by_key), since it does not matter in what order
    /// whole numbers are summed. It overflows as `+` does.
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
        V: Data + WholeNumber,
    {
        self.combine_at(Site::new("sum_by_key"), SumByKey(PhantomData))
    }

    /// Combines the values of each key, by `op`, to one value.
    ///
    /// Values are combined before they travel.
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
        self.with(()).reduce_by_key(move |(), a, b| op(a, b))
    }

    /// Folds the values of each key, from `initial` on, by `op`; `merge` brings the results of several partitions
    /// together.
    ///
    /// `initial` is taken once or more often for each key, in one partition after the other, so it must change nothing:
    /// 0 for a sum, an empty collection for a union.
    ///
    /// # Examples
    ///
    /// ```
    /// let lengths = holdall::from_vec(vec![(1, "a"), (2, "bb"), (1, "ccc")])
    ///     .aggregate_by_key(0, |sum, text| sum + text.len(), |sum, later| sum + later);
    /// let mut lengths = lengths.collect()?;
    /// lengths.sort();
    /// assert_eq!(lengths, [(1, 4), (2, 2)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn aggregate_by_key<A, Op, Merge>(self, initial: A, op: Op, merge: Merge) -> Bag<(K, A)>
    where
        A: Data + Clone + Sync,
        Op: Fn(A, V) -> A + Send + Sync + 'static,
        Merge: Fn(A, A) -> A + Send + Sync + 'static,
    {
        self.with(()).aggregate_by_key(
            initial,
            move |(), combined, value| op(combined, value),
            move |(), combined, later| merge(combined, later),
        )
    }

    /// Folds the values of each key, from `initial` on, by `op`.
    ///
    /// `initial` is taken once or more often for each key, in one partition after the other, so it must change nothing:
    /// 0 for a sum.
    ///
    /// # Examples
    ///
    /// ```
    /// let products = holdall::range(1..6).map(|n| (n % 2, n)).fold_by_key(1, |product, n| product * n);
    /// let mut products = products.collect()?;
    /// products.sort();
    /// assert_eq!(products, [(0, 8), (1, 15)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn fold_by_key<F>(self, initial: V, op: F) -> Bag<(K, V)>
    where
        V: Data + Clone + Sync,
        F: Fn(V, V) -> V + Send + Sync + 'static,
    {
        self.with(()).fold_by_key(initial, move |(), a, b| op(a, b))
    }

    /// Combines the values of each key: `create` makes the first one a combined value, `add` takes in a further one,
    /// and `merge` brings the combined values of several partitions together. The other methods here are cases of it.
    ///
    /// `merge` is handed what came earlier in the bag as its first argument.
    ///
    /// # Examples
    ///
    /// ```
    /// let means = holdall::from_vec(vec![("a", 1.0), ("b", 5.0), ("a", 2.0)])
    ///     .map(|(key, n)| (key.to_owned(), n))
    ///     .combine_by_key(
    ///         |n| (n, 1),
    ///         |(sum, count), n| (sum + n, count + 1),
    ///         |(sum, count), later| (sum + later.0, count + later.1),
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
        Add: Fn(C, V) -> C + Send + Sync + 'static,
        Merge: Fn(C, C) -> C + Send + Sync + 'static,
    {
        self.with(()).combine_by_key(
            move |(), value| create(value),
            move |(), combined, value| add(combined, value),
            move |(), combined, later| merge(combined, later),
        )
    }
}
