//! Groups of several bags, and the product of two.

use std::marker::PhantomData;

use super::Bag;
use super::joins::SideFilter;
use crate::lineage::Node;
use crate::operators::cartesian::{Cartesian, InParts};
use crate::operators::cogroup::CoGroup;
use crate::operators::cogroup_many::{CoGroup3, CoGroup4, CoGroups3, CoGroups4};
use crate::operators::repartition::Dividing;
use crate::operators::values::Values;
use crate::pipeline::{Call, Data, Given, Pipeline, Plain, Storable};
use crate::summary::ClonedRecord;
use crate::task::Site;

/// Number of partitions that `cartesian` returns at least, if both bags have enough of them. More partitions keep more
/// cores busy, but each reads a part of the other bag.
const CARTESIAN_PARTITIONS: usize = 64;

impl<K: Data + Eq, V: Data, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Groups the pairs of three bags by key, as [`cogroup`](Bag::cogroup) does for two. Wide.
    ///
    /// # Examples
    ///
    /// ```
    /// let sold = holdall::from_vec(vec![(1, 10), (2, 20), (1, 5)]);
    /// let paid = holdall::from_vec(vec![(1, 15), (3, 7)]);
    /// let names = holdall::from_vec(vec![(1, "Ada"), (2, "Bob")]);
    /// let owed = sold.cogroup3(paid, names).map(|(_, sold, paid, mut names)| {
    ///     (names.next(), sold.sum::<i32>() - paid.sum::<i32>())
    /// });
    /// assert_eq!(owed.sort().collect()?, [(None, -7), (Some("Ada"), 0), (Some("Bob"), 20)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn cogroup3<W, X, Q, R>(
        self,
        second: Bag<(K, W), Q>,
        third: Bag<(K, X), R>,
    ) -> Bag<CoGroup3<K, V, W, X>>
    where
        W: Data,
        X: Data,
        Q: Pipeline<Out = (K, W)>,
        R: Pipeline<Out = (K, X)>,
    {
        let (site, context) = (Site::new("cogroup3"), self.context.clone());
        let keyed = self.keyed_with::<K, _, _>(&second);
        let (first, of_first) = self.side(site, keyed, SideFilter::None);
        let (second, of_second) = second.side(site, keyed, SideFilter::None);
        let (third, of_third) = third.side(site, keyed, SideFilter::None);
        let groups = CoGroups3 {
            first,
            second,
            third,
            partitions: keyed.partitions,
            site,
        };
        let node = Node::by_hash(site, keyed, vec![of_first, of_second, of_third]);
        Bag::new(groups, node, context).boxed()
    }

    /// Groups the pairs of four bags by key, as [`cogroup`](Bag::cogroup) does for two. Wide.
    ///
    /// # Examples
    ///
    /// ```
    /// let bag = |n: i32| holdall::from_vec(vec![(n % 2, n), (2, n)]);
    /// let groups = bag(1).cogroup4(bag(2), bag(3), bag(4)).map(|(key, a, b, c, d)| {
    ///     (key, [a.sum::<i32>(), b.sum(), c.sum(), d.sum()])
    /// });
    /// assert_eq!(groups.sort().collect()?, [(0, [0, 2, 0, 4]), (1, [1, 0, 3, 0]), (2, [1, 2, 3, 4])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn cogroup4<W, X, Y, Q, R, S>(
        self,
        second: Bag<(K, W), Q>,
        third: Bag<(K, X), R>,
        fourth: Bag<(K, Y), S>,
    ) -> Bag<CoGroup4<K, V, W, X, Y>>
    where
        W: Data,
        X: Data,
        Y: Data,
        Q: Pipeline<Out = (K, W)>,
        R: Pipeline<Out = (K, X)>,
        S: Pipeline<Out = (K, Y)>,
    {
        let (site, context) = (Site::new("cogroup4"), self.context.clone());
        let keyed = self.keyed_with::<K, _, _>(&second);
        let (first, of_first) = self.side(site, keyed, SideFilter::None);
        let (second, of_second) = second.side(site, keyed, SideFilter::None);
        let (third, of_third) = third.side(site, keyed, SideFilter::None);
        let (fourth, of_fourth) = fourth.side(site, keyed, SideFilter::None);
        let groups = CoGroups4 {
            first,
            second,
            third,
            fourth,
            partitions: keyed.partitions,
            site,
        };
        let parents = vec![of_first, of_second, of_third, of_fourth];
        let node = Node::by_hash(site, keyed, parents);
        Bag::new(groups, node, context).boxed()
    }
}

/// Transformations of the keys or the values of the groups of two bags. Narrow: they keep partitions and order.
impl<K, V, W, P> Bag<CoGroup<K, V, W>, P>
where
    K: Data + Eq,
    V: Data,
    W: Data,
    P: Pipeline<Out = CoGroup<K, V, W>>,
{
    /// Returns the key of each group.
    ///
    /// # Examples
    ///
    /// ```
    /// let left = holdall::from_vec(vec![(1, 'a'), (1, 'b')]);
    /// let groups = left.cogroup(holdall::from_vec(vec![(2, 'c')]));
    /// assert_eq!(groups.keys().sort().collect()?, [1, 2]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn keys(self) -> Bag<K, impl Pipeline<Out = K>> {
        let keyed = self.node.keyed;
        let key = Plain(|(key, _, _): (K, Values<'_, V>, Values<'_, W>)| key);
        self.map_at(Site::new("keys"), key).keyed(keyed)
    }

    /// Replaces the values of each group by the result of `op`, which receives both streams.
    ///
    /// # Examples
    ///
    /// ```
    /// let left = holdall::from_vec(vec![(1, 10), (1, 20)]);
    /// let groups = left.cogroup(holdall::from_vec(vec![(1, 7)]));
    /// let differences = groups.map_values(|left, right| left.sum::<i32>() - right.sum::<i32>());
    /// assert_eq!(differences.collect()?, [(1, 23)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map_values<U, F>(self, op: F) -> Bag<(K, U), impl Pipeline<Out = (K, U)>>
    where
        U: 'static,
        F: for<'a> Fn(Values<'a, V>, Values<'a, W>) -> U + Send + Sync + 'static,
    {
        self.map_values_at(Site::new("map_values"), Plain(op))
    }

    pub(super) fn map_values_at<U, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<(K, U), impl Pipeline<Out = (K, U)> + use<K, V, W, P, U, C>>
    where
        U: 'static,
        C: for<'a> Call<(Values<'a, V>, Values<'a, W>), Out = U>,
    {
        let keyed = self.node.keyed;
        let replace = |op: &C, (key, left, right): (K, Values<'_, V>, Values<'_, W>)| {
            (key, op.call((left, right)))
        };
        self.map_at(site, Given(op, replace)).keyed(keyed)
    }
}

/// Pairs of the records of two bags.
impl<T: ClonedRecord<Owned: Clone> + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Pairs each record with each record of `other`.
    ///
    /// The records of `other` are shuffled: they are written to files, which all tasks read. A task keeps those that it
    /// needs in memory if they fit into the budget; otherwise, it reads them again for each record of this bag. So let
    /// `other` be the smaller bag. This bag is not shuffled.
    ///
    /// If this bag has 64 or more partitions, or an unknown number, the result has its partitions and is ordered by the
    /// record of this bag, then by that of `other`. If it has fewer, neighbouring partitions of `other` are merged to a
    /// few parts, and the result has a partition for each partition of this bag and each part: at least 64 if `other`
    /// has enough partitions. The result is then ordered by partition of this bag, part of `other`, record of this bag,
    /// and record of `other`. A partition of this bag is computed once for each part; if that is expensive,
    /// [`persist`](Bag::persist) it.
    ///
    /// # Examples
    ///
    /// ```
    /// let suits = holdall::from_vec_partitioned(vec!['♠', '♥'], 1);
    /// let cards = suits.cartesian(holdall::from_vec_partitioned(vec!["ace", "king"], 1));
    /// assert_eq!(cards.collect()?, [('♠', "ace"), ('♠', "king"), ('♥', "ace"), ('♥', "king")]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    #[expect(clippy::type_complexity, reason = "an alias would hide the pair")]
    pub fn cartesian<U, Q>(
        self,
        other: Bag<U, Q>,
    ) -> Bag<(T::Owned, U::Owned), impl Pipeline<Out = (T::Owned, U::Owned)>>
    where
        U: Storable + ?Sized,
        Q: Pipeline<Out = U>,
    {
        let site = Site::new("cartesian");
        let partitions = other.partitions();
        let wanted = match self.partitions() {
            Some(known) => CARTESIAN_PARTITIONS.div_ceil(known.max(1)),
            None => 1,
        };
        let parts = wanted.min(partitions.unwrap_or(wanted)).max(1);
        let in_order = Dividing(InParts { parts, partitions });
        let (other, dependency) = other.shuffle(site, in_order, None);
        let node = Node::product(site, &self.node, parts, dependency);
        let product = Cartesian::<P, U> {
            parent: self.pipeline,
            other,
            parts,
            site,
            records: PhantomData,
        };
        Bag::new(product, node, self.context)
    }
}
