//! The map sides of a job's shuffles; and what of them is found damaged or lost, made again through the lineage.
//!
//! What a stage reads is in part gone once it has been read, to free its memory. So all that a stage reads is made
//! again, and not just what was damaged: the stages before it, each once more, and what they read in turn.

use std::sync::{Arc, MutexGuard, PoisonError};

use super::{ATTEMPTS, Job, StageRun};
use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::executor::AnyExecutor;
use crate::id::ShuffleId;
use crate::lineage::{Node, ShuffleDependency};
use crate::plan::{MapStagePlan, Plan};
use crate::task::{JobState, Task, in_task};

/// What was planned to make outputs again.
#[derive(Default)]
pub(super) struct Later {
    /// They keep what they rely on from going.
    pub(super) plans: Vec<Plan>,
    /// Those that the first plan had been spared.
    shuffles: Vec<ShuffleId>,
}

impl Job {
    /// Runs the map sides of the shuffles that the result needs.
    pub(crate) fn run_map_stages(&self) -> Result<()> {
        if let AnyExecutor::Remote(executor) = &self.executor {
            return self.run_remote_map_stages(&**executor);
        }
        for (number, map_stage) in (1..).zip(&self.plan.map_stages) {
            let node = map_stage.shuffle.parent();
            self.watch(number, node, node.partitions, || {
                self.make(number, map_stage, &self.state)
            })?;
        }
        Ok(())
    }

    /// Makes anew all that the result's stage reads, while tasks of it run.
    pub(super) fn make_again(&self) -> Result<()> {
        let staging = Arc::new(self.state.staging());
        self.make_all(&self.plan.result, &staging)?;
        self.state.replace_outputs(&staging);
        Ok(())
    }

    /// Runs a map side; and where it finds damage all that it reads, and then itself again.
    fn make(&self, number: usize, map_stage: &MapStagePlan, job: &Arc<JobState>) -> Result<()> {
        let shuffle = &*map_stage.shuffle;
        for attempt in 1.. {
            match self.try_to_make(number, shuffle, map_stage.readers, job) {
                Err(error) if error.is_damage() => {
                    let context = ErrorContext {
                        stage: Some(number),
                        ..ErrorContext::default()
                    };
                    check_attempts(attempt, context, error)?;
                    self.make_all(shuffle.parent(), job)?;
                }
                outcome => return outcome,
            }
        }
        Ok(())
    }

    /// Makes all that the stage of `node` reads.
    fn make_all(&self, node: &Arc<Node>, job: &Arc<JobState>) -> Result<()> {
        // What was kept before may be gone now, or the other way round.
        let plan = Plan::new(node);
        for map_stage in &plan.map_stages {
            let number = self.number_of(map_stage.shuffle.id());
            // Others may be yet to read it.
            let known = self.plan.map_stages.get(number - 1);
            let readers = known.map_or(0, |known| known.readers);
            let readers = readers.max(map_stage.readers);
            let map_stage = MapStagePlan {
                shuffle: Arc::clone(&map_stage.shuffle),
                readers,
                reads: map_stage.reads.clone(),
            };
            self.make(number, &map_stage, job)?;
        }
        self.later().plans.push(plan);
        Ok(())
    }

    /// The number of a map stage. One that was not planned at first comes after all that were.
    pub(super) fn number_of(&self, shuffle: ShuffleId) -> usize {
        let mut planned = self.plan.map_stages.iter();
        if let Some(index) = planned.position(|planned| planned.shuffle.id() == shuffle) {
            return index + 1;
        }
        let shuffles = &mut self.later().shuffles;
        let known = shuffles.iter().position(|known| *known == shuffle);
        let index = known.unwrap_or_else(|| {
            shuffles.push(shuffle);
            shuffles.len() - 1
        });
        self.plan.stages() + 1 + index
    }

    pub(super) fn later(&self) -> MutexGuard<'_, Later> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_to_make(
        &self,
        number: usize,
        shuffle: &dyn ShuffleDependency,
        readers: usize,
        job: &Arc<JobState>,
    ) -> Result<()> {
        let attempt = job.attempt();
        let stage = shuffle.map_stage(readers, attempt.resources());
        {
            let run = StageRun::new(number, &*stage, &attempt, self.executor.slots());
            self.executor.local().run(&|| run.work(usize::MAX))?;
        }
        attempt.outcome()?;
        if attempt.is_stopped() {
            // Others have ended the job, so some partitions are missing.
            return Err(Error::new(ErrorKind::Cancelled));
        }
        // Writing and preparing the outputs belongs to the stage, and may call user closures, which may count.
        let task = Task::of_no_partition(&attempt, number);
        let outputs = in_task(|| task.guard(|_| stage.into_outputs(job.resources())));
        let outputs = outputs.map_err(|error| error.of_stage(number))?;
        attempt.commit_counter_updates(number);
        job.put_map_outputs(shuffle.id(), outputs);
        Ok(())
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
