//! Groups and joins: transformations that bring all records of a key together.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Bag;
use crate::id::ShuffleId;
use crate::lineage::{Keyed, Node, Parent, ShuffleDependency};
use crate::operators::broadcast_join::{
    BroadcastFilter, BroadcastJoined, BroadcastJoining, BroadcastPairs, Found, FoundOrNot,
};
use crate::operators::cogroup::{CoGroup, CoGroups};
use crate::operators::group_by_key::{Group, Groups};
use crate::operators::join::{Joined, Joining};
use crate::operators::joinings::{Anti, Full, Inner, Intersection, Left, Right, Semi, Subtract};
use crate::operators::records_by_key::{Grouping, KeyUse, Pairs};
use crate::operators::sides::Side;
use crate::operators::values::Values;
use crate::pipeline::{Data, Key, Pipeline, Record};
use crate::shuffle::{Encode, HashPartitioner};
use crate::task::Site;

/// The side of a join whose records travel only if the other side has their key.
enum Sifting {
    None,
    Left,
    Right,
}

/// Which records of a side are shuffled.
pub(super) enum Travel {
    All,
    /// All, and their keys are noted.
    Noted,
    /// Those whose key the other side has noted.
    Sifted(Arc<dyn ShuffleDependency>),
}

impl Travel {
    /// By the keys of the other side.
    fn sifted(other: &Parent) -> Self {
        match other.as_shuffle() {
            Some(by) => Self::Sifted(Arc::clone(by)),
            None => Self::All,
        }
    }
}

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Brings all records to the partition that `keyed` says, by the key that `E` finds in them: by a shuffle, unless
    /// they are there already.
    fn side<E: Encode<In = T>>(
        self,
        site: Site,
        keyed: Keyed,
        travel: Travel,
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
        let (shuffle, dependency) = self.records_by_key::<E>(site, partitioner, false, travel);
        let side = Side::Shuffled {
            shuffle,
            partitioner,
        };
        (side, dependency)
    }

    /// Shuffles all records by the key that `E` finds in them.
    pub(super) fn records_by_key<E: Encode<In = T>>(
        self,
        site: Site,
        partitioner: HashPartitioner,
        is_broadcast: bool,
        travel: Travel,
    ) -> (ShuffleId, Parent) {
        let (keys, after) = match travel {
            Travel::All => (KeyUse::Nothing, None),
            Travel::Noted => (KeyUse::Noted, None),
            Travel::Sifted(by) => (KeyUse::Sifted(by.id()), Some(by)),
        };
        let grouping = Grouping::<E> {
            partitioner,
            is_broadcast,
            keys,
            encode: PhantomData,
        };
        self.shuffle(site, grouping, after)
    }

    /// Which side of a join need not travel as a whole, if that is shuffled as the other one is: the one that is not
    /// known to be the smaller, or else the left.
    fn sifting<U, Q>(
        &self,
        other: &Bag<U, Q>,
        keyed: Keyed,
        may_left: bool,
        may_right: bool,
    ) -> Sifting
    where
        U: Record + ?Sized,
    {
        if [self.node.keyed, other.node.keyed].contains(&Some(keyed)) {
            return Sifting::None;
        }
        let known = self.node.source_bytes.zip(other.node.source_bytes);
        match (may_left, may_right) {
            (true, true) if known.is_some_and(|(left, right)| left < right) => Sifting::Right,
            (true, _) => Sifting::Left,
            (false, true) => Sifting::Right,
            (false, false) => Sifting::None,
        }
    }

    fn join_at<J, U, Q>(self, site: Site, other: Bag<U, Q>) -> Bag<J::Out>
    where
        J: Joining<Left: Encode<In = T>, Right: Encode<In = U>>,
        U: Record + ?Sized,
        Q: Pipeline<Out = U>,
    {
        let context = self.context.clone();
        let keyed = Keyed::by::<J::Key>(context.shuffle_partitions());
        let sifting = self.sifting(&other, keyed, J::SIFTS_LEFT, J::SIFTS_RIGHT);
        let ((left, of_left), (right, of_right)) = match sifting {
            Sifting::None => (
                self.side::<J::Left>(site, keyed, Travel::All),
                other.side::<J::Right>(site, keyed, Travel::All),
            ),
            Sifting::Left => {
                let right = other.side::<J::Right>(site, keyed, Travel::Noted);
                let by = Travel::sifted(&right.1);
                (self.side::<J::Left>(site, keyed, by), right)
            }
            Sifting::Right => {
                let left = self.side::<J::Left>(site, keyed, Travel::Noted);
                let by = Travel::sifted(&left.1);
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

/// Groups and joins of pairs by their first side, the key.
///
/// The records of both bags travel to the partition that their key belongs to, sorted there, in memory or, where they
/// do not fit into the [budget](crate::ContextBuilder::memory), in files. What comes out has as many partitions as the
/// context says ([`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions), 64 by default) and is in the order
/// of the [hash](crate#hash) of the serialised key, then of its bytes. Of one key, rows are in the order of the left
/// bag, and for one record of the left bag in the order of the other. So it is the same on every executor, with any
/// number of threads and of partitions.
///
/// Where a join has no use for records without a partner, one bag is shuffled before the other, and if it turns out to
/// have few keys (up to some 800,000), these are sent to all tasks of the other: what has none of them does not travel.
/// So a join with a small bag that few records have a partner in costs little more than a filter. The bag that is asked
/// first is the one whose files are smaller, where that is known of both, or else the argument; of a
/// [`left_join`](Bag::left_join), [`anti_join`](Bag::anti_join) or [`subtract`](Bag::subtract) it is this bag, of a
/// [`right_join`](Bag::right_join) the argument. The result does not depend on any of it; how many records did not
/// travel is in the [summary](crate::StageSummary::dropped_records).
///
/// Where one bag is small and most records have a partner in it, sending it to all tasks
/// ([`join_broadcast`](Bag::join_broadcast)) saves the shuffle of the other. The rows then come in the order of this bag;
/// so that is done where it is asked for, and never because of how large a bag happens to be.
impl<K: Data + Eq, V: 'static, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// The values of each key, in the order of the bag, as a stream.
    ///
    /// A key may have any number of values: they are read as the closure behind asks for them, and what it leaves is
    /// skipped. Only [`collect`](Bag::collect) and others that keep records gather them, to a `Vec`.
    ///
    /// Where values are only summed or the like, [`combine_by_key`](Bag::combine_by_key) and its cases move less.
    ///
    /// The values are a stream within the closure, and no longer. So [`flat_map`](Bag::flat_map), which hands an iterator
    /// on, must gather what it makes of them; where that may not fit into memory,
    /// [`map_partitions`](Bag::map_partitions) emits one at a time:
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
        let site = Site::new("group_by_key");
        let context = self.context.clone();
        let keyed = Keyed::by::<K>(context.shuffle_partitions());
        let (side, dependency) = self.side::<Pairs<K, V>>(site, keyed, Travel::All);
        let groups = Groups {
            side,
            partitions: keyed.partitions,
            site,
        };
        let node = Node::by_hash(site, keyed, vec![dependency]);
        Bag::new(groups, node, context).boxed()
    }

    /// The values of each key in this bag and in `other`, each in the order of its bag, as two streams.
    ///
    /// A key that only one of them has comes with an empty stream for the other. Both are read as the closure behind
    /// asks for them, and may have any number of values.
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
        let keyed = Keyed::by::<K>(context.shuffle_partitions());
        let (left, of_left) = self.side::<Pairs<K, V>>(site, keyed, Travel::All);
        let (right, of_right) = other.side::<Pairs<K, W>>(site, keyed, Travel::All);
        let groups = CoGroups {
            left,
            right,
            partitions: keyed.partitions,
            site,
        };
        let node = Node::by_hash(site, keyed, vec![of_left, of_right]);
        Bag::new(groups, node, context).boxed()
    }

    /// Each value of a key with each value that the key has in `other`: the inner join.
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

    /// As [`join`](Bag::join), and each value whose key `other` does not have, with `None`: the left outer join.
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

    /// As [`join`](Bag::join), and each value of `other` whose key this bag does not have, with `None`: the right outer
    /// join.
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

    /// As [`join`](Bag::join), and the values of both bags whose key the other does not have, with `None`: the full
    /// outer join.
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

    /// The pairs whose key `other` has, each once: the left semi join. What `other` has for the key does not travel.
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

    /// The pairs whose key `other` does not have: the left anti join. What `other` has for a key does not travel.
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

/// Joins with a small bag, which is sent to every task: the larger one does not travel.
///
/// The rows are those of the join without `_broadcast`, in another order: partitions and order are those of this bag,
/// and for one of its records the order is that of `small`. All pairs of `small` must fit into half of the
/// [budget](crate::ContextBuilder::memory); otherwise the job fails with
/// [`BroadcastTooLarge`](crate::ErrorKind::BroadcastTooLarge).
impl<K: Data + Eq, V: 'static, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// [`join`](Bag::join), with `small` sent to every task.
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

    /// [`left_join`](Bag::left_join), with `small` sent to every task.
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

    /// [`semi_join`](Bag::semi_join), with the keys of `small` sent to every task.
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

    /// [`anti_join`](Bag::anti_join), with the keys of `small` sent to every task.
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
            small.records_by_key::<J::Right>(site, HashPartitioner::new(1), true, Travel::All);
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

/// Bags as sets.
///
/// Equal records are brought together by a shuffle. What comes out has as many partitions as the context says
/// ([`shuffle_partitions`](crate::ContextBuilder::shuffle_partitions), 64 by default) and is in the order of the
/// [hash](crate#hash) of the serialised record, then of its bytes.
impl<T: Key + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// The records that `other` has too, each once.
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

    /// The records that `other` does not have, as often as they are in this bag.
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

/// Transformations of groups by one of their sides. They are narrow.
impl<K: Data + Eq, V: Data, P: Pipeline<Out = Group<K, V>>> Bag<Group<K, V>, P> {
    /// The key of each group.
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
        self.map_at(Site::new("keys"), |(key, _)| key).keyed(keyed)
    }

    /// Replaces the values of each group, which come as a stream, by what `op` makes of them.
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
        let keyed = self.node.keyed;
        let site = Site::new("map_values");
        self.map_at(site, move |(key, values)| (key, op(values)))
            .keyed(keyed)
    }
}
