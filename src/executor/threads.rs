//! The executor that runs tasks on a pool of threads.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use super::StageExecutor;
use super::revocable::{RevocableJob, run_revocable};
use crate::error::{Error, ErrorKind, Result};

/// Rayon's global pool, or one of its own.
#[derive(Debug)]
pub(crate) struct Threads {
    /// The number of threads that was asked for; without one it is the global pool.
    threads: Option<usize>,
    /// Started by the first job.
    pool: OnceLock<rayon::ThreadPool>,
}

impl Threads {
    pub(crate) fn new(threads: Option<usize>) -> Self {
        Self {
            threads,
            pool: OnceLock::new(),
        }
    }

    /// The pool that was asked for, started by the first job.
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
            // If two jobs start at once, one of the pools goes again.
            let _ = self.pool.set(pool);
        }
        Ok(self.pool.get())
    }
}

/// Starts rayon's global pool, unless it runs. Otherwise, rayon would start it when it is needed, and panic if it cannot.
fn start_global_pool() -> Result<()> {
    /// rayon tries it once in a process. What it says later is that it has tried.
    static FAILURE: OnceLock<Option<String>> = OnceLock::new();
    let failure = FAILURE.get_or_init(|| {
        let error = rayon::ThreadPoolBuilder::new().build_global().err()?;
        // It has no source if the pool had been started before.
        std::error::Error::source(&error).map(ToString::to_string)
    });
    match failure {
        None => Ok(()),
        Some(reason) => Err(Error::new(ErrorKind::Threads(io::Error::other(&**reason)))),
    }
}

/// How long a thread that is not of the pool waits for one of it to begin, before it works itself. All of the pool may be
/// waiting for that very thread, and nobody can tell.
const TIMEOUT: Duration = Duration::from_millis(10);

impl StageExecutor for Threads {
    fn run(&self, work: &(dyn Fn() + Sync)) -> Result<()> {
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
        run_revocable(work, threads, |revocable| {
            for _ in usize::from(is_of_pool)..threads {
                spawn(revocable);
            }
            // A thread of the pool must not wait for another: it may be the only one that is free.
            if is_of_pool || !revocable.begins_within(TIMEOUT) {
                revocable.work();
            }
        });
        Ok(())
    }

    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| match start_global_pool() {
            Ok(()) => rayon::current_num_threads(),
            // Jobs will say so.
            Err(_) => 1,
        })
    }
}
