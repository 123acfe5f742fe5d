//! Transformations that sort. They are wide: records travel to the partition that their place in the order belongs to.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Bag;
use crate::lineage::{Keyed, Node, Order};
use crate::operators::sort::{SortInPlace, Sorted, Sorting};
use crate::pipeline::{Data, Pipeline, Record, owned_bytes};
use crate::shuffle::HashPartitioner;
use crate::shuffle::sort::{ByCachedKey, ByComparison, ByPartition, Bytes, Sort, Typed};
use crate::task::Site;

/// A record that has an order of its own: what [`sort`](Bag::sort) sorts by.
///
/// Implemented for every sized type that is [`Data`] and `Ord`, and for `str` and `[u8]`. For other orders, and for
/// types without one, there are [`sort_by`](Bag::sort_by) and the like.
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
pub trait Sortable: Record<Owned: Data> {
    /// Sorts a bag, for the method `operator`.
    #[doc(hidden)]
    #[track_caller]
    fn sort_bag<P: Pipeline<Out = Self>>(bag: Bag<Self, P>, operator: &'static str) -> Bag<Self>;
}

impl<T: Data + Ord> Sortable for T {
    #[track_caller]
    fn sort_bag<P: Pipeline<Out = T>>(bag: Bag<T, P>, operator: &'static str) -> Bag<T> {
        let site = Site::new(operator);
        if owned_bytes::is_bytes::<T>() {
            return bag.sort_at(site, Bytes(PhantomData));
        }
        let compare = |(): &(), a: &T, b: &T| a.cmp(b);
        bag.sort_by_at(site, Arc::new(()), compare)
    }
}

impl Sortable for str {
    #[track_caller]
    fn sort_bag<P: Pipeline<Out = str>>(bag: Bag<str, P>, operator: &'static str) -> Bag<str> {
        bag.sort_at(Site::new(operator), Bytes(PhantomData))
    }
}

impl Sortable for [u8] {
    #[track_caller]
    fn sort_bag<P: Pipeline<Out = [u8]>>(bag: Bag<[u8], P>, operator: &'static str) -> Bag<[u8]> {
        bag.sort_at(Site::new(operator), Bytes(PhantomData))
    }
}

/// Sorting.
///
/// What comes out has as many partitions as the context says
/// ([`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions), 64 by default): each holds a range of the order
/// and is sorted, so that the bag as a whole is. Equal records are in one partition; the ranges come from samples, so
/// that partitions are about as large where records differ. All sorts are stable: records that compare equal stay in
/// the order of the bag.
///
/// The bag is computed once. What does not fit into the memory budget is sorted in parts, which are written to files
/// and merged. Long stretches of the bag that are in order already are not sorted again, but merged.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Sorts by `sort` into ranges.
    fn sort_at<S: Sort<Record = T>>(self, site: Site, sort: S) -> Bag<T> {
        let partitions = self.context.shuffle_partitions();
        self.sort_into(site, sort, partitions, Order::ByRange)
    }

    fn sort_into<S: Sort<Record = T>>(
        self,
        site: Site,
        sort: S,
        partitions: usize,
        order: Order,
    ) -> Bag<T> {
        let sort = Arc::new(sort);
        let sorting = Sorting {
            sort: Arc::clone(&sort),
            partitions,
        };
        let (shuffle, dependency) = self.shuffle(site, sorting, None);
        let sorted = Sorted {
            shuffle,
            sort,
            partitions,
            site,
        };
        let node = Node::shuffled_in_order(site, partitions, dependency, order);
        Bag::new(sorted, node, self.context).boxed()
    }

    pub(super) fn sort_by_at<S, F>(self, site: Site, state: Arc<S>, compare: F) -> Bag<T>
    where
        T: Record<Owned: Data>,
        S: Data + Sync,
        F: for<'a, 'b> Fn(&S, T::Peek<'a>, T::Peek<'b>) -> Ordering + Send + Sync + 'static,
    {
        let records = PhantomData;
        let sort = ByComparison {
            state,
            compare,
            records,
        };
        self.sort_at(site, Typed(sort))
    }

    pub(super) fn sort_by_cached_key_at<K, S, F>(
        self,
        site: Site,
        state: Arc<S>,
        key_of: F,
    ) -> Bag<T>
    where
        T: Record<Owned: Data>,
        K: Data + Ord,
        S: Data + Sync,
        F: for<'a> Fn(&S, T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let types = PhantomData;
        let sort = ByCachedKey {
            state,
            key_of,
            types,
        };
        self.sort_at(site, Typed(sort))
    }

    /// Sorts the records.
    ///
    /// Text is sorted by its bytes, which is the order of `str`, and is not copied but into the sort's own memory; so
    /// this is much faster for text than the sorts by a closure.
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

    /// Sorts the records by `compare`, which must be a total order.
    ///
    /// If it is not, all records come out, in no particular order; or the job fails as it does where a closure panics,
    /// since the sorts of std may panic then.
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
        let compare = move |(): &(), a: T::Peek<'_>, b: T::Peek<'_>| compare(a, b);
        self.sort_by_at(Site::new("sort_by"), Arc::new(()), compare)
    }

    /// Sorts the records by a key, which `key_of` gives anew for each comparison.
    ///
    /// For keys that are part of the record or quick to compute; else
    /// [`sort_by_cached_key`](Bag::sort_by_cached_key) is better.
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
        K: Ord,
        F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let compare = move |(): &(), a: T::Peek<'_>, b: T::Peek<'_>| key_of(a).cmp(&key_of(b));
        self.sort_by_at(Site::new("sort_by_key"), Arc::new(()), compare)
    }

    /// Sorts the records by a key that `key_of` gives once for each record; the key is kept beside it.
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
        let key_of = move |(): &(), record: T::Peek<'_>| key_of(record);
        self.sort_by_cached_key_at(Site::new("sort_by_cached_key"), Arc::new(()), key_of)
    }

    /// The records of two sorted bags as one sorted bag; of equal records, those of this bag come first.
    ///
    /// The partitions of the result are ranges as after [`sort`](Bag::sort), so that it is computed on all cores. Both
    /// bags should be sorted: then records are compared once to find that out, and merged, not sorted again. If they are
    /// not, they are sorted; the result is the same.
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

/// Sorting of pairs.
impl<K: Data + Ord, V: Data, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Divides pairs among `partitions` partitions by the [hash](crate#hash) of their keys, and sorts each by key.
    ///
    /// All pairs of a key are in one partition, one after another in the order of the bag, so that the partition can be
    /// worked on key by key without holding more than a key's values at once. That is cheaper than a sort of the whole
    /// bag where only the neighbourhood of equal keys matters. The partition of a key is that which the keyed
    /// transformations take with as many partitions.
    ///
    /// # Panics
    ///
    /// If `partitions` is 0.
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
        let partitioner = HashPartitioner::new(partitions);
        let pairs = PhantomData;
        let sort = Typed(ByPartition { partitioner, pairs });
        let keyed = Some(Keyed::by::<K>(partitions));
        if self.node.keyed == keyed {
            let node = Node::narrow(site, Some(partitions), &[&self.node]);
            let pipeline = SortInPlace {
                parent: self.pipeline.erase(),
                sort,
                site,
            };
            return Bag::new(pipeline, node, self.context).keyed(keyed).boxed();
        }
        self.sort_into(site, sort, partitions, Order::ByHash)
            .keyed(keyed)
    }
}
