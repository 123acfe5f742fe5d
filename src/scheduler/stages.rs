//! Runs the stages of a job on executors of each kind.

use std::sync::Arc;

use super::map_stages::MapStages;
use super::queue::PartitionQueue;
use super::remote_stages::RemoteMapStages;
use super::{Job, StageRun};
use crate::error::{Result, caught};
use crate::executor::{AnyExecutor, StageExecutor};
use crate::task::StageCode;

impl Job {
    /// Runs the map sides of the shuffles that the result needs.
    pub(crate) fn run_map_stages(&self) -> Result<()> {
        if self.plan.map_stages.is_empty() {
            return Ok(());
        }
        // The stages drop records and iterators of the user's types, and dropping them may panic.
        let ran = caught(None, || match &self.executor {
            AnyExecutor::Local(_) => MapStages::new(self, &self.state, &self.plan, None).run(),
            AnyExecutor::Remote(executor) => RemoteMapStages::new(self, &**executor).run(),
        });
        // The first error counts.
        let result = self.state.outcome().and(ran);
        self.set_outcome(&result, false);
        result
    }

    /// Runs all tasks of the result's stage.
    pub(crate) fn run_result_stage(&self, code: &dyn StageCode) -> Result<()> {
        self.run_result_stage_by(code, |run, executor| run.work_on(executor, usize::MAX))
    }

    /// Runs the part of the result's stage that `work` executes. A remote executor runs all of it, until the stage
    /// needs no more results.
    pub(crate) fn run_result_stage_by(
        &self,
        code: &dyn StageCode,
        work: impl FnOnce(&StageRun<'_, '_>, &dyn StageExecutor) -> Result<()>,
    ) -> Result<()> {
        let (number, node) = (self.plan.stages(), &self.plan.result);
        let resources = self.state.resources().clone();
        let watch = self.start_stage(number, node, code.partitions(), resources);
        // The stage drops records and iterators of the user's types, and dropping them may panic.
        let ran = caught(None, || match &self.executor {
            AnyExecutor::Remote(executor) => self.run_remote_result_stage(&**executor, code),
            AnyExecutor::Local(executor) => {
                let queue = PartitionQueue::new(code, self.pullers(), || code.stream());
                let make_again = || self.make_again();
                let run = StageRun::new(number, code, &self.state, &queue, &self.events);
                let run = run.making_again(&make_again);
                work(&run, &**executor)?;
                run.check_whole()
            }
        });
        // The first error counts.
        let result = self.state.outcome().and(ran);
        self.end_stage(&watch);
        self.set_outcome(&result, true);
        result
    }

    /// Recomputes all input of the result's stage, while tasks of that stage run.
    fn make_again(&self) -> Result<()> {
        let staging = Arc::new(self.state.staging());
        let plan = self.plan_again(&self.plan.result);
        let resources = self.state.resources();
        MapStages::new(self, &staging, plan, Some(resources)).run()?;
        self.state.replace_outputs(&staging);
        Ok(())
    }
}
