//! Runs the stages of an action in order.

mod exports;
mod in_order;
mod map_stages;
mod remote;
mod result;
mod run;
mod stages;
mod watch;

pub(crate) use in_order::InOrder;
pub(crate) use result::ResultStage;
pub(crate) use run::StageRun;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result, caught};
use crate::events::{Event, JobEvents, JobOutcome, JobSummary};
use crate::executor::AnyExecutor;
use crate::id::ShuffleId;
use crate::lineage::Node;
use crate::plan::{self, JobPlan, Plan};
use crate::task::{JobState, Resources, Site, is_in_task};

use exports::Exports;
use watch::Watch;

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
    events: JobEvents,
    /// The last event, or `None` after it has been sent.
    end: Mutex<Option<JobEnd>>,
}

/// Content of the last event of a job.
struct JobEnd {
    summary: JobSummary,
    outcome: JobOutcome,
}

/// State for recomputing outputs.
#[derive(Default)]
struct Later {
    /// Plans for recomputing outputs. A plan keeps the persisted partitions that it relies on.
    plans: Vec<JobPlan>,
    /// Shuffles that the first plan did not include.
    shuffles: Vec<ShuffleId>,
}

impl Job {
    /// Creates a job that computes `result` for the action at `site`. Nothing runs yet.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::NestedJob`] on a thread that runs a task, and [`ErrorKind::BudgetTooSmall`] if the budget
    /// is too small for the threads.
    pub(crate) fn new(
        result: &Arc<Node>,
        executor: AnyExecutor,
        resources: Resources,
        events: JobEvents,
        site: Site,
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
        events.send(|job| Event::JobStarted {
            job,
            action: site.operator,
            location: site.location,
            plan: Plan::new(result),
        });
        let summary = JobSummary {
            job: events.job(),
            ..JobSummary::default()
        };
        let outcome = JobOutcome::Cancelled;
        Ok(Self {
            state: Arc::new(JobState::new(resources)),
            executor,
            plan,
            later: Mutex::default(),
            exports: Exports::default(),
            events,
            end: Mutex::new(Some(JobEnd { summary, outcome })),
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

    /// Runs `work`, the work of a stage; sends its events, and adds it to the summary.
    fn watch<R>(
        &self,
        number: usize,
        node: &Arc<Node>,
        tasks: Option<usize>,
        work: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let operator = node.site.operator;
        let watch = Watch::start(&self.state);
        self.events.send(|job| Event::StageStarted {
            job,
            stage: number,
            operator,
            tasks,
            input_bytes: plan::input_bytes(node),
        });
        // The stage drops records and iterators of the user's types, and dropping them may panic.
        let worked = caught(None, work);
        // The first error counts.
        let result = self.state.outcome().and(worked);
        let stage = watch.stop(&self.state, number, operator);
        let scratch = &self.state.resources().scratch;
        self.events.send_spilled(number, || scratch.written_bytes());
        self.events.send(|job| Event::StageDone {
            job,
            summary: stage.clone(),
        });
        let outcome = match &result {
            Ok(_) if number == self.plan.stages() && !self.state.is_stopped() => {
                JobOutcome::Completed
            }
            Err(error) if !error.is_cancelled() => JobOutcome::failed(error),
            _ => JobOutcome::Cancelled,
        };
        if let Some(end) = &mut *self.lock_end() {
            end.summary.elapsed += stage.elapsed;
            end.summary.stages.push(stage);
            end.outcome = outcome;
        }
        result
    }

    /// Sends the last event, unless it has been sent.
    pub(crate) fn end(&self) {
        let end = self.lock_end().take();
        if let Some(JobEnd { summary, outcome }) = end {
            self.events.send_end(summary, outcome);
        }
    }

    fn lock_end(&self) -> MutexGuard<'_, Option<JobEnd>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.end();
    }
}
