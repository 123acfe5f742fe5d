//! Transformations that sort. They are wide: each record is shuffled to the partition of its range of the sort order.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Bag;
use crate::config::assert_partitions;
use crate::lineage::{Keyed, Node, RecordOrder};
use crate::operators::sort::{SortInPlace, SortRead, Sorting};
use crate::pipeline::{Call, Data, Pipeline, Plain, Record, owned_bytes};
use crate::shuffle::HashPartitioner;
use crate::shuffle::sort::{
    ByCachedKey, ByComparison, ByNumber, ByNumberPair, ByPartition, ByRankedKey, Bytes, Sort, Typed,
};
use crate::task::Site;

/// A record with a natural order, by which [`sort`](Bag::sort) sorts.
///
/// Implemented for every sized type that is [`Data`] and `Ord`, and for `str` and `[u8]`. For other orders, and for
/// types without an order, use [`sort_by`](Bag::sort_by) and related methods.
///
/// # Examples
///
/// ```
/// use holdall::{Bag, Pipeline, Sortable};
///
/// fn least<T, P>(bag: Bag<T, P>) -> holdall::Result<Vec<T::Owned>>
/// where
///     T: Sortable + ?Sized,
///     P: Pipeline<Out = T>,
/// {
///     bag.sort().take(2)
/// }
///
/// assert_eq!(least(holdall::from_vec(vec![3, 1, 2]))?, [1, 2]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "records of type `{Self}` have no order to sort by",
    note = "use `sort_by`, such as `sort_by(f64::total_cmp)`, or `sort_by_key`",
    note = "derive `Serialize` and `Deserialize` of serde, and borrow nothing: `String` instead of `&str`"
)]
pub trait Sortable: Record<Owned: Data> {
    /// Sorts a bag, on behalf of the method `operator`.
    #[doc(hidden)]
    #[track_caller]
    fn sort_bag<P: Pipeline<Out = Self>>(bag: Bag<Self, P>, operator: &'static str) -> Bag<Self>;

    /// Sorts each partition of a bag, on behalf of the method `operator`.
    #[doc(hidden)]
    #[track_caller]
    fn sort_partitions_of<P: Pipeline<Out = Self>>(
        bag: Bag<Self, P>,
        operator: &'static str,
    ) -> Bag<Self>;
}

impl<T: Data + Ord> Sortable for T {
    #[track_caller]
    fn sort_bag<P: Pipeline<Out = T>>(bag: Bag<T, P>, operator: &'static str) -> Bag<T> {
        let site = Site::new(operator);
        if owned_bytes::is_bytes::<T>() {
            return bag.sort_at(site, Bytes(PhantomData)).ascending(true);
        }
        if let Some(numbers) = ByNumber::new() {
            return bag.sort_at(site, numbers).ascending(true);
        }
        if let Some(pairs) = ByNumberPair::new() {
            return bag.sort_at(site, pairs).ascending(true);
        }
        bag.sort_by_at(site, Plain(|a: &T, b: &T| a.cmp(b)))
            .ascending(true)
    }

    #[track_caller]
    fn sort_partitions_of<P: Pipeline<Out = T>>(bag: Bag<T, P>, operator: &'static str) -> Bag<T> {
        let site = Site::new(operator);
        if owned_bytes::is_bytes::<T>() {
            return bag.sort_in_place(site, Bytes(PhantomData));
        }
        if let Some(numbers) = ByNumber::new() {
            return bag.sort_in_place(site, numbers);
        }
        if let Some(pairs) = ByNumberPair::new() {
            return bag.sort_in_place(site, pairs);
        }
        let (compare, records) = (Plain(|a: &T, b: &T| a.cmp(b)), PhantomData);
        bag.sort_in_place(site, Typed(ByComparison { compare, records }))
    }
}

impl Sortable for str {
    #[track_caller]
    fn sort_bag<P: Pipeline<Out = str>>(bag: Bag<str, P>, operator: &'static str) -> Bag<str> {
        bag.sort_at(Site::new(operator), Bytes(PhantomData))
            .ascending(true)
    }

    #[track_caller]
    fn sort_partitions_of<P: Pipeline<Out = str>>(
        bag: Bag<str, P>,
        operator: &'static str,
    ) -> Bag<str> {
        bag.sort_in_place(Site::new(operator), Bytes(PhantomData))
    }
}

impl Sortable for [u8] {
    #[track_caller]
    fn sort_bag<P: Pipeline<Out = [u8]>>(bag: Bag<[u8], P>, operator: &'static str) -> Bag<[u8]> {
        bag.sort_at(Site::new(operator), Bytes(PhantomData))
            .ascending(true)
    }

    #[track_caller]
    fn sort_partitions_of<P: Pipeline<Out = [u8]>>(
        bag: Bag<[u8], P>,
        operator: &'static str,
    ) -> Bag<[u8]> {
        bag.sort_in_place(Site::new(operator), Bytes(PhantomData))
    }
}

/// Methods that sort. They are wide.
///
/// The result has [`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions) partitions (64 by default). Each is
/// sorted and holds a range of the sort order, so the bag as a whole is sorted. Equal records are in the same
/// partition. The ranges are chosen from samples, so if records are distinct, partitions are of similar size. All sorts
/// are stable: records that compare equal keep the order of the bag.
///
/// The bag is computed only once. Data that exceeds the memory budget is sorted in parts, which are written to files
/// and merged. Long runs of records that are already in order are not sorted again, only merged.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Sorts by `sort` into ranges.
    pub(super) fn sort_at<S: Sort<Record = T>>(self, site: Site, sort: S) -> Bag<T> {
        let partitions = self.partitions_after_shuffle();
        self.sort_into(site, sort, partitions, RecordOrder::Sorted)
    }

    /// Sorts each partition by `sort`.
    fn sort_in_place<S: Sort<Record = T>>(self, site: Site, sort: S) -> Bag<T> {
        let keyed = self.node.keyed;
        let node = Node::narrow(site, self.partitions(), &[&self.node]);
        let pipeline = SortInPlace {
            parent: self.pipeline.erase(),
            sort,
            site,
        };
        let sorted = Bag::new(pipeline, node, self.context);
        let order = RecordOrder::SortedWithinPartitions;
        sorted.ordered(order).keyed(keyed).boxed()
    }

    fn sort_into<S: Sort<Record = T>>(
        self,
        site: Site,
        sort: S,
        partitions: usize,
        order: RecordOrder,
    ) -> Bag<T> {
        let sort = Arc::new(sort);
        let sorting = Sorting {
            sort: Arc::clone(&sort),
            partitions,
        };
        let (shuffle, dependency) = self.shuffle(site, sorting, None);
        let sorted = SortRead {
            shuffle,
            sort,
            partitions,
            site,
        };
        let node = Node::shuffled(site, partitions, dependency, order);
        Bag::new(sorted, node, self.context).boxed()
    }

    pub(super) fn sort_by_at<C>(self, site: Site, compare: C) -> Bag<T>
    where
        T: Record<Owned: Data>,
        C: for<'a, 'b> Call<(T::Peek<'a>, T::Peek<'b>), Out = Ordering>,
    {
        let records = PhantomData;
        self.sort_at(site, Typed(ByComparison { compare, records }))
    }

    /// Sorts the records. Stable: equal records keep their order. Wide.
    ///
    /// Text is sorted by its bytes, which is the order of `str`. It is copied only once, into the memory of the sort,
    /// so this method is much faster for text than the sorts that take a closure.
    ///
    /// # Examples
    ///
    /// ```
    /// let sorted = holdall::from_vec(vec![3, 1, 2]).sort();
    /// assert_eq!(sorted.collect()?, [1, 2, 3]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sort(self) -> Bag<T>
    where
        T: Sortable,
    {
        T::sort_bag(self, "sort")
    }

    /// Sorts the records of each partition. Stable: equal records keep their order. Narrow: keeps partitions, and
    /// shuffles nothing.
    ///
    /// Data that exceeds the thread's share of the memory budget is written to files and merged.
    ///
    /// # Examples
    ///
    /// ```
    /// let sorted = holdall::from_vec_partitioned(vec![3, 1, 2, 0], 2).sort_partitions();
    /// assert_eq!(sorted.collect()?, [1, 3, 0, 2]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sort_partitions(self) -> Bag<T>
    where
        T: Sortable,
    {
        T::sort_partitions_of(self, "sort_partitions")
    }

    /// Sorts the records with `compare`, which must be a total order. Stable: records that compare equal keep their
    /// order. Wide.
    ///
    /// If the records are integers, floating-point numbers or characters, and `compare` is their natural order or its
    /// reverse, the sort compares each record only once or twice.
    ///
    /// If `compare` is not a total order, the result has all records, in an unspecified order, or the job fails as if a
    /// closure had panicked. The sorting functions of std may panic in this case.
    ///
    /// # Examples
    ///
    /// ```
    /// let falling = holdall::from_vec(vec![0.5, 2.5, 1.5]).sort_by(|a, b| f64::total_cmp(b, a));
    /// assert_eq!(falling.collect()?, [2.5, 1.5, 0.5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sort_by<F>(self, compare: F) -> Bag<T>
    where
        T: Record<Owned: Data>,
        F: for<'a, 'b> Fn(T::Peek<'a>, T::Peek<'b>) -> Ordering + Send + Sync + 'static,
    {
        self.sort_by_at(Site::new("sort_by"), Plain(compare))
    }

    /// Sorts the records by the key that `key_of` returns. Stable: records with equal keys keep their order. Wide.
    ///
    /// `key_of` is called several times for each record. If the key is expensive to compute, use
    /// [`sort_by_cached_key`](Bag::sort_by_cached_key). Numbers and texts are fast keys: records are compared only if
    /// their numbers, or the first eight bytes of their texts, are equal.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["pear", "fig", "apple", "plum"]);
    /// let words = words.map(str::to_owned).sort_by_key(|word| word.len());
    /// assert_eq!(words.collect()?, ["fig", "pear", "plum", "apple"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sort_by_key<K, F>(self, key_of: F) -> Bag<T>
    where
        T: Record<Owned: Data>,
        K: Ord + 'static,
        F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let (key_of, types) = (Plain(key_of), PhantomData);
        self.sort_at(
            Site::new("sort_by_key"),
            Typed(ByRankedKey { key_of, types }),
        )
    }

    /// Sorts the records by the key that `key_of` returns. Stable: records with equal keys keep their order. Wide.
    ///
    /// `key_of` is called once for each record, and the key is stored with the record during the sort.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["Pear", "apple", "Fig"]).map(str::to_owned);
    /// let words = words.sort_by_cached_key(|word| word.to_lowercase());
    /// assert_eq!(words.collect()?, ["apple", "Fig", "Pear"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sort_by_cached_key<K, F>(self, key_of: F) -> Bag<T>
    where
        T: Record<Owned: Data>,
        K: Data + Ord,
        F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let (key_of, types) = (Plain(key_of), PhantomData);
        let sort = Typed(ByCachedKey { key_of, types });
        self.sort_at(Site::new("sort_by_cached_key"), sort)
    }

    /// Merges two sorted bags into one sorted bag. Among equal records, those of this bag come first. Wide.
    ///
    /// The partitions of the result are ranges, as after [`sort`](Bag::sort), so all cores take part in the merge. If
    /// both bags are sorted, one comparison per record detects this, and the records are merged without being sorted
    /// again. If they are not sorted, they are sorted first; the result is the same.
    ///
    /// # Examples
    ///
    /// ```
    /// let odd = holdall::from_vec(vec![1, 3, 5]);
    /// let even = holdall::from_vec(vec![0, 2, 4]);
    /// assert_eq!(odd.merge_sorted(even).collect()?, [0, 1, 2, 3, 4, 5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn merge_sorted<Q>(self, other: Bag<T, Q>) -> Bag<T>
    where
        T: Sortable,
        Q: Pipeline<Out = T>,
    {
        T::sort_bag(self.union(other), "merge_sorted")
    }
}

/// Sorting pairs by key.
impl<K: Data + Ord, V: Data, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Distributes pairs over `partitions` partitions by the [hash](crate#hash) of their keys, and sorts each partition
    /// by key. Wide.
    ///
    /// All pairs of a key are in one partition, next to each other and in the order of the bag. You can therefore
    /// process a partition key by key, and hold the values of only one key at a time. If only equal keys need to be
    /// adjacent, this is cheaper than sorting the whole bag. Keyed transformations assign keys to the same partitions
    /// if they have the same number of partitions.
    ///
    /// # Panics
    ///
    /// Panics if `partitions` is 0 or more than 2^24.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![(2, 'a'), (1, 'b'), (2, 'c')]);
    /// let pairs = pairs.repartition_and_sort_within_partitions(1);
    /// assert_eq!(pairs.collect()?, [(1, 'b'), (2, 'a'), (2, 'c')]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn repartition_and_sort_within_partitions(self, partitions: usize) -> Bag<(K, V)> {
        let site = Site::new("repartition_and_sort_within_partitions");
        assert_partitions(partitions);
        let keyed = Keyed::by::<K>(partitions);
        self.sort_within_at(site, keyed, Plain(|_: &V, _: &V| Ordering::Equal))
    }

    /// Brings the pairs of each key together, and sorts them by value (secondary sort). Stable: pairs with equal keys
    /// and values keep their order. Wide.
    ///
    /// Pairs are distributed by the [hash](crate#hash) of their keys, as by a keyed transformation, and each partition is
    /// sorted by key, then by value. Data that exceeds the memory is sorted in files, so a key may have any number of
    /// values. To process the values of a key in order, use [`map_partitions`](Bag::map_partitions), in which the pairs
    /// of a key are neighbours.
    ///
    /// # Examples
    ///
    /// ```
    /// let visits = holdall::from_vec(vec![("ada", 8), ("bob", 4), ("ada", 3), ("ada", 9)]);
    /// // The time from one visit to the next, for each name.
    /// let gaps = visits.sort_values().map_partitions(|visits, emit| {
    ///     let mut last = None;
    ///     visits.for_each(|(name, time)| {
    ///         if let Some((last_name, last_time)) = last.replace((name, time)) && last_name == name {
    ///             emit((name, time - last_time));
    ///         }
    ///     });
    /// });
    /// assert_eq!(gaps.collect()?, [("ada", 5), ("ada", 1)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sort_values(self) -> Bag<(K, V)>
    where
        V: Ord,
    {
        let keyed = self.keyed_by::<K>();
        self.sort_within_at(Site::new("sort_values"), keyed, Plain(V::cmp))
    }

    /// Brings the pairs of each key together, and sorts them with `compare`, which must be a total order of their values.
    /// Like [`sort_values`](Bag::sort_values).
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 0.5), ('a', -2.0), ('a', 1.5)]);
    /// let sorted = pairs.sort_values_by(f64::total_cmp).values();
    /// assert_eq!(sorted.collect()?, [-2.0, 0.5, 1.5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sort_values_by<F>(self, compare: F) -> Bag<(K, V)>
    where
        F: Fn(&V, &V) -> Ordering + Send + Sync + 'static,
    {
        self.sort_values_at(Site::new("sort_values_by"), Plain(compare))
    }

    pub(super) fn sort_values_at<C>(self, site: Site, compare: C) -> Bag<(K, V)>
    where
        C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
    {
        let keyed = self.keyed_by::<K>();
        self.sort_within_at(site, keyed, compare)
    }

    /// Sorts each partition of `keyed` by key, then by a comparison of values.
    fn sort_within_at<C>(self, site: Site, keyed: Keyed, compare: C) -> Bag<(K, V)>
    where
        C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
    {
        let partitions = keyed.partitions;
        let sort = Typed(ByPartition {
            partitioner: HashPartitioner::new(partitions),
            compare,
            pairs: PhantomData,
        });
        let keyed = Some(keyed);
        let order = RecordOrder::ByKeyWithinPartitions;
        if self.node.keyed == keyed {
            let node = Node::narrow(site, Some(partitions), &[&self.node]);
            let pipeline = SortInPlace {
                parent: self.pipeline.erase(),
                sort,
                site,
            };
            let sorted = Bag::new(pipeline, node, self.context);
            return sorted.ordered(order).keyed(keyed).boxed();
        }
        self.sort_into(site, sort, partitions, order).keyed(keyed)
    }
}
