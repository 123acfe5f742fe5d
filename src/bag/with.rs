//! Transformations whose closures are handed a named state.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Bag;
use crate::operators::Then;
use crate::operators::filter::Filter;
use crate::operators::flat_map::FlatMap;
use crate::operators::flat_map_str::FlatMapStr;
use crate::operators::group_by_key::Group;
use crate::operators::inspect::Inspect;
use crate::operators::map::Map;
use crate::operators::map_partitions::{MapPartitions, Records};
use crate::operators::try_step::{TryFilter, Unwrap};
use crate::operators::values::Values;
use crate::pipeline::{Data, Pipeline, Record};
use crate::task::Site;

/// A bag, and a value that the closure of its next method is handed first. Given by [`Bag::with`].
///
/// Each method does what that of [`Bag`] does. Its closures, if there are several all of them, are handed the state as
/// their first argument; the bag that a transformation gives is one without the state.
///
/// # Examples
///
/// ```
/// let numbers = holdall::range(0..6)
///     .with(2)
///     .filter(|least, n| n >= least)
///     .with(10)
///     .map(|scale, n| n * scale);
/// assert_eq!(numbers.collect()?, [20, 30, 40, 50]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use = "a bag does nothing until an action runs it"]
pub struct BagWith<T: Record + ?Sized, P, S> {
    pub(super) bag: Bag<T, P>,
    pub(super) state: Arc<S>,
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
        let state = Arc::new(state);
        Self { bag, state }
    }

    /// [`Bag::map`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let scaled = holdall::range(0..3).with(10).map(|scale, n| n * scale);
    /// assert_eq!(scaled.collect()?, [0, 10, 20]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> U + Send + Sync + 'static,
    {
        self.map_at(Site::new("map"), op)
    }

    fn map_at<U, F>(self, site: Site, op: F) -> Bag<U, impl Pipeline<Out = U> + use<T, P, S, U, F>>
    where
        U: 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> U + Send + Sync + 'static,
    {
        let (state, out) = (self.state, PhantomData);
        self.bag.step(
            site,
            Map {
                state,
                op,
                site,
                out,
            },
        )
    }

    /// [`Bag::filter`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let large = holdall::range(0..5).with(3).filter(|least, n| n >= least);
    /// assert_eq!(large.collect()?, [3, 4]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn filter<F>(self, predicate: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        F: for<'a> Fn(&S, T::Peek<'a>) -> bool + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("filter"), self.state);
        self.bag.step(
            site,
            Filter {
                state,
                predicate,
                site,
            },
        )
    }

    /// [`Bag::filter_map`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// let codes = BTreeMap::from([("de".to_owned(), 49), ("fr".to_owned(), 33)]);
    /// let found = holdall::from_vec(vec!["fr", "xx"]).with(codes).filter_map(|codes, c| codes.get(c).copied());
    /// assert_eq!(found.collect()?, [33]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn filter_map<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> Option<U> + Send + Sync + 'static,
    {
        let (site, state, out) = (Site::new("filter_map"), self.state, PhantomData);
        self.bag.step(
            site,
            FlatMap {
                state,
                op,
                site,
                out,
            },
        )
    }

    /// [`Bag::flat_map`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let copies = holdall::range(1..3).with(2).flat_map(|times, n| vec![n; *times]);
    /// assert_eq!(copies.collect()?, [1, 1, 2, 2]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn flat_map<I, F>(self, op: F) -> Bag<I::Item, impl Pipeline<Out = I::Item>>
    where
        I: IntoIterator<Item: 'static> + 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> I + Send + Sync + 'static,
    {
        let (site, state, out) = (Site::new("flat_map"), self.state, PhantomData);
        self.bag.step(
            site,
            FlatMap {
                state,
                op,
                site,
                out,
            },
        )
    }

    /// [`Bag::flat_map_str`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let fields = holdall::from_vec(vec!["a;b", "c"])
    ///     .with(';')
    ///     .flat_map_str(|mark, line, emit| line.split(*mark).for_each(emit));
    /// assert_eq!(fields.collect()?, ["a", "b", "c"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn flat_map_str<F>(self, op: F) -> Bag<str, impl Pipeline<Out = str>>
    where
        F: for<'a, 'e> Fn(&S, T::Ref<'a>, &'e mut (dyn FnMut(&str) + 'e)) + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("flat_map_str"), self.state);
        self.bag.step(site, FlatMapStr { state, op, site })
    }

    /// [`Bag::inspect`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range(0..2).with("saw".to_owned()).inspect(|saw, n| eprintln!("{saw} {n}"));
    /// assert_eq!(numbers.count()?, 2);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn inspect<F>(self, op: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        F: for<'a> Fn(&S, T::Peek<'a>) + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("inspect"), self.state);
        self.bag.step(site, Inspect { state, op, site })
    }

    /// [`Bag::key_by`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::range(3..6).with(4).key_by(|modulus, n| n % modulus);
    /// assert_eq!(pairs.collect()?, [(3, 3), (0, 4), (1, 5)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn key_by<K, F>(self, key_of: F) -> Bag<(K, T::Owned), impl Pipeline<Out = (K, T::Owned)>>
    where
        K: 'static,
        F: for<'a> Fn(&S, T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        self.map_at(Site::new("key_by"), move |state: &S, record: T::Ref<'_>| {
            let key = key_of(state, T::peek(&record));
            (key, T::into_owned(record))
        })
    }

    /// [`Bag::map_partitions`], with the state: `op` is handed the state, the records of a partition and `emit`.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::Context::builder().build()?.range_partitioned(0..6, 2);
    /// let sums = numbers.with(100).map_partitions(|start, numbers, emit| {
    ///     let mut sum = *start;
    ///     numbers.for_each(|n| sum += n);
    ///     emit(sum);
    /// });
    /// assert_eq!(sums.collect()?, [103, 112]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map_partitions<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'r, 'e> Fn(&S, Records<'r, T>, &'e mut (dyn FnMut(U) + 'e)) + Send + Sync + 'static,
    {
        self.map_partitions_at(
            Site::new("map_partitions"),
            move |state: &S, _, records: Records<'_, T>, emit: &mut dyn FnMut(U)| {
                op(state, records, emit);
            },
        )
    }

    /// [`Bag::map_partitions_with_index`], with the state: `op` is handed the state, the partition's number, its records
    /// and `emit`.
    ///
    /// # Examples
    ///
    /// ```
    /// let firsts = holdall::range(0..100).with(1).map_partitions_with_index(|count, partition, numbers, emit| {
    ///     let mut left = *count;
    ///     numbers.for_each(|n| {
    ///         if partition == 0 && left > 0 {
    ///             left -= 1;
    ///             emit(n);
    ///         }
    ///     });
    /// });
    /// assert_eq!(firsts.collect()?, [0]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map_partitions_with_index<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'r, 'e> Fn(&S, usize, Records<'r, T>, &'e mut (dyn FnMut(U) + 'e))
            + Send
            + Sync
            + 'static,
    {
        self.map_partitions_at(Site::new("map_partitions_with_index"), op)
    }

    fn map_partitions_at<U, F>(
        self,
        site: Site,
        op: F,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, S, U, F>>
    where
        U: 'static,
        F: for<'r, 'e> Fn(&S, usize, Records<'r, T>, &'e mut (dyn FnMut(U) + 'e))
            + Send
            + Sync
            + 'static,
    {
        let (state, out) = (self.state, PhantomData);
        self.bag.then(site, |parent| MapPartitions {
            parent,
            state,
            op,
            site,
            out,
        })
    }

    /// [`Bag::try_map`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let digits = holdall::from_vec(vec!["ff", "7"]).with(16).try_map(|radix, s| u32::from_str_radix(s, *radix));
    /// assert_eq!(digits.collect()?, [255, 7]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_map<U, E, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> Result<U, E> + Send + Sync + 'static,
    {
        self.try_map_at(Site::new("try_map"), op)
    }

    pub(super) fn try_map_at<U, E, F>(
        self,
        site: Site,
        op: F,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, S, U, E, F>>
    where
        U: 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> Result<U, E> + Send + Sync + 'static,
    {
        let (state, out) = (self.state, PhantomData);
        let map = Map {
            state,
            op,
            site,
            out,
        };
        self.bag.step(site, Then(map, Unwrap { site }))
    }

    /// [`Bag::try_filter_map`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let digits = holdall::from_vec(vec!["f", "", "7"]).with(16).try_filter_map(|radix, s| {
    ///     if s.is_empty() { Ok(None) } else { u32::from_str_radix(s, *radix).map(Some) }
    /// });
    /// assert_eq!(digits.collect()?, [15, 7]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_filter_map<U, E, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> Result<Option<U>, E> + Send + Sync + 'static,
    {
        let site = Site::new("try_filter_map");
        let bag = self.try_map_at(site, op);
        bag.flat_map_at(site, |some| some)
    }

    /// [`Bag::try_flat_map`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let copies = holdall::from_vec(vec!["1", "2"])
    ///     .with(2)
    ///     .try_flat_map(|times, text| text.parse::<u32>().map(|n| vec![n; *times]));
    /// assert_eq!(copies.collect()?, [1, 1, 2, 2]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_flat_map<I, E, F>(self, op: F) -> Bag<I::Item, impl Pipeline<Out = I::Item>>
    where
        I: IntoIterator<Item: 'static> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> Result<I, E> + Send + Sync + 'static,
    {
        let site = Site::new("try_flat_map");
        let bag = self.try_map_at(site, op);
        bag.flat_map_at(site, |records| records)
    }

    /// [`Bag::try_filter`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let large = holdall::from_vec(vec!["1", "9"])
    ///     .with(5)
    ///     .try_filter(|least, text| text.parse::<i32>().map(|n| n >= *least));
    /// assert_eq!(large.collect()?, ["9"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_filter<E, F>(self, predicate: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: for<'a> Fn(&S, T::Peek<'a>) -> Result<bool, E> + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("try_filter"), self.state);
        self.bag.step(
            site,
            TryFilter {
                state,
                predicate,
                site,
            },
        )
    }
}

impl<K: 'static, V: 'static, P, S> BagWith<(K, V), P, S>
where
    P: Pipeline<Out = (K, V)>,
    S: Data + Sync,
{
    /// [`Bag::map_values`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let scaled = holdall::from_vec(vec![("a", 1), ("b", 2)]).with(10).map_values(|scale, n| n * scale);
    /// assert_eq!(scaled.collect()?, [("a", 10), ("b", 20)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map_values<U, F>(self, op: F) -> Bag<(K, U), impl Pipeline<Out = (K, U)>>
    where
        U: 'static,
        F: Fn(&S, V) -> U + Send + Sync + 'static,
    {
        let keyed = self.bag.node.keyed.filter(|keyed| keyed.is_by::<K>());
        let op = move |state: &S, (key, value)| (key, op(state, value));
        self.map_at(Site::new("map_values"), op).keyed(keyed)
    }
}

impl<K: Data + Eq, V: Data, P, S> BagWith<Group<K, V>, P, S>
where
    P: Pipeline<Out = Group<K, V>>,
    S: Data + Sync,
{
    /// [`Bag::map_values`] of groups, with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let groups = holdall::range(0..6).map(|n| (n % 2, n)).group_by_key();
    /// let firsts = groups.with(2).map_values(|most, values| values.take(*most).collect::<Vec<_>>());
    /// let mut firsts = firsts.collect()?;
    /// firsts.sort();
    /// assert_eq!(firsts, [(0, vec![0, 2]), (1, vec![1, 3])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map_values<U, F>(self, op: F) -> Bag<(K, U), impl Pipeline<Out = (K, U)>>
    where
        U: 'static,
        F: for<'a> Fn(&S, Values<'a, V>) -> U + Send + Sync + 'static,
    {
        let keyed = self.bag.node.keyed;
        let op = move |state: &S, (key, values): (K, Values<'_, V>)| (key, op(state, values));
        self.map_at(Site::new("map_values"), op).keyed(keyed)
    }
}
