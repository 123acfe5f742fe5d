//! Executor that runs tasks on a pool of threads.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use super::revocable::{RevocableJob, run_revocable};
use super::{StageExecutor, Summon};
use crate::error::{Error, ErrorKind, Result};

/// Rayon's global pool, or a separate pool.
#[derive(Debug)]
pub(crate) struct Threads {
    /// Number of threads of a separate pool, or `None` for the global pool.
    threads: Option<usize>,
    /// The separate pool. The first job starts it.
    pool: OnceLock<rayon::ThreadPool>,
}

impl Threads {
    pub(crate) fn new(threads: Option<usize>) -> Self {
        Self {
            threads,
            pool: OnceLock::new(),
        }
    }

    /// Returns the separate pool, and starts it if necessary; `None` stands for the global pool.
    fn pool(&self) -> Result<Option<&rayon::ThreadPool>> {
        let Some(threads) = self.threads else {
            return start_global_pool().map(|()| None);
        };
        if self.pool.get().is_none() {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|index| format!("holdall-{index}"))
                .build()
                .map_err(|error| Error::new(ErrorKind::Threads(io::Error::other(error))))?;
            // If two jobs start at the same time, one of the two pools is dropped.
            let _ = self.pool.set(pool);
        }
        Ok(self.pool.get())
    }
}

/// Starts rayon's global pool, unless it is running. Otherwise, rayon would start it on first use, and panic on
/// failure.
fn start_global_pool() -> Result<()> {
    /// rayon tries only once in a process. Its later errors only say that it has already tried.
    static FAILURE: OnceLock<Option<String>> = OnceLock::new();
    let failure = FAILURE.get_or_init(|| {
        let error = rayon::ThreadPoolBuilder::new().build_global().err()?;
        // The error has no source if the pool was already running.
        std::error::Error::source(&error).map(ToString::to_string)
    });
    match failure {
        None => Ok(()),
        Some(reason) => Err(Error::new(ErrorKind::Threads(io::Error::other(&**reason)))),
    }
}

/// Maximum time that a thread outside the pool waits for a thread of the pool to begin, before it works itself. All
/// threads of the pool may be waiting for this very thread, and there is no way to find out.
const TIMEOUT: Duration = Duration::from_millis(10);

impl StageExecutor for Threads {
    fn run_summoning(&self, work: &(dyn Fn(&Summon<'_>) + Sync)) -> Result<()> {
        let pool = self.pool()?;
        let threads = self.threads();
        let spawn = |revocable: &RevocableJob| {
            let revocable = revocable.clone();
            match pool {
                Some(pool) => pool.spawn(move || revocable.work()),
                None => rayon::spawn(move || revocable.work()),
            }
        };
        let is_of_pool = match pool {
            Some(pool) => pool.current_thread_index().is_some(),
            None => rayon::current_thread_index().is_some(),
        };
        let summoning = |revocable: &RevocableJob| {
            work(&|| (0..revocable.summon()).for_each(|_| spawn(revocable)));
        };
        run_revocable(&summoning, threads, |revocable| {
            for _ in usize::from(is_of_pool)..threads {
                spawn(revocable);
            }
            // A thread of the pool must not wait for another one: it may be the only free thread.
            if is_of_pool || !revocable.begins_within(TIMEOUT) {
                revocable.work_to_the_end();
            }
        });
        Ok(())
    }

    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| match start_global_pool() {
            Ok(()) => rayon::current_num_threads(),
            // Jobs will return the error.
            Err(_) => 1,
        })
    }
}
