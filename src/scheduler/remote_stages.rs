//! Runs the map stages of a job on a remote executor.
//!
//! A stage may begin once all stages that it reads are done. The thread that has finished a stage runs the next one. If
//! the executor has idle slots because a stage has too few tasks, another stage begins on a thread of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use super::Job;
use super::ready::ReadyStages;
use crate::error::{Error, ErrorKind, Result, caught};
use crate::executor::RemoteExecutor;
use crate::id::ShuffleId;
use crate::lineage::ShuffleDependency;

/// The map stages of a job, and the executor that runs them.
pub(super) struct RemoteMapStages<'j> {
    job: &'j Job,
    executor: &'j dyn RemoteExecutor,
    /// Whether outputs are kept after their last reader. A machine that is lost takes output of all stages with it, unless
    /// it is in a shuffle directory, and to recompute a part of one needs what that stage has read.
    keeps_outputs: bool,
    table: Mutex<RemoteTable>,
}

struct RemoteTable {
    /// The stages that may begin.
    ready: ReadyStages,
    /// Number of stages that read each shuffle and are not done, including that of the result.
    readers: HashMap<ShuffleId, usize>,
    /// The first error.
    failure: Option<Error>,
}

impl RemoteTable {
    /// Takes the first stage that may begin.
    fn begin_next(&mut self) -> Option<usize> {
        match self.failure {
            Some(_) => None,
            None => self.ready.take_first(),
        }
    }
}

impl<'j> RemoteMapStages<'j> {
    pub(super) fn new(job: &'j Job, executor: &'j dyn RemoteExecutor) -> Self {
        let plan = &job.plan;
        let stages = plan.map_stages.iter().map(|stage| &stage.reads);
        let mut readers = HashMap::new();
        for read in stages.clone().chain([&plan.result_reads]).flatten() {
            *readers.entry(*read).or_default() += 1;
        }
        // A stage waits for its join filter, unless the stage that builds it leaves slots idle.
        let slots = job.slots.count();
        let is_waited_for = |by: &&Arc<dyn ShuffleDependency>| {
            by.parent()
                .partitions
                .is_some_and(|partitions| partitions >= slots)
        };
        let positions = plan.map_stages.iter().map(|stage| {
            let by = stage.shuffle.after().filter(is_waited_for);
            let reads = stage.reads.iter().copied().chain(by.map(|by| by.id()));
            reads.filter_map(|read| plan.position(read)).collect()
        });
        let reads: Vec<Vec<usize>> = positions.collect();
        let scratch = &job.state.resources().scratch;
        Self {
            job,
            executor,
            keeps_outputs: scratch.has_homes()
                && job.shuffle.is_none()
                && scratch.quota_bytes().is_none(),
            table: Mutex::new(RemoteTable {
                ready: ReadyStages::new(reads.iter().map(Vec::as_slice), |_| false),
                readers,
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
                Ok(()) => {
                    table.ready.set_done(position);
                    for read in &self.job.plan.map_stages[position].reads {
                        if let Some(readers) = table.readers.get_mut(read) {
                            *readers -= 1;
                        }
                    }
                }
                Err(error) => {
                    table.failure.get_or_insert(error);
                    self.job.state.stop();
                }
            }
            next = table.begin_next();
            drop(table);
            // If a stage that has read a dropped output must run again, all of its input is recomputed.
            if !self.keeps_outputs {
                self.job.exports.retain(|shuffle| {
                    let readers = self.lock().readers.get(&shuffle).copied();
                    readers.is_some_and(|readers| readers > 0)
                });
            }
        }
    }

    /// Begins another stage on a thread of its own, if one may begin. If the thread cannot be started, the stage begins
    /// when another one ends.
    fn begin_another<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        let mut table = self.lock();
        if let Some(next) = table.begin_next() {
            let drive = move || self.drive(scope, next);
            if thread::Builder::new().spawn_scoped(scope, drive).is_err() {
                table.ready.insert(next);
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

    /// No code of the user runs while the lock is held.
    fn lock(&self) -> MutexGuard<'_, RemoteTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
