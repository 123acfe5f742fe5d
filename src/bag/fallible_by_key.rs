//! Combining by key with closures that may fail.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Bag, PerKey, PerKeyAnyOrder};
use crate::error::BoxError;
use crate::operators::Narrow;
use crate::operators::combines::TryByClosures;
use crate::operators::try_step::UnwrapStored;
use crate::pipeline::{Call, Data, Given, Initial, Pipeline, Plain};
use crate::shuffle::{AnyOrder, Combine};
use crate::task::Site;

/// Combines two values of a key into one.
fn reduce<K, V, E, C>(
    site: Site,
    op: C,
) -> impl Combine<In = (K, V), Key = K, Combined = Option<V>> + use<K, V, E, C>
where
    K: Data + Eq,
    V: Data,
    E: Into<BoxError> + 'static,
    C: Call<(V, V), Out = Result<V, E>>,
{
    let op = Arc::new(op);
    TryByClosures {
        create: Plain(Ok::<V, E>),
        add: Arc::clone(&op),
        merge: op,
        site,
        types: PhantomData,
    }
}

/// Adds the values of a key to a combined value, which `create` makes of the first one.
fn combine<K, V, A, E, Create, C, M>(
    site: Site,
    create: Create,
    op: C,
    merge: M,
) -> impl Combine<In = (K, V), Key = K, Combined = Option<A>> + use<K, V, A, E, Create, C, M>
where
    K: Data + Eq,
    V: 'static,
    A: Data,
    E: Into<BoxError> + 'static,
    Create: Call<(V,), Out = Result<A, E>>,
    C: for<'a> Call<(&'a mut A, V), Out = Result<(), E>>,
    M: for<'a> Call<(&'a mut A, A), Out = Result<(), E>>,
{
    let add = |op: &C, mut sum: A, value: V| op.call((&mut sum, value)).map(|()| sum);
    let merged = |merge: &M, mut sum: A, later: A| merge.call((&mut sum, later)).map(|()| sum);
    TryByClosures {
        create,
        add: Given(op, add),
        merge: Given(merge, merged),
        site,
        types: PhantomData,
    }
}

/// Adds the values of a key to an accumulator, starting from `initial`.
fn aggregate<K, V, A, E, C, M>(
    site: Site,
    initial: A,
    op: Arc<C>,
    merge: M,
) -> impl Combine<In = (K, V), Key = K, Combined = Option<A>> + use<K, V, A, E, C, M>
where
    K: Data + Eq,
    V: 'static,
    A: Data + Clone + Sync,
    E: Into<BoxError> + 'static,
    C: for<'a> Call<(&'a mut A, V), Out = Result<(), E>>,
    M: for<'a> Call<(&'a mut A, A), Out = Result<(), E>>,
{
    let create = |(initial, op): &(Initial<A>, Arc<C>), value: V| {
        let mut first = initial.call(());
        op.call((&mut first, value)).map(|()| first)
    };
    let create = Given((Initial(initial), Arc::clone(&op)), create);
    combine(site, create, op, merge)
}

/// Combining of the values of each key with closures that may fail. It is wide, as without `try_`.
///
/// The first error ends the job, with [`ErrorKind::Closure`](crate::ErrorKind::Closure). If a closure fails for several
/// values, any of these errors may be returned. Which values are combined with each other depends on the partitions and on
/// the memory, so a closure must fail for all groupings of the values of a key, or for none. A checked sum of positive
/// numbers does so. One of numbers of both signs does not.
impl<K: Data + Eq, V: 'static, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    fn try_combine_at<A, C>(self, site: Site, combine: C) -> Bag<(K, A)>
    where
        A: Data,
        C: Combine<In = (K, V), Key = K, Combined = Option<A>>,
    {
        let bag = self.combine_at(site, combine);
        let unwrapped = Narrow::new(bag.pipeline, UnwrapStored);
        Bag::new(unwrapped, bag.node, bag.context).boxed()
    }

    /// Like [`reduce_by_key`](Bag::reduce_by_key), with a closure that may fail. The first error ends the job.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 200_u8), ('b', 4), ('a', 100)]);
    /// let sums = pairs.try_reduce_by_key(|a, b| a.checked_add(b).ok_or("overflow"));
    /// assert!(sums.collect().unwrap_err().to_string().contains("overflow"));
    /// ```
    #[track_caller]
    pub fn try_reduce_by_key<E, F>(self, op: F) -> Bag<(K, V)>
    where
        V: Data,
        E: Into<BoxError> + 'static,
        F: Fn(V, V) -> Result<V, E> + Send + Sync + 'static,
    {
        self.try_reduce_by_key_at(Site::new("try_reduce_by_key"), Plain(op))
    }

    pub(super) fn try_reduce_by_key_at<E, C>(self, site: Site, op: C) -> Bag<(K, V)>
    where
        V: Data,
        E: Into<BoxError> + 'static,
        C: Call<(V, V), Out = Result<V, E>>,
    {
        self.try_combine_at(site, reduce(site, op))
    }

    /// Like [`fold_by_key`](Bag::fold_by_key), with a closure that may fail. The first error ends the job.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::range(1..6_u8).map(|n| (n % 2, n));
    /// let products = pairs.try_fold_by_key(1, |product, n| {
    ///     *product = product.checked_mul(n).ok_or("overflow")?;
    ///     Ok::<_, &str>(())
    /// });
    /// assert_eq!(products.sort().collect()?, [(0, 8), (1, 15)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_fold_by_key<E, F>(self, initial: V, op: F) -> Bag<(K, V)>
    where
        V: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        F: Fn(&mut V, V) -> Result<(), E> + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("try_fold_by_key"), Arc::new(Plain(op)));
        self.try_aggregate_by_key_at(site, initial, Arc::clone(&op), op)
    }

    /// Like [`aggregate_by_key`](Bag::aggregate_by_key), with closures that may fail. The first error ends the job.
    ///
    /// # Examples
    ///
    /// ```
    /// let texts = holdall::from_vec(vec![('a', "3"), ('b', "1"), ('a', "x")]);
    /// let sums = texts.try_aggregate_by_key(
    ///     0,
    ///     |sum, text| text.parse::<u32>().map(|n| *sum += n),
    ///     |sum, later| {
    ///         *sum += later;
    ///         Ok(())
    ///     },
    /// );
    /// assert!(sums.collect().unwrap_err().to_string().contains("invalid digit"));
    /// ```
    #[track_caller]
    pub fn try_aggregate_by_key<A, E, Op, Merge>(
        self,
        initial: A,
        op: Op,
        merge: Merge,
    ) -> Bag<(K, A)>
    where
        A: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        Op: Fn(&mut A, V) -> Result<(), E> + Send + Sync + 'static,
        Merge: Fn(&mut A, A) -> Result<(), E> + Send + Sync + 'static,
    {
        let site = Site::new("try_aggregate_by_key");
        self.try_aggregate_by_key_at(site, initial, Arc::new(Plain(op)), Plain(merge))
    }

    pub(super) fn try_aggregate_by_key_at<A, E, C, M>(
        self,
        site: Site,
        initial: A,
        op: Arc<C>,
        merge: M,
    ) -> Bag<(K, A)>
    where
        A: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        C: for<'a> Call<(&'a mut A, V), Out = Result<(), E>>,
        M: for<'a> Call<(&'a mut A, A), Out = Result<(), E>>,
    {
        self.try_combine_at(site, aggregate(site, initial, op, merge))
    }

    /// Like [`combine_by_key`](Bag::combine_by_key), with closures that may fail. The first error ends the job.
    ///
    /// # Examples
    ///
    /// ```
    /// let texts = holdall::from_vec(vec![('a', "3"), ('b', "1"), ('a', "x")]);
    /// let sums = texts.try_combine_by_key(
    ///     |text| text.parse::<u32>(),
    ///     |sum, text| text.parse::<u32>().map(|n| *sum += n),
    ///     |sum, later| {
    ///         *sum += later;
    ///         Ok(())
    ///     },
    /// );
    /// assert!(sums.collect().unwrap_err().to_string().contains("invalid digit"));
    /// ```
    #[track_caller]
    pub fn try_combine_by_key<C, E, Create, Add, Merge>(
        self,
        create: Create,
        add: Add,
        merge: Merge,
    ) -> Bag<(K, C)>
    where
        C: Data,
        E: Into<BoxError> + 'static,
        Create: Fn(V) -> Result<C, E> + Send + Sync + 'static,
        Add: Fn(&mut C, V) -> Result<(), E> + Send + Sync + 'static,
        Merge: Fn(&mut C, C) -> Result<(), E> + Send + Sync + 'static,
    {
        let (create, add, merge) = (Plain(create), Plain(add), Plain(merge));
        self.try_combine_by_key_at(Site::new("try_combine_by_key"), create, add, merge)
    }

    pub(super) fn try_combine_by_key_at<C, E, Create, Add, Merge>(
        self,
        site: Site,
        create: Create,
        add: Add,
        merge: Merge,
    ) -> Bag<(K, C)>
    where
        C: Data,
        E: Into<BoxError> + 'static,
        Create: Call<(V,), Out = Result<C, E>>,
        Add: for<'a> Call<(&'a mut C, V), Out = Result<(), E>>,
        Merge: for<'a> Call<(&'a mut C, C), Out = Result<(), E>>,
    {
        self.try_combine_at(site, combine(site, create, add, merge))
    }
}

/// All values of each key, combined into one by closures that may fail.
impl<K: Data + Eq, V: Data, P: Pipeline<Out = (K, V)>> PerKey<K, V, P> {
    /// Like [`reduce`](PerKey::reduce), with a closure that may fail. See [`Bag::try_reduce_by_key`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 6_u8), ('b', 4), ('a', 3)]);
    /// let sums = pairs.per_key().try_reduce(|a, b| a.checked_add(b).ok_or("overflow"));
    /// assert_eq!(sums.sort().collect()?, [('a', 9), ('b', 4)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_reduce<E, F>(self, op: F) -> Bag<(K, V)>
    where
        E: Into<BoxError> + 'static,
        F: Fn(V, V) -> Result<V, E> + Send + Sync + 'static,
    {
        self.pairs
            .try_reduce_by_key_at(Site::new("try_reduce"), Plain(op))
    }

    /// Like [`fold`](PerKey::fold), with a closure that may fail. See [`Bag::try_fold_by_key`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', "6".to_owned()), ('a', String::new())]);
    /// let texts = pairs.per_key().try_fold(String::new(), |all, text| {
    ///     all.push_str(text.get(..1).ok_or("an empty text")?);
    ///     Ok::<_, &str>(())
    /// });
    /// assert!(texts.collect().unwrap_err().to_string().contains("an empty text"));
    /// ```
    #[track_caller]
    pub fn try_fold<E, F>(self, initial: V, op: F) -> Bag<(K, V)>
    where
        V: Clone + Sync,
        E: Into<BoxError> + 'static,
        F: Fn(&mut V, V) -> Result<(), E> + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("try_fold"), Arc::new(Plain(op)));
        self.pairs
            .try_aggregate_by_key_at(site, initial, Arc::clone(&op), op)
    }

    /// Like [`aggregate`](PerKey::aggregate), with closures that may fail. See [`Bag::try_aggregate_by_key`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 200_u8), ('b', 4), ('a', 100)]);
    /// let add = |sum: &mut u8, n| sum.checked_add(n).map(|all| *sum = all).ok_or("overflow");
    /// let sums = pairs.per_key().try_aggregate(0, add, add);
    /// assert!(sums.collect().unwrap_err().to_string().contains("overflow"));
    /// ```
    #[track_caller]
    pub fn try_aggregate<A, E, Op, Merge>(self, initial: A, op: Op, merge: Merge) -> Bag<(K, A)>
    where
        A: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        Op: Fn(&mut A, V) -> Result<(), E> + Send + Sync + 'static,
        Merge: Fn(&mut A, A) -> Result<(), E> + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("try_aggregate"), Arc::new(Plain(op)));
        self.pairs
            .try_aggregate_by_key_at(site, initial, op, Plain(merge))
    }
}

/// Combining in any order with closures that may fail.
impl<K: Data + Eq, V: Data, P: Pipeline<Out = (K, V)>> PerKeyAnyOrder<K, V, P> {
    /// Like [`reduce`](PerKeyAnyOrder::reduce), with a closure that may fail. See [`Bag::try_reduce_by_key`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 200_u8), ('b', 4), ('a', 100)]);
    /// let sums = pairs.per_key().any_order().try_reduce(|a, b| a.checked_add(b).ok_or("overflow"));
    /// assert!(sums.collect().unwrap_err().to_string().contains("overflow"));
    /// ```
    #[track_caller]
    pub fn try_reduce<E, F>(self, op: F) -> Bag<(K, V)>
    where
        E: Into<BoxError> + 'static,
        F: Fn(V, V) -> Result<V, E> + Send + Sync + 'static,
    {
        let site = Site::new("try_reduce");
        self.pairs
            .try_combine_at(site, AnyOrder(reduce(site, Plain(op))))
    }

    /// Like [`fold`](PerKeyAnyOrder::fold), with a closure that may fail. See [`Bag::try_fold_by_key`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 6_u8), ('b', 4), ('a', 3)]);
    /// let products = pairs.per_key().any_order().try_fold(1, |product, n| {
    ///     *product = product.checked_mul(n).ok_or("overflow")?;
    ///     Ok::<_, &str>(())
    /// });
    /// assert_eq!(products.sort().collect()?, [('a', 18), ('b', 4)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_fold<E, F>(self, initial: V, op: F) -> Bag<(K, V)>
    where
        V: Clone + Sync,
        E: Into<BoxError> + 'static,
        F: Fn(&mut V, V) -> Result<(), E> + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("try_fold"), Arc::new(Plain(op)));
        let fold = aggregate(site, initial, Arc::clone(&op), op);
        self.pairs.try_combine_at(site, AnyOrder(fold))
    }

    /// Like [`aggregate`](PerKeyAnyOrder::aggregate), with closures that may fail. See [`Bag::try_aggregate_by_key`].
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 6_u8), ('b', 4), ('a', 3)]);
    /// let add = |sum: &mut u8, n| sum.checked_add(n).map(|all| *sum = all).ok_or("overflow");
    /// let sums = pairs.per_key().any_order().try_aggregate(0, add, add);
    /// assert_eq!(sums.sort().collect()?, [('a', 9), ('b', 4)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_aggregate<A, E, Op, Merge>(self, initial: A, op: Op, merge: Merge) -> Bag<(K, A)>
    where
        A: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        Op: Fn(&mut A, V) -> Result<(), E> + Send + Sync + 'static,
        Merge: Fn(&mut A, A) -> Result<(), E> + Send + Sync + 'static,
    {
        let site = Site::new("try_aggregate");
        let aggregate = aggregate(site, initial, Arc::new(Plain(op)), Plain(merge));
        self.pairs.try_combine_at(site, AnyOrder(aggregate))
    }
}
