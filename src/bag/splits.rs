//! Methods that divide a bag into two, or compare two bags.

use std::sync::Arc;

use super::Bag;
use crate::error::Result;
use crate::pipeline::{Call, Data, Given, Pipeline, Plain, Record};
use crate::task::Site;

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Divides the bag into the records for which `predicate` returns `true`, and all others. Narrow: both bags keep
    /// partitions and order.
    ///
    /// An action on one of the two bags computes all records of this bag. If that is expensive,
    /// [`persist`](Bag::persist) this bag first.
    ///
    /// # Examples
    ///
    /// ```
    /// let (even, odd) = holdall::range(0..6).partition(|n| n % 2 == 0);
    /// assert_eq!(even.collect()?, [0, 2, 4]);
    /// assert_eq!(odd.collect()?, [1, 3, 5]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn partition<F>(
        self,
        predicate: F,
    ) -> (
        Bag<T, impl Pipeline<Out = T>>,
        Bag<T, impl Pipeline<Out = T>>,
    )
    where
        F: for<'a> Fn(T::Peek<'a>) -> bool + Send + Sync + 'static,
    {
        let site = Site::new("partition");
        let predicate = Arc::new(Plain(predicate));
        let fails = |predicate: &Arc<Plain<F>>, record: T::Peek<'_>| !predicate.call((record,));
        let others = Given(Arc::clone(&predicate), fails);
        let all = self.clone();
        (all.filter_at(site, predicate), self.filter_at(site, others))
    }

    /// Returns whether the bag has the same records as `other`, in the same order. Runs two jobs concurrently, which
    /// stop at the first difference.
    ///
    /// The partitions need not be the same. The records are compared on the current thread, as
    /// [`iter`](Bag::iter) returns them.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`iter`](Bag::iter).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range(0..1000);
    /// assert!(numbers.clone().permute(1).sort().eq(&numbers)?);
    /// assert!(!numbers.eq(&numbers.clone().skip(1))?);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn eq<Q: Pipeline<Out = T>>(&self, other: &Bag<T, Q>) -> Result<bool>
    where
        T::Owned: Data + PartialEq,
    {
        let site = Site::new("eq");
        let (mut left, mut right) = (self.iter_at(site, true)?, other.iter_at(site, true)?);
        loop {
            match (left.next().transpose()?, right.next().transpose()?) {
                (None, None) => return Ok(true),
                (left, right) if left != right => return Ok(false),
                _ => {}
            }
        }
    }
}

impl<A: 'static, B: 'static, P: Pipeline<Out = (A, B)>> Bag<(A, B), P> {
    /// Divides a bag of pairs into the first and the second elements. Narrow: both bags keep partitions and order.
    ///
    /// This is short for [`keys`](Bag::keys) and [`values`](Bag::values). An action on one of the two bags computes this
    /// bag.
    ///
    /// # Examples
    ///
    /// ```
    /// let (letters, numbers) = holdall::from_vec(vec![('a', 1), ('b', 2)]).unzip();
    /// assert_eq!(letters.collect()?, ['a', 'b']);
    /// assert_eq!(numbers.sum::<i32>()?, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn unzip(
        self,
    ) -> (
        Bag<A, impl Pipeline<Out = A>>,
        Bag<B, impl Pipeline<Out = B>>,
    ) {
        let site = Site::new("unzip");
        let firsts = self.clone().keys_at(site);
        let seconds = self.map_at(site, Plain(|(_, second): (A, B)| second));
        (firsts, seconds)
    }
}
