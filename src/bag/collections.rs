//! Conversions of collections and iterators to bags.

use rayon::iter::{FromParallelIterator, IntoParallelIterator, ParallelIterator};

use super::Bag;
use crate::pipeline::Data;

/// Collects the items of an iterator into memory, like [`from_vec`](crate::from_vec).
///
/// For an iterator that jobs read while they run, and that may be longer than memory, use
/// [`from_iter`](crate::from_iter).
///
/// # Examples
///
/// ```
/// use holdall::Bag;
///
/// let squares: Bag<u64> = (0..10).map(|n| n * n).collect();
/// assert_eq!(squares.sum::<u64>()?, 285);
/// # Ok::<(), holdall::Error>(())
/// ```
impl<T: Data + Clone + Sync> FromIterator<T> for Bag<T> {
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = T>>(records: I) -> Self {
        Vec::from_iter(records).into()
    }
}

/// Collects the items of a parallel iterator into memory, like [`from_vec`](crate::from_vec).
///
/// There is no conversion in the other direction, because a job may fail: call
/// [`collect`](Bag::collect) and iterate over the `Vec`, or call rayon's `par_bridge` on [`iter`](Bag::iter).
///
/// # Examples
///
/// ```
/// use holdall::Bag;
/// use rayon::prelude::*;
///
/// let squares: Bag<u64> = (0..10_u64).into_par_iter().map(|n| n * n).collect();
/// assert_eq!(squares.sum::<u64>()?, 285);
/// # Ok::<(), holdall::Error>(())
/// ```
impl<T: Data + Clone + Sync> FromParallelIterator<T> for Bag<T> {
    fn from_par_iter<I: IntoParallelIterator<Item = T>>(records: I) -> Self {
        records.into_par_iter().collect::<Vec<_>>().into()
    }
}
