//! Runs the stages of an action in order.

mod exports;
mod in_order;
mod map_stages;
mod progress;
mod remote;
mod result;
mod run;
mod stages;
mod summary;

pub(crate) use in_order::InOrder;
pub(crate) use result::ResultStage;
pub(crate) use run::StageRun;
pub use summary::{JobSummary, StageSummary};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result, caught};
use crate::executor::AnyExecutor;
use crate::id::ShuffleId;
use crate::lineage::Node;
use crate::plan::{self, JobPlan};
use crate::task::{JobState, Resources, is_in_task};

use exports::Exports;
use summary::Watch;

/// Minimum memory of a thread for a shuffle: enough to write a run, and to read four of them.
const MIN_THREAD_BYTES: usize = 1 << 20;

/// One run of one action.
pub(crate) struct Job {
    state: Arc<JobState>,
    executor: AnyExecutor,
    plan: JobPlan,
    later: Mutex<Later>,
    /// Map outputs on a remote executor.
    exports: Exports,
    report: JobReport,
    summary: Mutex<JobSummary>,
}

/// State for recomputing outputs.
#[derive(Default)]
struct Later {
    /// Plans for recomputing outputs. A plan keeps the persisted partitions that it relies on.
    plans: Vec<JobPlan>,
    /// Shuffles that the first plan did not include.
    shuffles: Vec<ShuffleId>,
}

/// Settings for the progress bar and the summary of a job.
pub(crate) struct JobReport {
    pub(crate) shows_progress: bool,
    /// Whether the summary is written to standard error.
    pub(crate) prints_summary: bool,
    /// Receives the summary in any case.
    pub(crate) summary: Arc<Mutex<Option<JobSummary>>>,
}

impl Job {
    /// Creates a job that computes `result`. Nothing runs yet.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::NestedJob`] on a thread that runs a task, and [`ErrorKind::BudgetTooSmall`] if the budget
    /// is too small for the threads.
    pub(crate) fn new(
        result: &Arc<Node>,
        executor: AnyExecutor,
        resources: Resources,
        report: JobReport,
    ) -> Result<Self> {
        if is_in_task() {
            return Err(Error::new(ErrorKind::NestedJob));
        }
        let plan = JobPlan::new(result);
        let needed_bytes = MIN_THREAD_BYTES * resources.threads;
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
            later: Mutex::default(),
            exports: Exports::default(),
            report,
            summary: Mutex::default(),
        })
    }

    pub(crate) fn state(&self) -> &Arc<JobState> {
        &self.state
    }

    /// Returns the number of tasks that the executor runs at a time.
    pub(crate) fn threads(&self) -> usize {
        self.executor.slots()
    }

    /// Returns the number of a map stage. Stages that the first plan did not include are numbered after those that it
    /// did.
    fn number_of(&self, shuffle: ShuffleId) -> usize {
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

    fn later(&self) -> MutexGuard<'_, Later> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work`, the work of a stage; shows its progress, and adds it to the summary.
    fn watch<R>(
        &self,
        number: usize,
        node: &Arc<Node>,
        tasks: Option<usize>,
        work: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let watch = Watch::start(&self.state);
        // The stage drops records and iterators of the user's types, and dropping them may panic.
        let work = || caught(None, work);
        let worked = if self.report.shows_progress {
            let shown = progress::Shown {
                stage: number,
                stages: self.plan.stages(),
                operator: node.site.operator,
                tasks,
                bytes: plan::input_bytes(node),
            };
            shown.during(self.state.progress(), work)
        } else {
            work()
        };
        // The first error counts.
        let result = worked.map_err(|error| self.state.outcome().err().unwrap_or(error))?;
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
