//! An action's stages, in order, until done.

mod in_order;
mod progress;
mod result;
mod run;

pub(crate) use in_order::InOrder;
pub(crate) use result::ResultStage;
pub(crate) use run::StageRun;

use std::cell::Cell;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::executor::Executor;
use crate::lineage::Node;
use crate::plan::{self, Plan};
use crate::task::{JobState, Resources, StageCode};

thread_local! {
    /// Whether this thread runs a task, so that a closure of the program may be what is running.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// One run of one action: the stages before the result's.
pub(crate) struct Job {
    state: Arc<JobState>,
    executor: Arc<dyn Executor>,
    plan: Plan,
    shows_progress: bool,
}

impl Job {
    /// A job that computes `result`. Nothing runs yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NestedJob`] on a thread that runs a task.
    pub(crate) fn new(
        result: &Arc<Node>,
        executor: Arc<dyn Executor>,
        resources: Resources,
        shows_progress: bool,
    ) -> Result<Self> {
        if IN_TASK.get() {
            return Err(Error::new(ErrorKind::NestedJob));
        }
        Ok(Self {
            state: Arc::new(JobState::new(resources)),
            executor,
            plan: Plan::new(result),
            shows_progress,
        })
    }

    pub(crate) fn state(&self) -> &Arc<JobState> {
        &self.state
    }

    pub(crate) fn executor(&self) -> &dyn Executor {
        &*self.executor
    }

    /// Runs the map sides of the shuffles that the result needs.
    pub(crate) fn run_map_stages(&self) -> Result<()> {
        for (number, map_stage) in (1..).zip(&self.plan.map_stages) {
            let stage = map_stage.shuffle.map_stage(map_stage.readers);
            self.run_all(number, map_stage.shuffle.parent(), &*stage)?;
            let outputs = stage.into_outputs(self.state.resources())?;
            self.state.put_map_outputs(map_stage.shuffle.id(), outputs);
        }
        Ok(())
    }

    /// Runs all tasks of the result's stage.
    pub(crate) fn run_result_stage(&self, code: &dyn StageCode) -> Result<()> {
        self.run_all(self.plan.stages(), &self.plan.result, code)
    }

    /// The result's stage, to be run bit by bit.
    pub(crate) fn result_stage<'s>(&'s self, code: &'s dyn StageCode) -> StageRun<'s> {
        StageRun::new(
            self.plan.stages(),
            code,
            &self.state,
            self.executor.threads(),
        )
    }

    fn run_all(&self, number: usize, node: &Arc<Node>, code: &dyn StageCode) -> Result<()> {
        let run = StageRun::new(number, code, &self.state, self.executor.threads());
        let work = || run.work(usize::MAX);
        if self.shows_progress {
            self.state.progress().reset();
            let shown = progress::Shown {
                stage: number,
                stages: self.plan.stages(),
                operator: node.site.operator,
                tasks: code.partitions(),
                bytes: plan::input_bytes(node),
            };
            shown.during(self.state.progress(), || self.executor.run(&work))?;
        } else {
            self.executor.run(&work)?;
        }
        self.state.outcome()
    }
}

/// Marks this thread as running a task while `work` runs. Tasks can be nested where a closure of the program lets the
/// pool's threads steal work.
fn in_task<R>(work: impl FnOnce() -> R) -> R {
    let before = IN_TASK.replace(true);
    let result = work();
    IN_TASK.set(before);
    result
}
