//! An action's stages, in order, until done.

mod in_order;
mod progress;
mod remote;
mod result;
mod run;
mod summary;

pub(crate) use in_order::InOrder;
pub(crate) use result::ResultStage;
pub(crate) use run::StageRun;
pub use summary::{JobSummary, StageSummary};

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::executor::{AnyExecutor, Executor};
use crate::lineage::Node;
use crate::plan::{self, MapStagePlan, Plan};
use crate::task::{JobState, Resources, StageCode, is_in_task};

use remote::Exports;
use summary::Watch;

/// How often something is tried whose input is found damaged.
const ATTEMPTS: usize = 4;

/// The least memory that a thread can shuffle with: what it takes to write a run, and to read four of them.
const LEAST_THREAD_BYTES: usize = 1 << 20;

/// One run of one action.
pub(crate) struct Job {
    state: Arc<JobState>,
    executor: AnyExecutor,
    plan: Plan,
    /// On remote executors: what its map stages have left.
    exports: Exports,
    report: Report,
    summary: Mutex<JobSummary>,
}

/// Who is told of a job.
pub(crate) struct Report {
    pub(crate) shows_progress: bool,
    /// Whether a summary is written to standard error.
    pub(crate) prints_summary: bool,
    /// Where the summary goes in any case.
    pub(crate) summary: Arc<Mutex<Option<JobSummary>>>,
}

impl Job {
    /// A job that computes `result`. Nothing runs yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NestedJob`] on a thread that runs a task; [`ErrorKind::BudgetTooSmall`].
    pub(crate) fn new(
        result: &Arc<Node>,
        executor: AnyExecutor,
        resources: Resources,
        report: Report,
    ) -> Result<Self> {
        if is_in_task() {
            return Err(Error::new(ErrorKind::NestedJob));
        }
        let plan = Plan::new(result);
        let needed_bytes = LEAST_THREAD_BYTES * resources.threads;
        let budget_bytes = resources.budget.limit_bytes();
        if !plan.map_stages.is_empty() && budget_bytes < needed_bytes {
            return Err(Error::new(ErrorKind::BudgetTooSmall {
                needed_bytes,
                budget_bytes,
            }));
        }
        Ok(Self {
            state: Arc::new(JobState::new(resources)),
            executor,
            plan,
            exports: Exports::default(),
            report,
            summary: Mutex::default(),
        })
    }

    pub(crate) fn state(&self) -> &Arc<JobState> {
        &self.state
    }

    /// How many tasks the executor runs at a time.
    pub(crate) fn threads(&self) -> usize {
        self.executor.slots()
    }

    /// Runs the map sides of the shuffles that the result needs. What is found damaged on the way is made again.
    pub(crate) fn run_map_stages(&self) -> Result<()> {
        if let AnyExecutor::Remote(executor) = &self.executor {
            return self.run_remote_map_stages(&**executor);
        }
        for attempt in 1.. {
            match self.try_map_stages() {
                Err(error) if error.is_damage() && attempt < ATTEMPTS => self.state.go_on(),
                outcome => return outcome,
            }
        }
        Ok(())
    }

    fn try_map_stages(&self) -> Result<()> {
        for (number, map_stage) in (1..).zip(&self.plan.map_stages) {
            let node = map_stage.shuffle.parent();
            let tasks = node.partitions;
            self.watch(number, node, tasks, || {
                self.run_map_stage(number, map_stage)
            })?;
        }
        Ok(())
    }

    fn run_map_stage(&self, number: usize, map_stage: &MapStagePlan) -> Result<()> {
        let stage = map_stage.shuffle.map_stage(map_stage.readers);
        self.run_all(StageRun::new(
            number,
            &*stage,
            &self.state,
            self.executor.slots(),
        ))?;
        // What is left to be written is the stage's too.
        let outputs = stage.into_outputs(self.state.resources());
        let outputs = outputs.map_err(|mut error| {
            if let Some(place) = error.place_mut() {
                place.stage = Some(number);
            }
            error
        })?;
        self.state.put_map_outputs(map_stage.shuffle.id(), outputs);
        Ok(())
    }

    /// Makes anew what the map sides left, while tasks of the result's stage run.
    fn recompute(&self) -> Result<()> {
        let mut map_stages = (1..).zip(&self.plan.map_stages);
        map_stages.try_for_each(|(number, map_stage)| self.run_map_stage(number, map_stage))
    }

    /// Runs all tasks of the result's stage.
    pub(crate) fn run_result_stage(&self, code: &dyn StageCode) -> Result<()> {
        self.run_result_stage_by(code, |run, executor| executor.run(&|| run.work(usize::MAX)))
    }

    /// Runs as much of the result's stage as `work` does of it. A remote executor runs all of it, until the stage wants
    /// no more.
    pub(crate) fn run_result_stage_by(
        &self,
        code: &dyn StageCode,
        work: impl FnOnce(&StageRun<'_>, &dyn Executor) -> Result<()>,
    ) -> Result<()> {
        if let AnyExecutor::Remote(executor) = &self.executor {
            return self.run_remote_result_stage(&**executor, code);
        }
        let number = self.plan.stages();
        let recompute = || self.recompute();
        let run = StageRun::new(number, code, &self.state, self.executor.slots());
        let run = run.recomputing(&recompute);
        self.watch(number, &self.plan.result, code.partitions(), || {
            work(&run, self.executor.local())
        })
    }

    fn run_all(&self, run: StageRun<'_>) -> Result<()> {
        self.executor.local().run(&|| run.work(usize::MAX))?;
        self.state.outcome()
    }

    /// Shows how a stage comes on, and takes down what it did.
    fn watch<R>(
        &self,
        number: usize,
        node: &Arc<Node>,
        tasks: Option<usize>,
        work: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let watch = Watch::start(&self.state);
        let result = if self.report.shows_progress {
            let shown = progress::Shown {
                stage: number,
                stages: self.plan.stages(),
                operator: node.site.operator,
                tasks,
                bytes: plan::input_bytes(node),
            };
            shown.during(self.state.progress(), work)?
        } else {
            work()?
        };
        let stage = watch.stop(&self.state, number, node.site.operator);
        let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        summary.elapsed += stage.elapsed;
        summary.stages.push(stage);
        self.state.outcome()?;
        Ok(result)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        let summary = std::mem::take(&mut *summary);
        if self.report.prints_summary {
            eprintln!("{summary}");
        }
        *self
            .report
            .summary
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(summary);
    }
}
