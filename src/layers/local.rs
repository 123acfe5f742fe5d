//! Runs tasks on threads of this process. No thread waits: one that finds nothing ready returns, and one that makes
//! more ready than it can run itself summons others.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::layer::Inputs;
use super::plan::STAGE;
use super::run::{Fetched, LayerRun};
use super::scope::TaskScope;
use super::value::Value;
use super::values::{InMemory, Stored};
use crate::error::{Error, Result, caught};
use crate::events::{self, Event, JobEvents, TaskRunner};
use crate::task::{JobState, Task, ThreadTally, in_task};

/// Maximum number of tasks that a thread takes at once.
const MAX_AT_ONCE: usize = 256;

/// Time of a batch. In shorter ones, the lock takes more of the time; longer ones delay tasks that are ready.
const BATCH: Duration = Duration::from_micros(200);

/// Runs the tasks of a run on threads.
pub(crate) struct LocalRun<'s> {
    run: &'s LayerRun,
    job: &'s JobState,
    events: &'s JobEvents,
    threads: usize,
    /// Number of threads that are working.
    active: AtomicUsize,
    /// Whether threads have been summoned since one has come or gone. If the pool is busy with other work, they come
    /// late, and need not be summoned again.
    is_summoned: AtomicBool,
    /// Number of tasks that have begun, which numbers them in events.
    begun: AtomicUsize,
}

/// Tasks that a thread runs one after the other.
#[derive(Default)]
struct Batch {
    /// Each with the number of its values, which are in `inputs`.
    tasks: Vec<(u32, usize)>,
    inputs: Vec<Fetched>,
}

/// Reports of a thread, for the time when it has the lock.
enum TaskOutcome {
    Done(Stored),
    Damaged { need: Option<usize>, error: Error },
}

/// The outcome of a task.
struct Ended {
    rank: u32,
    outcome: TaskOutcome,
    /// Values that it has read from files, with their ranks.
    loaded: Vec<(u32, Value)>,
    /// Memory of these, in bytes.
    loaded_bytes: usize,
}

impl<'s> LocalRun<'s> {
    pub(crate) fn new(
        run: &'s LayerRun,
        job: &'s JobState,
        events: &'s JobEvents,
        threads: usize,
    ) -> Self {
        Self {
            run,
            job,
            events,
            threads,
            active: AtomicUsize::new(0),
            is_summoned: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
        }
    }

    /// Runs tasks until none is ready. Calls `summon` if another thread should call this too.
    pub(crate) fn work(&self, summon: &dyn Fn()) {
        let work = || self.run_batches(summon);
        if let Err(error) = ThreadTally::separate(|| caught(None, work)) {
            self.job.fail(error);
        }
    }

    fn run_batches(&self, summon: &dyn Fn()) -> Result<()> {
        let mut batch = Batch::default();
        let mut ended = Vec::new();
        let mut most = 1;
        self.active.fetch_add(1, Ordering::Relaxed);
        self.is_summoned.store(false, Ordering::Relaxed);
        loop {
            let is_refused = self.exchange(&mut ended, &mut batch, most, summon)?;
            if is_refused {
                self.run.relieve()?;
            }
            self.run.drop_unneeded();
            if batch.tasks.is_empty() {
                return Ok(());
            }
            let start = Instant::now();
            let tasks = batch.tasks.len();
            let first = self.begun.fetch_add(tasks, Ordering::Relaxed);
            let mut inputs = batch.inputs.drain(..);
            for (number, (rank, needs)) in (first..).zip(batch.tasks.drain(..)) {
                if self.job.is_stopped() {
                    return Ok(());
                }
                let mut inputs = inputs.by_ref().take(needs);
                ended.push(self.run_task(number, rank, &mut inputs)?);
                // After damage, it has not taken all of them.
                inputs.for_each(drop);
            }
            drop(inputs);
            let elapsed = start.elapsed();
            self.job.progress().add_tasks(tasks, elapsed);
            self.send_done(first..first + tasks, elapsed);
            if elapsed < BATCH / 2 {
                most = (2 * most).min(MAX_AT_ONCE);
            } else if elapsed > BATCH {
                most = (most / 2).max(1);
            }
        }
    }

    /// Tells what has ended, and takes the next batch. Returns whether the budget refuses the memory of the values.
    fn exchange(
        &self,
        ended: &mut Vec<Ended>,
        batch: &mut Batch,
        most: usize,
        summon: &dyn Fn(),
    ) -> Result<bool> {
        let plan = &self.run.plan;
        let mut not_kept = Vec::new();
        let mut state = self.run.lock();
        for Ended {
            rank,
            outcome,
            loaded,
            loaded_bytes,
        } in ended.drain(..)
        {
            match outcome {
                TaskOutcome::Done(stored) => state.finish(plan, rank, stored),
                TaskOutcome::Damaged { need, error } => {
                    if let Err(error) = state.postpone(plan, rank, need, error) {
                        // Before the other values are dropped, which may run code of the user.
                        drop(state);
                        return Err(error);
                    }
                }
            }
            state.values.subtract_bytes(loaded_bytes);
            for (need, value) in loaded {
                not_kept.extend(state.values.keep_loaded(need, value));
            }
        }
        let is_refused = !state.values.reserve();
        // Leave something to the others.
        let most = state.ready().div_ceil(2 * self.threads).clamp(1, most);
        while batch.tasks.len() < most
            && let Some(rank) = state.take(plan)
        {
            let start = batch.inputs.len();
            state.fetch(plan, rank, &mut batch.inputs)?;
            batch.tasks.push((rank, batch.inputs.len() - start));
        }
        let has_more = state.ready() > 0;
        if batch.tasks.is_empty() {
            self.active.fetch_sub(1, Ordering::Relaxed);
            self.is_summoned.store(false, Ordering::Relaxed);
        }
        drop(state);
        if has_more
            && self.active.load(Ordering::Relaxed) < self.threads
            && !self.is_summoned.swap(true, Ordering::Relaxed)
        {
            summon();
        }
        Ok(is_refused)
    }

    fn run_task(
        &self,
        number: usize,
        rank: u32,
        inputs: &mut dyn Iterator<Item = Fetched>,
    ) -> Result<Ended> {
        let plan = &self.run.plan;
        let (layer, index) = plan.layer_and_task(rank);
        let task = Task::new(self.job, STAGE, rank as usize);
        let (mut loaded, mut loaded_bytes) = (Vec::new(), 0);
        // Position of the value that is being read.
        let reading = Cell::new(None);
        let outcome = in_task(|| {
            task.guard(|task| {
                let mut values = Vec::with_capacity(plan.needs.of(rank).len());
                for (position, fetched) in inputs.enumerate() {
                    values.push(match fetched {
                        Fetched::Typed(value) => value,
                        Fetched::Encoded(_) => {
                            return Err(Error::internal("a value is encoded".to_owned()));
                        }
                        Fetched::File(file) => {
                            loaded_bytes += file.bytes as usize;
                            // Its error may be about damage, too, but not to this file.
                            self.make_room(file.bytes as usize)?;
                            reading.set(Some(position));
                            let need = plan.needs.of(rank)[position];
                            let value = self.run.load(need, &file)?;
                            reading.set(None);
                            loaded.push((need, Value::clone(&value)));
                            value
                        }
                    });
                }
                let value = layer.run(index, &Inputs(&values), &TaskScope(task))?;
                let bytes = layer.value_type().bytes(&value)?;
                Ok(Stored::new(rank, Some(InMemory::Typed(value)), bytes))
            })
        });
        let outcome = match outcome {
            Ok(stored) => TaskOutcome::Done(stored),
            Err(error) => {
                let error = plan.placed(rank, STAGE, error);
                self.send_failed(number, &error);
                if !error.is_recoverable() {
                    return Err(error);
                }
                let need = reading.get();
                TaskOutcome::Damaged { need, error }
            }
        };
        Ok(Ended {
            rank,
            outcome,
            loaded,
            loaded_bytes,
        })
    }

    /// Counts the memory of a value that is about to be read from a file.
    fn make_room(&self, bytes: usize) -> Result<()> {
        let mut state = self.run.lock();
        state.values.add_bytes(bytes);
        let is_refused = !state.values.reserve();
        drop(state);
        if is_refused {
            self.run.relieve()?;
        }
        Ok(())
    }

    fn send_done(&self, partitions: Range<usize>, elapsed: Duration) {
        let tally = ThreadTally::take();
        self.events.send(|job| Event::TasksDone {
            job,
            stage: STAGE,
            runner: TaskRunner::this_thread(),
            partitions,
            elapsed,
            input_bytes: tally.input_bytes,
            shuffled_records: tally.shuffled_records,
            shuffled_bytes: tally.shuffled_bytes,
        });
        let scratch = &self.job.resources().scratch;
        self.events.send_spilled(STAGE, || scratch.take_written());
    }

    fn send_failed(&self, number: usize, error: &Error) {
        if error.is_cancelled() {
            return;
        }
        self.events.send(|job| Event::TaskFailed {
            job,
            stage: STAGE,
            partitions: Some(number..number + 1),
            attempt: 1,
            error: events::message(error),
            context: error.context().cloned().unwrap_or_default(),
        });
    }
}
