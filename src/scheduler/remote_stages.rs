//! Runs the map stages of a job on a remote executor.
//!
//! A stage may begin once all stages that it reads are done. The thread that has finished a stage runs the next one. If
//! the executor has idle slots because a stage has too few tasks, another stage begins on a thread of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use super::Job;
use crate::error::{Error, ErrorKind, Result, caught};
use crate::executor::RemoteExecutor;

/// The map stages of a job, and the executor that runs them.
pub(super) struct RemoteMapStages<'j> {
    job: &'j Job,
    executor: &'j dyn RemoteExecutor,
    table: Mutex<RemoteTable>,
}

struct RemoteTable {
    /// The phase of each stage, in the order of the plan.
    phases: Vec<Phase>,
    /// Positions of the stages that each stage reads.
    reads: Vec<Vec<usize>>,
    /// The first error.
    failure: Option<Error>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    Done,
}

impl RemoteTable {
    /// Returns the position of the first stage that may begin, which is then running.
    fn begin_next(&mut self) -> Option<usize> {
        if self.failure.is_some() {
            return None;
        }
        let is_done = |read: &usize| self.phases[*read] == Phase::Done;
        let may_begin =
            |at: &usize| self.phases[*at] == Phase::Waiting && self.reads[*at].iter().all(is_done);
        let next = (0..self.phases.len()).find(may_begin)?;
        self.phases[next] = Phase::Running;
        Some(next)
    }
}

impl<'j> RemoteMapStages<'j> {
    pub(super) fn new(job: &'j Job, executor: &'j dyn RemoteExecutor) -> Self {
        let map_stages = &job.plan.map_stages;
        let position = |read| {
            let mut stages = map_stages.iter();
            stages.position(|stage| stage.shuffle.id() == read)
        };
        let reads = map_stages.iter().map(|stage| {
            let reads = stage.reads.iter();
            reads.filter_map(|read| position(*read)).collect()
        });
        Self {
            job,
            executor,
            table: Mutex::new(RemoteTable {
                phases: vec![Phase::Waiting; map_stages.len()],
                reads: reads.collect(),
                failure: None,
            }),
        }
    }

    /// Runs all of the stages.
    ///
    /// # Errors
    ///
    /// Returns the first error of a stage.
    pub(super) fn run(&self) -> Result<()> {
        let first = self.lock().begin_next();
        if let Some(first) = first {
            thread::scope(|scope| self.drive(scope, first));
        }
        self.lock().failure.take().map_or(Ok(()), Err)
    }

    /// Runs the stage at `position`, and then others as long as one may begin.
    fn drive<'s>(&'s self, scope: &'s Scope<'s, '_>, position: usize) {
        let mut next = Some(position);
        while let Some(position) = next {
            let outcome = caught(None, || {
                self.run_stage(position, &|| self.begin_another(scope))
            });
            let mut table = self.lock();
            match outcome {
                Ok(()) => table.phases[position] = Phase::Done,
                Err(error) => {
                    table.failure.get_or_insert(error);
                    self.job.state.stop();
                }
            }
            next = table.begin_next();
            drop(table);
            self.drop_outputs();
        }
    }

    /// Begins another stage on a thread of its own, if one may begin. If the thread cannot be started, the stage begins
    /// when another one ends.
    fn begin_another<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        let mut table = self.lock();
        if let Some(next) = table.begin_next() {
            let drive = move || self.drive(scope, next);
            if thread::Builder::new().spawn_scoped(scope, drive).is_err() {
                table.phases[next] = Phase::Waiting;
            }
        }
    }

    fn run_stage(&self, position: usize, idle: &(dyn Fn() + Sync)) -> Result<()> {
        let (job, number) = (self.job, position + 1);
        let map_stage = &job.plan.map_stages[position];
        let node = map_stage.shuffle.parent();
        let resources = job.state.resources().of_stage(number);
        let watch = job.start_stage(number, node, node.partitions, resources);
        let ran = caught(None, || {
            job.run_remote_map_stage(self.executor, number, map_stage, &watch.resources, idle)
        });
        job.end_stage(&watch);
        ran?;
        if job.state.is_stopped() {
            // Another thread has ended the job, so some partitions are missing.
            return Err(Error::new(ErrorKind::Cancelled));
        }
        Ok(())
    }

    /// Drops the outputs that only stages have read that are done. If such a stage must run again, all of its input is
    /// recomputed.
    fn drop_outputs(&self) {
        let plan = &self.job.plan;
        let phases = self.lock().phases.clone();
        self.job.exports.retain(|shuffle| {
            let mut open = plan.map_stages.iter().zip(&phases);
            plan.result_reads.contains(&shuffle)
                || open
                    .any(|(stage, phase)| *phase != Phase::Done && stage.reads.contains(&shuffle))
        });
    }

    /// No code of the user runs while the lock is held.
    fn lock(&self) -> MutexGuard<'_, RemoteTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
