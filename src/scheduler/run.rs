//! A running stage: the loop that claims partitions and computes them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::queue::{Claim, PartitionQueue};
use crate::error::{Error, ErrorContext, ErrorKind, Result, caught};
use crate::events::{self, Event, JobEvents, TaskRunner};
use crate::executor::StageExecutor;
use crate::task::{
    JobState, Partition, StageCode, StageWorker, Task, ThreadTally, in_task, take_notes,
};
use crate::text::SplitReader;

/// Maximum number of attempts at a task or stage whose input is damaged.
const ATTEMPTS: usize = 4;

/// A running stage of a job, and the queue of its partitions.
pub(crate) struct StageRun<'s, 'q> {
    number: usize,
    code: &'s dyn StageCode,
    job: &'s JobState,
    queue: &'s PartitionQueue<'q>,
    make_again: Option<MakeAgain<'s>>,
    /// Returns whether a thread that waits for the source should rather take tasks of another stage.
    has_other_work: &'s (dyn Fn() -> bool + Sync),
    events: &'s JobEvents,
}

/// Recomputes the output of earlier stages, for tasks that find it damaged.
struct MakeAgain<'s> {
    make: &'s (dyn Fn() -> Result<()> + Sync),
    state: Mutex<MakeAgainState>,
}

#[derive(Default)]
struct MakeAgainState {
    /// Whether a thread is recomputing, on behalf of all tasks that find damage in the meantime.
    is_running: bool,
    /// Further attempts for that thread. A task that finds damage adds itself here, and its thread continues with other
    /// partitions. If the thread waited instead, it could deadlock: it may have taken up the work of this stage inside
    /// a closure of a stage that runs again, and would wait for itself.
    postponed: Attempts,
}

/// Partitions to be computed, by number, with the number of the attempt.
type Attempts = BTreeMap<usize, usize>;

impl MakeAgain<'_> {
    /// Recomputes the outputs, unless that has been done since `generation`, and adds postponed attempts to `attempts`.
    /// If another thread is already recomputing, leaves all of `attempts` to it.
    fn since(&self, generation: usize, job: &JobState, attempts: &mut Attempts) -> Result<()> {
        let mut state = self.lock();
        if job.outputs().generation() > generation {
            return Ok(());
        }
        if state.is_running {
            state.postponed.append(attempts);
            return Ok(());
        }
        state.is_running = true;
        drop(state);
        (self.make)()?;
        let mut state = self.lock();
        state.is_running = false;
        attempts.append(&mut state.postponed);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, MakeAgainState> {
        lock(&self.state)
    }
}

impl<'s, 'q> StageRun<'s, 'q> {
    pub(super) fn new(
        number: usize,
        code: &'s dyn StageCode,
        job: &'s JobState,
        queue: &'s PartitionQueue<'q>,
        events: &'s JobEvents,
    ) -> Self {
        Self {
            number,
            code,
            job,
            queue,
            make_again: None,
            has_other_work: &|| false,
            events,
        }
    }

    /// Has threads leave that wait for the source while `has_other_work` returns `true`.
    pub(super) fn unless(mut self, has_other_work: &'s (dyn Fn() -> bool + Sync)) -> Self {
        self.has_other_work = has_other_work;
        self
    }

    /// Has tasks that find their input damaged retried after a call to `make`.
    pub(crate) fn making_again(mut self, make: &'s (dyn Fn() -> Result<()> + Sync)) -> Self {
        self.make_again = Some(MakeAgain {
            make,
            state: Mutex::default(),
        });
        self
    }

    /// Computes partitions below `limit` on the threads of `executor`.
    ///
    /// # Errors
    ///
    /// Returns an error if threads cannot be started. Errors of tasks are those of the job.
    pub(crate) fn work_on(&self, executor: &dyn StageExecutor, limit: usize) -> Result<()> {
        let most = self.queue.tasks().min(limit);
        executor.run(self.queue.is_streamed(), most, &|| self.work(limit))
    }

    /// Claims and computes partitions below `limit` until none are left or the job has ended. Called on each thread
    /// that takes part.
    pub(crate) fn work(&self, limit: usize) {
        let work = || {
            let mut worker = self.code.worker(self.job.resources());
            if let Err(error) = self.run_tasks(&mut *worker, limit) {
                // The first error counts. The worker holds records of the user's types, and dropping them may panic.
                self.job.fail(error);
            }
            if self.job.is_stopped() {
                return Ok(());
            }
            let start = Instant::now();
            self.guard(|_| worker.finish())?;
            let tally = ThreadTally::take();
            if tally != ThreadTally::default() {
                self.send_done(0..0, start.elapsed(), tally);
            }
            Ok(())
        };
        if let Err(error) = ThreadTally::separate(|| caught(None, work)) {
            self.job.fail(error);
        }
    }

    /// Returns the error of the source, if one has ended its partitions. To be called after all tasks.
    pub(super) fn check_source(&self) -> Result<()> {
        match self.queue.take_failure() {
            Some(error) => Err(self.failed(error)),
            None => Ok(()),
        }
    }

    /// Checks that each partition has been emitted once, if all of them have been claimed.
    pub(crate) fn check_whole(&self) -> Result<()> {
        if self.job.is_stopped() || !self.is_exhausted() {
            return Ok(());
        }
        self.check_source()?;
        self.code.check_whole(self.queue.partitions())
    }

    /// Returns whether all partitions have been claimed.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.queue.is_exhausted()
    }

    fn run_tasks(&self, worker: &mut dyn StageWorker, limit: usize) -> Result<()> {
        let split_reader = SplitReader::default();
        while let Some(claim) = self.claim(limit) {
            let start = Instant::now();
            let partitions = match claim {
                Claim::Counted(indices) => {
                    for index in indices.clone() {
                        if self.job.is_stopped() {
                            return self.end_early(worker);
                        }
                        self.run_task(worker, &split_reader, index, Partition::at(index))?;
                    }
                    indices
                }
                Claim::Streamed(partition) => {
                    let index = partition.index;
                    self.run_task(worker, &split_reader, index, partition)?;
                    index..index + 1
                }
            };
            self.guard(|task| worker.end_batch(task))?;
            let elapsed = start.elapsed();
            self.job.progress().add_tasks(partitions.len(), elapsed);
            self.send_done(partitions, elapsed, ThreadTally::take());
        }
        Ok(())
    }

    /// Emits the results of a batch that has been stopped, if the job may have a partial result.
    fn end_early(&self, worker: &mut dyn StageWorker) -> Result<()> {
        match self.job.has_exceeded_deadline() {
            true => self.guard(|task| worker.end_batch(task)),
            false => Ok(()),
        }
    }

    /// Sends the event that this thread has done a batch of tasks, and the event of spilled records.
    fn send_done(&self, partitions: Range<usize>, elapsed: Duration, tally: ThreadTally) {
        let stage = self.number;
        self.events.send(|job| Event::TasksDone {
            job,
            stage,
            runner: TaskRunner::this_thread(),
            partitions,
            elapsed,
            input_bytes: tally.input_bytes,
            shuffled_records: tally.shuffled_records,
            shuffled_bytes: tally.shuffled_bytes,
        });
        let scratch = &self.job.resources().scratch;
        self.events.send_spilled(stage, || scratch.take_written());
    }

    /// Sends the event that an attempt has failed, unless it was stopped because another one has failed.
    fn send_failed(&self, partition: Option<usize>, attempt: usize, error: &Error) {
        if error.is_cancelled() {
            return;
        }
        let context = || self.context(partition);
        self.events.send(|job| Event::TaskFailed {
            job,
            stage: self.number,
            partitions: partition.map(|index| index..index + 1),
            attempt,
            error: events::message(error),
            context: error.context().cloned().unwrap_or_else(context),
        });
    }

    fn context(&self, partition: Option<usize>) -> ErrorContext {
        ErrorContext {
            stage: Some(self.number),
            partition,
            ..ErrorContext::default()
        }
    }

    /// Runs work that belongs to no single partition, but may call the user's closures.
    fn guard<R>(&self, work: impl FnOnce(&Task<'_>) -> Result<R>) -> Result<R> {
        let task = Task::of_no_partition(self.job, self.number);
        let outcome = in_task(|| task.guard(work));
        outcome.map_err(|error| self.failed(error))
    }

    /// Adds the stage to an error that belongs to no single task, and sends the event.
    fn failed(&self, error: Error) -> Error {
        let error = error.of_stage(self.number);
        self.send_failed(None, 1, &error);
        error
    }

    fn run_task(
        &self,
        worker: &mut dyn StageWorker,
        split_reader: &SplitReader,
        index: usize,
        partition: Partition,
    ) -> Result<()> {
        // The payload of a pulled partition exists only once.
        let is_repeatable = worker.is_repeatable() && !partition.has_payload();
        let make_again = self.make_again.as_ref().filter(|_| is_repeatable);
        let mut partition = Some(partition);
        let mut first = Some((index, 1));
        let mut attempts = Attempts::new();
        // The first partition comes first, because the consumer of ordered results waits for it.
        while let Some((index, attempt)) = first.take().or_else(|| attempts.pop_first()) {
            let task = Task::new(self.job, self.number, index).reading_with(split_reader);
            let generation = task.generation();
            let partition = partition.take().unwrap_or_else(|| Partition::at(index));
            let outcome = in_task(|| task.guard(|task| worker.run(partition, task)));
            if let Err(error) = &outcome {
                self.send_failed(Some(index), attempt, error);
            }
            match (outcome, make_again) {
                (Err(error), Some(make_again)) if error.is_recoverable() => {
                    check_attempts(attempt, self.context(Some(index)), error)?;
                    attempts.insert(index, attempt + 1);
                    make_again.since(generation, self.job, &mut attempts)?;
                }
                (outcome, _) => {
                    outcome?;
                    // The task may have stopped before its last record.
                    if !self.job.is_stopped() {
                        worker.keep(index);
                    }
                }
            }
        }
        Ok(())
    }

    /// Claims the next partitions to compute.
    fn claim(&self, limit: usize) -> Option<Claim> {
        if self.job.is_stopped() {
            return None;
        }
        let claimed = self.queue.claim(limit, self.has_other_work);
        self.job.progress().add_notes(take_notes());
        claimed
    }
}

/// Returns an error once the maximum number of attempts has ended with damage.
pub(super) fn check_attempts(attempts: usize, context: ErrorContext, last: Error) -> Result<()> {
    if attempts < ATTEMPTS {
        return Ok(());
    }
    Err(Error::new(ErrorKind::TooManyAttempts {
        context,
        attempts,
        last: Box::new(last),
    }))
}

/// A panic while a lock is held leaves these values consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
