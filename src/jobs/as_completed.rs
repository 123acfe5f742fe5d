//! The results of several jobs in the order in which the jobs end.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::mpsc::{self, Receiver};

use super::JobHandle;
use super::queue::blocking;
use crate::error::Result;
use crate::task::is_in_task;

/// Returns an iterator over the results of jobs in the order in which they end. Each result comes with the position of
/// its handle, from 0.
///
/// The results are those of [`JobHandle::result`]. In a closure of a running job, they are
/// [`NestedJob`](crate::ErrorKind::NestedJob).
///
/// # Examples
///
/// ```
/// use holdall::Context;
///
/// let context = Context::builder().build()?;
/// let texts = ["a bag", "of", "some more words"];
/// let handles = texts.map(|text| context.submit(|text: String| text.split(' ').count(), text.to_owned()));
/// let handles: Vec<_> = handles.into_iter().collect::<Result<_, _>>()?;
/// let mut counts = [0; 3];
/// for (position, count) in holdall::as_completed(handles) {
///     counts[position] = count?;
/// }
/// assert_eq!(counts, [2, 1, 3]);
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn as_completed<R>(handles: impl IntoIterator<Item = JobHandle<R>>) -> AsCompleted<R> {
    let (listener, ended) = mpsc::channel();
    let handles: Vec<_> = handles.into_iter().map(Some).collect();
    for (position, handle) in handles.iter().flatten().enumerate() {
        handle.listen(&listener, position);
    }
    AsCompleted {
        left: handles.len(),
        handles,
        ended,
    }
}

/// An iterator over the results of jobs in the order in which they end. Returned by [`as_completed`].
///
/// [`next`](Iterator::next) waits until another job has ended. Dropping the iterator cancels the other jobs.
///
/// # Examples
///
/// ```
/// let endless = holdall::from_iter(0_u64..).start(|bag| bag.count())?;
/// let short = holdall::range(0..10).start(|bag| bag.count())?;
/// let mut ended = holdall::as_completed([endless, short]);
/// assert!(matches!(ended.next(), Some((1, Ok(10)))));
/// drop(ended); // cancels the other one
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use = "dropping it cancels its jobs"]
pub struct AsCompleted<R> {
    /// `None` once the result has been returned.
    handles: Vec<Option<JobHandle<R>>>,
    /// The positions of jobs that have ended.
    ended: Receiver<usize>,
    left: usize,
}

impl<R> AsCompleted<R> {
    /// Waits until another job has ended. Returns its position.
    fn next_position(&self) -> Option<usize> {
        let is_left = |position: &usize| self.handles[*position].is_some();
        if is_in_task() {
            // Its `result` returns an error instead of waiting.
            return (0..self.handles.len()).find(is_left);
        }
        blocking(|| self.ended.iter().find(is_left))
    }
}

impl<R> Iterator for AsCompleted<R> {
    type Item = (usize, Result<R>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let position = self.next_position()?;
        self.left -= 1;
        let handle = self.handles[position].take()?;
        Some((position, handle.result()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<R> ExactSizeIterator for AsCompleted<R> {}

impl<R> FusedIterator for AsCompleted<R> {}

impl<R> fmt::Debug for AsCompleted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
