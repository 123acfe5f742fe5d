//! Results of the partitions that a job has computed by a deadline.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Bag;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Pipeline, Record};

/// The result of an action that may cover only the first partitions of a bag. Returned by [`Bag::partial`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let partial = holdall::range(0..1000).partial(Duration::from_secs(60), |numbers| numbers.max())?;
/// assert_eq!((partial.value, partial.is_complete), (Some(999), true));
/// assert_eq!((partial.partitions_done, partial.partitions), (64, Some(64)));
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartialValue<R> {
    /// Result of the action for the first [`partitions_done`](Self::partitions_done) partitions.
    pub value: R,
    /// Whether the action has ended before the deadline, so that the result is not partial.
    pub is_complete: bool,
    /// Number of partitions that the result covers.
    pub partitions_done: usize,
    /// Number of partitions of the bag, or `None` if it is unknown because the source has not been read to its end.
    pub partitions: Option<usize>,
}

/// The part of a bag that a result covers.
struct Extent {
    is_complete: bool,
    partitions_done: usize,
    partitions: Option<usize>,
}

thread_local! {
    /// Within [`Bag::partial`]: the extent of the last result, or of the first that is partial.
    static EXTENT: RefCell<Option<Extent>> = const { RefCell::new(None) };
}

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Calls `action` with a clone of this bag. If its job is not complete `timeout` from now, the action returns the
    /// result of the first partitions, up to the first that is not done. The [`PartialValue`] has their number.
    ///
    /// Any action can be called that returns a value: [`count`](Bag::count), [`collect`](Bag::collect),
    /// [`fold`](Bag::fold), [`top`](Bag::top), [`summarize`](Bag::summarize), and so on. A result never covers a part
    /// of a partition, but partitions that were computed after one that was not done are lost.
    ///
    /// In the [events](crate::events), a job that is not complete has failed.
    ///
    /// # Errors
    ///
    /// Returns the error of `action`. It is [`DeadlineExceeded`](ErrorKind::DeadlineExceeded) if there is no partial
    /// result: if the last stage has not begun, because a stage before a shuffle takes too long; if another job of
    /// `action` has ended at the deadline before; and for [`iter`](Bag::iter), for outputs, and for [delayed
    /// values](crate::Delayed), which must be complete.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let endless = holdall::from_iter(0_u64..).map(|n| n % 10);
    /// let partial = endless.partial(Duration::from_millis(50), |digits| digits.max())?;
    /// assert!(!partial.is_complete);
    /// assert!(partial.value == Some(9) || partial.partitions_done == 0);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn partial<R>(
        &self,
        timeout: Duration,
        action: impl FnOnce(Self) -> Result<R>,
    ) -> Result<PartialValue<R>> {
        /// When dropped, also by unwinding, restores the extent of an outer call.
        struct Before(Option<Extent>);

        impl Drop for Before {
            fn drop(&mut self) {
                EXTENT.set(self.0.take());
            }
        }

        let mut bag = self.clone();
        // A time that is too long to represent is no limit.
        if let Some(deadline) = Instant::now().checked_add(timeout) {
            bag.context = bag.context.with_deadline(deadline);
        }
        let none = Extent {
            is_complete: true,
            partitions_done: 0,
            partitions: self.partitions(),
        };
        let before = Before(EXTENT.replace(Some(none)));
        let value = action(bag)?;
        let extent = EXTENT.take();
        drop(before);
        let extent = extent.ok_or_else(|| Error::internal("an extent is missing".to_owned()))?;
        Ok(PartialValue {
            value,
            is_complete: extent.is_complete,
            partitions_done: extent.partitions_done,
            partitions: extent.partitions,
        })
    }
}

/// Returns whether results of this thread may be partial.
pub(super) fn may_be_partial() -> bool {
    EXTENT.with_borrow(Option::is_some)
}

/// Notes that a result covers `partitions_done` of the partitions. Its stage has ended with `outcome`. If its deadline has
/// passed, and results of this thread may be partial, there is a result.
pub(super) fn accept_partial(
    outcome: Result<()>,
    partitions_done: usize,
    partitions: Option<usize>,
) -> Result<()> {
    EXTENT.with_borrow_mut(|extent| {
        let Some(extent) = extent.as_mut().filter(|extent| extent.is_complete) else {
            return outcome;
        };
        if let Err(error) = outcome {
            if !matches!(error.kind(), ErrorKind::DeadlineExceeded { .. }) {
                return Err(error);
            }
            extent.is_complete = false;
        }
        extent.partitions_done = partitions_done;
        extent.partitions = partitions;
        Ok(())
    })
}
