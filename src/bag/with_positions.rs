//! Transformations by position whose closures receive a state.

use std::ops::RangeBounds;

use super::{Bag, BagWith};
use crate::operators::ranges::bounds_of;
use crate::pipeline::{Data, Pipeline, Record};
use crate::task::Site;

impl<T: Record + ?Sized, P: Pipeline<Out = T>, S: Data + Sync> BagWith<T, P, S> {
    /// [`Bag::take_while`](crate::Bag::take_while), with the state.
    #[track_caller]
    pub fn take_while<F>(self, predicate: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        F: for<'a> Fn(&S, T::Peek<'a>) -> bool + Send + Sync + 'static,
    {
        let predicate = self.stated(predicate);
        self.bag.take_while_at(Site::new("take_while"), predicate)
    }

    /// [`Bag::skip_while`](crate::Bag::skip_while), with the state.
    #[track_caller]
    pub fn skip_while<F>(self, predicate: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        F: for<'a> Fn(&S, T::Peek<'a>) -> bool + Send + Sync + 'static,
    {
        let predicate = self.stated(predicate);
        self.bag.skip_while_at(Site::new("skip_while"), predicate)
    }

    /// [`Bag::filter_range_by_key`](crate::Bag::filter_range_by_key), with the state.
    #[track_caller]
    pub fn filter_range_by_key<K, R, F>(
        self,
        range: R,
        key_of: F,
    ) -> Bag<T, impl Pipeline<Out = T> + use<T, P, S, K, R, F>>
    where
        K: Data + Clone + Ord + Sync,
        R: RangeBounds<K>,
        F: for<'a> Fn(&S, T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let (site, key_of) = (Site::new("filter_range_by_key"), self.stated(key_of));
        self.bag
            .filter_range_by_key_at(site, bounds_of(&range), key_of)
    }

    /// [`Bag::running_fold`](crate::Bag::running_fold), with the state.
    #[track_caller]
    pub fn running_fold<A, Op, Merge>(
        self,
        initial: A,
        op: Op,
        merge: Merge,
    ) -> Bag<A, impl Pipeline<Out = A>>
    where
        A: Data + Clone + Sync,
        Op: for<'a> Fn(&S, A, T::Ref<'a>) -> A + Send + Sync + 'static,
        Merge: Fn(&S, A, A) -> A + Send + Sync + 'static,
    {
        let (op, merge) = (self.stated(op), self.stated(merge));
        self.bag
            .running_fold_at(Site::new("running_fold"), initial, op, merge)
    }

    /// [`Bag::running_reduce`](crate::Bag::running_reduce), with the state.
    #[track_caller]
    pub fn running_reduce<F>(self, op: F) -> Bag<T::Owned, impl Pipeline<Out = T::Owned>>
    where
        T::Owned: Data + Clone + Sync,
        F: Fn(&S, T::Owned, T::Owned) -> T::Owned + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.running_reduce_at(Site::new("running_reduce"), op)
    }

    /// [`Bag::chunk_while`](crate::Bag::chunk_while), with the state.
    #[track_caller]
    pub fn chunk_while<F>(
        self,
        belongs: F,
    ) -> Bag<Vec<T::Owned>, impl Pipeline<Out = Vec<T::Owned>>>
    where
        T::Owned: Data + Clone + Sync,
        F: for<'a, 'b> Fn(&S, T::Peek<'a>, T::Peek<'b>) -> bool + Send + Sync + 'static,
    {
        let belongs = self.stated(belongs);
        self.bag.chunk_while_at(Site::new("chunk_while"), belongs)
    }

    /// [`Bag::chunk_by`](crate::Bag::chunk_by), with the state.
    #[expect(clippy::type_complexity, reason = "an alias would hide the pair")]
    #[track_caller]
    pub fn chunk_by<K, F>(
        self,
        key_of: F,
    ) -> Bag<(K, Vec<T::Owned>), impl Pipeline<Out = (K, Vec<T::Owned>)>>
    where
        T::Owned: Data + Clone + Sync,
        K: Data + Clone + Sync + PartialEq,
        F: for<'a> Fn(&S, T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let key_of = self.stated(key_of);
        self.bag.chunk_by_at(Site::new("chunk_by"), key_of)
    }
}
