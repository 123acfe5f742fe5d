//! Contexts: settings and resources that jobs share.

mod scratch;
#[cfg(feature = "status")]
mod status;

use std::fmt;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::{self, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

#[cfg(feature = "status")]
use crate::config::StatusSettings;
use crate::config::{Config, Executor, assert_partitions};
use crate::error::Result;
use crate::events::{
    GuardedObserver, JobEvents, JobSummary, LastJob, Observer, StageBar, SummaryPrinter,
};
use crate::executor::{AnyExecutor, Inline, RemoteExecutor, Threads, connect};
use crate::files::{
    AnyFileSystem, FileSystem, FileSystems, ShuffleDirectory, invalid_scheme, is_valid_scheme,
};
use crate::jobs::JobQueue;
use crate::lineage::Node;
use crate::scheduler::{Job, JobLimits, JobScope};
#[cfg(feature = "status")]
use crate::status::StatusOutputs;
use crate::storage::memory::MemoryBudget;
use crate::storage::scratch::{Scratch, sweep};
use crate::storage::size::{ByteSize, IntoByteSize, setting_bytes};
use crate::task::{CancelHandle, MemoryReclaimer, Progress, Resources, Site, StopFlag};

/// Default number of started jobs that run at the same time on threads of this process. Each has a thread of its own,
/// and a short one should not wait for long ones.
const LOCAL_JOBS: usize = 64;

/// Default number of started jobs that run at the same time on a remote executor. Each has workers of its own.
const REMOTE_JOBS: usize = 4;

/// Settings and resources of jobs: the executor and its threads, the memory and files that jobs may use, the progress
/// bar.
///
/// You need not create one: the functions at the root of this crate, such as [`read_text`](crate::read_text), use the
/// default context, [`Context::default`]. It runs on all cores and follows the
/// [environment variables](crate#settings-and-environment). A context is cheap to clone.
///
/// # Examples
///
/// ```
/// use holdall::{Context, Executor};
///
/// let context = Context::builder().executor(Executor::Inline).build()?;
/// assert_eq!(context.range(0..100).sum::<u64>()?, 4950);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone)]
pub struct Context {
    /// `None` if an environment variable was invalid.
    shared: Option<Arc<Shared>>,
    /// Limits that may end its jobs early.
    limits: Option<Arc<JobLimits>>,
}

struct Shared {
    config: Config,
    executor: AnyExecutor,
    budget: MemoryBudget,
    last_job: LastJob,
    /// Observers that need only the end of each job: the above, and the one that prints the summary.
    observers_of_end: Vec<Arc<GuardedObserver>>,
    observers: Vec<Arc<GuardedObserver>>,
    #[cfg(feature = "status")]
    status: StatusOutputs,
    reclaimer: Arc<MemoryReclaimer>,
    file_systems: FileSystems,
    /// The directory for map outputs, once a job may need it.
    shuffle: Mutex<Option<ShuffleDirectory>>,
    /// The jobs in the background.
    jobs: Arc<JobQueue>,
}

impl Shared {
    fn from_env() -> Result<Self> {
        Self::new(Config::from_env()?, None, Vec::new())
    }

    fn new(
        mut config: Config,
        remote: Option<Arc<dyn RemoteExecutor>>,
        observers: Vec<Arc<GuardedObserver>>,
    ) -> Result<Self> {
        let executor = match remote {
            Some(remote) => AnyExecutor::Remote(remote),
            None => executor(&config)?,
        };
        // The program may change its current directory later. If it has none now, the path stays relative.
        if let Ok(absolute) = path::absolute(&config.spill_directory) {
            config.spill_directory = absolute;
        }
        // Remove the files of processes that were killed, to free disk space.
        sweep(&config.spill_directory);
        let last_job = LastJob::default();
        let mut observers_of_end = vec![GuardedObserver::new(last_job.clone())];
        if config.summary {
            observers_of_end.push(GuardedObserver::new(SummaryPrinter));
        }
        let concurrent_jobs = config.concurrent_jobs.unwrap_or(match config.executor {
            Executor::Inline => 1,
            _ if matches!(executor, AnyExecutor::Remote(_)) => REMOTE_JOBS,
            _ => LOCAL_JOBS,
        });
        Ok(Self {
            jobs: Arc::new(JobQueue::new(concurrent_jobs)),
            budget: MemoryBudget::new(config.memory_bytes),
            #[cfg(feature = "status")]
            status: StatusOutputs::of_environment(&config.status)?,
            config,
            executor,
            last_job,
            observers_of_end,
            observers,
            reclaimer: Arc::default(),
            file_systems: FileSystems::default(),
            shuffle: Mutex::default(),
        })
    }

    fn job(
        &self,
        result: &Arc<Node>,
        site: Site,
        limits: &JobLimits,
        shows_progress: bool,
    ) -> Result<Job> {
        #[cfg(target_os = "linux")]
        if let Executor::Processes(_) = self.config.executor {
            crate::executor::Processes::check()?;
        }
        let progress = Arc::<Progress>::default();
        let mut observers = self.observers.clone();
        #[cfg(feature = "status")]
        self.observe(&progress, &mut observers);
        if shows_progress {
            observers.push(GuardedObserver::new(StageBar::new(Arc::clone(&progress))));
        }
        let events = JobEvents::new(self.observers_of_end.clone(), observers);
        let shuffle = self.shuffle_files(events.job())?;
        let resources = Resources {
            budget: self.budget.clone(),
            scratch: self.scratch(shuffle.as_ref()),
            reclaimer: Arc::clone(&self.reclaimer),
            threads: self.executor.slots(),
            progress,
            stop: StopFlag::default(),
        };
        Job::new(
            result,
            self.executor.clone(),
            resources,
            events,
            limits,
            site,
            shuffle,
        )
    }
}

/// Returns the executor that the settings specify.
fn executor(config: &Config) -> Result<AnyExecutor> {
    Ok(match config.executor {
        Executor::Inline => AnyExecutor::Local(Arc::new(Inline)),
        Executor::GlobalThreads => AnyExecutor::Local(Arc::new(Threads::new(config.threads))),
        Executor::Threads(threads) => AnyExecutor::Local(Arc::new(Threads::new(Some(threads)))),
        #[cfg(target_os = "linux")]
        Executor::Processes(workers) => AnyExecutor::Remote(Arc::new(
            crate::executor::Processes::new(workers, config.worker_timeout),
        )),
        #[cfg(not(target_os = "linux"))]
        Executor::Processes(_) => unreachable!("the settings were checked"),
        Executor::At(address) => AnyExecutor::Remote(connect(address)?),
    })
}

impl Context {
    /// Returns a builder for a context with custom settings.
    ///
    /// # Examples
    ///
    /// ```
    /// let context = holdall::Context::builder().threads(2).build()?;
    /// assert_eq!(context.range(0..10).count()?, 10);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn builder() -> ContextBuilder {
        ContextBuilder::default()
    }

    pub(crate) fn shuffle_partitions(&self) -> usize {
        self.shared
            .as_ref()
            .map_or(1, |shared| shared.config.shuffle_partitions)
    }

    /// Returns statistics of the last job of this context that has ended, even if it failed. Returns `None` before the
    /// first.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    ///
    /// let context = Context::builder().build()?;
    /// context.range(0..1000).map(|n| n % 7).count_by_value().count()?;
    /// let summary = context.last_job().unwrap();
    /// assert_eq!(summary.stages[0].shuffled_records, 1000);
    /// assert_eq!(summary.stages[1].tasks, 64);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn last_job(&self) -> Option<JobSummary> {
        self.shared.as_ref()?.last_job.summary()
    }

    /// Returns the memory budget, the files and the memory reclaimer for data that outlives a job. If an environment
    /// variable was invalid, no job will use them.
    pub(crate) fn for_store(&self) -> (MemoryBudget, Scratch, Arc<MemoryReclaimer>) {
        match &self.shared {
            Some(shared) => (
                shared.budget.clone(),
                shared.scratch(None),
                Arc::clone(&shared.reclaimer),
            ),
            None => (
                MemoryBudget::new(0),
                Scratch::new(None, None),
                Arc::default(),
            ),
        }
    }

    /// Returns the file systems for paths with a scheme.
    pub(crate) fn file_systems(&self) -> FileSystems {
        let shared = self.shared.as_ref();
        let own = shared.map_or_else(FileSystems::default, |shared| shared.file_systems.clone());
        own.with_registered()
    }

    /// Returns whether tasks run outside of this process.
    pub(crate) fn is_remote(&self) -> bool {
        let shared = self.shared.as_ref();
        shared.is_some_and(|shared| matches!(shared.executor, AnyExecutor::Remote(_)))
    }

    /// Computes the values that the lineage of `result` needs.
    pub(crate) fn resolve(&self, result: &Arc<Node>, site: Site) -> Result<()> {
        let pending = result.pending_values();
        let first = pending.first();
        first.map_or(Ok(()), |first| first.resolve(&pending, self, site))
    }

    /// Creates a job that computes `result` for the action at `site`.
    pub(crate) fn job(&self, result: &Arc<Node>, site: Site) -> Result<Job> {
        self.resolve(result, site)?;
        let Some(shared) = &self.shared else {
            // An environment variable was invalid; this returns the reason.
            let shared = Shared::from_env()?;
            return shared.job(result, site, &JobLimits::default(), false);
        };
        // Bars of jobs in the background would mix with what the program prints.
        let shows_progress =
            shared.config.progress && !JobScope::is_entered() && io::stderr().is_terminal();
        let limits = self.limits.as_deref();
        shared.job(
            result,
            site,
            limits.unwrap_or(&JobLimits::default()),
            shows_progress,
        )
    }

    /// Returns the queue of the jobs in the background.
    pub(crate) fn jobs(&self) -> Arc<JobQueue> {
        let shared = self.shared.as_ref();
        shared.map_or_else(
            // Its jobs will return the reason why an environment variable is invalid.
            || Arc::new(JobQueue::new(1)),
            |shared| Arc::clone(&shared.jobs),
        )
    }

    /// Returns a context whose jobs `cancel` cancels. It has the executor, the settings, the memory budget and the
    /// [`last_job`](Self::last_job) of this context, and its limits.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{CancelHandle, Context};
    ///
    /// let cancel = CancelHandle::new();
    /// let context = Context::builder().build()?.with_cancel(&cancel);
    /// let numbers = context.range(0..10);
    /// assert_eq!(numbers.count()?, 10);
    /// cancel.cancel();
    /// assert!(numbers.count().unwrap_err().is_cancelled());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn with_cancel(&self, cancel: &CancelHandle) -> Self {
        self.limited(|limits| limits.cancelled_by(cancel))
    }

    /// Returns a context whose jobs end with [`DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded) if they are not
    /// complete at `deadline`. Otherwise, it is like this context. If it already has a deadline, the earlier one
    /// counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use holdall::{Context, ErrorKind};
    ///
    /// let context = Context::default().with_deadline(Instant::now() + Duration::from_millis(20));
    /// let error = context.from_iter(0_u64..).count().unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::DeadlineExceeded { .. }));
    /// assert_eq!(error.context().unwrap().operator, Some("count"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        self.limited(|limits| limits.until(deadline))
    }

    /// Returns a context each of whose jobs ends with [`DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded) if it is
    /// not complete `timeout` after its start. Otherwise, it is like this context. If it already has a timeout, the
    /// shorter one counts.
    ///
    /// For the jobs of a single bag, use [`Bag::timeout`](crate::Bag::timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use holdall::Context;
    ///
    /// let context = Context::default().with_timeout(Duration::from_millis(20));
    /// assert!(context.from_iter(0_u64..).count().is_err());
    ///
    /// let context = Context::default().with_timeout(Duration::from_secs(3600));
    /// assert_eq!(context.range(0..10).count()?, 10);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        self.limited(|limits| limits.within(timeout))
    }

    fn limited(&self, limit: impl FnOnce(JobLimits) -> JobLimits) -> Self {
        let limits = self.limits.as_deref().cloned().unwrap_or_default();
        Self {
            shared: self.shared.clone(),
            limits: Some(Arc::new(limit(limits))),
        }
    }
}

/// Returns the context that the functions at the root of this crate use. All of its clones share its settings, its
/// memory budget and its [`last_job`](Context::last_job).
///
/// If an environment variable is invalid, each job of this context fails with
/// [`InvalidSetting`](crate::ErrorKind::InvalidSetting).
///
/// # Examples
///
/// ```
/// use holdall::Context;
///
/// holdall::range(0..100).distinct().count()?;
/// assert_eq!(Context::default().last_job().unwrap().stages.len(), 2);
/// # Ok::<(), holdall::Error>(())
/// ```
impl Default for Context {
    fn default() -> Self {
        static DEFAULT: OnceLock<Context> = OnceLock::new();
        let context = DEFAULT.get_or_init(|| {
            let shared = Shared::from_env().ok().map(Arc::new);
            let limits = None;
            Self { shared, limits }
        });
        context.clone()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.shared.as_ref().map(|shared| &shared.config);
        f.debug_tuple("Context").field(&config).finish()
    }
}

/// Builder for a [`Context`]. Settings that you leave out follow the
/// [environment variables](crate#settings-and-environment), and otherwise have their defaults.
///
/// # Examples
///
/// ```
/// use holdall::{Context, Executor};
///
/// let context = Context::builder()
///     .executor("threads:2".parse()?)
///     .shuffle_partitions(8)
///     .progress(false)
///     .build()?;
/// let parities = context.range(0..10).map(|n| n % 2).count_by_value();
/// assert_eq!(parities.partitions(), Some(8));
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct ContextBuilder {
    executor: Option<Executor>,
    concurrent_jobs: Option<NonZeroUsize>,
    remote_executor: Option<Arc<dyn RemoteExecutor>>,
    worker_timeout: Option<Duration>,
    shuffle_partitions: Option<usize>,
    progress: Option<bool>,
    summary: Option<bool>,
    memory: Option<Result<ByteSize, String>>,
    spill_directory: Option<PathBuf>,
    shuffle_directory: Option<PathBuf>,
    disk_quota: Option<Result<ByteSize, String>>,
    observers: Vec<Arc<GuardedObserver>>,
    #[cfg(feature = "status")]
    status: StatusSettings,
    file_systems: FileSystems,
    /// A scheme that was refused.
    invalid_scheme: Option<String>,
}

impl ContextBuilder {
    /// Sets where tasks run. Default: [`Executor::GlobalThreads`]. If you also call [`threads`](Self::threads), the
    /// last call counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{Context, Executor};
    ///
    /// // Run all tasks on this thread, so that a debugger can follow.
    /// let context = Context::builder().executor(Executor::Inline).build()?;
    /// let caller = std::thread::current().id();
    /// let is_here = context.range(0..3).map(move |_| std::thread::current().id() == caller);
    /// assert_eq!(is_here.collect()?, [true, true, true]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn executor(mut self, executor: Executor) -> Self {
        self.executor = Some(executor);
        self.remote_executor = None;
        self
    }

    /// Sets a custom executor, in place of one that [`executor`](Self::executor) sets. If you call both, the last call
    /// counts. [`holdall::executor`](crate::executor) has an example.
    pub fn remote_executor(mut self, executor: impl RemoteExecutor) -> Self {
        self.executor = None;
        self.remote_executor = Some(Arc::new(executor));
        self
    }

    /// Sets the maximum number of jobs [in the background](crate#jobs-in-the-background) that run at the same time.
    /// Jobs that are started later wait until one of them ends. Default: 64 on threads, 4 in worker processes, and 1 on
    /// [`Executor::Inline`].
    ///
    /// On threads, all of these jobs share the threads of the context. In worker processes, each of them has as many
    /// workers as the context, and so uses as much memory.
    ///
    /// # Panics
    ///
    /// Panics if `jobs` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let context = holdall::Context::builder().concurrent_jobs(2).build()?;
    /// let handles: Vec<_> = (0..10).map(|n| context.submit(|n| n * n, n)).collect::<Result<_, _>>()?;
    /// let squares: Vec<i32> = handles.into_iter().map(|handle| handle.result()).collect::<Result<_, _>>()?;
    /// assert_eq!(squares[9], 81);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn concurrent_jobs(mut self, jobs: usize) -> Self {
        let jobs = NonZeroUsize::new(jobs);
        assert!(jobs.is_some(), "one job must be able to run");
        self.concurrent_jobs = jobs;
        self
    }

    /// Sets the time after which a silent [worker process](Executor::Processes) counts as lost. Default: 10 seconds.
    ///
    /// A worker gives a sign of life about every half second, even while a closure runs. It is silent only if it is
    /// stopped, or if the machine has no time for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use holdall::{Context, Executor};
    ///
    /// holdall::init();
    /// let builder = Context::builder().executor(Executor::Processes(1));
    /// let context = builder.worker_timeout(Duration::from_secs(60)).build()?;
    /// assert_eq!(context.range(0..10).count()?, 10);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn worker_timeout(mut self, timeout: Duration) -> Self {
        self.worker_timeout = Some(timeout);
        self
    }

    /// Sets the number of threads that run tasks. Short for [`Executor::Threads`]. [`build`](Self::build) returns
    /// [`InvalidSetting`](crate::ErrorKind::InvalidSetting) if there are more than 1,024.
    ///
    /// # Panics
    ///
    /// Panics if `threads` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let context = holdall::Context::builder().threads(1).build()?;
    /// assert_eq!(context.range(0..100).sum::<u64>()?, 4950);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn threads(self, threads: usize) -> Self {
        assert!(threads > 0, "a context needs a thread");
        self.executor(Executor::Threads(threads))
    }

    /// Sets the number of partitions of a keyed or sorted bag. Default: 64. The records and their order do not depend
    /// on it.
    ///
    /// Use more partitions on a machine with more than about 30 cores, and fewer for many small jobs.
    ///
    /// # Panics
    ///
    /// Panics if `partitions` is 0 or more than 2^24.
    ///
    /// # Examples
    ///
    /// ```
    /// let context = holdall::Context::builder().shuffle_partitions(2).build()?;
    /// let remainders = context.range(0..100).map(|n| n % 7).distinct();
    /// assert_eq!(remainders.partitions(), Some(2));
    /// assert_eq!(remainders.collect()?, holdall::range(0..100).map(|n| n % 7).distinct().collect()?);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn shuffle_partitions(mut self, partitions: usize) -> Self {
        assert_partitions(partitions);
        self.shuffle_partitions = Some(partitions);
        self
    }

    /// Sets the memory that the jobs of this context may use together for data that grows with the input, in bytes.
    /// Default: half of this machine's memory, or of this process's limit if that is lower.
    ///
    /// Data that exceeds it is spilled to files in the [spill directory](Self::spill_directory). Memory that your
    /// closures allocate does not count, nor do the results of actions; see [memory and disk](crate#memory-and-disk). A
    /// job with a shuffle needs at least 1 MiB for each thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{Context, ErrorKind};
    ///
    /// let context = Context::builder().threads(1).memory("64MiB").build()?;
    /// assert_eq!(context.range(0..1000).map(|n| n % 7).distinct().count()?, 7);
    ///
    /// let context = Context::builder().threads(4).memory(1 << 20).build()?;
    /// let error = context.range(0..1000).distinct().count().unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::BudgetTooSmall { needed_bytes: 4_194_304, .. }));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn memory(mut self, size: impl IntoByteSize) -> Self {
        self.memory = Some(size.into_byte_size());
        self
    }

    /// Sets the directory for spill files. Default: the system's temporary directory. The files are deleted with the
    /// job, or with the last bag that needs them.
    ///
    /// A missing directory is created with the first file, and is not deleted. A relative path is relative to the
    /// current directory at the time of [`build`](Self::build). See [what holdall deletes](crate#what-holdall-deletes).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{Context, StorageLevel};
    ///
    /// let directory = tempfile::tempdir().unwrap();
    /// let context = Context::builder().spill_directory(directory.path()).build()?;
    /// let squares = context.range(0..100).map(|n| n * n).persist(StorageLevel::Disk);
    /// assert_eq!(squares.count()?, 100);
    /// assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    /// drop(squares);
    /// assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn spill_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.spill_directory = Some(path.into()).filter(|path| !path.as_os_str().is_empty());
        self
    }

    /// Sets the directory for the map outputs of jobs on an executor whose workers [share no
    /// disk](crate::executor#workers-that-share-no-disk), such as a cluster. By default, map outputs stay on the machine
    /// that has written them, and are computed again if the machine is lost. In the shuffle directory, they remain, and
    /// nothing is computed again.
    ///
    /// The directory must be the same on all machines: a path of a [file system](crate::files) such as
    /// `s3://bucket/prefix`, or a path on a disk that they share. Tasks write each map output to the disk of their machine
    /// first, and then move it. The setting has no effect on other executors.
    ///
    /// The files of a job are in a directory named `holdall-…` there, and are removed when the job ends. If files cannot be
    /// written to the shuffle directory, jobs fail before they run anything.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let context = Context::builder().shuffle_directory(dir.path()).build()?;
    /// assert_eq!(context.range(0..100).map(|n| n % 7).distinct().count()?, 7);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn shuffle_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.shuffle_directory = Some(path.into()).filter(|path| !path.as_os_str().is_empty());
        self
    }

    /// Sets the maximum size of the files that one job, or one persisted bag, may have in the spill directory at any
    /// time. Default: no limit. A job that exceeds it fails with [`QuotaExceeded`](crate::ErrorKind::QuotaExceeded).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{Context, ErrorKind, StorageLevel};
    ///
    /// let context = Context::builder().disk_quota(1000).build()?;
    /// let numbers = context.range(0..100_000).persist(StorageLevel::Disk);
    /// let error = numbers.count().unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::QuotaExceeded { quota_bytes: 1000, .. }));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn disk_quota(mut self, size: impl IntoByteSize) -> Self {
        self.disk_quota = Some(size.into_byte_size());
        self
    }

    /// Sets whether jobs that take a while show a progress bar, if standard error is a terminal. Default: `true`.
    ///
    /// # Examples
    ///
    /// ```
    /// let quiet = holdall::Context::builder().progress(false).build()?;
    /// assert_eq!(quiet.range(0..10).count()?, 10);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn progress(mut self, progress: bool) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Sets whether each job writes a [summary](JobSummary) to standard error when it ends. Default: `false`.
    ///
    /// # Examples
    ///
    /// ```
    /// let context = holdall::Context::builder().summary(true).build()?;
    /// // stage 1 (range): 64 tasks, 0.00 s (slowest task 2.1x the mean); read 0 B; …
    /// assert_eq!(context.range(0..10_000).count()?, 10_000);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn summary(mut self, summary: bool) -> Self {
        self.summary = Some(summary);
        self
    }

    /// Adds an observer, which receives the [events](crate::events) of all jobs of this context. Each call adds another
    /// one. Default: none.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use holdall::Context;
    /// use holdall::events::Event;
    ///
    /// let failures = Arc::new(AtomicUsize::new(0));
    /// let seen = Arc::clone(&failures);
    /// let observer = move |event: &Event| {
    ///     if let Event::TaskFailed { error, .. } = event {
    ///         assert!(error.contains("attempt to divide by zero"));
    ///         seen.fetch_add(1, Ordering::Relaxed);
    ///     }
    /// };
    /// let context = Context::builder().observer(observer).build()?;
    /// assert!(context.range(0..10).map(|n| 100 / n).count().is_err());
    /// assert_eq!(failures.load(Ordering::Relaxed), 1);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observers.push(GuardedObserver::new(observer));
        self
    }

    /// Adds a [file system](crate::files) for the paths that begin with `scheme` and `://`. If you add two for the same
    /// scheme, the last call counts. Default: those that [`register`](crate::files::register) has added, and local
    /// files, with and without the scheme `file`.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{Context, ErrorKind};
    ///
    /// // See the module `files` for a file system.
    /// let error = Context::builder().build()?.read_text("s3://bucket/logs/*.gz").unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::UnknownScheme { scheme, .. } if scheme == "s3"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn file_system(mut self, scheme: impl Into<String>, file_system: impl FileSystem) -> Self {
        let scheme = scheme.into();
        if is_valid_scheme(&scheme) {
            let file_system = AnyFileSystem::new(file_system);
            self.file_systems.insert(scheme, file_system);
        } else {
            self.invalid_scheme = Some(scheme);
        }
        self
    }

    /// Builds the context. Its threads start with the first job.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidSetting`](crate::ErrorKind::InvalidSetting) if an environment variable is invalid, if a text is
    /// not a size, if the scheme of a file system is invalid, or if the executor has no threads, is not available on this
    /// system, or has an address whose scheme no crate has [registered](crate::executor::register). With the feature
    /// `status`, returns [`StatusPage`](crate::ErrorKind::StatusPage) if the status page cannot be served, and
    /// [`Io`](crate::ErrorKind::Io) if the file of the trace or the report cannot be created.
    ///
    /// # Examples
    ///
    /// ```
    /// let context = holdall::Context::builder().build()?;
    /// assert!(context.empty::<u64>().is_empty()?);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn build(self) -> Result<Context> {
        let mut config = Config::from_env()?;
        if let Some(scheme) = self.invalid_scheme {
            return Err(invalid_scheme(scheme));
        }
        config.executor = self.executor.unwrap_or(config.executor);
        config.executor.check()?;
        config.worker_timeout = self.worker_timeout.unwrap_or(config.worker_timeout);
        config.concurrent_jobs = self.concurrent_jobs.map(NonZeroUsize::get);
        if self.remote_executor.is_some() {
            // A custom executor overrides the environment.
            config.executor = Executor::default();
        }
        config.progress = self.progress.unwrap_or(config.progress);
        config.summary = self.summary.unwrap_or(config.summary);
        if let Some(size) = self.memory {
            config.memory_bytes = setting_bytes("memory", size)?.saturating_usize();
        }
        config.spill_directory = self.spill_directory.unwrap_or(config.spill_directory);
        config.shuffle_directory = self.shuffle_directory.or(config.shuffle_directory);
        if let Some(size) = self.disk_quota {
            config.disk_quota_bytes = Some(setting_bytes("disk_quota", size)?.0);
        }
        if let Some(partitions) = self.shuffle_partitions {
            config.shuffle_partitions = partitions;
        }
        let mut shared = Shared::new(config, self.remote_executor, self.observers)?;
        shared.file_systems = self.file_systems;
        #[cfg(feature = "status")]
        {
            shared.status = shared.status.with(&self.status)?;
        }
        Ok(Context {
            shared: Some(Arc::new(shared)),
            limits: None,
        })
    }
}

impl fmt::Debug for ContextBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextBuilder")
            .field("executor", &self.executor)
            .field("memory", &self.memory)
            .field("spill_directory", &self.spill_directory)
            .finish_non_exhaustive()
    }
}
