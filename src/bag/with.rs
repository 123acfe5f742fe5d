//! Transformations whose closures receive a state.

use std::fmt;

use super::Bag;
use crate::error::BoxError;
use crate::operators::cogroup::CoGroup;
use crate::operators::filter::Filter;
use crate::operators::group_by_key::Group;
use crate::operators::inspect::Inspect;
use crate::operators::map_partitions::Records;
use crate::operators::try_step::TryFilter;
use crate::operators::values::Values;
use crate::pipeline::{ClosureState, Data, Pipeline, Record, Stated};
use crate::task::Site;

/// A bag, and a state that the closures of its next method receive. Created by [`Bag::with`].
///
/// Each method does the same as the method of [`Bag`] with the same name. Its closures receive a reference to the state
/// as their first argument; if a method takes several closures, all of them do. The bag that a transformation returns
/// no longer has a state. To use one state for several methods, clone this value: the clones share the state.
///
/// A method is here only if the state cannot be attached one step earlier:
///
/// | instead of | write |
/// | --- | --- |
/// | `find(f)`, `any(f)` | `with(state).filter(f)`, then `first()` or `is_empty()` |
/// | `find_last(f)` | `with(state).filter(f)`, then `last()` |
/// | `find_map(f)` | `with(state).filter_map(f)`, then `first()` |
/// | `position(f)` | `with(state).map(f)`, then `position(\|found\| found)` |
/// | `partition(f)` | `with(state).filter(f)` and `filter` of the opposite, on a clone |
/// | `map_ok(f)`, `filter_ok(f)` | `with(state).map(..)`, `filter(..)` with a closure on results |
/// | `all(f)` | `with(state).filter(..)` of the opposite, then `is_empty()` |
/// | `min_by_key(f)`, `top_by_key(n, f)`, … | `with(state).key_by(f)`, then the method on the key |
/// | `group_by(f)`, `distinct_by_key(f)` | `with(state).key_by(f)`, then `group_by_key()` or `per_key().first().values()` |
/// | `stats_of(f)` | `with(state).map(f)`, then `stats()` |
/// | `sort_by_key(f)`, `sort_by_cached_key(f)` | `with(state).key_by(f)`, then `sort_by(\|a, b\| a.0.cmp(&b.0)).values()` |
///
/// # Examples
///
/// A number, and a map:
///
/// ```
/// use std::collections::BTreeMap;
///
/// let large = holdall::range(0..6).with(2).filter(|min, n| n >= min);
/// assert_eq!(large.collect()?, [2, 3, 4, 5]);
///
/// let codes = BTreeMap::from([("de".to_owned(), 49), ("fr".to_owned(), 33)]);
/// let found = holdall::from_vec(vec!["fr", "xx"]).with(codes).filter_map(|codes, c| codes.get(c).copied());
/// assert_eq!(found.collect()?, [33]);
/// # Ok::<(), holdall::Error>(())
/// ```
///
/// An action, a keyed transformation and a sort:
///
/// ```
/// let residue = holdall::range(1..6).with(7).fold(1, |modulus, product, n| product * n % modulus)?;
/// assert_eq!(residue, 1); // 120 is 17 * 7 + 1
///
/// let pairs = holdall::range(1..6).map(|n| (n % 2, n));
/// let mut products = pairs.with(7).reduce_by_key(|modulus, a, b| a * b % modulus).collect()?;
/// products.sort();
/// assert_eq!(products, [(0, 8 % 7), (1, 15 % 7)]);
///
/// let nearest = holdall::from_vec(vec![1, 5, 12]).with(6_i32);
/// let nearest = nearest.sort_by(|from, a, b| (a - from).abs().cmp(&(b - from).abs()));
/// assert_eq!(nearest.collect()?, [5, 1, 12]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use = "a bag does nothing until an action runs it"]
pub struct BagWith<T: Record + ?Sized, P, S> {
    pub(super) bag: Bag<T, P>,
    state: ClosureState<S>,
}

impl<T: Record + ?Sized, P, S> Clone for BagWith<T, P, S> {
    fn clone(&self) -> Self {
        Self {
            bag: self.bag.clone(),
            state: self.state.clone(),
        }
    }
}

impl<T: Record + ?Sized, P, S: fmt::Debug> fmt::Debug for BagWith<T, P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BagWith")
            .field("bag", &self.bag)
            .field("state", &self.state)
            .finish()
    }
}

impl<T: Record + ?Sized, P: Pipeline<Out = T>, S: Data + Sync> BagWith<T, P, S> {
    pub(super) fn new(bag: Bag<T, P>, state: S) -> Self {
        Self::of_state(bag, ClosureState::given(state))
    }

    pub(crate) fn of_state(bag: Bag<T, P>, state: ClosureState<S>) -> Self {
        Self { bag, state }
    }

    /// Adds another state. The closures receive a reference to the pair of both.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::range(1..4).with(10).with(">".to_owned());
    /// let lines = lines.map(|(factor, prefix), n| format!("{prefix}{}", factor * n));
    /// assert_eq!(lines.collect()?, [">10", ">20", ">30"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn with<R: Data + Sync>(self, state: R) -> BagWith<T, P, (S, R)>
    where
        S: Clone,
    {
        BagWith::of_state(self.bag, self.state.and(state))
    }

    /// Returns `op` with the state.
    pub(super) fn stated<F>(&self, op: F) -> Stated<S, F> {
        Stated(self.state.clone(), op)
    }

    /// [`Bag::map`](crate::Bag::map), with the state.
    #[track_caller]
    pub fn map<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> U + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.map_at(Site::new("map"), op)
    }

    /// [`Bag::filter`](crate::Bag::filter), with the state.
    #[track_caller]
    pub fn filter<F>(self, predicate: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        F: for<'a> Fn(&S, T::Peek<'a>) -> bool + Send + Sync + 'static,
    {
        let (site, predicate) = (Site::new("filter"), self.stated(predicate));
        self.bag.step(site, Filter { predicate, site })
    }

    /// [`Bag::filter_map`](crate::Bag::filter_map), with the state.
    #[track_caller]
    pub fn filter_map<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> Option<U> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.flat_map_at(Site::new("filter_map"), op)
    }

    /// [`Bag::flat_map`](crate::Bag::flat_map), with the state.
    #[track_caller]
    pub fn flat_map<I, F>(self, op: F) -> Bag<I::Item, impl Pipeline<Out = I::Item>>
    where
        I: IntoIterator<Item: 'static> + 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> I + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.flat_map_at(Site::new("flat_map"), op)
    }

    /// [`Bag::inspect`](crate::Bag::inspect), with the state.
    #[track_caller]
    pub fn inspect<F>(self, op: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        F: for<'a> Fn(&S, T::Peek<'a>) + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("inspect"), self.stated(op));
        self.bag.step(site, Inspect { op, site })
    }

    /// [`Bag::key_by`](crate::Bag::key_by), with the state.
    #[track_caller]
    pub fn key_by<K, F>(self, key_of: F) -> Bag<(K, T::Owned), impl Pipeline<Out = (K, T::Owned)>>
    where
        K: 'static,
        F: for<'a> Fn(&S, T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let key_of = self.stated(key_of);
        self.bag.key_by_at(Site::new("key_by"), key_of)
    }

    /// [`Bag::map_partitions`](crate::Bag::map_partitions), with the state.
    #[track_caller]
    pub fn map_partitions<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'r, 'e> Fn(&S, Records<'r, T>, &'e mut (dyn FnMut(U) + 'e)) + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .map_whole_partitions_at(Site::new("map_partitions"), op)
    }

    /// [`Bag::map_partitions_with_index`](crate::Bag::map_partitions_with_index), with the state before the index.
    #[track_caller]
    pub fn map_partitions_with_index<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'r, 'e> Fn(&S, usize, Records<'r, T>, &'e mut (dyn FnMut(U) + 'e))
            + Send
            + Sync
            + 'static,
    {
        let op = self.stated(op);
        self.bag
            .map_partitions_at(Site::new("map_partitions_with_index"), op)
    }

    /// [`Bag::zip_partitions`](crate::Bag::zip_partitions), with the state.
    #[track_caller]
    pub fn zip_partitions<U, Q, W, F>(
        self,
        other: Bag<U, Q>,
        op: F,
    ) -> Bag<W, impl Pipeline<Out = W>>
    where
        U: Record + ?Sized,
        Q: Pipeline<Out = U>,
        W: 'static,
        F: for<'l, 'r, 'e> Fn(&S, Records<'l, T>, Records<'r, U>, &'e mut (dyn FnMut(W) + 'e))
            + Send
            + Sync
            + 'static,
    {
        let op = self.stated(op);
        self.bag
            .zip_partitions_at(Site::new("zip_partitions"), other, op)
    }

    /// [`Bag::try_map`](crate::Bag::try_map), with the state.
    #[track_caller]
    pub fn try_map<U, E, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> Result<U, E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.try_map_at(Site::new("try_map"), op)
    }

    /// [`Bag::try_filter_map`](crate::Bag::try_filter_map), with the state.
    #[track_caller]
    pub fn try_filter_map<U, E, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> Result<Option<U>, E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.try_flat_map_at(Site::new("try_filter_map"), op)
    }

    /// [`Bag::try_flat_map`](crate::Bag::try_flat_map), with the state.
    #[track_caller]
    pub fn try_flat_map<I, E, F>(self, op: F) -> Bag<I::Item, impl Pipeline<Out = I::Item>>
    where
        I: IntoIterator<Item: 'static> + 'static,
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> Result<I, E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.try_flat_map_at(Site::new("try_flat_map"), op)
    }

    /// [`Bag::try_filter`](crate::Bag::try_filter), with the state.
    #[track_caller]
    pub fn try_filter<E, F>(self, predicate: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&S, T::Peek<'a>) -> Result<bool, E> + Send + Sync + 'static,
    {
        let (site, predicate) = (Site::new("try_filter"), self.stated(predicate));
        self.bag.step(site, TryFilter::new(predicate, site))
    }
}

impl<K: 'static, V: 'static, P, S> BagWith<(K, V), P, S>
where
    P: Pipeline<Out = (K, V)>,
    S: Data + Sync,
{
    /// [`Bag::map_values`](crate::Bag::map_values), with the state.
    #[track_caller]
    pub fn map_values<U, F>(self, op: F) -> Bag<(K, U), impl Pipeline<Out = (K, U)>>
    where
        U: 'static,
        F: Fn(&S, V) -> U + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.map_values_at(Site::new("map_values"), op)
    }
}

impl<K: 'static, V: 'static, P, S> BagWith<(K, V), P, S>
where
    P: Pipeline<Out = (K, V)>,
    S: Data + Sync,
{
    /// [`Bag::flat_map_values`](crate::Bag::flat_map_values), with the state.
    #[track_caller]
    pub fn flat_map_values<I, F>(
        self,
        op: F,
    ) -> Bag<(K, I::Item), impl Pipeline<Out = (K, I::Item)>>
    where
        K: Clone,
        I: IntoIterator<Item: 'static, IntoIter: 'static> + 'static,
        F: Fn(&S, V) -> I + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .flat_map_values_at(Site::new("flat_map_values"), op)
    }

    /// [`Bag::filter_values`](crate::Bag::filter_values), with the state.
    #[track_caller]
    pub fn filter_values<F>(self, predicate: F) -> Bag<(K, V), impl Pipeline<Out = (K, V)>>
    where
        F: Fn(&S, &V) -> bool + Send + Sync + 'static,
    {
        let predicate = self.stated(predicate);
        self.bag
            .filter_values_at(Site::new("filter_values"), predicate)
    }

    /// [`Bag::try_map_values`](crate::Bag::try_map_values), with the state.
    #[track_caller]
    pub fn try_map_values<U, E, F>(self, op: F) -> Bag<(K, U), impl Pipeline<Out = (K, U)>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: Fn(&S, V) -> Result<U, E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.try_map_values_at(Site::new("try_map_values"), op)
    }
}

impl<K: Data + Eq, V: Data, W: Data, P, S> BagWith<CoGroup<K, V, W>, P, S>
where
    P: Pipeline<Out = CoGroup<K, V, W>>,
    S: Data + Sync,
{
    /// [`Bag::map_values`](crate::Bag::map_values) of the groups of two bags, with the state.
    #[track_caller]
    pub fn map_values<U, F>(self, op: F) -> Bag<(K, U), impl Pipeline<Out = (K, U)>>
    where
        U: 'static,
        F: for<'a> Fn(&S, Values<'a, V>, Values<'a, W>) -> U + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.map_values_at(Site::new("map_values"), op)
    }
}

impl<K: Data + Eq, V: Data, P, S> BagWith<Group<K, V>, P, S>
where
    P: Pipeline<Out = Group<K, V>>,
    S: Data + Sync,
{
    /// [`Bag::map_values`](crate::Bag::map_values) of groups, with the state.
    #[track_caller]
    pub fn map_values<U, F>(self, op: F) -> Bag<(K, U), impl Pipeline<Out = (K, U)>>
    where
        U: 'static,
        F: for<'a> Fn(&S, Values<'a, V>) -> U + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.map_values_at(Site::new("map_values"), op)
    }
}
