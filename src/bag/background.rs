//! Jobs in the background, and limits of the jobs of a bag.

use std::time::Duration;

use super::Bag;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::jobs::JobHandle;
use crate::pipeline::{Data, Pipeline, Plain, Record};
use crate::task::Site;

impl Context {
    /// Starts `work` in the background, and returns a handle to its result. `work` receives a clone of this context.
    ///
    /// `work` runs on a thread of its own. Until it returns, the jobs that it starts on that thread are
    /// [cancelled](JobHandle::cancel) with the handle; their tasks run on the executor as always. See [jobs in the
    /// background](crate#jobs-in-the-background). For the jobs of a single bag, use [`Bag::start`].
    ///
    /// # Errors
    ///
    /// Returns [`NestedJob`](crate::ErrorKind::NestedJob) in a closure of a running job, and
    /// [`Threads`](crate::ErrorKind::Threads) if a thread cannot be started. Errors and panics of `work` are results of
    /// the handle.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    ///
    /// let handle = Context::default().start(|context| {
    ///     let numbers = context.range(0..1000).map(|n| n % 7);
    ///     Ok((numbers.clone().count()?, numbers.distinct().count()?))
    /// })?;
    /// assert_eq!(handle.result()?, (1000, 7));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn start<R, F>(&self, work: F) -> Result<JobHandle<R>>
    where
        R: Send + 'static,
        F: FnOnce(Self) -> Result<R> + Send + 'static,
    {
        let context = self.clone();
        JobHandle::start(&self.jobs(), Site::new("start"), move || work(context))
    }

    /// Starts a call of `function` with `argument` in the background, as the only task of a job, and returns a handle
    /// to its result.
    ///
    /// The task runs on the executor of the context. For [worker processes](crate#worker-processes), `function` must
    /// not capture anything; pass values to it by `argument`, which serde sends. If a worker is lost, `function` is
    /// called again. A call cannot be cancelled once it runs, except in a worker process, which is then killed.
    ///
    /// Use this method for some long calls. For many short ones, create a bag of their arguments by
    /// [`from_vec`](Self::from_vec): a job takes about 0.1 ms, a record much less.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`start`](Self::start). Panics of `function` are results of the handle.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    ///
    /// fn collatz_steps(start: u64) -> u64 {
    ///     let next = |n: &u64| (*n > 1).then(|| if n % 2 == 0 { n / 2 } else { 3 * n + 1 });
    ///     std::iter::successors(Some(start), next).count() as u64 - 1
    /// }
    ///
    /// let handle = Context::default().submit(|n| collatz_steps(n), 27)?;
    /// assert_eq!(handle.result()?, 111);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn submit<A, R, F>(&self, function: F, argument: A) -> Result<JobHandle<R>>
    where
        A: Data + Clone + Sync,
        R: Data,
        F: Fn(A) -> R + Send + Sync + 'static,
    {
        let site = Site::new("submit");
        let call = self.from_vec_at(site, vec![argument], 1);
        let call = call.map_at(site, Plain(function));
        JobHandle::start(&self.jobs(), site, move || {
            let result = call.collect_at(site)?.pop();
            result.ok_or_else(|| Error::internal("a call has no result".to_owned()))
        })
    }
}

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Starts `work` in the background, and returns a handle to its result. `work` receives a clone of this bag, and
    /// calls an action, or several.
    ///
    /// `work` runs on a thread of its own. Until it returns, the jobs that it starts on that thread are
    /// [cancelled](JobHandle::cancel) with the handle; their tasks run on the executor of the context as always. See
    /// [jobs in the background](crate#jobs-in-the-background).
    ///
    /// # Errors
    ///
    /// Returns [`NestedJob`](crate::ErrorKind::NestedJob) in a closure of a running job, and
    /// [`Threads`](crate::ErrorKind::Threads) if a thread cannot be started. Errors of the job are results of the
    /// handle.
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range(0..1_000_000);
    /// let sum = numbers.start(|numbers| numbers.sum::<u64>())?;
    /// let evens = numbers.start(|numbers| numbers.filter(|n| n % 2 == 0).count())?;
    /// assert_eq!(sum.result()?, 499_999_500_000); // both run at the same time
    /// assert_eq!(evens.result()?, 500_000);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn start<R, F>(&self, work: F) -> Result<JobHandle<R>>
    where
        R: Send + 'static,
        F: FnOnce(Self) -> Result<R> + Send + 'static,
    {
        let bag = self.clone();
        let jobs = self.context.jobs();
        JobHandle::start(&jobs, Site::new("start"), move || work(bag))
    }

    /// Has the jobs of this bag, and of the bags that are derived from it, run in `context`: on its executor, with its
    /// memory and its limits.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{CancelHandle, Context};
    ///
    /// let numbers = holdall::range(0..1000).map(|n| n % 7);
    /// let cancel = CancelHandle::new();
    /// let limited = numbers.context().with_cancel(&cancel);
    /// cancel.cancel();
    /// assert!(numbers.clone().in_context(&limited).count().is_err());
    /// assert_eq!(numbers.count()?, 1000);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn in_context(mut self, context: &Context) -> Self {
        self.context = context.clone();
        self
    }

    /// Limits the time of each job of this bag, and of the bags that are derived from it. A job that is not complete
    /// `timeout` after its start ends with [`DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded). The shortest limit
    /// counts.
    ///
    /// See [cancellation and deadlines](crate#cancellation-and-deadlines), and [`Context::with_deadline`] for a limit
    /// of several jobs together.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use holdall::ErrorKind;
    ///
    /// let numbers = holdall::from_iter(0_u64..).timeout(Duration::from_millis(20));
    /// let error = numbers.map(|n| n / 2).count().unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::DeadlineExceeded { .. }));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn timeout(self, timeout: Duration) -> Self {
        let limited = self.context.with_timeout(timeout);
        self.in_context(&limited)
    }
}
