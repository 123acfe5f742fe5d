//! Runs the map stages of a job, and recomputes outputs that are damaged or lost.
//!
//! Reading an output frees some of its memory, so a stage cannot read it a second time. If a part of a stage's input is
//! damaged, all of its input is therefore recomputed: the stages before it run again, and recursively the stages before
//! those.

use std::sync::Arc;

use super::Job;
use super::run::{StageRun, check_attempts};
use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::events::Event;
use crate::lineage::{Node, ShuffleDependency};
use crate::plan::{JobPlan, MapStagePlan};
use crate::task::{JobState, StageCode, Task, in_task};

impl Job {
    /// Recomputes all input of the result's stage, while tasks of that stage run.
    pub(super) fn make_again(&self) -> Result<()> {
        let staging = Arc::new(self.state.staging());
        self.make_all(&self.plan.result, &staging)?;
        self.state.replace_outputs(&staging);
        Ok(())
    }

    /// Runs a map stage. If the stage finds damage, recomputes all of its input, and runs it again.
    pub(super) fn make(
        &self,
        number: usize,
        map_stage: &MapStagePlan,
        job: &Arc<JobState>,
    ) -> Result<()> {
        let shuffle = &*map_stage.shuffle;
        for attempt in 1.. {
            match self.try_to_make(number, shuffle, map_stage.readers, job) {
                Err(error) if error.is_recoverable() => {
                    let context = ErrorContext {
                        stage: Some(number),
                        ..ErrorContext::default()
                    };
                    check_attempts(attempt, context, error)?;
                    self.make_all(shuffle.parent(), job)?;
                    self.send_restarted(number, shuffle.parent());
                }
                outcome => return outcome,
            }
        }
        Ok(())
    }

    /// Recomputes all input of the stage of `node`.
    fn make_all(&self, node: &Arc<Node>, job: &Arc<JobState>) -> Result<()> {
        // Persisted partitions may have been dropped or completed since the job was planned.
        let plan = JobPlan::new(node);
        for map_stage in &plan.map_stages {
            let number = self.number_of(map_stage.shuffle.id());
            // Other stages may still have to read it.
            let known = self.plan.map_stages.get(number - 1);
            let readers = known.map_or(0, |known| known.readers);
            let readers = readers.max(map_stage.readers);
            let map_stage = MapStagePlan {
                shuffle: Arc::clone(&map_stage.shuffle),
                readers,
                reads: map_stage.reads.clone(),
            };
            self.send_restarted(number, map_stage.shuffle.parent());
            self.make(number, &map_stage, job)?;
        }
        self.later().plans.push(plan);
        Ok(())
    }

    /// Sends the event that the stage of `node` runs again.
    pub(super) fn send_restarted(&self, stage: usize, node: &Node) {
        self.events.send(|job| Event::StageRestarted {
            job,
            stage,
            operator: node.site.operator,
        });
    }

    /// Prepares a run of a stage on threads of this process.
    pub(super) fn stage_run<'s>(
        &'s self,
        number: usize,
        code: &'s dyn StageCode,
        state: &'s JobState,
    ) -> StageRun<'s> {
        StageRun::new(number, code, state, self.executor.slots(), &self.events)
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
            let run = self.stage_run(number, &*stage, &attempt);
            self.executor.local().run(&|| run.work(usize::MAX))?;
        }
        attempt.outcome()?;
        if attempt.is_stopped() {
            // Another thread has ended the job, so some partitions are missing.
            return Err(Error::new(ErrorKind::Cancelled));
        }
        // Finishing the outputs is part of the stage. It may call the user's closures, and these may update counters.
        let task = Task::of_no_partition(&attempt, number);
        let outputs = in_task(|| task.guard(|_| stage.into_outputs(job.resources())));
        let outputs = outputs.map_err(|error| error.of_stage(number))?;
        attempt.commit_counter_updates(number);
        job.put_map_outputs(shuffle.id(), outputs);
        Ok(())
    }
}
