//! The executor that runs tasks on a pool of threads.

use std::io;
use std::sync::OnceLock;

use super::Executor;
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
            return Ok(None);
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

impl Executor for Threads {
    fn run(&self, work: &(dyn Fn() + Sync)) -> Result<()> {
        let pool = self.pool()?;
        let threads = self.threads();
        match pool {
            Some(pool) => pool.in_place_scope(|scope| spawn(scope, threads, work)),
            None => rayon::in_place_scope(|scope| spawn(scope, threads, work)),
        }
        Ok(())
    }

    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(rayon::current_num_threads)
    }
}

fn spawn<'scope>(scope: &rayon::Scope<'scope>, threads: usize, work: &'scope (dyn Fn() + Sync)) {
    for _ in 0..threads {
        scope.spawn(|_| work());
    }
}
