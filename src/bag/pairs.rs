//! Transformations of the values of pairs, methods by a key that a closure returns, and actions on pairs.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Bag;
use crate::error::{BoxError, PlaceError as _, Result};
use crate::lineage::{Keyed, Node};
use crate::operators::Then;
use crate::operators::actions::Collect;
use crate::operators::filter::Filter;
use crate::operators::flat_map::FlatMap;
use crate::operators::group_by_key::Group;
use crate::operators::key_is::KeyIs;
use crate::operators::map::Map;
use crate::operators::select_partitions::SelectPartitions;
use crate::operators::try_step::{TryFilter, Unwrap};
use crate::pipeline::{Call, Data, Given, Key, Pipeline, Plain, Record};
use crate::shuffle::HashPartitioner;
use crate::task::Site;

/// Transformations of the values of pairs. Narrow: they keep partitions and order.
impl<K: 'static, V: 'static, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Applies `op` to the second element of each pair, and returns each item of the result as a pair with the same
    /// first element.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec![(1, "to be"), (2, ""), (3, "or not")]);
    /// let words = lines.flat_map_values(|line| line.split_whitespace());
    /// assert_eq!(words.collect()?, [(1, "to"), (1, "be"), (3, "or"), (3, "not")]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn flat_map_values<I, F>(
        self,
        op: F,
    ) -> Bag<(K, I::Item), impl Pipeline<Out = (K, I::Item)>>
    where
        K: Clone,
        I: IntoIterator<Item: 'static, IntoIter: 'static> + 'static,
        F: Fn(V) -> I + Send + Sync + 'static,
    {
        self.flat_map_values_at(Site::new("flat_map_values"), Plain(op))
    }

    pub(super) fn flat_map_values_at<I, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<(K, I::Item), impl Pipeline<Out = (K, I::Item)> + use<K, V, P, I, C>>
    where
        K: Clone,
        I: IntoIterator<Item: 'static, IntoIter: 'static> + 'static,
        C: Call<(V,), Out = I>,
    {
        let keyed = self.node.keyed.filter(|keyed| keyed.is_by::<K>());
        let op = Given(op, |op: &C, (key, value): (K, V)| {
            let values = op.call((value,)).into_iter();
            values.map(move |value| (key.clone(), value))
        });
        self.step(site, FlatMap::new(op, site)).keyed(keyed)
    }

    /// Keeps the pairs for whose second element `predicate` returns `true`.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![("a", 1), ("b", 2)]).filter_values(|n| *n > 1);
    /// assert_eq!(pairs.collect()?, [("b", 2)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn filter_values<F>(self, predicate: F) -> Bag<(K, V), impl Pipeline<Out = (K, V)>>
    where
        F: Fn(&V) -> bool + Send + Sync + 'static,
    {
        self.filter_values_at(Site::new("filter_values"), Plain(predicate))
    }

    pub(super) fn filter_values_at<C>(
        self,
        site: Site,
        predicate: C,
    ) -> Bag<(K, V), impl Pipeline<Out = (K, V)> + use<K, V, P, C>>
    where
        C: for<'a> Call<(&'a V,), Out = bool>,
    {
        let of_value = |predicate: &C, (_, value): &(K, V)| predicate.call((value,));
        let predicate = Given(predicate, of_value);
        self.step(site, Filter { predicate, site })
    }

    /// Like [`map_values`](Bag::map_values), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![("a", "1"), ("b", "two")]).try_map_values(|text| text.parse::<u32>());
    /// let error = pairs.collect().unwrap_err();
    /// assert!(error.to_string().contains("invalid digit"));
    /// ```
    #[track_caller]
    pub fn try_map_values<U, E, F>(self, op: F) -> Bag<(K, U), impl Pipeline<Out = (K, U)>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: Fn(V) -> Result<U, E> + Send + Sync + 'static,
    {
        self.try_map_values_at(Site::new("try_map_values"), Plain(op))
    }

    pub(super) fn try_map_values_at<U, E, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<(K, U), impl Pipeline<Out = (K, U)> + use<K, V, P, U, E, C>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        C: Call<(V,), Out = Result<U, E>>,
    {
        let keyed = self.node.keyed.filter(|keyed| keyed.is_by::<K>());
        let op = Given(op, |op: &C, (key, value): (K, V)| {
            op.call((value,)).map(|value| (key, value))
        });
        self.step(site, Then(Map::new(op, site), Unwrap { site }))
            .keyed(keyed)
    }

    /// Like [`flat_map_values`](Bag::flat_map_values), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let counts = holdall::from_vec(vec![("a", "2"), ("b", "1")]);
    /// let numbers = counts.try_flat_map_values(|text| text.parse::<u32>().map(|n| 0..n));
    /// assert_eq!(numbers.collect()?, [("a", 0), ("a", 1), ("b", 0)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_flat_map_values<I, E, F>(
        self,
        op: F,
    ) -> Bag<(K, I::Item), impl Pipeline<Out = (K, I::Item)>>
    where
        K: Clone,
        I: IntoIterator<Item: 'static, IntoIter: 'static> + 'static,
        E: Into<BoxError> + 'static,
        F: Fn(V) -> Result<I, E> + Send + Sync + 'static,
    {
        self.try_flat_map_values_at(Site::new("try_flat_map_values"), Plain(op))
    }

    pub(super) fn try_flat_map_values_at<I, E, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<(K, I::Item), impl Pipeline<Out = (K, I::Item)> + use<K, V, P, I, E, C>>
    where
        K: Clone,
        I: IntoIterator<Item: 'static, IntoIter: 'static> + 'static,
        E: Into<BoxError> + 'static,
        C: Call<(V,), Out = Result<I, E>>,
    {
        let keyed = self.node.keyed.filter(|keyed| keyed.is_by::<K>());
        let op = Given(op, |op: &C, (key, value): (K, V)| {
            op.call((value,)).map(|values| (key, values))
        });
        let attempt = Then(Map::new(op, site), Unwrap { site });
        let flatten = Plain(|(key, values): (K, I)| {
            let values = values.into_iter();
            values.map(move |value| (key.clone(), value))
        });
        self.step(site, Then(attempt, FlatMap::new(flatten, site)))
            .keyed(keyed)
    }

    /// Like [`filter_values`](Bag::filter_values), with a predicate that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![("a", "1"), ("b", "2")]);
    /// let even = pairs.try_filter_values(|text| text.parse::<u32>().map(|n| n % 2 == 0));
    /// assert_eq!(even.collect()?, [("b", "2")]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_filter_values<E, F>(self, predicate: F) -> Bag<(K, V), impl Pipeline<Out = (K, V)>>
    where
        E: Into<BoxError> + 'static,
        F: Fn(&V) -> Result<bool, E> + Send + Sync + 'static,
    {
        self.try_filter_values_at(Site::new("try_filter_values"), Plain(predicate))
    }

    pub(super) fn try_filter_values_at<E, C>(
        self,
        site: Site,
        predicate: C,
    ) -> Bag<(K, V), impl Pipeline<Out = (K, V)> + use<K, V, P, E, C>>
    where
        E: Into<BoxError> + 'static,
        C: for<'a> Call<(&'a V,), Out = Result<bool, E>>,
    {
        let of_value = |predicate: &C, (_, value): &(K, V)| predicate.call((value,));
        self.step(site, TryFilter::new(Given(predicate, of_value), site))
    }

    /// Exchanges the elements of each pair.
    ///
    /// # Examples
    ///
    /// ```
    /// let names = holdall::from_vec(vec![(1, "one"), (2, "two")]).swap();
    /// assert_eq!(names.collect()?, [("one", 1), ("two", 2)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn swap(self) -> Bag<(V, K), impl Pipeline<Out = (V, K)>> {
        let swap = Plain(|(key, value): (K, V)| (value, key));
        self.map_at(Site::new("swap"), swap)
    }
}

/// Groups by a key that a closure returns. They are wide, as [`group_by_key`](Bag::group_by_key) is.
impl<T: Record<Owned: Data> + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Groups the records by the key that `key_of` returns: [`key_by`](Bag::key_by) and
    /// [`group_by_key`](Bag::group_by_key) in one. Wide.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["plum", "fig", "pear"]).group_by(|word| word.len());
    /// let lists = words.sort_by_key(|len| *len).collect()?;
    /// assert_eq!(lists, [(3, vec!["fig"]), (4, vec!["plum", "pear"])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn group_by<K, F>(self, key_of: F) -> Bag<Group<K, T::Owned>>
    where
        K: Data + Eq,
        F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let site = Site::new("group_by");
        self.key_by_at(site, Plain(key_of)).group_by_key_at(site)
    }

    /// Returns the first record with each key that `key_of` returns, in the order of the bag. Wide: the result has the
    /// partitions and the order of [`reduce_by_key`](Bag::reduce_by_key).
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["plum", "fig", "pear"]).distinct_by_key(|word| word.len());
    /// assert_eq!(words.sort().collect()?, ["fig", "plum"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn distinct_by_key<K, F>(self, key_of: F) -> Bag<T::Owned>
    where
        K: Data + Eq,
        F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let site = Site::new("distinct_by_key");
        let firsts = self.key_by_at(site, Plain(key_of)).per_key().first_at(site);
        let record = Plain(|(_, record): (K, T::Owned)| record);
        firsts.map_at(site, record).boxed()
    }
}

/// Actions on pairs.
impl<K: Data + Eq, V: Data, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Returns the values of one key, in the order of the bag. Runs a job.
    ///
    /// If the pairs are already in the partition of their key, as after [`partition_by`](Bag::partition_by) or a
    /// method that orders by hash, the job reads only that partition. Otherwise, it reads the whole bag.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect), and an error if `key` cannot be
    /// [serialised](crate#types-of-records).
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::range(0..1000).map(|n| (n % 100, n)).partition_by(50);
    /// assert_eq!(pairs.lookup(&42)?.len(), 10);
    /// assert!(pairs.lookup(&100)?.is_empty());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn lookup(&self, key: &K) -> Result<Vec<V>> {
        let site = Site::new("lookup");
        let mut bytes = Vec::new();
        K::append_bytes(key, &mut bytes).at(site)?;
        let keyed = self.node.keyed.filter(|keyed| keyed.is_by::<K>());
        let is_key = KeyIs::new(bytes.clone(), site);
        let Some(Keyed { partitions, .. }) = keyed else {
            return self.clone().step(site, is_key).collect_at(site);
        };
        let partitioner = HashPartitioner::new(partitions);
        let partition = SelectPartitions {
            parent: Arc::clone(&self.pipeline),
            selected: vec![partitioner.position(&bytes).partition],
            site,
        };
        let node = Node::selection(site, Some(1), &self.node);
        let partition = Bag::new(partition, node, self.context.clone());
        partition.step(site, is_key).collect_at(site)
    }

    /// Returns the pairs as a map. If a key occurs several times, its last value counts, in the order of the bag. Runs a
    /// job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let counts = holdall::from_vec(vec!["a", "b", "a"]).count_by_value().collect_map()?;
    /// assert_eq!(counts["a"], 2);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn collect_map(&self) -> Result<HashMap<K, V>>
    where
        K: Hash,
    {
        let mut map = HashMap::new();
        let collect = Collect::all(Site::new("collect_map"));
        self.run(&collect, |_, pairs: Vec<(K, V)>| {
            map.extend(pairs);
            ControlFlow::Continue(())
        })?;
        Ok(map)
    }
}
