//! Actions that look for a record, and stop once it is found.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Bag;
use crate::error::Result;
use crate::operators::actions::HasAny;
use crate::operators::filter::Filter;
use crate::operators::flat_map::FlatMap;
use crate::pipeline::{Data, Pipeline, Record};
use crate::task::Site;

/// Searching. These run a job, which begins with the first partition and takes in more of them, four times as many each
/// time, until the record is found. Stages before a shuffle have no such end: they run in full.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// The first record for which `predicate` holds, in the order of [`collect`](Bag::collect); `None` if there is none.
    /// Runs a job.
    ///
    /// `predicate` looks at a record as that of [`filter`](Bag::filter) does. It may be called with records behind the
    /// first one that it holds for, in other partitions.
    ///
    /// # Errors
    ///
    /// As [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(0..1_000_000).find(|n| n * n > 200)?, Some(15));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn find<F>(&self, predicate: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(T::Peek<'a>) -> bool + Send + Sync + 'static,
    {
        let predicate = move |(): &(), record: T::Peek<'_>| predicate(record);
        self.find_at(Site::new("find"), Arc::new(()), predicate)
    }

    pub(super) fn find_at<S, F>(
        &self,
        site: Site,
        state: Arc<S>,
        predicate: F,
    ) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        S: Data + Sync,
        F: for<'a> Fn(&S, T::Peek<'a>) -> bool + Send + Sync + 'static,
    {
        let filter = Filter {
            state,
            predicate,
            site,
        };
        let found = self.clone().step(site, filter);
        Ok(found.take_at(site, 1)?.pop())
    }

    /// Whether `predicate` holds for a record. Runs a job, which stops at the first such record.
    ///
    /// # Errors
    ///
    /// As [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(holdall::range(0..100).any(|n| n == 99)?);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn any<F>(&self, predicate: F) -> Result<bool>
    where
        F: for<'a> Fn(T::Ref<'a>) -> bool + Send + Sync + 'static,
    {
        let predicate = move |(): &(), record: T::Ref<'_>| predicate(record);
        self.any_at(Site::new("any"), Arc::new(()), predicate)
    }

    /// Whether `predicate` holds for all records; so it does if there are none. Runs a job, which stops at the first
    /// record for which it does not hold.
    ///
    /// # Errors
    ///
    /// As [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!holdall::range(0..100).all(|n| n < 99)?);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn all<F>(&self, predicate: F) -> Result<bool>
    where
        F: for<'a> Fn(T::Ref<'a>) -> bool + Send + Sync + 'static,
    {
        let fails = move |(): &(), record: T::Ref<'_>| !predicate(record);
        Ok(!self.any_at(Site::new("all"), Arc::new(()), fails)?)
    }

    pub(super) fn any_at<S, F>(&self, site: Site, state: Arc<S>, predicate: F) -> Result<bool>
    where
        S: Data + Sync,
        F: for<'a> Fn(&S, T::Ref<'a>) -> bool + Send + Sync + 'static,
    {
        let found = FlatMap {
            state,
            op: move |state: &S, record: T::Ref<'_>| predicate(state, record).then_some(()),
            site,
            out: PhantomData,
        };
        self.clone().step(site, found).has_any_at(site)
    }

    /// Whether there are records.
    pub(super) fn has_any_at(&self, site: Site) -> Result<bool> {
        let found = AtomicBool::new(false);
        self.run_until(&HasAny { site }, &found, |has_any| has_any)?;
        Ok(found.into_inner())
    }
}
