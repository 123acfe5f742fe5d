//! An action's stages, in order, until done.

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

/// The least memory that a thread can shuffle with: what it takes to write a run, and to read four of them.
const MIN_THREAD_BYTES: usize = 1 << 20;

/// One run of one action.
pub(crate) struct Job {
    state: Arc<JobState>,
    executor: AnyExecutor,
    plan: JobPlan,
    later: Mutex<Later>,
    /// On remote executors: what its map stages have left.
    exports: Exports,
    report: JobReport,
    summary: Mutex<JobSummary>,
}

/// What was planned to make outputs again.
#[derive(Default)]
struct Later {
    /// They keep what they rely on from going.
    plans: Vec<JobPlan>,
    /// Those that the first plan had been spared.
    shuffles: Vec<ShuffleId>,
}

/// Who is told of a job.
pub(crate) struct JobReport {
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

    /// How many tasks the executor runs at a time.
    pub(crate) fn threads(&self) -> usize {
        self.executor.slots()
    }

    /// The number of a map stage. One that was not planned at first comes after all that were.
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

    /// Shows how a stage comes on, and takes down what it did.
    fn watch<R>(
        &self,
        number: usize,
        node: &Arc<Node>,
        tasks: Option<usize>,
        work: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let watch = Watch::start(&self.state);
        // What a stage drops are records and iterators of the program, and dropping them may panic.
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
