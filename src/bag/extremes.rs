//! Actions that return the smallest or the greatest record.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Bag;
use crate::error::Result;
use crate::pipeline::{Call, Data, Given, Pipeline, Plain, Record, comparison};
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
        let compare = comparison::<T, _>(|best, record| best.cmp(&record));
        self.least_at(Site::new("min"), compare)
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
        let compare = comparison::<T, _>(|best, record| best.cmp(&record));
        self.greatest_at(Site::new("max"), compare)
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
        self.least_at(Site::new("min_by"), Plain(compare))
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
        self.greatest_at(Site::new("max_by"), Plain(compare))
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
        let compare = comparison::<T, _>(move |a, b| key_of(a).cmp(&key_of(b)));
        self.least_at(Site::new("min_by_key"), compare)
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
        let compare = comparison::<T, _>(move |a, b| key_of(a).cmp(&key_of(b)));
        self.greatest_at(Site::new("max_by_key"), compare)
    }

    /// Returns the smallest record, and the first of equal ones, as `Iterator::min` does.
    pub(super) fn least_at<C>(&self, site: Site, compare: C) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        C: for<'a> Call<(T::Peek<'a>, T::Peek<'a>), Out = Ordering>,
    {
        self.extreme_at(site, compare, Plain(Ordering::is_gt))
    }

    /// Returns the greatest record, and the last of equal ones, as `Iterator::max` does.
    pub(super) fn greatest_at<C>(&self, site: Site, compare: C) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        C: for<'a> Call<(T::Peek<'a>, T::Peek<'a>), Out = Ordering>,
    {
        self.extreme_at(site, compare, Plain(Ordering::is_le))
    }

    /// Reduces the bag to one record. A later record replaces the one so far if `is_replaced` holds for their order.
    fn extreme_at<C, R>(&self, site: Site, compare: C, is_replaced: R) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        C: for<'a> Call<(T::Peek<'a>, T::Peek<'a>), Out = Ordering>,
        R: Call<(Ordering,), Out = bool>,
    {
        let choose = Arc::new((compare, is_replaced));
        let add = |choose: &Arc<(C, R)>, best: T::Owned, record: T::Ref<'_>| {
            let order = choose.0.call((T::peek_owned(&best), T::peek(&record)));
            match choose.1.call((order,)) {
                true => T::into_owned(record),
                false => best,
            }
        };
        self.reduce_at(site, Given(Arc::clone(&choose), add), |best, later| {
            let order = choose.0.call((T::peek_owned(&best), T::peek_owned(&later)));
            match choose.1.call((order,)) {
                true => later,
                false => best,
            }
        })
    }
}
