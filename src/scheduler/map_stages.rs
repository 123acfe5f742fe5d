//! Runs the map stages of a job on threads of this process, and recomputes outputs that are damaged or lost.
//!
//! A stage may begin once all stages that it reads are done. A thread takes tasks of the first stage that has any, in
//! the order of the plan. It takes tasks of a later stage only if it would otherwise be idle. No thread waits for a
//! stage: the last thread that leaves a stage completes it, and summons threads that have found no work before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Job;
use super::queue::PartitionQueue;
use super::run::{StageRun, check_attempts};
use super::stage_table::{NextStep, OpenStage, StageTable};
use crate::error::{Error, ErrorContext, ErrorKind, PlaceError as _, Result, caught};
use crate::executor::Summon;
use crate::plan::JobPlan;
use crate::task::{JobState, Resources, Task, in_task};

/// The map stages of one plan.
pub(super) struct MapStages<'j> {
    job: &'j Job,
    /// The run to whose outputs they add theirs.
    state: &'j Arc<JobState>,
    table: Mutex<StageTable<'j>>,
    /// The first error.
    failure: Mutex<Option<Error>>,
}

impl<'j> MapStages<'j> {
    /// Prepares the map stages of `plan`. If they run again for another stage, `resources` are those of that stage.
    pub(super) fn new(
        job: &'j Job,
        state: &'j Arc<JobState>,
        plan: &'j JobPlan,
        resources: Option<&Resources>,
    ) -> Self {
        let mut table = StageTable::default();
        table.add(plan, |shuffle| job.number_of(shuffle));
        for entry in table.entries() {
            entry.resources = resources.cloned();
        }
        Self {
            job,
            state,
            table: Mutex::new(table),
            failure: Mutex::default(),
        }
    }

    /// Runs all of the stages.
    ///
    /// # Errors
    ///
    /// Returns the first error of a stage.
    pub(super) fn run(self) -> Result<()> {
        // The first stage is open when the threads come, so that they need not be summoned.
        let first = self.lock().next(0);
        if let Some(NextStep::Begin(position)) = first
            && let Err(error) = caught(None, || self.begin(position, 0))
        {
            self.fail(error);
        }
        let executor = self.job.executor.local();
        let (is_streamed, most) = self.lock().extent();
        let outcome = executor.run_summoning(is_streamed, most, &|summon| self.work(summon));
        let failure = lock(&self.failure).take();
        for entry in self.lock().entries() {
            if let Some(watch) = entry.watch.take() {
                self.job.end_stage(&watch);
            }
        }
        outcome?;
        match failure {
            Some(error) => Err(error),
            // Another thread has ended the job, so some partitions are missing.
            None if self.state.is_stopped() => Err(Error::new(ErrorKind::Cancelled)),
            None => Ok(()),
        }
    }

    /// Runs tasks until none are left that may begin. Called on each thread that takes part.
    fn work(&self, summon: &Summon<'_>) {
        let mut from = 0;
        while !self.state.is_stopped() {
            let Some(step) = self.lock().next(from) else {
                return;
            };
            let (position, stage) = match step {
                NextStep::Work(position, stage) => (position, stage),
                NextStep::Begin(position) => match caught(None, || self.begin(position, 1)) {
                    Ok(stage) => {
                        if stage.code.partitions() != Some(1)
                            || self.lock().has_work_besides(position)
                        {
                            summon();
                        }
                        (position, stage)
                    }
                    Err(error) => return self.fail(error),
                },
            };
            // A thread that leaves a slow source takes tasks of later stages first.
            from = if self.run_tasks(position, stage) {
                0
            } else {
                position + 1
            };
        }
    }

    /// Begins the stage at `position`, for the first time or again. `running` is the number of threads that run its
    /// tasks from now on.
    fn begin(&self, position: usize, running: usize) -> Result<Arc<OpenStage<'j>>> {
        let mut table = self.lock();
        let entry = table.entry(position);
        let (number, plan, readers) = (entry.number, entry.plan, entry.readers);
        let resources = entry.resources.clone();
        drop(table);
        let (shuffle, node) = (&*plan.shuffle, plan.shuffle.parent());
        let resources = match resources {
            Some(resources) => {
                self.job.send_restarted(number, node);
                resources
            }
            None => {
                let resources = self.state.resources().of_stage(number);
                let watch = self
                    .job
                    .start_stage(number, node, node.partitions, resources.clone());
                let mut table = self.lock();
                let entry = table.entry(position);
                entry.resources = Some(resources.clone());
                entry.watch = Some(watch);
                resources
            }
        };
        let attempt = self.state.attempt(&resources);
        let code = shuffle.map_stage(readers, attempt.resources());
        let queue = PartitionQueue::new(&*code, self.job.pullers(), || shuffle.stream());
        let stage = Arc::new(OpenStage {
            number,
            code,
            attempt,
            queue,
        });
        self.lock().open(position, &stage, running);
        Ok(stage)
    }

    /// Runs tasks of the stage at `position`. The last thread completes it. Returns whether no more tasks are left.
    fn run_tasks(&self, position: usize, stage: Arc<OpenStage<'j>>) -> bool {
        let has_other_work = || self.lock().has_work_besides(position);
        let OpenStage {
            number,
            code,
            attempt,
            queue,
        } = &*stage;
        let run = StageRun::new(*number, &**code, attempt, queue, &self.job.events);
        run.unless(&has_other_work).work(usize::MAX);
        if let Some(error) = attempt.take_fatal() {
            self.fail(error);
        }
        let is_over = attempt.is_stopped() || queue.is_exhausted();
        drop(stage);
        let Some(stage) = self.lock().leave(position) else {
            return is_over;
        };
        // The stage drops records and iterators of the user's types, and dropping them may panic.
        let completed = caught(None, || self.complete(position, stage));
        let outcome = match completed {
            Err(error) if error.is_recoverable() => self.again(position, error),
            outcome => outcome,
        };
        if let Err(error) = outcome {
            self.fail(error);
        }
        true
    }

    /// Makes the output of a stage available to its readers, after its last task.
    fn complete(&self, position: usize, stage: OpenStage<'j>) -> Result<()> {
        let OpenStage {
            number,
            code,
            attempt,
            queue,
        } = stage;
        attempt.outcome()?;
        StageRun::new(number, &*code, &attempt, &queue, &self.job.events).check_source()?;
        drop(queue);
        if attempt.is_stopped() {
            return Err(Error::new(ErrorKind::Cancelled));
        }
        // Finishing the outputs is part of the stage. It may call the user's closures, and these may update counters.
        let task = Task::of_no_partition(&attempt, number);
        let outputs = in_task(|| task.guard(|_| code.into_outputs(attempt.resources())));
        let outputs = outputs.of_stage(number)?;
        attempt.commit_counter_updates(number);
        let mut table = self.lock();
        let entry = table.entry(position);
        let (watch, shuffle) = (entry.watch.take(), entry.plan.shuffle.id());
        drop(table);
        if let Some(watch) = watch {
            self.job.end_stage(&watch);
        }
        self.state.put_map_outputs(shuffle, outputs);
        self.lock().set_done(position);
        Ok(())
    }

    /// Has a stage run again that has found damage, after all of its input.
    fn again(&self, position: usize, error: Error) -> Result<()> {
        let mut table = self.lock();
        let entry = table.entry(position);
        let resources = entry.resources.clone();
        entry.attempts += 1;
        let (number, attempts) = (entry.number, entry.attempts);
        let node = entry.plan.shuffle.parent();
        drop(table);
        let context = ErrorContext {
            stage: Some(number),
            ..ErrorContext::default()
        };
        check_attempts(attempts, context, error)?;
        let plan = self.job.plan_again(node);
        let resources = resources.unwrap_or_else(|| self.state.resources().clone());
        let number_of = |shuffle| self.job.number_of(shuffle);
        self.lock().again(position, plan, &resources, number_of);
        Ok(())
    }

    /// Ends the run with an error. The first one counts.
    fn fail(&self, error: Error) {
        if !error.is_cancelled() {
            lock(&self.failure).get_or_insert(error);
        }
        self.state.stop();
    }

    /// No code of the user runs while the lock is held.
    fn lock(&self) -> MutexGuard<'_, StageTable<'j>> {
        lock(&self.table)
    }
}

/// A panic while a lock is held leaves these values consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
