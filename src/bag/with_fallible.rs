//! Methods whose closures receive a state and may fail.

use std::sync::Arc;

use super::{Bag, BagWith};
use crate::error::BoxError;
use crate::error::Result as CrateResult;
use crate::operators::map_partitions::Records;
use crate::pipeline::{Call, Data, Pipeline, Record};
use crate::task::Site;

impl<T: Record + ?Sized, P: Pipeline<Out = T>, S: Data + Sync> BagWith<T, P, S> {
    /// [`Bag::try_inspect`](crate::Bag::try_inspect), with the state.
    #[track_caller]
    pub fn try_inspect<E, F>(self, op: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&S, T::Peek<'a>) -> Result<(), E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.try_inspect_at(Site::new("try_inspect"), op)
    }

    /// [`Bag::try_map_init`](crate::Bag::try_map_init), with the state. Both closures receive it.
    #[track_caller]
    pub fn try_map_init<I, U, E, Init, F>(self, init: Init, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        I: 'static,
        U: 'static,
        E: Into<BoxError> + 'static,
        Init: Fn(&S) -> I + Send + Sync + 'static,
        F: for<'s, 'a> Fn(&S, &'s mut I, T::Ref<'a>) -> Result<U, E> + Send + Sync + 'static,
    {
        let (init, op) = (self.stated(init), self.stated(op));
        self.bag
            .try_map_init_at(Site::new("try_map_init"), init, op)
    }

    /// [`Bag::try_key_by`](crate::Bag::try_key_by), with the state.
    #[track_caller]
    pub fn try_key_by<K, E, F>(
        self,
        key_of: F,
    ) -> Bag<(K, T::Owned), impl Pipeline<Out = (K, T::Owned)>>
    where
        K: 'static,
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&S, T::Peek<'a>) -> Result<K, E> + Send + Sync + 'static,
    {
        let key_of = self.stated(key_of);
        self.bag.try_key_by_at(Site::new("try_key_by"), key_of)
    }

    /// [`Bag::try_zip_partitions`](crate::Bag::try_zip_partitions), with the state.
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
                &S,
                Records<'l, T>,
                Records<'r, U>,
                &'e mut (dyn FnMut(W) + 'e),
            ) -> Result<(), E>
            + Send
            + Sync
            + 'static,
    {
        let op = self.stated(op);
        self.bag
            .zip_partitions_at(Site::new("try_zip_partitions"), other, op)
    }

    /// [`Bag::try_running_fold`](crate::Bag::try_running_fold), with the state.
    #[track_caller]
    pub fn try_running_fold<A, E, Op, Merge>(
        self,
        initial: A,
        op: Op,
        merge: Merge,
    ) -> Bag<A, impl Pipeline<Out = A>>
    where
        A: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        Op: for<'a> Fn(&S, A, T::Ref<'a>) -> Result<A, E> + Send + Sync + 'static,
        Merge: Fn(&S, A, A) -> Result<A, E> + Send + Sync + 'static,
    {
        let (op, merge) = (self.stated(op), self.stated(merge));
        self.bag
            .try_running_fold_at(Site::new("try_running_fold"), initial, op, merge)
    }

    /// [`Bag::try_running_reduce`](crate::Bag::try_running_reduce), with the state.
    #[track_caller]
    pub fn try_running_reduce<E, F>(self, op: F) -> Bag<T::Owned, impl Pipeline<Out = T::Owned>>
    where
        T::Owned: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        F: Fn(&S, T::Owned, T::Owned) -> Result<T::Owned, E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .try_running_reduce_at(Site::new("try_running_reduce"), op)
    }

    /// [`Bag::try_map_partitions`](crate::Bag::try_map_partitions), with the state.
    #[track_caller]
    pub fn try_map_partitions<U, E, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: for<'r, 'e> Fn(&S, Records<'r, T>, &'e mut (dyn FnMut(U) + 'e)) -> Result<(), E>
            + Send
            + Sync
            + 'static,
    {
        let op = self.stated(op);
        self.bag
            .map_whole_partitions_at(Site::new("try_map_partitions"), op)
    }

    /// [`Bag::try_map_partitions_with_index`](crate::Bag::try_map_partitions_with_index), with the state before the
    /// index.
    #[track_caller]
    pub fn try_map_partitions_with_index<U, E, F>(self, op: F) -> Bag<U, impl Pipeline<Out = U>>
    where
        U: 'static,
        E: Into<BoxError> + 'static,
        F: for<'r, 'e> Fn(&S, usize, Records<'r, T>, &'e mut (dyn FnMut(U) + 'e)) -> Result<(), E>
            + Send
            + Sync
            + 'static,
    {
        let op = self.stated(op);
        self.bag
            .map_partitions_at(Site::new("try_map_partitions_with_index"), op)
    }
}

/// Actions. Each runs a job, and returns the errors that the method of [`Bag`](crate::Bag) with the same name returns.
impl<T: Record + ?Sized, P: Pipeline<Out = T>, S: Data + Sync> BagWith<T, P, S> {
    /// [`Bag::try_fold`](crate::Bag::try_fold), with the state.
    ///
    /// # Errors
    ///
    /// Returns [`Closure`](crate::ErrorKind::Closure) with the error of `op`, or the same errors as
    /// [`collect`](crate::Bag::collect).
    #[track_caller]
    pub fn try_fold<E, F>(&self, initial: T::Owned, op: F) -> CrateResult<T::Owned>
    where
        T::Owned: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        F: Fn(&S, T::Owned, T::Owned) -> Result<T::Owned, E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .try_fold_owned_at(Site::new("try_fold"), initial, op)
    }

    /// [`Bag::try_reduce`](crate::Bag::try_reduce), with the state.
    ///
    /// # Errors
    ///
    /// Returns [`Closure`](crate::ErrorKind::Closure) with the error of `op`, or the same errors as
    /// [`collect`](crate::Bag::collect).
    #[track_caller]
    pub fn try_reduce<E, F>(&self, op: F) -> CrateResult<Option<T::Owned>>
    where
        T::Owned: Data,
        E: Into<BoxError> + 'static,
        F: Fn(&S, T::Owned, T::Owned) -> Result<T::Owned, E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.try_reduce_at(Site::new("try_reduce"), op)
    }

    /// [`Bag::try_aggregate`](crate::Bag::try_aggregate), with the state.
    ///
    /// # Errors
    ///
    /// Returns [`Closure`](crate::ErrorKind::Closure) with the error of `op` or `merge`, or the same errors as
    /// [`collect`](crate::Bag::collect).
    #[track_caller]
    pub fn try_aggregate<A, E, Op, Merge>(&self, initial: A, op: Op, merge: Merge) -> CrateResult<A>
    where
        A: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        Op: for<'a> Fn(&S, A, T::Ref<'a>) -> Result<A, E> + Send + Sync + 'static,
        Merge: Fn(&S, A, A) -> Result<A, E> + Send + Sync + 'static,
    {
        let (op, merge) = (self.stated(op), self.stated(merge));
        let merge = |folded, later| merge.call((folded, later));
        self.bag
            .try_aggregate_at(Site::new("try_aggregate"), initial, op, merge)
    }
}

/// Keyed transformations of pairs.
impl<K, V, P, S> BagWith<(K, V), P, S>
where
    K: Data + Eq,
    V: 'static,
    P: Pipeline<Out = (K, V)>,
    S: Data + Sync,
{
    /// [`Bag::try_reduce_by_key`](crate::Bag::try_reduce_by_key), with the state.
    #[track_caller]
    pub fn try_reduce_by_key<E, F>(self, op: F) -> Bag<(K, V)>
    where
        V: Data,
        E: Into<BoxError> + 'static,
        F: Fn(&S, V, V) -> Result<V, E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .try_reduce_by_key_at(Site::new("try_reduce_by_key"), op)
    }

    /// [`Bag::try_fold_by_key`](crate::Bag::try_fold_by_key), with the state.
    #[track_caller]
    pub fn try_fold_by_key<E, F>(self, initial: V, op: F) -> Bag<(K, V)>
    where
        V: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        F: Fn(&S, &mut V, V) -> Result<(), E> + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("try_fold_by_key"), Arc::new(self.stated(op)));
        self.bag
            .try_aggregate_by_key_at(site, initial, Arc::clone(&op), op)
    }

    /// [`Bag::try_aggregate_by_key`](crate::Bag::try_aggregate_by_key), with the state.
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
        Op: Fn(&S, &mut A, V) -> Result<(), E> + Send + Sync + 'static,
        Merge: Fn(&S, &mut A, A) -> Result<(), E> + Send + Sync + 'static,
    {
        let (op, merge) = (Arc::new(self.stated(op)), self.stated(merge));
        let site = Site::new("try_aggregate_by_key");
        self.bag.try_aggregate_by_key_at(site, initial, op, merge)
    }

    /// [`Bag::try_combine_by_key`](crate::Bag::try_combine_by_key), with the state.
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
        Create: Fn(&S, V) -> Result<C, E> + Send + Sync + 'static,
        Add: Fn(&S, &mut C, V) -> Result<(), E> + Send + Sync + 'static,
        Merge: Fn(&S, &mut C, C) -> Result<(), E> + Send + Sync + 'static,
    {
        let create = self.stated(create);
        let (add, merge) = (self.stated(add), self.stated(merge));
        let site = Site::new("try_combine_by_key");
        self.bag.try_combine_by_key_at(site, create, add, merge)
    }
}

impl<K: 'static, V: 'static, P, S> BagWith<(K, V), P, S>
where
    P: Pipeline<Out = (K, V)>,
    S: Data + Sync,
{
    /// [`Bag::try_flat_map_values`](crate::Bag::try_flat_map_values), with the state.
    #[track_caller]
    pub fn try_flat_map_values<I, E, F>(
        self,
        op: F,
    ) -> Bag<(K, I::Item), impl Pipeline<Out = (K, I::Item)>>
    where
        K: Clone,
        I: IntoIterator<Item: 'static, IntoIter: 'static> + 'static,
        E: Into<BoxError> + 'static,
        F: Fn(&S, V) -> Result<I, E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .try_flat_map_values_at(Site::new("try_flat_map_values"), op)
    }

    /// [`Bag::try_filter_values`](crate::Bag::try_filter_values), with the state.
    #[track_caller]
    pub fn try_filter_values<E, F>(self, predicate: F) -> Bag<(K, V), impl Pipeline<Out = (K, V)>>
    where
        E: Into<BoxError> + 'static,
        F: Fn(&S, &V) -> Result<bool, E> + Send + Sync + 'static,
    {
        let predicate = self.stated(predicate);
        self.bag
            .try_filter_values_at(Site::new("try_filter_values"), predicate)
    }
}
