//! One stage while it runs: which partitions are taken, and the loop that takes and computes them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::{Error, ErrorContext, ErrorKind, Result, caught};
use crate::task::{JobState, Partition, PartitionStream, StageCode, StageWorker, Task, in_task};
use crate::text::SplitReader;

thread_local! {
    /// The address of the stage that this thread pulls a partition for, if it does.
    static PULLS_FOR: Cell<usize> = const { Cell::new(0) };
}

/// How often something is tried whose input is found damaged.
const ATTEMPTS: usize = 4;

/// The most partitions that a thread takes at once.
const MAX_AT_ONCE: usize = 256;

/// A stage of a job, and how far its partitions have been handed out.
pub(crate) struct StageRun<'s> {
    number: usize,
    code: &'s dyn StageCode,
    job: &'s JobState,
    threads: usize,
    /// So many neighbouring partitions, or a multiple of that, are [taken at once](StageCode::at_once).
    partitions_per_task: usize,
    source: PartitionQueue<'s>,
    make_again: Option<MakeAgain<'s>>,
}

/// Makes what earlier stages left anew, for tasks that find it damaged.
struct MakeAgain<'s> {
    make: &'s (dyn Fn() -> Result<()> + Sync),
    state: Mutex<MakeAgainState>,
}

#[derive(Default)]
struct MakeAgainState {
    /// Whether a thread does it, for all that find damage meanwhile.
    is_running: bool,
    /// What that thread is to try again besides. Those who find damage leave it there and go on with other partitions: a
    /// thread that waited might be the very one that is waited for, if it took up this stage's work in a closure of the
    /// stages that run again.
    postponed: Attempts,
}

/// Partitions that are to be computed, by their numbers, and which attempt that is.
type Attempts = BTreeMap<usize, usize>;

impl MakeAgain<'_> {
    /// Makes it anew, unless that has been done since `generation`, and adds to `attempts` what others have left to do; or
    /// leaves all of `attempts` to the thread that is at it.
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

enum PartitionQueue<'s> {
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
            Some(end) => PartitionQueue::Counted {
                next: AtomicUsize::new(0),
                end,
            },
            None => PartitionQueue::Stream(Mutex::new((Some(code.stream()), 0))),
        };
        Self {
            number,
            code,
            job,
            threads,
            partitions_per_task: code.partitions_per_task(),
            source,
            make_again: None,
        }
    }

    /// The same, where tasks that find their input damaged are tried again after `make`.
    pub(crate) fn making_again(mut self, make: &'s (dyn Fn() -> Result<()> + Sync)) -> Self {
        self.make_again = Some(MakeAgain {
            make,
            state: Mutex::default(),
        });
        self
    }

    /// Takes and computes partitions below `limit` until there are none left or the job has ended. To be called on
    /// as many threads as are to help.
    pub(crate) fn work(&self, limit: usize) {
        let worked = caught(None, || {
            let mut worker = self.code.worker(self.job.resources());
            if let Err(error) = self.run_tasks(&mut *worker, limit) {
                // The first error counts: what the worker holds are records of the program, and dropping them may panic.
                self.job.fail(error);
            }
            if self.job.is_stopped() {
                return Ok(());
            }
            self.guard(|_| worker.finish())
        });
        if let Err(error) = worked {
            self.job.fail(error);
        }
    }

    /// Checks that each partition has been handed on once, if all of them have been handed out.
    pub(crate) fn check_whole(&self) -> Result<()> {
        if self.job.is_stopped() || !self.is_exhausted() {
            return Ok(());
        }
        self.code.check_whole(match &self.source {
            PartitionQueue::Counted { end, .. } => *end,
            PartitionQueue::Stream(stream) => lock(stream).1,
        })
    }

    /// Whether all partitions have been handed out.
    pub(crate) fn is_exhausted(&self) -> bool {
        match &self.source {
            PartitionQueue::Counted { next, end } => next.load(Ordering::Relaxed) >= *end,
            PartitionQueue::Stream(stream) => lock(stream).0.is_none(),
        }
    }

    fn run_tasks(&self, worker: &mut dyn StageWorker, limit: usize) -> Result<()> {
        let split_reader = SplitReader::default();
        while let Some(claim) = self.claim(limit)? {
            let start = Instant::now();
            let tasks = match claim {
                Claim::Counted(indices) => {
                    let tasks = indices.len();
                    for index in indices {
                        if self.job.is_stopped() {
                            return Ok(());
                        }
                        self.run_task(worker, &split_reader, index, Partition::at(index))?;
                    }
                    tasks
                }
                Claim::Streamed(partition) => {
                    self.run_task(worker, &split_reader, partition.index, partition)?;
                    1
                }
            };
            self.guard(|task| worker.end_batch(task))?;
            self.job.progress().add_tasks(tasks, start.elapsed());
        }
        Ok(())
    }

    /// Runs what belongs to no single partition, but may call closures of the program.
    fn guard<R>(&self, work: impl FnOnce(&Task<'_>) -> Result<R>) -> Result<R> {
        let task = Task::of_no_partition(self.job, self.number);
        let outcome = in_task(|| task.guard(work));
        outcome.map_err(|error| error.of_stage(self.number))
    }

    fn run_task(
        &self,
        worker: &mut dyn StageWorker,
        split_reader: &SplitReader,
        index: usize,
        partition: Partition,
    ) -> Result<()> {
        // What was put into a partition when it was pulled is there once only.
        let is_repeatable = worker.is_repeatable() && !partition.has_payload();
        let make_again = self.make_again.as_ref().filter(|_| is_repeatable);
        let mut partition = Some(partition);
        let mut first = Some((index, 1));
        let mut attempts = Attempts::new();
        // From the first on: who takes the results in their order waits for that one.
        while let Some((index, attempt)) = first.take().or_else(|| attempts.pop_first()) {
            let task = Task::new(self.job, self.number, index).reading_with(split_reader);
            let generation = task.generation();
            let partition = partition.take().unwrap_or_else(|| Partition::at(index));
            let outcome = in_task(|| task.guard(|task| worker.run(partition, task)));
            match (outcome, make_again) {
                (Err(error), Some(make_again)) if error.is_recoverable() => {
                    let context = ErrorContext {
                        stage: Some(self.number),
                        partition: Some(index),
                        ..ErrorContext::default()
                    };
                    check_attempts(attempt, context, error)?;
                    attempts.insert(index, attempt + 1);
                    make_again.since(generation, self.job, &mut attempts)?;
                }
                (outcome, _) => {
                    outcome?;
                    worker.keep(index);
                }
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
            PartitionQueue::Counted { next, end } => Ok(self.claim_counted(next, limit.min(*end))),
            PartitionQueue::Stream(stream) => {
                // The program's iterator may have called rayon, and this thread taken up work of the stage meanwhile: it
                // must not wait for itself, and will go on once the iterator returns.
                if PULLS_FOR.get() == ptr::from_ref(self).addr() {
                    return Ok(None);
                }
                let mut stream = lock(stream);
                let (Some(open), given) = &mut *stream else {
                    return Ok(None);
                };
                if *given >= limit {
                    return Ok(None);
                }
                let before = PULLS_FOR.replace(ptr::from_ref(self).addr());
                let pulled = in_task(|| caught(None, open));
                PULLS_FOR.set(before);
                let partition = pulled.map_err(|error| error.of_stage(self.number))?;
                match partition {
                    Some(_) => *given += 1,
                    None => stream.0 = None,
                }
                Ok(partition.map(Claim::Streamed))
            }
        }
    }

    fn claim_counted(&self, next: &AtomicUsize, end: usize) -> Option<Claim> {
        let mut start = next.load(Ordering::Relaxed);
        loop {
            let left = end.checked_sub(start).filter(|left| *left > 0)?;
            // Many at first, so that taking costs nothing, and as few as can be at last, so that all threads end together.
            let take = (left / (self.threads * 16)).clamp(1, MAX_AT_ONCE);
            let take = take.next_multiple_of(self.partitions_per_task).min(left);
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
}

/// Gives up after so many attempts that ended with damage.
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

/// A panic while a lock is held leaves these values whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
