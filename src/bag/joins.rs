//! Groups and joins: transformations that bring all records of a key together.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Bag;
use crate::id::ShuffleId;
use crate::lineage::{Keyed, Node, Parent, ShuffleDependency};
use crate::operators::broadcast_join::BroadcastJoined;
use crate::operators::broadcast_joinings::{
    BroadcastFilter, BroadcastJoining, BroadcastPairs, Found, FoundOrNot,
};
use crate::operators::cogroup::{CoGroup, CoGroups};
use crate::operators::group_by_key::{Group, Groups};
use crate::operators::group_values::Ungroup;
use crate::operators::join::{Joined, Joining};
use crate::operators::joinings::{
    Anti, Full, Inner, InnerValues, Intersection, Left, Right, Semi, Subtract,
};
use crate::operators::records_by_key::{FilterUse, Grouping, Pairs};
use crate::operators::sides::Side;
use crate::operators::values::Values;
use crate::pipeline::{Call, Data, Given, Key, Pipeline, Plain, Record};
use crate::shuffle::{Encode, HashPartitioner};
use crate::task::Site;

/// The side of a join to which the join filter is applied: it shuffles only records whose key the other side has.
enum FilteredSide {
    None,
    Left,
    Right,
}

/// Part of a side in the join filter, and so which of its records are shuffled.
pub(super) enum SideFilter {
    /// None: all records are shuffled.
    None,
    /// All records are shuffled, and their keys go into the join filter of the other side.
    Build,
    /// Only records are shuffled whose key passes the join filter that this shuffle of the other side builds.
    Apply(Arc<dyn ShuffleDependency>),
}

impl SideFilter {
    /// Filters by the keys of `other`, unless `other` is not shuffled.
    fn built_by(other: &Parent) -> Self {
        match other.as_shuffle() {
            Some(by) => Self::Apply(Arc::clone(by)),
            None => Self::None,
        }
    }
}

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Brings each record to the partition of its key, as `keyed` defines it: by a shuffle, unless the records are
    /// already there. `E` extracts the key.
    pub(super) fn side<E: Encode<In = T>>(
        self,
        site: Site,
        keyed: Keyed,
        filter: SideFilter,
    ) -> (Side<E>, Parent) {
        let partitioner = HashPartitioner::new(keyed.partitions);
        if self.node.keyed == Some(keyed) {
            let parent = self.pipeline.erase();
            let side = Side::InPlace {
                parent,
                partitioner,
            };
            return (side, Parent::narrow(&self.node));
        }
        let (shuffle, dependency) = self.records_by_key::<E>(site, partitioner, false, filter);
        let side = Side::Shuffled {
            shuffle,
            partitioner,
        };
        (side, dependency)
    }

    /// Shuffles all records by the key that `E` extracts from them.
    pub(super) fn records_by_key<E: Encode<In = T>>(
        self,
        site: Site,
        partitioner: HashPartitioner,
        is_broadcast: bool,
        filter: SideFilter,
    ) -> (ShuffleId, Parent) {
        let (filter, after) = match filter {
            SideFilter::None => (FilterUse::None, None),
            SideFilter::Build => (FilterUse::Build, None),
            SideFilter::Apply(by) => (FilterUse::Apply(by.id()), Some(by)),
        };
        let grouping = Grouping::<E> {
            partitioner,
            is_broadcast,
            filter,
            encode: PhantomData,
        };
        self.shuffle(site, grouping, after)
    }

    /// Returns the partitioning of a join with `other` by keys of type `K`: that of this bag or, if only `other` is
    /// partitioned by key, that of `other`.
    pub(super) fn keyed_with<K: ?Sized + 'static, U, Q>(&self, other: &Bag<U, Q>) -> Keyed
    where
        U: Record + ?Sized,
    {
        let keyed = self.keyed_by::<K>();
        let of_other = other.node.keyed.filter(|other| other.is_by::<K>());
        match of_other {
            Some(other) if self.shuffle_partitions.is_none() && self.node.keyed != Some(keyed) => {
                other
            }
            _ => keyed,
        }
    }

    /// Chooses the side to which the join filter is applied. If both sides qualify, it is the right side if the left
    /// input is known to be smaller, otherwise the left side. Neither side is filtered if one is already partitioned by
    /// `keyed`.
    fn filtered_side<U, Q>(
        &self,
        other: &Bag<U, Q>,
        keyed: Keyed,
        may_left: bool,
        may_right: bool,
    ) -> FilteredSide
    where
        U: Record + ?Sized,
    {
        if [self.node.keyed, other.node.keyed].contains(&Some(keyed)) {
            return FilteredSide::None;
        }
        let known = self.node.source_bytes.zip(other.node.source_bytes);
        match (may_left, may_right) {
            (true, true) if known.is_some_and(|(left, right)| left < right) => FilteredSide::Right,
            (true, _) => FilteredSide::Left,
            (false, true) => FilteredSide::Right,
            (false, false) => FilteredSide::None,
        }
    }

    fn join_at<J, U, Q>(self, site: Site, other: Bag<U, Q>) -> Bag<J::Out>
    where
        J: Joining<Left: Encode<In = T>, Right: Encode<In = U>>,
        U: Record + ?Sized,
        Q: Pipeline<Out = U>,
    {
        let context = self.context.clone();
        let keyed = self.keyed_with::<J::Key, _, _>(&other);
        let filtered_side = self.filtered_side(&other, keyed, J::FILTERS_LEFT, J::FILTERS_RIGHT);
        let ((left, of_left), (right, of_right)) = match filtered_side {
            FilteredSide::None => (
                self.side::<J::Left>(site, keyed, SideFilter::None),
                other.side::<J::Right>(site, keyed, SideFilter::None),
            ),
            FilteredSide::Left => {
                let right = other.side::<J::Right>(site, keyed, SideFilter::Build);
                let by = SideFilter::built_by(&right.1);
                (self.side::<J::Left>(site, keyed, by), right)
            }
            FilteredSide::Right => {
                let left = self.side::<J::Left>(site, keyed, SideFilter::Build);
                let by = SideFilter::built_by(&left.1);
                (left, other.side::<J::Right>(site, keyed, by))
            }
        };
        let joined = Joined::<J> {
            left,
            right,
            partitions: keyed.partitions,
            site,
        };
        let node = Node::by_hash(site, keyed, vec![of_left, of_right]);
        Bag::new(joined, node, context).boxed()
    }
}

/// Groups and joins of pairs by their first element, the key. They are wide.
///
/// A shuffle brings the records of both bags to the partition of their key, and sorts them there: in memory, or in
/// files if they do not fit into the [budget](crate::ContextBuilder::memory). The result has
/// [`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions) partitions (64 by default), and is ordered by the
/// [hash](crate#hash) of the serialised key, then by the bytes of the key. The rows of a key follow the order of the
/// left bag; the rows of one left record follow the order of the right bag. The result is therefore the same on every
/// executor, with any number of threads and of partitions.
///
/// If a join drops records without a match, it shuffles one bag before the other. If that bag turns out to have few
/// keys (up to about 800,000), its keys are sent to all tasks of the other bag as a filter. Records that the filter
/// rejects are not shuffled. If the bag that comes first has fewer partitions than there are threads, the idle threads
/// begin with the other bag, without the filter. If few records have a match, a join with a small bag therefore costs
/// little more than a filter. The bag that is shuffled first is:
///
/// 1. this bag, for [`left_join`](Bag::left_join), [`anti_join`](Bag::anti_join) and [`subtract`](Bag::subtract);
/// 2. the argument, for [`right_join`](Bag::right_join);
/// 3. for all other joins that drop unmatched records, the bag with the smaller input files if the sizes of both are
///    known, otherwise the argument.
///
/// This choice does not affect the result. The [summary](crate::StageSummary::filtered_records) of the job shows how
/// many records the filter dropped.
///
/// If one bag is small and most records have a match in it, use [`join_broadcast`](Bag::join_broadcast): it sends the
/// small bag to all tasks and does not shuffle the other. The rows then follow the order of this bag. Because the order
/// differs, holdall never broadcasts a bag unless you request it, however small the bag is.
///
/// Jobs run in the [context](Bag::context) of this bag, whatever the context of the other.
impl<K: Data + Eq, V: 'static, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Groups pairs by key. Each record of the result is a key and a stream of its values, in the order of the bag.
    /// Wide.
    ///
    /// A key may have any number of values: the next closure reads them one at a time, and values that it does not read
    /// are skipped. Only methods that keep records, such as [`collect`](Bag::collect), gather the values of a key in a
    /// `Vec`.
    ///
    /// If you only aggregate the values, [`combine_by_key`](Bag::combine_by_key) and its special cases shuffle less
    /// data.
    ///
    /// The stream is valid only within the closure. The closure of a [`flat_map`](Bag::flat_map) returns an iterator,
    /// so it must first collect its results. If they may not fit into memory, emit them one at a time from
    /// [`map_partitions`](Bag::map_partitions):
    ///
    /// ```
    /// let visits = holdall::from_vec(vec![("ada", 3), ("bob", 4), ("ada", 8), ("ada", 9)]);
    /// // The time from one visit to the next, for each name.
    /// let gaps = visits.group_by_key().map_partitions(|groups, emit| {
    ///     groups.for_each(|(name, mut times)| {
    ///         let Some(mut last) = times.next() else { return };
    ///         for time in times {
    ///             emit((name, time - last));
    ///             last = time;
    ///         }
    ///     });
    /// });
    /// assert_eq!(gaps.collect()?, [("ada", 5), ("ada", 1)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    ///
    /// # Examples
    ///
    /// ```
    /// let groups = holdall::range(0..6).map(|n| (n % 2, n)).group_by_key();
    /// let sums = groups.clone().map(|(key, values)| (key, values.sum::<u64>()));
    /// assert!(sums.collect()?.contains(&(1, 1 + 3 + 5)));
    ///
    /// let mut lists = groups.collect()?;
    /// lists.sort();
    /// assert_eq!(lists, [(0, vec![0, 2, 4]), (1, vec![1, 3, 5])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn group_by_key(self) -> Bag<Group<K, V>>
    where
        V: Data,
    {
        self.group_by_key_at(Site::new("group_by_key"))
    }

    pub(super) fn group_by_key_at(self, site: Site) -> Bag<Group<K, V>>
    where
        V: Data,
    {
        let context = self.context.clone();
        let keyed = self.keyed_by::<K>();
        let (side, dependency) = self.side::<Pairs<K, V>>(site, keyed, SideFilter::None);
        let groups = Groups {
            side,
            partitions: keyed.partitions,
            site,
        };
        let node = Node::by_hash(site, keyed, vec![dependency]);
        Bag::new(groups, node, context).boxed()
    }

    /// Groups the pairs of this bag and of `other` by key. Each record of the result is a key and two streams: its
    /// values in this bag and its values in `other`, each in the order of its bag. Wide.
    ///
    /// If only one of the bags has a key, the stream of the other is empty. A key may have any number of values: the
    /// next closure reads both streams one value at a time.
    ///
    /// # Examples
    ///
    /// ```
    /// let sold = holdall::from_vec(vec![(1, 10), (2, 20), (1, 5)]);
    /// let paid = holdall::from_vec(vec![(1, 15), (3, 7)]);
    /// let mut owed = sold
    ///     .cogroup(paid)
    ///     .map(|(customer, sold, paid)| (customer, sold.sum::<i32>() - paid.sum::<i32>()))
    ///     .collect()?;
    /// owed.sort();
    /// assert_eq!(owed, [(1, 0), (2, 20), (3, -7)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn cogroup<W, Q>(self, other: Bag<(K, W), Q>) -> Bag<CoGroup<K, V, W>>
    where
        V: Data,
        W: Data,
        Q: Pipeline<Out = (K, W)>,
    {
        let site = Site::new("cogroup");
        let context = self.context.clone();
        let keyed = self.keyed_with::<K, _, _>(&other);
        let (left, of_left) = self.side::<Pairs<K, V>>(site, keyed, SideFilter::None);
        let (right, of_right) = other.side::<Pairs<K, W>>(site, keyed, SideFilter::None);
        let groups = CoGroups {
            left,
            right,
            partitions: keyed.partitions,
            site,
        };
        let node = Node::by_hash(site, keyed, vec![of_left, of_right]);
        Bag::new(groups, node, context).boxed()
    }

    /// Pairs each value with each value that its key has in `other` (inner join).
    ///
    /// # Examples
    ///
    /// ```
    /// let names = holdall::from_vec(vec![(1, "Ada".to_owned()), (2, "Grace".to_owned())]);
    /// let born = holdall::from_vec(vec![(1, 1815), (3, 1912)]);
    /// assert_eq!(names.join(born).collect()?, [(1, ("Ada".to_owned(), 1815))]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn join<W, Q>(self, other: Bag<(K, W), Q>) -> Bag<(K, (V, W))>
    where
        V: Data,
        W: Data,
        Q: Pipeline<Out = (K, W)>,
    {
        self.join_at::<Inner<K, V, W>, _, _>(Site::new("join"), other)
    }

    /// Pairs each value with each value that its key has in `other`, like [`join`](Bag::join), but returns only the
    /// values.
    ///
    /// If a key with a `String` has many rows, this is several times faster than `join` followed by
    /// [`values`](Bag::values), because no row has a copy of the key.
    ///
    /// # Examples
    ///
    /// ```
    /// let names = holdall::from_vec(vec![(1, "Ada".to_owned()), (2, "Grace".to_owned())]);
    /// let born = holdall::from_vec(vec![(1, 1815), (3, 1912)]);
    /// assert_eq!(names.join_values(born).collect()?, [("Ada".to_owned(), 1815)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn join_values<W, Q>(self, other: Bag<(K, W), Q>) -> Bag<(V, W)>
    where
        V: Data,
        W: Data,
        Q: Pipeline<Out = (K, W)>,
    {
        let joined = self.join_at::<InnerValues<K, V, W>, _, _>(Site::new("join_values"), other);
        joined.keyed(None)
    }

    /// Returns the rows of [`join`](Bag::join), and each value whose key does not occur in `other`, paired with `None`
    /// (left outer join).
    ///
    /// # Examples
    ///
    /// ```
    /// let left = holdall::from_vec(vec![(1, 'a'), (2, 'b')]);
    /// let mut rows = left.left_join(holdall::from_vec(vec![(1, 'x')])).collect()?;
    /// rows.sort();
    /// assert_eq!(rows, [(1, ('a', Some('x'))), (2, ('b', None))]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn left_join<W, Q>(self, other: Bag<(K, W), Q>) -> Bag<(K, (V, Option<W>))>
    where
        V: Data,
        W: Data,
        Q: Pipeline<Out = (K, W)>,
    {
        self.join_at::<Left<K, V, W>, _, _>(Site::new("left_join"), other)
    }

    /// Returns the rows of [`join`](Bag::join), and each value of `other` whose key does not occur in this bag, paired
    /// with `None` (right outer join).
    ///
    /// # Examples
    ///
    /// ```
    /// let left = holdall::from_vec(vec![(1, 'a')]);
    /// let mut rows = left.right_join(holdall::from_vec(vec![(1, 'x'), (2, 'y')])).collect()?;
    /// rows.sort();
    /// assert_eq!(rows, [(1, (Some('a'), 'x')), (2, (None, 'y'))]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn right_join<W, Q>(self, other: Bag<(K, W), Q>) -> Bag<(K, (Option<V>, W))>
    where
        V: Data,
        W: Data,
        Q: Pipeline<Out = (K, W)>,
    {
        self.join_at::<Right<K, V, W>, _, _>(Site::new("right_join"), other)
    }

    /// Returns the rows of [`join`](Bag::join), and the values of both bags whose key does not occur in the other bag,
    /// paired with `None` (full outer join).
    ///
    /// # Examples
    ///
    /// ```
    /// let left = holdall::from_vec(vec![(1, 'a'), (2, 'b')]);
    /// let mut rows = left.full_join(holdall::from_vec(vec![(2, 'x'), (3, 'y')])).collect()?;
    /// rows.sort();
    /// assert_eq!(rows, [(1, (Some('a'), None)), (2, (Some('b'), Some('x'))), (3, (None, Some('y')))]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    #[expect(clippy::type_complexity, reason = "an alias would hide the row")]
    pub fn full_join<W, Q>(self, other: Bag<(K, W), Q>) -> Bag<(K, (Option<V>, Option<W>))>
    where
        V: Data,
        W: Data,
        Q: Pipeline<Out = (K, W)>,
    {
        self.join_at::<Full<K, V, W>, _, _>(Site::new("full_join"), other)
    }

    /// Returns the pairs whose key also occurs in `other` (left semi join). Each pair is returned once, however often
    /// `other` has its key. The values of `other` are not shuffled.
    ///
    /// # Examples
    ///
    /// ```
    /// let left = holdall::from_vec(vec![(1, 'a'), (2, 'b'), (1, 'c')]);
    /// let known = holdall::from_vec(vec![(1, ()), (1, ())]);
    /// assert_eq!(left.semi_join(known).collect()?, [(1, 'a'), (1, 'c')]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn semi_join<W, Q>(self, other: Bag<(K, W), Q>) -> Bag<(K, V)>
    where
        V: Data,
        W: 'static,
        Q: Pipeline<Out = (K, W)>,
    {
        self.join_at::<Semi<K, V, W>, _, _>(Site::new("semi_join"), other)
    }

    /// Returns the pairs whose key does not occur in `other` (left anti join). The values of `other` are not shuffled.
    ///
    /// # Examples
    ///
    /// ```
    /// let left = holdall::from_vec(vec![(1, 'a'), (2, 'b')]);
    /// assert_eq!(left.anti_join(holdall::from_vec(vec![(1, ())])).collect()?, [(2, 'b')]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn anti_join<W, Q>(self, other: Bag<(K, W), Q>) -> Bag<(K, V)>
    where
        V: Data,
        W: 'static,
        Q: Pipeline<Out = (K, W)>,
    {
        self.join_at::<Anti<K, V, W>, _, _>(Site::new("anti_join"), other)
    }
}

/// Joins with a small bag, which is sent to every task. The larger bag is not shuffled.
///
/// These methods return the rows of the join without `_broadcast`, in another order: they keep the partitions and the
/// order of this bag, and the rows of one record follow the order of `small`.
///
/// All pairs of `small` must fit into half of the [budget](crate::ContextBuilder::memory). Otherwise, the action fails
/// with [`BroadcastTooLarge`](crate::ErrorKind::BroadcastTooLarge).
///
/// Jobs run in the [context](Bag::context) of this bag, whatever the context of the other.
impl<K: Data + Eq, V: 'static, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Pairs each value with each value that its key has in `small` (inner join). Sends `small` to every task, so this
    /// bag is not shuffled.
    ///
    /// Returns the rows of [`join`](Bag::join) in another order: keeps the partitions and order of this bag; the rows
    /// of one record follow the order of `small`.
    ///
    /// # Errors
    ///
    /// The action fails with [`BroadcastTooLarge`](crate::ErrorKind::BroadcastTooLarge) if the pairs of `small` do not
    /// fit into half of the [budget](crate::ContextBuilder::memory).
    ///
    /// # Examples
    ///
    /// ```
    /// let orders = holdall::from_vec(vec![("de", 7), ("fr", 8), ("de", 9)]).map(|(land, n)| (land.to_owned(), n));
    /// let codes = holdall::from_vec(vec![("de", 49)]).map(|(land, code)| (land.to_owned(), code));
    /// let rows = orders.join_broadcast(codes).values();
    /// assert_eq!(rows.collect()?, [(7, 49), (9, 49)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    #[expect(clippy::type_complexity, reason = "an alias would hide the row")]
    pub fn join_broadcast<W, Q>(
        self,
        small: Bag<(K, W), Q>,
    ) -> Bag<(K, (V, W)), impl Pipeline<Out = (K, (V, W))>>
    where
        V: Data,
        W: Data,
        Q: Pipeline<Out = (K, W)>,
    {
        self.broadcast_at::<BroadcastPairs<K, V, W, Found>, _, _>(
            Site::new("join_broadcast"),
            small,
        )
    }

    /// Returns the rows of [`left_join`](Bag::left_join), in the order of this bag. Sends `small` to every task, so
    /// this bag is not shuffled.
    ///
    /// # Examples
    ///
    /// ```
    /// let left = holdall::from_vec(vec![(1, 'a'), (2, 'b')]);
    /// let rows = left.left_join_broadcast(holdall::from_vec(vec![(2, 'x')]));
    /// assert_eq!(rows.collect()?, [(1, ('a', None)), (2, ('b', Some('x')))]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    #[expect(clippy::type_complexity, reason = "an alias would hide the row")]
    pub fn left_join_broadcast<W, Q>(
        self,
        small: Bag<(K, W), Q>,
    ) -> Bag<(K, (V, Option<W>)), impl Pipeline<Out = (K, (V, Option<W>))>>
    where
        V: Data,
        W: Data,
        Q: Pipeline<Out = (K, W)>,
    {
        self.broadcast_at::<BroadcastPairs<K, V, W, FoundOrNot>, _, _>(
            Site::new("left_join_broadcast"),
            small,
        )
    }

    /// Returns the pairs of [`semi_join`](Bag::semi_join), in the order of this bag. Sends the keys of `small` to every
    /// task, so this bag is not shuffled.
    ///
    /// # Examples
    ///
    /// ```
    /// let left = holdall::from_vec(vec![(1, 'a'), (2, 'b')]);
    /// assert_eq!(left.semi_join_broadcast(holdall::from_vec(vec![(2, ())])).collect()?, [(2, 'b')]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn semi_join_broadcast<W, Q>(
        self,
        small: Bag<(K, W), Q>,
    ) -> Bag<(K, V), impl Pipeline<Out = (K, V)>>
    where
        W: 'static,
        Q: Pipeline<Out = (K, W)>,
    {
        self.broadcast_at::<BroadcastFilter<K, V, W, true>, _, _>(
            Site::new("semi_join_broadcast"),
            small,
        )
    }

    /// Returns the pairs of [`anti_join`](Bag::anti_join), in the order of this bag. Sends the keys of `small` to every
    /// task, so this bag is not shuffled.
    ///
    /// # Examples
    ///
    /// ```
    /// let left = holdall::from_vec(vec![(1, 'a'), (2, 'b')]);
    /// assert_eq!(left.anti_join_broadcast(holdall::from_vec(vec![(2, ())])).collect()?, [(1, 'a')]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn anti_join_broadcast<W, Q>(
        self,
        small: Bag<(K, W), Q>,
    ) -> Bag<(K, V), impl Pipeline<Out = (K, V)>>
    where
        W: 'static,
        Q: Pipeline<Out = (K, W)>,
    {
        self.broadcast_at::<BroadcastFilter<K, V, W, false>, _, _>(
            Site::new("anti_join_broadcast"),
            small,
        )
    }

    fn broadcast_at<J, U, Q>(
        self,
        site: Site,
        small: Bag<U, Q>,
    ) -> Bag<J::Out, BroadcastJoined<P, J>>
    where
        J: BroadcastJoining<Key = K, Value = V, Right: Encode<In = U>>,
        U: Record + ?Sized,
        Q: Pipeline<Out = U>,
    {
        let (small, dependency) =
            small.records_by_key::<J::Right>(site, HashPartitioner::new(1), true, SideFilter::None);
        let node = Node::broadcast(site, self.partitions(), &self.node, dependency);
        let joined = BroadcastJoined {
            parent: self.pipeline,
            small,
            site,
            joining: PhantomData,
        };
        Bag::new(joined, node, self.context)
    }
}

/// Set operations on bags. They are wide.
///
/// A shuffle brings equal records together. The result has
/// [`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions) partitions (64 by default), and is ordered by the
/// [hash](crate#hash) of the serialised record, then by its bytes.
///
/// Jobs run in the [context](Bag::context) of this bag, whatever the context of the other.
impl<T: Key + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Returns the records that also occur in `other`, each once.
    ///
    /// # Examples
    ///
    /// ```
    /// let both = holdall::range(0..10).intersection(holdall::range(8..20));
    /// assert_eq!(both.sum::<u64>()?, 8 + 9);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn intersection<Q: Pipeline<Out = T>>(self, other: Bag<T, Q>) -> Bag<T::Owned> {
        self.join_at::<Intersection<T>, _, _>(Site::new("intersection"), other)
    }

    /// Returns the records that do not occur in `other`, as many times as they occur in this bag.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["to be or not to be"]).flat_map_str(|line, emit| line.split(' ').for_each(emit));
    /// let stop = holdall::from_vec(vec!["or not"]).flat_map_str(|line, emit| line.split(' ').for_each(emit));
    /// assert_eq!(words.subtract(stop).count()?, 4);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn subtract<Q: Pipeline<Out = T>>(self, other: Bag<T, Q>) -> Bag<T::Owned> {
        self.join_at::<Subtract<T>, _, _>(Site::new("subtract"), other)
    }
}

/// Transformations of the keys or the values of groups. Narrow: they keep partitions and order.
impl<K: Data + Eq, V: Data, P: Pipeline<Out = Group<K, V>>> Bag<Group<K, V>, P> {
    /// Returns the key of each group.
    ///
    /// # Examples
    ///
    /// ```
    /// let groups = holdall::range(0..6).map(|n| (n % 2, n)).group_by_key();
    /// let mut keys = groups.keys().collect()?;
    /// keys.sort();
    /// assert_eq!(keys, [0, 1]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn keys(self) -> Bag<K, impl Pipeline<Out = K>> {
        let keyed = self.node.keyed;
        let key = Plain(|(key, _): (K, Values<'_, V>)| key);
        self.map_at(Site::new("keys"), key).keyed(keyed)
    }

    /// Returns the values of all groups, each in a record of its own: the groups in order, and the values of a group in
    /// the order of its bag.
    ///
    /// # Examples
    ///
    /// ```
    /// let groups = holdall::range(0..6).map(|n| (n % 2, n)).group_by_key();
    /// let odd = groups.filter(|key| *key == 1).values();
    /// assert_eq!(odd.collect()?, [1, 3, 5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn values(self) -> Bag<V, impl Pipeline<Out = V>> {
        let site = Site::new("values");
        self.step(site, Ungroup { site })
    }

    /// Replaces the values of each group by the result of `op`, which receives them as a stream.
    ///
    /// # Examples
    ///
    /// ```
    /// let groups = holdall::range(0..6).map(|n| (n % 2, n)).group_by_key();
    /// let mut last = groups.map_values(|values| values.last()).collect()?;
    /// last.sort();
    /// assert_eq!(last, [(0, Some(4)), (1, Some(5))]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map_values<U, F>(self, op: F) -> Bag<(K, U), impl Pipeline<Out = (K, U)>>
    where
        U: 'static,
        F: for<'a> Fn(Values<'a, V>) -> U + Send + Sync + 'static,
    {
        self.map_values_at(Site::new("map_values"), Plain(op))
    }

    pub(super) fn map_values_at<U, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<(K, U), impl Pipeline<Out = (K, U)> + use<K, V, P, U, C>>
    where
        U: 'static,
        C: for<'a> Call<(Values<'a, V>,), Out = U>,
    {
        let keyed = self.node.keyed;
        let replace = |op: &C, (key, values): (K, Values<'_, V>)| (key, op.call((values,)));
        self.map_at(site, Given(op, replace)).keyed(keyed)
    }
}
