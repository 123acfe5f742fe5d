//! Executor that runs tasks on a pool of threads, and on the thread that calls the action.

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

/// Maximum time that the calling thread waits for a thread of the pool to begin, before it works itself. All threads of
/// the pool may be waiting for this very thread, and there is no way to find out.
const TIMEOUT: Duration = Duration::from_millis(10);

impl StageExecutor for Threads {
    /// The calling thread is one of those that work. It begins at once, whereas a thread of the pool has to wake up first,
    /// which takes longer than a small job.
    ///
    /// There are two exceptions. If it pulled from a stream, and the iterator behind it called rayon, it would wait for
    /// rayon's global pool, while all threads of that pool might be waiting for the stream. And if a thread of the global
    /// pool ran tasks of a separate pool, a closure that calls rayon might take up other work there, such as an action.
    fn run_summoning(
        &self,
        is_streamed: bool,
        most: usize,
        work: &(dyn Fn(&Summon<'_>) + Sync),
    ) -> Result<()> {
        let pool = self.pool()?;
        // A thread that wakes up searches all others for work, so waking all of many takes quadratic time.
        let threads = self.threads().min(most.max(1));
        let spawn = |job: &RevocableJob, work: fn(&RevocableJob)| {
            let job = job.clone();
            match pool {
                Some(pool) => pool.spawn(move || work(&job)),
                None => rayon::spawn(move || work(&job)),
            }
        };
        let summoning = |job: &RevocableJob| {
            work(&|| (0..job.summon()).for_each(|_| spawn(job, RevocableJob::work)));
        };
        let is_of_rayon = rayon::current_thread_index().is_some();
        let stands_by = match pool {
            Some(pool) => is_of_rayon && pool.current_thread_index().is_none(),
            None => is_streamed && !is_of_rayon,
        };
        run_revocable(&summoning, threads, |job| {
            if stands_by {
                (0..threads).for_each(|_| spawn(job, RevocableJob::work));
                if job.begins_within(TIMEOUT) {
                    return;
                }
            } else {
                (1..threads).for_each(|_| spawn(job, RevocableJob::help));
            }
            job.work_to_the_end();
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn no_more_threads_wake_up_than_there_are_tasks() {
        let threads = Threads::new(Some(4));
        for most in [1, 2] {
            let calls = AtomicUsize::new(0);
            let work = || {
                calls.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(30));
            };
            threads.run(false, most, &work).unwrap();
            assert!(calls.into_inner() <= most);
        }
    }
}
