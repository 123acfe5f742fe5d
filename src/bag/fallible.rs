//! More transformations with closures that may fail, and transformations of results.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Bag;
use crate::error::BoxError;
use crate::operators::Narrow;
use crate::operators::map_init::MapInit;
use crate::operators::map_partitions::Records;
use crate::operators::try_step::{TryFilter, Unwrap};
use crate::pipeline::{Call, Given, Pipeline, Plain, Record};
use crate::task::Site;

/// Transformations whose closures may fail. The first error ends the job, as in [`try_map`](Bag::try_map). Narrow: they
/// keep partitions and order.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Like [`inspect`](Bag::inspect), with a closure that may fail, for example to check the records. The first error
    /// ends the job, as in [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let positive = holdall::from_vec(vec![3, -1])
    ///     .try_inspect(|n| if *n > 0 { Ok(()) } else { Err(format!("{n} is not positive")) });
    /// assert!(positive.collect().unwrap_err().to_string().contains("-1 is not positive"));
    /// ```
    #[track_caller]
    pub fn try_inspect<E, F>(self, op: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(T::Peek<'a>) -> Result<(), E> + Send + Sync + 'static,
    {
        self.try_inspect_at(Site::new("try_inspect"), Plain(op))
    }

    pub(super) fn try_inspect_at<E, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<T, impl Pipeline<Out = T> + use<T, P, E, C>>
    where
        E: Into<BoxError> + 'static,
        C: for<'a> Call<(T::Peek<'a>,), Out = Result<(), E>>,
    {
        let keep = |op: &C, record: T::Peek<'_>| op.call((record,)).map(|()| true);
        self.step(site, TryFilter::new(Given(op, keep), site))
    }

    /// Like [`map_init`](Bag::map_init), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec!["1,000", "2"]).try_map_init(String::new, |digits, text| {
    ///     digits.clear();
    ///     digits.extend(text.chars().filter(|c| *c != ','));
    ///     digits.parse::<u32>()
    /// });
    /// assert_eq!(numbers.collect()?, [1000, 2]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_map_init<I, U, E, Init, F>(self, init: Init, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        I: 'static,
        U: 'static,
        E: Into<BoxError> + 'static,
        Init: Fn() -> I + Send + Sync + 'static,
        F: for<'s, 'a> Fn(&'s mut I, T::Ref<'a>) -> Result<U, E> + Send + Sync + 'static,
    {
        self.try_map_init_at(Site::new("try_map_init"), Plain(init), Plain(op))
    }

    pub(super) fn try_map_init_at<I, U, E, N, C>(
        self,
        site: Site,
        init: N,
        op: C,
    ) -> Bag<U, impl Pipeline<Out = U> + use<T, P, I, U, E, N, C>>
    where
        I: 'static,
        U: 'static,
        E: Into<BoxError> + 'static,
        N: Call<(), Out = I>,
        C: for<'s, 'a> Call<(&'s mut I, T::Ref<'a>), Out = Result<U, E>>,
    {
        let out = PhantomData;
        self.then(site, |parent| {
            let mapped = MapInit {
                parent,
                init,
                op,
                site,
                out,
            };
            Narrow::new(Arc::new(mapped), Unwrap { site })
        })
    }

    /// Like [`key_by`](Bag::key_by), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["7 plums", "some figs"]);
    /// let keyed = lines.try_key_by(|line| line.split(' ').next().unwrap_or(line).parse::<u32>());
    /// assert!(keyed.collect().unwrap_err().to_string().contains("invalid digit"));
    /// ```
    #[track_caller]
    pub fn try_key_by<K, E, F>(
        self,
        key_of: F,
    ) -> Bag<(K, T::Owned), impl Pipeline<Out = (K, T::Owned)>>
    where
        K: 'static,
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(T::Peek<'a>) -> Result<K, E> + Send + Sync + 'static,
    {
        self.try_key_by_at(Site::new("try_key_by"), Plain(key_of))
    }

    pub(super) fn try_key_by_at<K, E, C>(
        self,
        site: Site,
        key_of: C,
    ) -> Bag<(K, T::Owned), impl Pipeline<Out = (K, T::Owned)> + use<T, P, K, E, C>>
    where
        K: 'static,
        E: Into<BoxError> + 'static,
        C: for<'a> Call<(T::Peek<'a>,), Out = Result<K, E>>,
    {
        let keyed = |key_of: &C, record: T::Ref<'_>| {
            let key = key_of.call((T::peek(&record),));
            key.map(|key| (key, T::into_owned(record)))
        };
        self.try_map_at(site, Given(key_of, keyed))
    }

    /// Like [`map_partitions`](Bag::map_partitions), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec_partitioned(vec![1, 2, 3], 2);
    /// let sums = numbers.try_map_partitions(|numbers, emit| {
    ///     emit(numbers.fold(Some(0_u8), |sum, n| sum?.checked_add(n)).ok_or("overflow")?);
    ///     Ok::<_, &str>(())
    /// });
    /// assert_eq!(sums.collect()?, [1, 5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_map_partitions<U, E, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: for<'r, 'e> Fn(Records<'r, T>, &'e mut (dyn FnMut(U) + 'e)) -> Result<(), E>
            + Send
            + Sync
            + 'static,
    {
        self.map_whole_partitions_at(Site::new("try_map_partitions"), Plain(op))
    }

    /// Like [`map_partitions_with_index`](Bag::map_partitions_with_index), with a closure that may fail. The first error
    /// ends the job, as in [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec_partitioned(vec![1, 2, 3], 2);
    /// let counts = numbers.try_map_partitions_with_index(|partition, numbers, emit| {
    ///     emit((u8::try_from(partition)?, numbers.count()));
    ///     Ok::<_, std::num::TryFromIntError>(())
    /// });
    /// assert_eq!(counts.collect()?, [(0, 1), (1, 2)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_map_partitions_with_index<U, E, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: for<'r, 'e> Fn(usize, Records<'r, T>, &'e mut (dyn FnMut(U) + 'e)) -> Result<(), E>
            + Send
            + Sync
            + 'static,
    {
        self.map_partitions_at(Site::new("try_map_partitions_with_index"), Plain(op))
    }

    /// Like [`zip_partitions`](Bag::zip_partitions), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Panics
    ///
    /// Panics if the numbers of partitions are known and differ.
    ///
    /// # Examples
    ///
    /// ```
    /// let prices = holdall::from_vec_partitioned(vec![10, 20, 30], 2);
    /// let counts = holdall::from_vec_partitioned(vec![1, 0], 2);
    /// let totals = prices.try_zip_partitions(counts, |prices, counts, emit| {
    ///     let (prices, counts) = (prices.collect(), counts.collect());
    ///     if prices.len() != counts.len() {
    ///         return Err("a price without a count");
    ///     }
    ///     prices.iter().zip(counts).for_each(|(price, count)| emit(price * count));
    ///     Ok(())
    /// });
    /// assert!(totals.collect().unwrap_err().to_string().contains("a price without a count"));
    /// ```
    #[track_caller]
    pub fn try_zip_partitions<U, Q, W, E, F>(
        self,
        other: Bag<U, Q>,
        op: F,
    ) -> Bag<W, impl Pipeline<Out = W>>
    where
        U: Record + ?Sized,
        Q: Pipeline<Out = U>,
        W: 'static,
        E: Into<BoxError> + 'static,
        F: for<'l, 'r, 'e> Fn(
                Records<'l, T>,
                Records<'r, U>,
                &'e mut (dyn FnMut(W) + 'e),
            ) -> Result<(), E>
            + Send
            + Sync
            + 'static,
    {
        self.zip_partitions_at(Site::new("try_zip_partitions"), other, Plain(op))
    }
}

/// Transformations of results. Narrow: they keep partitions and order.
impl<U: 'static, E: 'static, P: Pipeline<Out = Result<U, E>>> Bag<Result<U, E>, P> {
    /// Applies `op` to the value of each `Ok`, and keeps each `Err`.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec!["1", "x"]).map(|text| text.parse::<u32>().map_err(|_| text));
    /// assert_eq!(numbers.map_ok(|n| n + 1).collect()?, [Ok(2), Err("x")]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map_ok<V, F>(self, op: F) -> Bag<Result<V, E>, impl Pipeline<Out = Result<V, E>>>
    where
        V: 'static,
        F: Fn(U) -> V + Send + Sync + 'static,
    {
        let map = |op: &Plain<F>, result: Result<U, E>| result.map(|value| op.call((value,)));
        self.map_at(Site::new("map_ok"), Given(Plain(op), map))
    }

    /// Drops each `Ok` for whose value `predicate` returns `false`, and keeps each `Err`.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec!["1", "x", "8"]).map(|text| text.parse::<u32>().map_err(|_| text));
    /// assert_eq!(numbers.filter_ok(|n| *n > 5).collect()?, [Err("x"), Ok(8)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn filter_ok<F>(self, predicate: F) -> Bag<Result<U, E>, impl Pipeline<Out = Result<U, E>>>
    where
        F: Fn(&U) -> bool + Send + Sync + 'static,
    {
        let keep = |predicate: &Plain<F>, result: &Result<U, E>| match result {
            Ok(value) => predicate.call((value,)),
            Err(_) => true,
        };
        self.filter_at(Site::new("filter_ok"), Given(Plain(predicate), keep))
    }

    /// Divides the bag into the values of all `Ok` and the errors of all `Err`.
    ///
    /// An action on one of the two bags computes all records of this bag. If that is expensive,
    /// [`persist`](Bag::persist) this bag first. To end the job at the first error instead, use
    /// [`try_map`](Bag::try_map) with `|result| result`.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec!["1", "x", "8"]).map(|text| text.parse::<u32>().map_err(|_| text));
    /// let (numbers, texts) = numbers.partition_result();
    /// assert_eq!(numbers.sum::<u32>()?, 9);
    /// assert_eq!(texts.collect()?, ["x"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn partition_result(
        self,
    ) -> (
        Bag<U, impl Pipeline<Out = U>>,
        Bag<E, impl Pipeline<Out = E>>,
    ) {
        let site = Site::new("partition_result");
        let values = self.clone();
        (
            values.flat_map_at(site, Plain(Result::<U, E>::ok)),
            self.flat_map_at(site, Plain(Result::<U, E>::err)),
        )
    }
}
