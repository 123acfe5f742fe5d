//! Transformations by key and sorts whose closures receive a state. They are wide.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Bag, BagWith};
use crate::pipeline::{Data, Pipeline, Record, Storable};
use crate::task::Site;

/// Keyed transformations of pairs.
impl<K, V, P, S> BagWith<(K, V), P, S>
where
    K: Data + Eq,
    V: 'static,
    P: Pipeline<Out = (K, V)>,
    S: Data + Sync,
{
    /// [`Bag::reduce_by_key`](crate::Bag::reduce_by_key), with the state.
    #[track_caller]
    pub fn reduce_by_key<F>(self, op: F) -> Bag<(K, V)>
    where
        V: Data,
        F: Fn(&S, V, V) -> V + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag.reduce_by_key_at(Site::new("reduce_by_key"), op)
    }

    /// [`Bag::fold_by_key`](crate::Bag::fold_by_key), with the state.
    #[track_caller]
    pub fn fold_by_key<F>(self, initial: V, op: F) -> Bag<(K, V)>
    where
        V: Data + Clone + Sync,
        F: Fn(&S, &mut V, V) + Send + Sync + 'static,
    {
        let (site, op) = (Site::new("fold_by_key"), Arc::new(self.stated(op)));
        self.bag
            .aggregate_by_key_at(site, initial, Arc::clone(&op), op)
    }

    /// [`Bag::aggregate_by_key`](crate::Bag::aggregate_by_key), with the state.
    #[track_caller]
    pub fn aggregate_by_key<A, Op, Merge>(self, initial: A, op: Op, merge: Merge) -> Bag<(K, A)>
    where
        A: Data + Clone + Sync,
        Op: Fn(&S, &mut A, V) + Send + Sync + 'static,
        Merge: Fn(&S, &mut A, A) + Send + Sync + 'static,
    {
        let (op, merge) = (Arc::new(self.stated(op)), self.stated(merge));
        let site = Site::new("aggregate_by_key");
        self.bag.aggregate_by_key_at(site, initial, op, merge)
    }

    /// [`Bag::combine_by_key`](crate::Bag::combine_by_key), with the state.
    #[track_caller]
    pub fn combine_by_key<C, Create, Add, Merge>(
        self,
        create: Create,
        add: Add,
        merge: Merge,
    ) -> Bag<(K, C)>
    where
        C: Data,
        Create: Fn(&S, V) -> C + Send + Sync + 'static,
        Add: Fn(&S, &mut C, V) + Send + Sync + 'static,
        Merge: Fn(&S, &mut C, C) + Send + Sync + 'static,
    {
        let create = self.stated(create);
        let (add, merge) = (self.stated(add), self.stated(merge));
        let site = Site::new("combine_by_key");
        self.bag.combine_by_key_at(site, create, add, merge)
    }
}

/// Sorting of values by key.
impl<K, V, P, S> BagWith<(K, V), P, S>
where
    K: Data + Ord,
    V: Data,
    P: Pipeline<Out = (K, V)>,
    S: Data + Sync,
{
    /// [`Bag::sort_values_by`](crate::Bag::sort_values_by), with the state.
    #[track_caller]
    pub fn sort_values_by<F>(self, compare: F) -> Bag<(K, V)>
    where
        F: Fn(&S, &V, &V) -> Ordering + Send + Sync + 'static,
    {
        let compare = self.stated(compare);
        self.bag
            .sort_values_at(Site::new("sort_values_by"), compare)
    }
}

/// Sorting.
impl<T, P, S> BagWith<T, P, S>
where
    T: Record<Owned: Data> + ?Sized,
    P: Pipeline<Out = T>,
    S: Data + Sync,
{
    /// [`Bag::sort_by`](crate::Bag::sort_by), with the state.
    #[track_caller]
    pub fn sort_by<F>(self, compare: F) -> Bag<T>
    where
        F: for<'a, 'b> Fn(&S, T::Peek<'a>, T::Peek<'b>) -> Ordering + Send + Sync + 'static,
    {
        let compare = self.stated(compare);
        self.bag.sort_by_at(Site::new("sort_by"), compare)
    }
}

impl<T: Storable + ?Sized, P: Pipeline<Out = T>, S: Data + Sync> BagWith<T, P, S> {
    /// [`Bag::partition_with`](crate::Bag::partition_with), with the state.
    ///
    /// # Panics
    ///
    /// Panics if `partitions` is 0.
    #[track_caller]
    pub fn partition_with<F>(self, partitions: usize, choose: F) -> Bag<T>
    where
        F: for<'a> Fn(&S, T::Peek<'a>) -> usize + Send + Sync + 'static,
    {
        let choose = self.stated(choose);
        self.bag
            .partition_with_at(Site::new("partition_with"), partitions, choose)
    }
}
