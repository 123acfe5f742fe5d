//! Actions that return the smallest or the greatest record.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Bag;
use crate::error::Result;
use crate::pipeline::{Data, Pipeline, Record};
use crate::task::Site;

/// Minimum and maximum. To get more than one record, use [`bottom`](Bag::bottom) or [`top`](Bag::top).
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Returns the smallest record, or `None` if the bag is empty. If several records are equally small, returns the
    /// first of them. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::from_vec(vec![3, 1, 2]).min()?, Some(1));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn min(&self) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        for<'a> T::Peek<'a>: Ord,
    {
        self.extreme(Site::new("min"), Arc::new(()), |(), best, record| {
            record < best
        })
    }

    /// Returns the greatest record, or `None` if the bag is empty. If several records are equally great, returns the
    /// last of them. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::from_vec(vec![3, 1, 2]).max()?, Some(3));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn max(&self) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        for<'a> T::Peek<'a>: Ord,
    {
        // Among equal records, `Iterator::min` returns the first and `Iterator::max` the last. So do these methods.
        self.extreme(Site::new("max"), Arc::new(()), |(), best, record| {
            record >= best
        })
    }

    /// Returns the smallest record according to `compare`, or `None` if the bag is empty. If several records are
    /// equally small, returns the first of them. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec![2.5, -1.0, 0.5]);
    /// assert_eq!(numbers.min_by(f64::total_cmp)?, Some(-1.0));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn min_by<F>(&self, compare: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering + Send + Sync + 'static,
    {
        self.extreme(
            Site::new("min_by"),
            Arc::new(()),
            move |(), best, record| compare(best, record).is_gt(),
        )
    }

    /// Returns the greatest record according to `compare`, or `None` if the bag is empty. If several records are
    /// equally great, returns the last of them. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec![2.5, -1.0, 0.5]);
    /// assert_eq!(numbers.max_by(f64::total_cmp)?, Some(2.5));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn max_by<F>(&self, compare: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering + Send + Sync + 'static,
    {
        self.extreme(
            Site::new("max_by"),
            Arc::new(()),
            move |(), best, record| compare(best, record).is_le(),
        )
    }

    /// Returns the record with the smallest key, or `None` if the bag is empty. If several records have the smallest
    /// key, returns the first of them. Runs a job.
    ///
    /// `key_of` is called again for each comparison.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["a", "bag", "of", "words"]);
    /// assert_eq!(words.min_by_key(|word| word.len())?, Some("a"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn min_by_key<K, F>(&self, key_of: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        K: Ord,
        F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        self.extreme(
            Site::new("min_by_key"),
            Arc::new(()),
            move |(), best, record| key_of(record) < key_of(best),
        )
    }

    /// Returns the record with the greatest key, or `None` if the bag is empty. If several records have the greatest
    /// key, returns the last of them. Runs a job.
    ///
    /// `key_of` is called again for each comparison.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let counts = holdall::from_vec(vec![("a", 2), ("b", 3), ("c", 1)]);
    /// assert_eq!(counts.max_by_key(|(_, count)| *count)?, Some(("b", 3)));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn max_by_key<K, F>(&self, key_of: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        K: Ord,
        F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        self.extreme(
            Site::new("max_by_key"),
            Arc::new(()),
            move |(), best, record| key_of(record) >= key_of(best),
        )
    }

    /// Reduces the bag to its best record: each record that `is_better` than the best one so far replaces it.
    pub(super) fn extreme<S: Data + Sync>(
        &self,
        site: Site,
        state: Arc<S>,
        is_better: impl for<'a> Fn(&S, T::Peek<'a>, T::Peek<'a>) -> bool + Send + Sync + 'static,
    ) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
    {
        self.reduce_at(
            site,
            state,
            is_better,
            |is_better, state, best: T::Owned, record: T::Ref<'_>| {
                if is_better(state, T::peek_owned(&best), T::peek(&record)) {
                    T::into_owned(record)
                } else {
                    best
                }
            },
            |is_better, state, best, later| {
                if is_better(state, T::peek_owned(&best), T::peek_owned(&later)) {
                    later
                } else {
                    best
                }
            },
        )
    }
}
