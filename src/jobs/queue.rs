//! The jobs that have been started, and the threads that drive them.
//!
//! A driver thread runs the closure that was passed to `start`. It plans jobs and waits for them; their tasks run on
//! the executor of the context. A context has a limited number of driver threads. They end when no more jobs wait.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::{Error, ErrorKind, Result, caught};
use crate::storage::process_number;

/// A job that has been started.
pub(super) trait StartedJob: Send + Sync {
    /// Runs the job, unless it has been cancelled. Does not panic.
    fn run(&self);
}

/// The started jobs of a context.
pub(crate) struct JobQueue {
    /// Maximum number of jobs that run at the same time.
    most: usize,
    state: Mutex<State>,
}

struct State {
    /// The process that has the driver threads. A forked copy does not have them.
    process: u64,
    waiting: VecDeque<Arc<dyn StartedJob>>,
    /// Number of driver threads, without those that wait for another job.
    running: usize,
}

thread_local! {
    /// The queue for which this thread drives a job.
    static DRIVES_FOR: RefCell<Option<Arc<JobQueue>>> = const { RefCell::new(None) };
}

impl JobQueue {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            state: Mutex::new(State::new()),
        }
    }

    /// Adds a job, which begins after those that were added before it.
    ///
    /// # Errors
    ///
    /// Returns an error if no thread can be started, and none is there to run the job later.
    pub(super) fn add(self: &Arc<Self>, job: Arc<dyn StartedJob>) -> Result<()> {
        let mut state = self.lock();
        state.waiting.push_back(job);
        let started = self.start_driver(&mut state);
        if let Err(error) = started
            && state.running == 0
        {
            let job = state.waiting.pop_back();
            drop(state);
            drop(job);
            return Err(error);
        }
        Ok(())
    }

    /// Starts a driver thread, if one may run and has something to do.
    fn start_driver(self: &Arc<Self>, state: &mut State) -> Result<()> {
        if state.running >= self.most || state.waiting.is_empty() {
            return Ok(());
        }
        let queue = Arc::clone(self);
        let driver = thread::Builder::new().name("holdall-job".to_owned());
        let spawned = driver.spawn(move || queue.drive());
        spawned.map_err(|source| Error::new(ErrorKind::Threads(source)))?;
        state.running += 1;
        Ok(())
    }

    /// Runs jobs until no more wait, or too many run.
    fn drive(self: Arc<Self>) {
        DRIVES_FOR.set(Some(Arc::clone(&self)));
        while let Some(job) = self.next() {
            // Dropping the result of a detached job may panic.
            let _ = caught(None, || {
                job.run();
                drop(job);
                Ok(())
            });
        }
    }

    /// Takes the next job, or records that the driver thread ends.
    fn next(&self) -> Option<Arc<dyn StartedJob>> {
        let mut state = self.lock();
        let may_run = state.running <= self.most;
        let next = state.waiting.pop_front_if(|_| may_run);
        if next.is_none() {
            state.running -= 1;
        }
        next
    }

    /// No code of the user runs while the lock is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.process != process_number() {
            // The jobs are those of the original.
            std::mem::forget(std::mem::replace(&mut *state, State::new()));
        }
        state
    }
}

impl State {
    fn new() -> Self {
        Self {
            process: process_number(),
            waiting: VecDeque::new(),
            running: 0,
        }
    }
}

/// Waits by `wait` for a job. If this thread drives a job itself, another job may run in the meantime: the one that it
/// waits for may be behind it in the queue.
pub(super) fn blocking<R>(wait: impl FnOnce() -> R) -> R {
    /// When dropped, also by unwinding, counts the thread as running again.
    struct Waiting(Arc<JobQueue>);

    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.lock().running += 1;
        }
    }

    let queue = DRIVES_FOR.with_borrow(Option::clone);
    let _waiting = queue.map(|queue| {
        let mut state = queue.lock();
        state.running -= 1;
        let started = queue.start_driver(&mut state);
        // If no thread can be started, those that run take the jobs later. If there are none, this one must.
        let jobs = match started {
            Err(_) if state.running == 0 => std::mem::take(&mut state.waiting),
            _ => VecDeque::new(),
        };
        drop(state);
        let waiting = Waiting(queue);
        jobs.into_iter().for_each(|job| job.run());
        waiting
    });
    wait()
}
