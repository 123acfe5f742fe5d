//! Actions that look for a record, and stop once it is found.

use std::sync::atomic::AtomicBool;

use super::Bag;
use crate::error::Result;
use crate::operators::actions::HasAny;
use crate::operators::filter::Filter;
use crate::operators::flat_map::FlatMap;
use crate::pipeline::{Data, Pipeline, Plain, Record};
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
        let (site, predicate) = (Site::new("find"), Plain(predicate));
        let found = self.clone().step(site, Filter { predicate, site });
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
        self.any_at(Site::new("any"), predicate)
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
        let fails = move |record: T::Ref<'_>| !predicate(record);
        Ok(!self.any_at(Site::new("all"), fails)?)
    }

    fn any_at<F>(&self, site: Site, predicate: F) -> Result<bool>
    where
        F: for<'a> Fn(T::Ref<'a>) -> bool + Send + Sync + 'static,
    {
        let found = move |record: T::Ref<'_>| predicate(record).then_some(());
        let found = FlatMap::new(Plain(found), site);
        self.clone().step(site, found).has_any_at(site)
    }

    /// Whether there are records.
    pub(super) fn has_any_at(&self, site: Site) -> Result<bool> {
        let found = AtomicBool::new(false);
        self.run_until(&HasAny { site }, &found, |has_any| has_any)?;
        Ok(found.into_inner())
    }
}
