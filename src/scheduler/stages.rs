//! Runs the stages of a job on executors of each kind.

use super::{Job, StageRun};
use crate::error::Result;
use crate::executor::{AnyExecutor, StageExecutor};
use crate::task::StageCode;

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

    /// Runs all tasks of the result's stage.
    pub(crate) fn run_result_stage(&self, code: &dyn StageCode) -> Result<()> {
        self.run_result_stage_by(code, |run, executor| executor.run(&|| run.work(usize::MAX)))
    }

    /// Runs the part of the result's stage that `work` executes. A remote executor runs all of it, until the stage
    /// needs no more results.
    pub(crate) fn run_result_stage_by(
        &self,
        code: &dyn StageCode,
        work: impl FnOnce(&StageRun<'_>, &dyn StageExecutor) -> Result<()>,
    ) -> Result<()> {
        if let AnyExecutor::Remote(executor) = &self.executor {
            return self.run_remote_result_stage(&**executor, code);
        }
        let number = self.plan.stages();
        let make_again = || self.make_again();
        self.watch(number, &self.plan.result, code.partitions(), || {
            let run = self.stage_run(number, code, &self.state);
            let run = run.making_again(&make_again);
            work(&run, self.executor.local())?;
            run.check_whole()
        })
    }
}
