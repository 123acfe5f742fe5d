//! Actions that compute several results in one pass.

use std::ops::ControlFlow;

use super::Bag;
use crate::error::{Result, caught};
use crate::operators::actions::SummaryAction;
use crate::pipeline::{Pipeline, Record};
use crate::portable::Portable;
use crate::summary::Summary;
use crate::task::Site;

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Computes several results while it reads the bag once: a [summary](crate::summary), or a tuple of up to twelve.
    /// Runs a job.
    ///
    /// Each task summarises a partition, and the parts are merged in the order of the partitions. The result is the
    /// same on every executor.
    ///
    /// To compute the results for each key, use [`per_key().summarize(..)`](crate::PerKey::summarize).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::summary::{count, filter, mean, top};
    ///
    /// let numbers = holdall::range(1..101);
    /// let (count, even, mean, top) = numbers.summarize((
    ///     count(),
    ///     filter(|n: &u64| n % 2 == 0, count()),
    ///     mean(),
    ///     top(3),
    /// ))?;
    /// assert_eq!((count, even, mean), (100, 50, Some(50.5)));
    /// assert_eq!(top, [100, 99, 98]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn summarize<S>(&self, summary: S) -> Result<S::Output>
    where
        S: Summary<T> + Portable,
    {
        self.summarize_at(Site::new("summarize"), summary)
    }

    pub(super) fn summarize_at<S>(&self, site: Site, summary: S) -> Result<S::Output>
    where
        S: Summary<T> + Portable,
    {
        let action = SummaryAction { site, summary };
        let mut merged = None;
        self.run(&action, |task, later| {
            task.call(&site, || match &mut merged {
                None => merged = Some(later),
                Some(merged) => action.summary.merge(merged, later),
            });
            ControlFlow::Continue(())
        })?;
        caught(Some(site), || {
            let summary = &action.summary;
            Ok(summary.finish(merged.unwrap_or_else(|| summary.start())))
        })
    }
}
