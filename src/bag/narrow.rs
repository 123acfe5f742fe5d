//! Transformations that work on one partition at a time.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Bag, BagWith};
use crate::lineage::Node;
use crate::operators::filter::Filter;
use crate::operators::flat_map::FlatMap;
use crate::operators::flat_map_str::FlatMapStr;
use crate::operators::inspect::Inspect;
use crate::operators::map::Map;
use crate::operators::map_partitions::{MapPartitions, Records};
use crate::operators::try_step::{TryFilter, Unwrap};
use crate::operators::union::Union;
use crate::operators::{Narrow, Step, Then};
use crate::pipeline::{Data, Pipeline, Record};
use crate::task::Site;

/// Any error that a closure may return.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Transformations of each record by itself. They are narrow: partitions stay as they are, and so does the order.
///
/// Closures may run on several threads at once and must be [deterministic](crate#closures). What they do wrong is an
/// [error of the action](crate#errors-and-panics).
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Adds one step at `site`.
    pub(super) fn step<O: Step<T>>(self, site: Site, step: O) -> Bag<O::Out, Narrow<P, O>> {
        let keyed = self.node.keyed.filter(|_| O::KEEPS_KEYS);
        self.then(site, |parent| Narrow::new(parent, step))
            .keyed(keyed)
    }

    /// Hands a value to the closures of the next method, as their first argument.
    ///
    /// Where jobs run in this process, a closure may as well capture what it needs, with `move`. Named state can go
    /// further: as serde carries it, it is sent to [worker processes](crate#worker-processes), which a closure with
    /// captures cannot be. Every method that takes a closure can be called after it, actions too.
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

    /// Replaces each record by what `op` makes of it.
    ///
    /// A closure on a bag of text cannot give back a part of its record: that is what
    /// [`flat_map_str`](Bag::flat_map_str) is for.
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
    /// To make lines one's own, `map(str::to_owned)` does; `map(String::from)` does not, since it is not a function of
    /// any `&str`, but one for each lifetime.
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
        self.map_at(Site::new("map"), op)
    }

    /// `map` under another name: for methods that are cases of it.
    pub(super) fn map_at<U, F>(
        self,
        site: Site,
        op: F,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U, F>>
    where
        U: 'static,
        F: for<'a> Fn(T::Ref<'a>) -> U + Send + Sync + 'static,
    {
        let op = move |(): &(), record: T::Ref<'_>| op(record);
        let (state, out) = (Arc::new(()), PhantomData);
        self.step(
            site,
            Map {
                state,
                op,
                site,
                out,
            },
        )
    }

    /// Keeps the records for which `predicate` holds. It looks at a `&T`, or at the `&str` or `&[u8]` itself.
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
        let site = Site::new("filter");
        let predicate = move |(): &(), record: T::Peek<'_>| predicate(record);
        let state = Arc::new(());
        self.step(
            site,
            Filter {
                state,
                predicate,
                site,
            },
        )
    }

    /// Replaces each record by what `op` makes of it, and drops it where that is `None`.
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
        self.flat_map_at(Site::new("filter_map"), op)
    }

    /// Replaces each record by any number of others, which `op` gives as a collection or an iterator.
    ///
    /// What it gives cannot borrow from the record. Where it would, as with parts of a line,
    /// [`flat_map_str`](Bag::flat_map_str) does without a copy.
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
        self.flat_map_at(Site::new("flat_map"), op)
    }

    pub(super) fn flat_map_at<I, F>(
        self,
        site: Site,
        op: F,
    ) -> Bag<I::Item, impl Pipeline<Out = I::Item> + use<T, P, I, F>>
    where
        I: IntoIterator<Item: 'static> + 'static,
        F: for<'a> Fn(T::Ref<'a>) -> I + Send + Sync + 'static,
    {
        let op = move |(): &(), record: T::Ref<'_>| op(record);
        let (state, out) = (Arc::new(()), PhantomData);
        self.step(
            site,
            FlatMap {
                state,
                op,
                site,
                out,
            },
        )
    }

    /// Replaces each record by any number of texts, which `op` hands to its second argument. They may be parts of the
    /// record, since they are used at once: nothing is copied.
    ///
    /// `op` runs to its end even if nobody wants more records; what it emits then is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let names = holdall::from_vec(vec!["ada:1815", "grace:1906"])
    ///     .flat_map_str(|line, emit| line.split(':').take(1).for_each(emit));
    /// assert_eq!(names.collect()?, ["ada", "grace"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn flat_map_str<F>(self, op: F) -> Bag<str, impl Pipeline<Out = str>>
    where
        F: for<'a, 'e> Fn(T::Ref<'a>, &'e mut (dyn FnMut(&str) + 'e)) + Send + Sync + 'static,
    {
        let site = Site::new("flat_map_str");
        let op = move |(): &(), record: T::Ref<'_>, emit: &mut dyn FnMut(&str)| op(record, emit);
        let state = Arc::new(());
        self.step(site, FlatMapStr { state, op, site })
    }

    /// Calls `op` with each record and hands the record on: for looking at what flows by.
    ///
    /// `op` runs where and as often as the job computes the record, which may be never, or again for the next action.
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
        let site = Site::new("inspect");
        let op = move |(): &(), record: T::Peek<'_>| op(record);
        let state = Arc::new(());
        self.step(site, Inspect { state, op, site })
    }

    /// Puts a key before each record: `key_of` gives it.
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
        self.map_at(Site::new("key_by"), move |record| {
            let key = key_of(T::peek(&record));
            (key, T::into_owned(record))
        })
    }

    /// Works on whole partitions: `op` goes through the records of one and hands what comes of them to its second
    /// argument.
    ///
    /// It is called once for each partition, also for an empty one. How records are divided depends on the source, see
    /// [order and partitions](crate#order-and-partitions); so what comes out does too.
    ///
    /// ```compile_fail
    /// // The records are pushed, so there is no iterator to be had of them.
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
        let site = Site::new("map_partitions");
        self.map_partitions_at(
            site,
            move |_, records: Records<'_, T>, emit: &mut dyn FnMut(U)| op(records, emit),
        )
    }

    /// As [`map_partitions`](Bag::map_partitions), with the partition's number as the first argument.
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
        self.map_partitions_at(Site::new("map_partitions_with_index"), op)
    }

    fn map_partitions_at<U, F>(
        self,
        site: Site,
        op: F,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U, F>>
    where
        U: 'static,
        F: for<'r, 'e> Fn(usize, Records<'r, T>, &'e mut (dyn FnMut(U) + 'e))
            + Send
            + Sync
            + 'static,
    {
        let op =
            move |(): &(), partition: usize, records: Records<'_, T>, emit: &mut dyn FnMut(U)| {
                op(partition, records, emit);
            };
        let (state, out) = (Arc::new(()), PhantomData);
        self.then(site, |parent| MapPartitions {
            parent,
            state,
            op,
            site,
            out,
        })
    }

    /// Puts the records of `other` behind those of this bag. Records that are in both come twice.
    ///
    /// Partitions are those of this bag, then those of the other. Jobs run on this bag's context. For many bags there is
    /// [`union_all`](crate::union_all); a loop of `union(…).boxed()` is as fast.
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

    /// As [`map`](Bag::map), with a closure that may fail. The first error ends the job.
    ///
    /// The action then returns [`ErrorKind::Closure`](crate::ErrorKind::Closure), which has the closure's error and the
    /// record's place.
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
        E: Into<Cause> + 'static,
        F: for<'a> Fn(T::Ref<'a>) -> Result<U, E> + Send + Sync + 'static,
    {
        self.try_map_at(Site::new("try_map"), op)
    }

    fn try_map_at<U, E, F>(
        self,
        site: Site,
        op: F,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, U, E, F>>
    where
        U: 'static,
        E: Into<Cause> + 'static,
        F: for<'a> Fn(T::Ref<'a>) -> Result<U, E> + Send + Sync + 'static,
    {
        self.with(())
            .try_map_at(site, move |(): &(), record: T::Ref<'_>| op(record))
    }

    /// As [`filter`](Bag::filter), with a predicate that may fail. The first error ends the job, as with
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
        E: Into<Cause> + 'static,
        F: for<'a> Fn(T::Peek<'a>) -> Result<bool, E> + Send + Sync + 'static,
    {
        let site = Site::new("try_filter");
        let predicate = move |(): &(), record: T::Peek<'_>| predicate(record);
        let state = Arc::new(());
        self.step(
            site,
            TryFilter {
                state,
                predicate,
                site,
            },
        )
    }

    /// As [`filter_map`](Bag::filter_map), with a closure that may fail. The first error ends the job, as with
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
        E: Into<Cause> + 'static,
        F: for<'a> Fn(T::Ref<'a>) -> Result<Option<U>, E> + Send + Sync + 'static,
    {
        self.try_flat_map_at(Site::new("try_filter_map"), op)
    }

    /// As [`flat_map`](Bag::flat_map), with a closure that may fail. The first error ends the job, as with
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
        E: Into<Cause> + 'static,
        F: for<'a> Fn(T::Ref<'a>) -> Result<I, E> + Send + Sync + 'static,
    {
        self.try_flat_map_at(Site::new("try_flat_map"), op)
    }

    fn try_flat_map_at<I, E, F>(
        self,
        site: Site,
        op: F,
    ) -> Bag<I::Item, impl Pipeline<Out = I::Item> + use<T, P, I, E, F>>
    where
        I: IntoIterator<Item: 'static> + 'static,
        E: Into<Cause> + 'static,
        F: for<'a> Fn(T::Ref<'a>) -> Result<I, E> + Send + Sync + 'static,
    {
        let op = move |(): &(), record: T::Ref<'_>| op(record);
        let attempt = Map {
            state: Arc::new(()),
            op,
            site,
            out: PhantomData,
        };
        let flatten = FlatMap {
            state: Arc::new(()),
            op: |(): &(), records: I| records,
            site,
            out: PhantomData,
        };
        self.step(site, Then(Then(attempt, Unwrap { site }), flatten))
    }
}

impl<I, P> Bag<I, P>
where
    I: IntoIterator<Item: 'static> + 'static,
    P: Pipeline<Out = I>,
{
    /// Replaces each record, which is a collection, by what is in it.
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
        self.flat_map_at(Site::new("flatten"), |records| records)
    }
}

/// Transformations of pairs by one of their sides. They are narrow.
impl<K: 'static, V: 'static, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// The first side of each pair.
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
        let keyed = self.node.keyed.filter(|keyed| keyed.is_by::<K>());
        self.map_at(Site::new("keys"), |(key, _)| key).keyed(keyed)
    }

    /// The second side of each pair.
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
        self.map_at(Site::new("values"), |(_, value)| value)
    }

    /// Replaces the second side of each pair by what `op` makes of it.
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
        let keyed = self.node.keyed.filter(|keyed| keyed.is_by::<K>());
        let site = Site::new("map_values");
        self.map_at(site, move |(key, value)| (key, op(value)))
            .keyed(keyed)
    }
}
