//! Transformations that process each partition independently.

use std::marker::PhantomData;

use super::{Bag, BagWith};
use crate::error::BoxError;
use crate::lineage::Node;
use crate::operators::filter::Filter;
use crate::operators::flat_map::FlatMap;
use crate::operators::inspect::Inspect;
use crate::operators::map::Map;
use crate::operators::map_init::MapInit;
use crate::operators::map_partitions::{MapPartitions, Records};
use crate::operators::try_step::{Outcome, TryFilter, Unwrap};
use crate::operators::union::Union;
use crate::operators::{Narrow, Step, Then};
use crate::pipeline::{Call, Data, Given, Pipeline, Plain, Record};
use crate::task::Site;

/// Any error that a closure may return.
/// Transformations of single records. Narrow: they keep partitions and order.
///
/// Closures may run on several threads concurrently and must be [deterministic](crate#closures). If a closure panics or
/// fails, the [action returns an error](crate#errors-and-panics).
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Appends one step at `site`.
    pub(super) fn step<O: Step<T>>(self, site: Site, step: O) -> Bag<O::Out, Narrow<P, O>> {
        let keyed = self.node.keyed.filter(|_| O::KEEPS_RECORDS);
        let ascends = self.node.ascends && O::KEEPS_RECORDS;
        self.then(site, |parent| Narrow::new(parent, step))
            .keyed(keyed)
            .ascending(ascends)
    }

    /// Passes `state` to the closures of the next method, as their first argument.
    ///
    /// The next method may be a transformation or an action. [`BagWith`] lists the few methods with closures that take no
    /// state, and what to write instead. The bag that a transformation returns no longer carries the state. If jobs run
    /// in this process, a `move` closure can capture the value instead. Closures for [worker
    /// processes](crate#worker-processes) must not capture anything; `state` is sent to the workers by serde.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashSet;
    ///
    /// let stop_words: HashSet<String> = ["of", "a"].map(String::from).into();
    /// let words = holdall::from_vec(vec!["a", "bag", "of", "words"]);
    /// let kept = words.with(stop_words).filter(|stop, word| !stop.contains(*word));
    /// assert_eq!(kept.collect()?, ["bag", "words"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn with<S: Data + Sync>(self, state: S) -> BagWith<T, P, S> {
        BagWith::new(self, state)
    }

    /// Applies `op` to each record and returns a bag of the results. Narrow: keeps partitions and order.
    ///
    /// On a bag of text, `op` cannot return a slice of its record. To emit slices, use
    /// [`flat_map_str`](Bag::flat_map_str).
    ///
    /// ```compile_fail
    /// let starts = holdall::read_text("words.txt")?.map(|line| &line[..1]); // borrows from a buffer that is reused
    /// # Ok::<(), holdall::Error>(())
    /// ```
    ///
    /// ```no_run
    /// let starts = holdall::read_text("words.txt")?.flat_map_str(|line, emit| emit(&line[..1]));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    ///
    /// To get owned lines, use `map(str::to_owned)`. `map(String::from)` does not compile: `op` must accept a `&str` of
    /// every lifetime, but `String::from` is a function for one lifetime.
    ///
    /// ```compile_fail
    /// let lines = holdall::read_text("words.txt")?.map(String::from);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    ///
    /// ```no_run
    /// let lines = holdall::read_text("words.txt")?.map(str::to_owned);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    ///
    /// # Examples
    ///
    /// ```
    /// let doubled = holdall::range(0..3).map(|n| n * 2);
    /// assert_eq!(doubled.collect()?, [0, 2, 4]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'a> Fn(T::Ref<'a>) -> U + Send + Sync + 'static,
    {
        self.map_at(Site::new("map"), Plain(op))
    }

    /// `map` with the given site, for methods that are special cases of it.
    pub(super) fn map_at<U, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U, C>>
    where
        U: 'static,
        C: for<'a> Call<(T::Ref<'a>,), Out = U>,
    {
        self.step(site, Map::new(op, site))
    }

    /// Applies `op` to each record, together with a value that `init` creates for each partition, and returns a bag of
    /// the results. Narrow: keeps partitions and order.
    ///
    /// The value is for what is expensive to create and cannot be sent to worker processes by serde, such as a compiled
    /// regular expression, a parser or a buffer. `op` may change it, but its results must not depend on earlier records:
    /// the records that a partition has, and the number of partitions, may change with the version of the input or of
    /// the program.
    ///
    /// # Examples
    ///
    /// A buffer that is reused:
    ///
    /// ```
    /// use std::fmt::Write;
    ///
    /// let lengths = holdall::range(98..102).map_init(String::new, |buffer, n| {
    ///     buffer.clear();
    ///     write!(buffer, "{n}").unwrap();
    ///     buffer.len()
    /// });
    /// assert_eq!(lengths.collect()?, [2, 2, 3, 3]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map_init<I, U, Init, F>(self, init: Init, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        I: 'static,
        U: 'static,
        Init: Fn() -> I + Send + Sync + 'static,
        F: for<'s, 'a> Fn(&'s mut I, T::Ref<'a>) -> U + Send + Sync + 'static,
    {
        self.map_init_at(Site::new("map_init"), Plain(init), Plain(op))
    }

    pub(super) fn map_init_at<I, U, N, C>(
        self,
        site: Site,
        init: N,
        op: C,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, I, U, N, C>>
    where
        I: 'static,
        U: 'static,
        N: Call<(), Out = I>,
        C: for<'s, 'a> Call<(&'s mut I, T::Ref<'a>), Out = U>,
    {
        let out = PhantomData;
        self.then(site, |parent| MapInit {
            parent,
            init,
            op,
            site,
            out,
        })
    }

    /// Keeps the records for which `predicate` returns `true`. Narrow: keeps partitions and order.
    ///
    /// `predicate` receives a `&T`, or for text the `&str` or `&[u8]` itself.
    ///
    /// # Examples
    ///
    /// ```
    /// let odd = holdall::range(0..6).filter(|n| n % 2 == 1);
    /// assert_eq!(odd.collect()?, [1, 3, 5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn filter<F>(self, predicate: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        F: for<'a> Fn(T::Peek<'a>) -> bool + Send + Sync + 'static,
    {
        self.filter_at(Site::new("filter"), Plain(predicate))
    }

    pub(super) fn filter_at<C>(
        self,
        site: Site,
        predicate: C,
    ) -> Bag<T, impl Pipeline<Out = T> + use<T, P, C>>
    where
        C: for<'a> Call<(T::Peek<'a>,), Out = bool>,
    {
        self.step(site, Filter { predicate, site })
    }

    /// Applies `op` to each record and keeps the results that are `Some`. Narrow: keeps partitions and order.
    ///
    /// # Examples
    ///
    /// ```
    /// let texts = holdall::from_vec(vec!["1", "two", "3"]);
    /// let numbers = texts.filter_map(|text| text.parse::<u32>().ok());
    /// assert_eq!(numbers.collect()?, [1, 3]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn filter_map<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'a> Fn(T::Ref<'a>) -> Option<U> + Send + Sync + 'static,
    {
        self.flat_map_at(Site::new("filter_map"), Plain(op))
    }

    /// Applies `op` to each record and returns a bag of the items of the collections or iterators that `op` returns.
    /// Narrow: keeps partitions and order.
    ///
    /// The items cannot borrow from the record. To emit parts of a line without copying them, use
    /// [`flat_map_str`](Bag::flat_map_str). To emit records one by one, instead of returning a collection, use
    /// [`flat_map_emit`](Bag::flat_map_emit).
    ///
    /// ```compile_fail
    /// let words = holdall::read_text("words.txt")?.flat_map(|line| line.split(' '));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    ///
    /// ```no_run
    /// let words = holdall::read_text("words.txt")?
    ///     .flat_map_str(|line, emit| line.split(' ').for_each(emit));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    ///
    /// # Examples
    ///
    /// ```
    /// let triangle = holdall::range(0..4).flat_map(|n| 0..n);
    /// assert_eq!(triangle.collect()?, [0, 0, 1, 0, 1, 2]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn flat_map<I, F>(self, op: F) -> Bag<I::Item, impl Pipeline<Out = I::Item>>
    where
        I: IntoIterator<Item: 'static> + 'static,
        F: for<'a> Fn(T::Ref<'a>) -> I + Send + Sync + 'static,
    {
        self.flat_map_at(Site::new("flat_map"), Plain(op))
    }

    pub(super) fn flat_map_at<I, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<I::Item, impl Pipeline<Out = I::Item> + use<T, P, I, C>>
    where
        I: IntoIterator<Item: 'static> + 'static,
        C: for<'a> Call<(T::Ref<'a>,), Out = I>,
    {
        self.step(site, FlatMap::new(op, site))
    }

    /// Calls `op` with each record and passes the record on unchanged, for example to log it. Narrow: keeps partitions
    /// and order.
    ///
    /// `op` runs each time a job computes the record: never if no job needs the record, and again for each further action.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range(0..3).inspect(|n| eprintln!("{n}"));
    /// assert_eq!(numbers.count()?, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn inspect<F>(self, op: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        F: for<'a> Fn(T::Peek<'a>) + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("inspect"), Plain(op));
        self.step(site, Inspect { op, site })
    }

    /// Pairs each record with the key that `key_of` returns for it. Narrow: keeps partitions and order.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["to", "be"]).key_by(|word| word.len());
    /// assert_eq!(words.collect()?, [(2, "to"), (2, "be")]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn key_by<K, F>(self, key_of: F) -> Bag<(K, T::Owned), impl Pipeline<Out = (K, T::Owned)>>
    where
        K: 'static,
        F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        self.key_by_at(Site::new("key_by"), Plain(key_of))
    }

    pub(super) fn key_by_at<K, C>(
        self,
        site: Site,
        key_of: C,
    ) -> Bag<(K, T::Owned), impl Pipeline<Out = (K, T::Owned)> + use<T, P, K, C>>
    where
        K: 'static,
        C: for<'a> Call<(T::Peek<'a>,), Out = K>,
    {
        let keyed = |key_of: &C, record: T::Ref<'_>| {
            let key = key_of.call((T::peek(&record),));
            (key, T::into_owned(record))
        };
        self.map_at(site, Given(key_of, keyed))
    }

    /// Applies `op` to each partition. `op` receives the records of the partition and a function `emit`, and calls
    /// `emit` for each record of the result. Narrow: keeps partitions.
    ///
    /// `op` is called once for each partition, even if the partition is empty. The result depends on how the source
    /// divides its records; see [order and partitions](crate#order-and-partitions).
    ///
    /// ```compile_fail
    /// // Records are pushed to the closure, so there is no iterator over them.
    /// let pairs = holdall::range(0..4).map_partitions(|numbers, emit| {
    ///     for n in numbers { emit(n); }
    /// });
    /// ```
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::Context::builder().build()?.range_partitioned(0..6, 2);
    /// let sums = numbers.map_partitions(|numbers, emit| {
    ///     let mut sum = 0;
    ///     numbers.for_each(|n| sum += n);
    ///     emit(sum);
    /// });
    /// assert_eq!(sums.collect()?, [0 + 1 + 2, 3 + 4 + 5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map_partitions<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'r, 'e> Fn(Records<'r, T>, &'e mut (dyn FnMut(U) + 'e)) + Send + Sync + 'static,
    {
        self.map_whole_partitions_at(Site::new("map_partitions"), Plain(op))
    }

    pub(super) fn map_whole_partitions_at<U, R, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U, R, C>>
    where
        U: 'static,
        R: Outcome,
        C: for<'r, 'e> Call<(Records<'r, T>, &'e mut (dyn FnMut(U) + 'e)), Out = R>,
    {
        let without_index = |op: &C, _: usize, records: Records<'_, T>, emit: &mut dyn FnMut(U)| {
            op.call((records, emit))
        };
        self.map_partitions_at(site, Given(op, without_index))
    }

    /// Like [`map_partitions`](Bag::map_partitions), with the partition's number as the first argument of `op`.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::Context::builder().build()?.range_partitioned(0..4, 2);
    /// let numbered = numbers.map_partitions_with_index(|partition, numbers, emit| {
    ///     numbers.for_each(|n| emit((partition, n)));
    /// });
    /// assert_eq!(numbered.collect()?, [(0, 0), (0, 1), (1, 2), (1, 3)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map_partitions_with_index<U, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        F: for<'r, 'e> Fn(usize, Records<'r, T>, &'e mut (dyn FnMut(U) + 'e))
            + Send
            + Sync
            + 'static,
    {
        self.map_partitions_at(Site::new("map_partitions_with_index"), Plain(op))
    }

    pub(super) fn map_partitions_at<U, R, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U, R, C>>
    where
        U: 'static,
        R: Outcome,
        C: for<'r, 'e> Call<(usize, Records<'r, T>, &'e mut (dyn FnMut(U) + 'e)), Out = R>,
    {
        let out = PhantomData;
        self.then(site, |parent| MapPartitions {
            parent,
            op,
            site,
            out,
        })
    }

    /// Appends the records of `other` to this bag. Duplicates are kept. Narrow.
    ///
    /// The partitions are those of this bag, followed by those of `other`. Jobs run in the context of this bag. To
    /// append many bags, use [`union_all`](crate::union_all); a loop of `union(…).boxed()` is as fast.
    ///
    /// # Examples
    ///
    /// ```
    /// let all = holdall::range(0..2).union(holdall::range(7..9));
    /// assert_eq!(all.collect()?, [0, 1, 7, 8]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn union<Q: Pipeline<Out = T>>(self, other: Bag<T, Q>) -> Bag<T, impl Pipeline<Out = T>> {
        let (first, second) = (self.pipeline, other.pipeline);
        let pipeline = Union { first, second };
        let parents = [&self.node, &other.node];
        let node = Node::narrow(Site::new("union"), pipeline.partitions(), &parents);
        Bag::new(pipeline, node, self.context)
    }

    /// Like [`map`](Bag::map), with a closure that may fail. The first error ends the job.
    ///
    /// The action then returns [`ErrorKind::Closure`](crate::ErrorKind::Closure), which contains the error of the
    /// closure and the location of the record.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec!["1", "two"]).try_map(|text| text.parse::<u32>());
    /// let error = numbers.collect().unwrap_err();
    /// assert!(error.to_string().contains("invalid digit"));
    /// ```
    #[track_caller]
    pub fn try_map<U, E, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(T::Ref<'a>) -> Result<U, E> + Send + Sync + 'static,
    {
        self.try_map_at(Site::new("try_map"), Plain(op))
    }

    pub(super) fn try_map_at<U, E, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U, E, C>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        C: for<'a> Call<(T::Ref<'a>,), Out = Result<U, E>>,
    {
        self.step(site, Then(Map::new(op, site), Unwrap { site }))
    }

    /// Like [`filter`](Bag::filter), with a predicate that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let even = holdall::from_vec(vec!["1", "2"])
    ///     .try_filter(|text| text.parse::<u32>().map(|n| n % 2 == 0));
    /// assert_eq!(even.collect()?, ["2"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_filter<E, F>(self, predicate: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(T::Peek<'a>) -> Result<bool, E> + Send + Sync + 'static,
    {
        let site = Site::new("try_filter");
        self.step(site, TryFilter::new(Plain(predicate), site))
    }

    /// Like [`filter_map`](Bag::filter_map), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec!["1", "", "3"]).try_filter_map(|text| {
    ///     if text.is_empty() { Ok(None) } else { text.parse::<u32>().map(Some) }
    /// });
    /// assert_eq!(numbers.collect()?, [1, 3]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_filter_map<U, E, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(T::Ref<'a>) -> Result<Option<U>, E> + Send + Sync + 'static,
    {
        self.try_flat_map_at(Site::new("try_filter_map"), Plain(op))
    }

    /// Like [`flat_map`](Bag::flat_map), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let ranges = holdall::from_vec(vec!["2", "3"]);
    /// let numbers = ranges.try_flat_map(|text| text.parse::<u32>().map(|n| 0..n));
    /// assert_eq!(numbers.collect()?, [0, 1, 0, 1, 2]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_flat_map<I, E, F>(self, op: F) -> Bag<I::Item, impl Pipeline<Out = I::Item>>
    where
        I: IntoIterator<Item: 'static> + 'static,
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(T::Ref<'a>) -> Result<I, E> + Send + Sync + 'static,
    {
        self.try_flat_map_at(Site::new("try_flat_map"), Plain(op))
    }

    pub(super) fn try_flat_map_at<I, E, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<I::Item, impl Pipeline<Out = I::Item> + use<T, P, I, E, C>>
    where
        I: IntoIterator<Item: 'static> + 'static,
        E: Into<BoxError> + 'static,
        C: for<'a> Call<(T::Ref<'a>,), Out = Result<I, E>>,
    {
        let attempt = Then(Map::new(op, site), Unwrap { site });
        let flatten = FlatMap::new(Plain(|records: I| records), site);
        self.step(site, Then(attempt, flatten))
    }
}

impl<I, P> Bag<I, P>
where
    I: IntoIterator<Item: 'static> + 'static,
    P: Pipeline<Out = I>,
{
    /// Replaces each record, which is a collection, by its items. Narrow: keeps partitions and order.
    ///
    /// # Examples
    ///
    /// ```
    /// let letters = holdall::from_vec(vec![vec!['a', 'b'], vec![], vec!['c']]).flatten();
    /// assert_eq!(letters.collect()?, ['a', 'b', 'c']);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn flatten(self) -> Bag<I::Item, impl Pipeline<Out = I::Item>> {
        self.flat_map_at(Site::new("flatten"), Plain(|records: I| records))
    }
}

/// Transformations of the keys or the values of pairs. Narrow: they keep partitions and order.
impl<K: 'static, V: 'static, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Returns the first element of each pair.
    ///
    /// # Examples
    ///
    /// ```
    /// let keys = holdall::from_vec(vec![("a", 1), ("b", 2), ("a", 3)]).keys();
    /// assert_eq!(keys.collect()?, ["a", "b", "a"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn keys(self) -> Bag<K, impl Pipeline<Out = K>> {
        self.keys_at(Site::new("keys"))
    }

    pub(super) fn keys_at(self, site: Site) -> Bag<K, impl Pipeline<Out = K> + use<K, V, P>> {
        let keyed = self.node.keyed.filter(|keyed| keyed.is_by::<K>());
        self.map_at(site, Plain(|(key, _): (K, V)| key))
            .keyed(keyed)
    }

    /// Returns the second element of each pair.
    ///
    /// # Examples
    ///
    /// ```
    /// let values = holdall::from_vec(vec![("a", 1), ("b", 2)]).values();
    /// assert_eq!(values.sum::<i32>()?, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn values(self) -> Bag<V, impl Pipeline<Out = V>> {
        self.map_at(Site::new("values"), Plain(|(_, value): (K, V)| value))
    }

    /// Applies `op` to the second element of each pair and keeps the first.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![("a", 1), ("b", 2)]).map_values(|n| n * 10);
    /// assert_eq!(pairs.collect()?, [("a", 10), ("b", 20)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map_values<U, F>(self, op: F) -> Bag<(K, U), impl Pipeline<Out = (K, U)>>
    where
        U: 'static,
        F: Fn(V) -> U + Send + Sync + 'static,
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
        C: Call<(V,), Out = U>,
    {
        let keyed = self.node.keyed.filter(|keyed| keyed.is_by::<K>());
        let op = Given(op, |op: &C, (key, value): (K, V)| (key, op.call((value,))));
        self.map_at(site, op).keyed(keyed)
    }
}
