//! Actions whose closures receive a state.

use std::cmp::Ordering;

use super::BagWith;
use crate::error::{BoxError, Result};
use crate::operators::map_partitions::Records;
use crate::pipeline::{Call, Data, Pipeline, Record, Reversed, Storable};
use crate::summary::ClonedRecord;
use crate::task::Site;

/// Actions. Each runs a job, and returns the errors that the method of [`Bag`](crate::Bag) with the same name returns.
impl<T: Record + ?Sized, P: Pipeline<Out = T>, S: Data + Sync> BagWith<T, P, S> {
    /// [`Bag::reduce`](crate::Bag::reduce), with the state.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](crate::Bag::collect).
    #[track_caller]
    pub fn reduce<F>(&self, op: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        F: Fn(&S, T::Owned, T::Owned) -> T::Owned + Send + Sync + 'static,
    {
        self.bag
            .reduce_owned_at(Site::new("reduce"), self.stated(op))
    }

    /// [`Bag::fold`](crate::Bag::fold), with the state.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](crate::Bag::collect).
    #[track_caller]
    pub fn fold<F>(&self, initial: T::Owned, op: F) -> Result<T::Owned>
    where
        T::Owned: Data + Clone + Sync,
        F: Fn(&S, T::Owned, T::Owned) -> T::Owned + Send + Sync + 'static,
    {
        self.bag
            .fold_owned_at(Site::new("fold"), initial, self.stated(op))
    }

    /// [`Bag::aggregate`](crate::Bag::aggregate), with the state.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](crate::Bag::collect).
    #[track_caller]
    pub fn aggregate<A, Op, Merge>(&self, initial: A, op: Op, merge: Merge) -> Result<A>
    where
        A: Data + Clone + Sync,
        Op: for<'a> Fn(&S, A, T::Ref<'a>) -> A + Send + Sync + 'static,
        Merge: Fn(&S, A, A) -> A + Send + Sync + 'static,
    {
        let (op, merge) = (self.stated(op), self.stated(merge));
        let merge = |folded, later| merge.call((folded, later));
        self.bag
            .aggregate_at(Site::new("aggregate"), initial, op, merge)
    }

    /// [`Bag::top_by`](crate::Bag::top_by), with the state.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](crate::Bag::collect).
    #[track_caller]
    pub fn top_by<F>(&self, n: usize, compare: F) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(&S, T::Peek<'a>, T::Peek<'a>) -> Ordering + Send + Sync + 'static,
    {
        let compare = Reversed(self.stated(compare));
        self.bag.first_ranked(Site::new("top_by"), n, compare)
    }

    /// [`Bag::bottom_by`](crate::Bag::bottom_by), with the state.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](crate::Bag::collect).
    #[track_caller]
    pub fn bottom_by<F>(&self, n: usize, compare: F) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(&S, T::Peek<'a>, T::Peek<'a>) -> Ordering + Send + Sync + 'static,
    {
        let compare = self.stated(compare);
        self.bag.first_ranked(Site::new("bottom_by"), n, compare)
    }

    /// [`Bag::min_by`](crate::Bag::min_by), with the state.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](crate::Bag::collect).
    #[track_caller]
    pub fn min_by<F>(&self, compare: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(&S, T::Peek<'a>, T::Peek<'a>) -> Ordering + Send + Sync + 'static,
    {
        self.bag.least_at(Site::new("min_by"), self.stated(compare))
    }

    /// [`Bag::max_by`](crate::Bag::max_by), with the state.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](crate::Bag::collect).
    #[track_caller]
    pub fn max_by<F>(&self, compare: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(&S, T::Peek<'a>, T::Peek<'a>) -> Ordering + Send + Sync + 'static,
    {
        self.bag
            .greatest_at(Site::new("max_by"), self.stated(compare))
    }

    /// [`Bag::quantiles_by`](crate::Bag::quantiles_by), with the state.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](crate::Bag::collect).
    ///
    /// # Panics
    ///
    /// Panics if a fraction is not in `0.0..=1.0`.
    #[track_caller]
    pub fn quantiles_by<F>(&self, at: &[f64], compare: F) -> Result<Vec<T::Owned>>
    where
        T: Storable + ClonedRecord,
        F: for<'a, 'b> Fn(&S, T::Peek<'a>, T::Peek<'b>) -> Ordering + Send + Sync + 'static,
    {
        let compare = self.stated(compare);
        self.bag
            .quantiles_by_at(Site::new("quantiles_by"), at, compare)
    }

    /// [`Bag::for_each`](crate::Bag::for_each), with the state.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](crate::Bag::collect). `op` may already have been called with some
    /// records.
    #[track_caller]
    pub fn for_each<F>(&self, op: F) -> Result<()>
    where
        F: for<'a> Fn(&S, T::Ref<'a>) + Send + Sync + 'static,
    {
        self.bag.for_each_at(Site::new("for_each"), self.stated(op))
    }

    /// [`Bag::for_each_partition`](crate::Bag::for_each_partition), with the state.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Bag::for_each`](crate::Bag::for_each).
    #[track_caller]
    pub fn for_each_partition<F>(&self, op: F) -> Result<()>
    where
        F: for<'r> Fn(&S, Records<'r, T>) + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .for_each_partition_at(Site::new("for_each_partition"), op)
    }

    /// [`Bag::try_for_each_partition`](crate::Bag::try_for_each_partition), with the state.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Bag::try_for_each_partition`](crate::Bag::try_for_each_partition).
    #[track_caller]
    pub fn try_for_each_partition<E, F>(&self, op: F) -> Result<()>
    where
        E: Into<BoxError> + 'static,
        F: for<'r> Fn(&S, Records<'r, T>) -> Result<(), E> + Send + Sync + 'static,
    {
        let op = self.stated(op);
        self.bag
            .for_each_partition_at(Site::new("try_for_each_partition"), op)
    }

    /// [`Bag::try_for_each`](crate::Bag::try_for_each), with the state.
    ///
    /// # Errors
    ///
    /// Returns [`Closure`](crate::ErrorKind::Closure), with the error of `op` and the location of the record, or the
    /// same errors as [`collect`](crate::Bag::collect).
    #[track_caller]
    pub fn try_for_each<E, F>(&self, op: F) -> Result<()>
    where
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> Result<(), E> + Send + Sync + 'static,
    {
        self.bag
            .try_for_each_at(Site::new("try_for_each"), self.stated(op))
    }
}
