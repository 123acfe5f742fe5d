//! The tasks of a stage, whether waiting, assigned or done, and the results that they have sent.

mod pulling;

use std::iter;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::locality::Locality;
use super::pull::pull_some;
use super::results::{Driver, ResultChunk, Standing};
use super::shared_slots::SharedSlots;
use super::spec::{Report, TaskSpec};
use super::stage_site::StageSite;
use super::state::{End, MAX_PARTITIONS, Round, RoundState};
use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::storage::transfer::Home;
use crate::task::Flow;

/// Maximum number of attempts at a task.
const ATTEMPTS: usize = 4;

/// Interval at which a waiting thread checks whether the job has been stopped.
const LOOK: Duration = Duration::from_millis(10);

/// The tasks of one stage, for the executor that runs them.
///
/// All methods may be called from any thread. The executor must answer each task that it takes by one of
/// [`done`](Self::done), [`failed`](Self::failed), [`lost`](Self::lost) and [`requeue`](Self::requeue). An
/// unanswered task counts as lost when the executor returns. Calls for a task that has been answered have no effect.
pub struct Tasks<'a> {
    source: &'a dyn Driver,
    site: StageSite<'a>,
    /// Number of partitions, if it is known before they are read.
    partitions: Option<usize>,
    /// Number of neighbouring partitions that a worker takes [together](crate::task::StageCode::partitions_per_task).
    partitions_per_task: usize,
    slots: &'a SharedSlots,
    state: Mutex<RoundState>,
    changed: Condvar,
    /// Held by the thread that pulls from the source.
    pull: Mutex<()>,
}

impl<'a> Tasks<'a> {
    /// Creates the tasks of a stage, which shares `slots` with the other stages of its job.
    pub(crate) fn new(
        source: &'a dyn Driver,
        site: StageSite<'a>,
        partitions: Option<usize>,
        partitions_per_task: usize,
        slots: &'a SharedSlots,
    ) -> Self {
        Self {
            source,
            site,
            partitions,
            partitions_per_task,
            slots,
            state: Mutex::new(RoundState::new(partitions)),
            changed: Condvar::new(),
            pull: Mutex::default(),
        }
    }

    /// Restricts the stage to these partitions, because only their output has been lost. Called before the first task is
    /// taken. Each range consists of whole [groups](Self::partitions_per_task).
    pub(crate) fn run_only(&self, missing: &[Range<usize>]) {
        self.lock().run_only(missing, self.partitions.unwrap_or(0));
    }

    /// Sets where the input of the partitions is, for [`next_near`](Self::next_near).
    pub(crate) fn set_locality(&self, locality: Locality) {
        self.lock().locality = locality;
    }

    /// Takes the next task. If none is available, waits as long as an assigned task may still be returned, or may make
    /// others available, as tasks of [layers](crate::extend::Layer) do. Returns `None` once all tasks are done, or if
    /// the remaining results are not needed. So a thread must not call this before it has answered the tasks that only
    /// it can run.
    ///
    /// Tasks are assigned in the order of their partitions, large tasks first. If other stages of the job run at the
    /// same time, also waits while all [slots](super::RemoteExecutor::slots) have tasks of these stages.
    #[must_use]
    pub fn next(&self) -> Option<TaskSpec> {
        self.next_for(None)
    }

    /// Like [`next`](Self::next), for a worker at `home`: prefers a task with most of its input there, that is, its
    /// persisted partitions or map output. Tasks that send results are taken in the order of their partitions
    /// nevertheless, because the driver would have to hold the results of later ones.
    #[must_use]
    pub fn next_near(&self, home: &Home) -> Option<TaskSpec> {
        self.next_for(Some(home))
    }

    fn next_for(&self, home: Option<&Home>) -> Option<TaskSpec> {
        let mut state = self.lock();
        loop {
            if self.is_over(&mut state) {
                return None;
            }
            if let Some(task) = self.hand_out(&mut state, home) {
                return Some(task);
            }
            if state.has_task() {
                drop(state);
                self.slots.wait(self.site.number, LOOK);
                state = self.lock();
            } else if self.partitions.is_none() && !state.is_exhausted {
                let done = state.done;
                self.tell_if_short(&state);
                drop(state);
                let is_growing = self.pull();
                state = self.lock();
                if is_growing && state.done == done && state.waiting.is_empty() {
                    state = self.wait(state);
                }
            } else if state.out.is_empty() {
                return None;
            } else {
                self.tell_if_short(&state);
                state = self.wait(state);
            }
        }
    }

    /// Takes the next task without waiting, for an executor that assigns tasks to a worker in advance. Such a task
    /// begins when the earlier tasks of its worker have ended. If several stages of the job run at the same time, no
    /// more tasks are assigned than there are slots.
    ///
    /// Tasks from a source in this process are never available without waiting.
    #[must_use]
    pub fn try_next(&self) -> Option<TaskSpec> {
        self.try_next_for(None)
    }

    /// Like [`try_next`](Self::try_next), for a worker at `home`: prefers a task with most of its input there, as
    /// [`next_near`](Self::next_near) does.
    #[must_use]
    pub fn try_next_near(&self, home: &Home) -> Option<TaskSpec> {
        self.try_next_for(Some(home))
    }

    fn try_next_for(&self, home: Option<&Home>) -> Option<TaskSpec> {
        let mut state = self.lock();
        if self.is_over(&mut state) {
            return None;
        }
        self.hand_out(&mut state, home)
    }

    /// Number of partitions of the stage, if it is known before they are read. An executor need not start more workers
    /// than this.
    #[must_use]
    pub fn partitions(&self) -> Option<usize> {
        self.partitions
    }

    /// Forwards a chunk of a task's result: chunk `number`, from 0, of `partition`.
    ///
    /// The chunks of a task must arrive in order. Each counts once, whichever attempt sends it. The call blocks while
    /// earlier chunks are missing and the buffer is full. An executor that runs one task at a time must therefore run
    /// them in the order in which it took them.
    pub fn chunk(&self, task: &TaskSpec, partition: usize, number: usize, chunk: Vec<u8>) {
        let chunk = ResultChunk::new(chunk);
        let mut state = self.lock();
        loop {
            if !self.is_wanted(&mut state, task) {
                return;
            }
            if !state.finish_before(task, partition) {
                return self.refuse(state, partition, &Standing::Misplaced);
            }
            state = self.hand_on(state);
            // In the meantime, the task may have been lost.
            if !self.is_wanted(&mut state, task) {
                return;
            }
            match state.results.look(partition, number, &chunk) {
                Standing::New => {}
                Standing::Known => return,
                standing => return self.refuse(state, partition, &standing),
            }
            if state.may_buffer(task.id, partition) {
                break;
            }
            state = self.wait(state);
        }
        state.results.put(partition, task.id, chunk);
        drop(self.hand_on(state));
    }

    /// Ends the job, because the chunks of a partition are not the expected ones.
    #[cold]
    fn refuse(&self, mut state: MutexGuard<'_, RoundState>, partition: usize, standing: &Standing) {
        state.end(End::Failed(if *standing == Standing::Other {
            let StageSite { number, site, .. } = self.site;
            Error::new(ErrorKind::NotRepeatable {
                context: ErrorContext {
                    stage: Some(number),
                    partition: Some(partition),
                    ..ErrorContext::from(site)
                },
            })
        } else {
            Error::internal(format!(
                "the result of partition {partition} is out of place"
            ))
        }));
        drop(state);
        self.changed.notify_all();
    }

    /// Reports that the task is done. The executor must have forwarded all of its chunks.
    pub fn done(&self, task: &TaskSpec, mut report: Report) {
        let mut state = self.lock();
        if self.answer(&mut state, task).is_none() {
            return state.discard_files(&report, |file| self.source.discard(file));
        }
        // If no more results are needed, chunks are not kept.
        if state.wants_results() {
            let counts = report.chunks.iter().copied().chain(iter::repeat(0));
            for (partition, count) in task.partitions.iter().zip(counts) {
                match state.results.done(partition.index, task.id, count) {
                    Standing::New | Standing::Known => {}
                    standing => return self.refuse(state, partition.index, &standing),
                }
            }
        }
        let metrics = report.metrics;
        state.files.extend(report.files().map(ToOwned::to_owned));
        if let Err(error) = self.source.take(task.range(), &mut report) {
            state.end(End::Failed(error));
        }
        state.done += 1;
        drop(self.hand_on(state));
        self.changed.notify_all();
        self.site.send_done(task, &metrics, self.source);
    }

    /// Reports that the task ended with an error that [`Worker::run`](super::Worker::run) returned. The error ends the
    /// job, unless recomputing the output of earlier stages may help.
    pub fn failed(&self, task: &TaskSpec, error: Error) {
        let mut state = self.lock();
        let Some(task) = self.answer(&mut state, task) else {
            return;
        };
        if matches!(error.kind(), ErrorKind::Cancelled) {
            state.put_back(task.partitions, task.attempt - 1);
            drop(state);
            return self.changed.notify_all();
        }
        let event = self.site.failure(&task, &error);
        if error.is_recoverable() {
            self.try_again(&mut state, task, error);
        } else {
            state.end(End::Failed(error));
        }
        drop(state);
        self.changed.notify_all();
        self.site.events.send(event);
    }

    /// Reports that the worker was lost before it finished the task, which is retried. `worker` is the number of the
    /// worker, and `cause` describes the known reason.
    pub fn lost(&self, task: &TaskSpec, worker: usize, cause: &str) {
        let mut state = self.lock();
        let Some(task) = self.answer(&mut state, task) else {
            return;
        };
        let mut details = cause.to_owned();
        // The context of the error names a single partition.
        if let [first, .., last] = &task.partitions[..] {
            details += &format!(", at partitions {} to {}", first.index, last.index);
        }
        let error = Error::new(ErrorKind::WorkerLost {
            worker,
            cause: details,
        });
        let event = self.site.failure(&task, &error);
        self.try_again(&mut state, task, error);
        drop(state);
        self.changed.notify_all();
        self.site.send_worker_lost(worker, cause);
        self.site.events.send(event);
    }

    /// Reports that the files of a home are lost, because its machine has ended or cannot be reached. Output of the job
    /// that was there is recomputed when it is needed. The home must not be used again.
    ///
    /// Optional: a task that cannot read a file of the home has the same effect. But such an attempt counts, unless the
    /// loss was reported before.
    pub fn lost_home(&self, home: &Home) {
        self.source.lose_home(home);
    }

    /// Reports that a worker has been started for this stage, for [observers](crate::events) only.
    pub fn worker_started(&self, worker: usize) {
        self.site.send_worker_started(worker);
    }

    /// Puts a task that was not begun back into the queue, from which it is assigned again.
    pub fn requeue(&self, task: &TaskSpec) {
        let mut state = self.lock();
        if let Some(task) = self.answer(&mut state, task) {
            state.put_back(task.partitions, task.attempt - 1);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Returns whether the assigned tasks should stop, because their results are not needed. Answer them like other
    /// tasks; [`lost`](Self::lost) is sufficient.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let mut state = self.lock();
        self.is_unwanted(&mut state)
    }

    /// Returns the state of the stage, after the executor has returned.
    ///
    /// # Errors
    ///
    /// Returns the error that ends the job.
    pub(crate) fn round(&self) -> Result<Round> {
        let mut state = self.lock();
        let (taken, out) = (
            std::mem::take(&mut state.taken),
            std::mem::take(&mut state.out),
        );
        let never = |what: &str| {
            let cause = format!("the executor returned {what}");
            Error::new(ErrorKind::WorkerLost { worker: 0, cause })
        };
        for task in out.into_values() {
            self.slots.release(self.site.number);
            let error = never("before the task was done");
            self.site.events.send(self.site.failure(&task, &error));
            self.try_again(&mut state, task, error);
        }
        state = self.hand_on(state);
        let is_over = self.is_over(&mut state);
        match state.end.take() {
            Some(End::Failed(error)) => return Err(error),
            Some(End::Damaged) => return Ok(Round::Damaged),
            // For later calls.
            Some(End::Enough) => state.end = Some(End::Enough),
            None => {}
        }
        if is_over {
            return Ok(Round::Stopped);
        }
        if state.is_done(self.partitions.is_some()) {
            let partitions = self.partitions.unwrap_or(state.pulled);
            if !state.results.are_whole(partitions) {
                let next = state.results.partition();
                return Err(Error::internal(format!(
                    "the result of partition {next} is missing"
                )));
            }
            return Ok(Round::Done);
        }
        if taken == 0 {
            return Err(never("without having taken a task"));
        }
        Ok(Round::Again)
    }

    /// Retries a task after an attempt that failed for a reason outside the user's code.
    fn try_again(&self, state: &mut RoundState, task: TaskSpec, error: Error) {
        let is_damage = error.is_recoverable();
        let counts = !is_damage || self.source.forget(&error, task.attempt);
        let attempts = task.attempt - usize::from(!counts);
        if attempts >= ATTEMPTS {
            return state.end(End::Failed(Error::new(ErrorKind::TooManyAttempts {
                context: self.site.context(&task),
                attempts,
                last: Box::new(error),
            })));
        }
        if is_damage {
            state.end(End::Damaged);
        }
        // Retry as few partitions at a time as possible: a partition that ends its worker then does not prevent the
        // others from being done, and the error can name a single partition.
        for partitions in task.partitions.chunks(self.partitions_per_task) {
            state.put_back(partitions.to_vec(), attempts);
        }
    }

    /// Assigns the next task, if one is available and there is a slot for it.
    fn hand_out(&self, state: &mut RoundState, home: Option<&Home>) -> Option<TaskSpec> {
        if !state.has_task() || !self.slots.take(self.site.number) {
            return None;
        }
        let waiting = state.take_waiting(home);
        let (slots, group) = (self.slots.count(), self.partitions_per_task);
        let waiting = waiting.or_else(|| state.claim(home, slots, group))?;
        state.last_id += 1;
        state.taken += 1;
        let task = TaskSpec {
            id: state.last_id,
            attempt: waiting.attempts + 1,
            partitions: waiting.partitions,
        };
        state.out.insert(task.id, task.clone());
        self.tell_if_short(state);
        Some(task)
    }

    /// Removes a task from those that are assigned, and returns it unless it has been answered before.
    fn answer(&self, state: &mut RoundState, task: &TaskSpec) -> Option<TaskSpec> {
        let task = state.out.remove(&task.id)?;
        self.slots.release(self.site.number);
        self.tell_if_short(state);
        Some(task)
    }

    /// Tells the driver if slots are idle, although tasks are assigned or being pulled. The stages of an executor with
    /// one slot run one after the other.
    fn tell_if_short(&self, state: &RoundState) {
        let slots = self.slots.count();
        let is_full = slots == 1 || state.out.len() >= slots;
        if is_full || state.end.is_some() || state.has_task() {
            return;
        }
        let is_open = self.partitions.is_none() && !state.is_exhausted;
        let is_pulled = || self.pull.try_lock().is_err();
        if is_open && is_pulled() || !is_open && !state.out.is_empty() {
            self.source.idle();
        }
    }

    /// Forwards the chunks that are next in order, unless another thread is doing so.
    fn hand_on<'s>(&'s self, mut state: MutexGuard<'s, RoundState>) -> MutexGuard<'s, RoundState> {
        if state.results.is_busy {
            return state;
        }
        state.results.is_busy = true;
        while state.wants_results() {
            let Some((partition, chunk)) = state.results.take() else {
                break;
            };
            drop(state);
            let outcome = self.source.accept(partition, &chunk);
            state = self.lock();
            match outcome {
                Ok(Flow::Continue(())) => {}
                Ok(Flow::Break(())) => state.end(End::Enough),
                Err(error) => state.end(End::Failed(error)),
            }
            self.changed.notify_all();
        }
        state.results.is_busy = false;
        state
    }

    fn is_over(&self, state: &mut RoundState) -> bool {
        if state.end.is_none() && self.source.is_stopped() {
            state.end(End::Enough);
        }
        state.end.is_some()
    }

    /// Returns whether no more results are needed, not even those of assigned tasks.
    fn is_unwanted(&self, state: &mut RoundState) -> bool {
        self.is_over(state) && !state.wants_results()
    }

    /// Returns whether the chunks of the task are needed: it is assigned, and has not been lost.
    fn is_wanted(&self, state: &mut RoundState, task: &TaskSpec) -> bool {
        !self.is_unwanted(state) && state.out.contains_key(&task.id)
    }

    fn lock(&self) -> MutexGuard<'_, RoundState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, RoundState>) -> MutexGuard<'s, RoundState> {
        let waited = self.changed.wait_timeout(state, LOOK);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl std::fmt::Debug for Tasks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks")
            .field("stage", &self.site.number)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}
