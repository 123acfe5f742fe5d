//! The entry point where the defaults will not do.

use std::fmt;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use crate::config::{Config, Executor};
use crate::error::Result;
use crate::executor::{self, Inline, Threads};
use crate::lineage::Node;
use crate::scheduler::Job;

/// Where and how jobs run: the executor, its threads, the progress bar.
///
/// None is needed: the functions at the root of this crate, such as [`read_text`](crate::read_text), use a default
/// context, which runs on all cores and follows the [environment variables](crate#settings). A context is cheap to
/// clone.
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
pub struct Context(Option<Arc<Shared>>);

struct Shared {
    config: Config,
    executor: Arc<dyn executor::Executor>,
}

impl Shared {
    fn new(config: Config) -> Self {
        let executor: Arc<dyn executor::Executor> = match config.executor {
            Executor::Inline => Arc::new(Inline),
            Executor::Threads => Arc::new(Threads::new(None)),
            Executor::ThreadPool(threads) => Arc::new(Threads::new(Some(threads))),
        };
        Self { config, executor }
    }
}

impl Context {
    /// Begins a context with settings of its own.
    pub fn builder() -> ContextBuilder {
        ContextBuilder::default()
    }

    /// The default context. Where the environment variables cannot be understood, it is one whose jobs fail.
    pub(crate) fn shared() -> Self {
        static SHARED: OnceLock<Context> = OnceLock::new();
        let context = SHARED.get_or_init(|| {
            Self(
                Config::from_env()
                    .ok()
                    .map(|config| Arc::new(Shared::new(config))),
            )
        });
        context.clone()
    }

    pub(crate) fn shuffle_partitions(&self) -> usize {
        self.0
            .as_ref()
            .map_or(1, |shared| shared.config.shuffle_partitions)
    }

    /// A job that computes `result`.
    pub(crate) fn job(&self, result: &Arc<Node>) -> Result<Job> {
        let Some(shared) = &self.0 else {
            // The environment was not understood before; it says why now.
            let shared = Shared::new(Config::from_env()?);
            return Job::new(result, shared.executor, false);
        };
        let shows_progress = shared.config.progress && io::stderr().is_terminal();
        Job::new(result, Arc::clone(&shared.executor), shows_progress)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.0.as_ref().map(|shared| &shared.config);
        f.debug_tuple("Context").field(&config).finish()
    }
}

/// Settings for a [`Context`]. What is not set follows the [environment variables](crate#settings), or else is the
/// default.
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
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ContextBuilder {
    executor: Option<Executor>,
    shuffle_partitions: Option<NonZeroUsize>,
    progress: Option<bool>,
}

impl ContextBuilder {
    /// Where tasks run: [`Executor::Threads`] unless set.
    pub fn executor(mut self, executor: Executor) -> Self {
        self.executor = Some(executor);
        self
    }

    /// On how many threads tasks run: short for [`Executor::ThreadPool`].
    ///
    /// # Panics
    ///
    /// If `threads` is 0.
    pub fn threads(self, threads: usize) -> Self {
        assert!(threads > 0, "a context needs a thread");
        self.executor(Executor::ThreadPool(threads))
    }

    /// How many partitions a keyed bag has: 64 unless set. The records and their order are the same with any number.
    ///
    /// # Panics
    ///
    /// If `partitions` is 0.
    pub fn shuffle_partitions(mut self, partitions: usize) -> Self {
        let partitions = NonZeroUsize::new(partitions);
        assert!(partitions.is_some(), "a keyed bag needs a partition");
        self.shuffle_partitions = partitions;
        self
    }

    /// Whether jobs that take a while show a progress bar where standard error is a terminal: they do unless this is
    /// `false`.
    pub fn progress(mut self, progress: bool) -> Self {
        self.progress = Some(progress);
        self
    }

    /// The context. Its threads start with the first job.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`](crate::ErrorKind::InvalidSetting) if an environment variable cannot be understood, or the
    /// executor has no threads.
    pub fn build(self) -> Result<Context> {
        let mut config = Config::from_env()?;
        config.executor = self.executor.unwrap_or(config.executor);
        config.executor.check()?;
        config.progress = self.progress.unwrap_or(config.progress);
        if let Some(partitions) = self.shuffle_partitions {
            config.shuffle_partitions = partitions.get();
        }
        Ok(Context(Some(Arc::new(Shared::new(config)))))
    }
}
