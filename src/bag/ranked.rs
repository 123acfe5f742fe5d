//! Actions that return the first few records of a sort order.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::Bag;
use crate::error::{Result, caught};
use crate::operators::actions::Top;
use crate::pipeline::{Call, Data, Pipeline, Plain, Record, Reversed, comparison};
use crate::task::Site;

/// Actions that return the first few records of a sort order. Each needs memory for 2 `n` records per thread.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Returns the `n` greatest records, greatest first. Equal records keep the order of the bag. Runs a job.
    ///
    /// Needs memory for 2 `n` records per thread.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::from_vec(vec![3, 1, 4, 1, 5]).top(2)?, [5, 4]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn top(&self, n: usize) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        for<'a> T::Peek<'a>: Ord,
    {
        let compare = comparison::<T, _>(|a, b| a.cmp(&b));
        self.first_ranked(Site::new("top"), n, Reversed(compare))
    }

    /// Returns the `n` greatest records according to `compare`, greatest first. Equal records keep the order of the
    /// bag. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let counts = holdall::from_vec(vec![("a", 2), ("b", 3), ("c", 3)]);
    /// // By count; of equal counts, the name that comes first is the greater.
    /// let top = counts.top_by(2, |a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)))?;
    /// assert_eq!(top, [("b", 3), ("c", 3)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn top_by<F>(&self, n: usize, compare: F) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering + Send + Sync + 'static,
    {
        self.first_ranked(Site::new("top_by"), n, Reversed(Plain(compare)))
    }

    /// Returns the `n` records with the greatest keys, greatest first. Records with equal keys keep the order of the
    /// bag. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let counts = holdall::from_vec(vec![("a", 2), ("b", 3), ("c", 3)]);
    /// assert_eq!(counts.top_by_key(1, |(_, n)| *n)?, [("b", 3)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn top_by_key<K, F>(&self, n: usize, key_of: F) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        K: Ord,
        F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let compare = comparison::<T, _>(move |a, b| key_of(a).cmp(&key_of(b)));
        self.first_ranked(Site::new("top_by_key"), n, Reversed(compare))
    }

    /// Returns the `n` smallest records, smallest first. Equal records keep the order of the bag. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::from_vec(vec![3, 1, 4, 1, 5]).bottom(3)?, [1, 1, 3]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn bottom(&self, n: usize) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        for<'a> T::Peek<'a>: Ord,
    {
        let compare = comparison::<T, _>(|a, b| a.cmp(&b));
        self.first_ranked(Site::new("bottom"), n, compare)
    }

    /// Returns the `n` smallest records according to `compare`, smallest first. Equal records keep the order of the
    /// bag. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let floats = holdall::from_vec(vec![2.5_f64, -1.0, 0.5]);
    /// assert_eq!(floats.bottom_by(2, |a, b| a.total_cmp(b))?, [-1.0, 0.5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn bottom_by<F>(&self, n: usize, compare: F) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(T::Peek<'a>, T::Peek<'a>) -> Ordering + Send + Sync + 'static,
    {
        self.first_ranked(Site::new("bottom_by"), n, Plain(compare))
    }

    /// Returns the `n` records with the smallest keys, smallest first. Records with equal keys keep the order of the
    /// bag. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["words", "of", "a", "bag"]);
    /// assert_eq!(words.bottom_by_key(2, |word| word.len())?, ["a", "of"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn bottom_by_key<K, F>(&self, n: usize, key_of: F) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        K: Ord,
        F: for<'a> Fn(T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let compare = comparison::<T, _>(move |a, b| key_of(a).cmp(&key_of(b)));
        self.first_ranked(Site::new("bottom_by_key"), n, compare)
    }

    /// Returns the first `n` records in the order of `compare`.
    pub(super) fn first_ranked<C>(&self, site: Site, n: usize, compare: C) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        C: for<'a> Call<(T::Peek<'a>, T::Peek<'a>), Out = Ordering>,
    {
        let records = PhantomData;
        let top = Top {
            site,
            n,
            compare,
            records,
        };
        let mut ranked = None;
        self.run(&top, |task, later| {
            ranked = task.call(&site, || {
                Some(match ranked.take() {
                    None => later,
                    Some(ranked) => top.merge(ranked, later),
                })
            });
            ControlFlow::Continue(())
        })?;
        caught(Some(site), || {
            Ok(ranked.map_or_else(Vec::new, |ranked| top.sorted(ranked)))
        })
    }
}
