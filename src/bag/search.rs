//! Actions that search for a record, and stop as soon as they find it.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use super::Bag;
use crate::error::Result;
use crate::operators::actions::{HasAny, Last, Position};
use crate::operators::flat_map::FlatMap;
use crate::pipeline::{Data, Pipeline, Plain, Record};
use crate::task::Site;

/// Searching. Except for [`find_last`](Bag::find_last) and [`last`](Bag::last), the job first processes one partition. Then
/// each round processes four times as many partitions as all rounds before, until the record is found. Stages before a
/// shuffle cannot stop early: they run completely.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Returns the first record for which `predicate` returns `true`, in the order of [`collect`](Bag::collect), or
    /// `None` if there is no such record. Runs a job.
    ///
    /// `predicate` receives the same argument as in [`filter`](Bag::filter). It may also be called with later records,
    /// in other partitions.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
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
        let site = Site::new("find");
        let found = self.clone().filter_at(site, Plain(predicate));
        Ok(found.take_at(site, 1)?.pop())
    }

    /// Returns `true` if `predicate` returns `true` for any record. Runs a job, which stops at the first such record.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
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

    /// Returns `true` if `predicate` returns `true` for all records, and also if the bag is empty. Runs a job, which
    /// stops at the first record for which `predicate` returns `false`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
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

    /// Applies `op` to the records and returns the first result that is `Some`, in the order of
    /// [`collect`](Bag::collect), or `None` if there is no such result. Runs a job.
    ///
    /// `op` may also be called with later records, in other partitions.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let number = holdall::from_vec(vec!["a", "7", "8"]).find_map(|text| text.parse::<u32>().ok())?;
    /// assert_eq!(number, Some(7));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn find_map<U, F>(&self, op: F) -> Result<Option<U>>
    where
        U: Data,
        F: for<'a> Fn(T::Ref<'a>) -> Option<U> + Send + Sync + 'static,
    {
        let site = Site::new("find_map");
        let found = self.clone().flat_map_at(site, Plain(op));
        Ok(found.take_at(site, 1)?.pop())
    }

    /// Returns the index of the first record for which `predicate` returns `true`, in the order of
    /// [`collect`](Bag::collect), or `None` if there is no such record. Runs a job.
    ///
    /// `predicate` may also be called with later records, in other partitions.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(10..1_000_000).position(|n| n * n > 200)?, Some(5));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn position<F>(&self, predicate: F) -> Result<Option<u64>>
    where
        F: for<'a> Fn(T::Ref<'a>) -> bool + Send + Sync + 'static,
    {
        let site = Site::new("position");
        let wanted = self.clone().map_at(site, Plain(predicate));
        let mut position = 0;
        let found = AtomicBool::new(false);
        wanted.run_until(&Position { site }, &found, |(before, has_any)| {
            position += before;
            has_any
        })?;
        Ok(found.into_inner().then_some(position))
    }

    /// Returns the last record for which `predicate` returns `true`, in the order of [`collect`](Bag::collect), or
    /// `None` if there is no such record. Runs a job, which reads the whole bag.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(0..1000).find_last(|n| n % 7 == 0)?, Some(994));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn find_last<F>(&self, predicate: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(T::Peek<'a>) -> bool + Send + Sync + 'static,
    {
        let site = Site::new("find_last");
        self.clone().filter_at(site, Plain(predicate)).last_at(site)
    }

    /// Returns the last record, in the order of [`collect`](Bag::collect), or `None` if the bag is empty. Runs a job,
    /// which reads the whole bag.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(0..10).last()?, Some(9));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn last(&self) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
    {
        self.last_at(Site::new("last"))
    }

    fn last_at(&self, site: Site) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
    {
        let records = PhantomData;
        let mut found = None;
        self.run(&Last { site, records }, |task, last| {
            // Dropping a record may run user code.
            task.call(&site, || found = last.or(found.take()));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Returns `true` if the bag has any records.
    pub(super) fn has_any_at(&self, site: Site) -> Result<bool> {
        let found = AtomicBool::new(false);
        self.run_until(&HasAny { site }, &found, |has_any| has_any)?;
        Ok(found.into_inner())
    }
}
