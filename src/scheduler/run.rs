//! One stage while it runs: which partitions are taken, and the loop that takes and computes them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::ATTEMPTS;
use crate::error::{Error, Result};
use crate::task::{
    JobState, Partition, PartitionStream, StageCode, Task, Worker, in_task, panicked,
};

/// The most partitions that a thread takes at once.
const MOST_AT_ONCE: usize = 256;

/// A stage of a job, and how far its partitions have been handed out.
pub(crate) struct StageRun<'s> {
    number: usize,
    code: &'s dyn StageCode,
    job: &'s JobState,
    threads: usize,
    source: Source<'s>,
    recompute: Option<Recompute<'s>>,
}

/// Makes what earlier stages left anew, for tasks that find it damaged.
struct Recompute<'s> {
    again: &'s (dyn Fn() -> Result<()> + Sync),
    /// How often it has been done; one thread does it, for all that find damage meanwhile.
    times: AtomicUsize,
    is_running: Mutex<()>,
}

impl Recompute<'_> {
    /// Returns once it has been done more than `times` times.
    fn after(&self, times: usize) -> Result<()> {
        let _running = self
            .is_running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.times.load(Ordering::SeqCst) == times {
            (self.again)()?;
            self.times.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

enum Source<'s> {
    /// All partitions from `next` to the end are to be handed out.
    Counted { next: AtomicUsize, end: usize },
    /// The stream, and the number of partitions it has given. `None` once it has ended.
    Stream(Mutex<(Option<PartitionStream<'s>>, usize)>),
}

/// Partitions that one thread computes next.
enum Claim {
    Counted(std::ops::Range<usize>),
    Streamed(Partition),
}

impl<'s> StageRun<'s> {
    pub(crate) fn new(
        number: usize,
        code: &'s dyn StageCode,
        job: &'s JobState,
        threads: usize,
    ) -> Self {
        let source = match code.partitions() {
            Some(end) => Source::Counted {
                next: AtomicUsize::new(0),
                end,
            },
            None => Source::Stream(Mutex::new((Some(code.stream()), 0))),
        };
        Self {
            number,
            code,
            job,
            threads,
            source,
            recompute: None,
        }
    }

    /// The same, where tasks that find their input damaged are tried again after `again`.
    pub(crate) fn recomputing(mut self, again: &'s (dyn Fn() -> Result<()> + Sync)) -> Self {
        self.recompute = Some(Recompute {
            again,
            times: AtomicUsize::new(0),
            is_running: Mutex::default(),
        });
        self
    }

    /// Takes and computes partitions below `limit` until there are none left or the job has ended. To be called on
    /// as many threads as are to help.
    pub(crate) fn work(&self, limit: usize) {
        if let Err(error) = self.try_work(limit) {
            self.job.fail(error);
        }
    }

    /// Whether all partitions have been handed out.
    pub(crate) fn is_exhausted(&self) -> bool {
        match &self.source {
            Source::Counted { next, end } => next.load(Ordering::Relaxed) >= *end,
            Source::Stream(stream) => stream
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .0
                .is_none(),
        }
    }

    fn try_work(&self, limit: usize) -> Result<()> {
        let mut worker = self.code.worker(self.job.resources());
        while let Some(claim) = self.claim(limit)? {
            let start = Instant::now();
            let tasks = match claim {
                Claim::Counted(indices) => {
                    let tasks = indices.len();
                    for index in indices {
                        if self.job.is_stopped() {
                            return Ok(());
                        }
                        self.run_task(&mut *worker, index, Partition::at(index))?;
                    }
                    tasks
                }
                Claim::Streamed(partition) => {
                    self.run_task(&mut *worker, partition.index, partition)?;
                    1
                }
            };
            self.guard(|task| worker.settle(task))?;
            self.job.progress().add_tasks(tasks, start.elapsed());
        }
        if self.job.is_stopped() {
            return Ok(());
        }
        self.guard(|_| worker.finish())?
    }

    /// Runs what belongs to no single partition, but may call closures of the program.
    fn guard<R>(&self, work: impl FnOnce(&Task<'_>) -> R) -> Result<R> {
        let task = Task::of_no_partition(self.job, self.number);
        let outcome = in_task(|| task.guard(|task| Ok(work(task))));
        outcome.map_err(|error| self.of_no_partition(error))
    }

    fn run_task(
        &self,
        worker: &mut dyn Worker,
        index: usize,
        mut partition: Partition,
    ) -> Result<()> {
        // What was put into a partition when it was pulled is there once only.
        let is_repeatable = worker.is_repeatable() && !partition.has_payload();
        let recompute = self.recompute.as_ref().filter(|_| is_repeatable);
        for attempt in 1.. {
            let times = recompute.map_or(0, |recompute| recompute.times.load(Ordering::SeqCst));
            let task = Task::new(self.job, self.number, index);
            let outcome = in_task(|| task.guard(|task| worker.run(partition, task)));
            match (outcome, recompute) {
                (Err(error), Some(recompute)) if error.is_damage() && attempt < ATTEMPTS => {
                    recompute.after(times)?;
                    partition = Partition::at(index);
                }
                (outcome, _) => return outcome,
            }
        }
        Ok(())
    }

    /// The next partitions to compute.
    fn claim(&self, limit: usize) -> Result<Option<Claim>> {
        if self.job.is_stopped() {
            return Ok(None);
        }
        match &self.source {
            Source::Counted { next, end } => Ok(self.claim_counted(next, limit.min(*end))),
            Source::Stream(stream) => {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                let (Some(open), given) = &mut *stream else {
                    return Ok(None);
                };
                if *given >= limit {
                    return Ok(None);
                }
                let pulled = in_task(|| catch_unwind(AssertUnwindSafe(open)));
                let pulled = pulled.unwrap_or_else(|payload| Err(panicked(None, payload)));
                let partition = pulled.map_err(|error| self.of_no_partition(error))?;
                *given += 1;
                if partition.is_none() {
                    stream.0 = None;
                }
                Ok(partition.map(Claim::Streamed))
            }
        }
    }

    fn claim_counted(&self, next: &AtomicUsize, end: usize) -> Option<Claim> {
        let mut start = next.load(Ordering::Relaxed);
        loop {
            let left = end.checked_sub(start).filter(|left| *left > 0)?;
            // Many at first, so that taking costs nothing, and single ones at last, so that all threads end together.
            let take = (left / (self.threads * 16)).clamp(1, MOST_AT_ONCE);
            match next.compare_exchange_weak(
                start,
                start + take,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(Claim::Counted(start..start + take)),
                Err(now) => start = now,
            }
        }
    }

    /// Puts the stage into the place of an error that belongs to no single partition.
    fn of_no_partition(&self, mut error: Error) -> Error {
        if let Some(place) = error.place_mut() {
            place.stage = Some(self.number);
            place.partition = None;
        }
        error
    }
}
