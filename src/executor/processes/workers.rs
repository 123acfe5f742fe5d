//! The workers of one job, which its stages share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::process::WorkerProcess;
use crate::error::Result;

/// Workers that run tasks of one job, or are idle between two of its tasks.
#[derive(Debug, Default)]
pub(super) struct JobWorkers {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Number of stages that run.
    stages: usize,
    /// Number of workers that run tasks.
    busy: usize,
    idle: Vec<WorkerProcess>,
}

impl JobWorkers {
    /// Records that a stage begins.
    pub(super) fn enter(&self) {
        self.lock().stages += 1;
    }

    /// Records that a stage ends. Returns whether it was the last one.
    pub(super) fn leave(&self) -> bool {
        let mut state = self.lock();
        state.stages -= 1;
        state.stages == 0
    }

    /// Returns an idle worker, or a new one from `start`. Waits while the job has `most` workers and all are busy.
    pub(super) fn take(
        &self,
        most: usize,
        start: impl FnOnce() -> Result<WorkerProcess>,
    ) -> Result<WorkerProcess> {
        let mut state = self.lock();
        while state.idle.is_empty() && state.busy >= most {
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.busy += 1;
        // An idle worker that has ended is replaced.
        let idle = state.idle.pop();
        drop(state);
        let idle = idle.and_then(|mut process| process.is_running().then_some(process));
        let taken = idle.map_or_else(start, Ok);
        if taken.is_err() {
            self.put_back(None);
        }
        taken
    }

    /// Returns an idle worker with a home, or that from `other`, without waiting. Returns `None` while `most` are busy.
    pub(super) fn try_take(
        &self,
        most: usize,
        other: impl FnOnce() -> Option<WorkerProcess>,
    ) -> Option<WorkerProcess> {
        let mut state = self.lock();
        if state.busy >= most {
            return None;
        }
        let mut process = state
            .idle
            .pop_if(|process| process.has_home())
            .or_else(other)?;
        if !process.is_running() {
            return None;
        }
        state.busy += 1;
        Some(process)
    }

    /// Takes back a worker that runs no tasks any more, or records that it was lost.
    pub(super) fn put_back(&self, process: Option<WorkerProcess>) {
        let mut state = self.lock();
        state.busy -= 1;
        state.idle.extend(process);
        drop(state);
        self.changed.notify_one();
    }

    /// Waits until the output of the idle workers has been printed, as it must be when the action returns. Ends workers
    /// whose output is not complete. In the meantime, the workers count as busy.
    pub(super) fn finish_output(&self) {
        let mut state = self.lock();
        let idle = std::mem::take(&mut state.idle);
        let count = idle.len();
        state.busy += count;
        drop(state);
        let mut asked = Vec::new();
        for mut process in idle {
            if process.ask_for_mark() {
                asked.push(process);
            } else {
                process.kill();
            }
        }
        asked.retain_mut(|process| {
            let has_finished = process.has_finished_output();
            if !has_finished {
                process.kill();
            }
            has_finished
        });
        let mut state = self.lock();
        state.busy -= count;
        state.idle.extend(asked);
        drop(state);
        self.changed.notify_all();
    }

    /// Takes all workers out, if no stage uses them.
    pub(super) fn take_unused(&self) -> Option<Vec<WorkerProcess>> {
        let mut state = self.lock();
        (state.stages == 0 && state.busy == 0).then(|| std::mem::take(&mut state.idle))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
