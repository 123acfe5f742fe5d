//! Runs the stages of an action, each after those that it reads.

mod engine;
mod exports;
mod in_order;
mod layers;
mod limits;
mod map_stages;
mod plans;
mod preview;
mod queue;
mod ready;
mod remote;
mod remote_stages;
mod result;
mod run;
mod sampled;
mod stage_table;
mod stages;
mod timer;
mod watch;

pub(crate) use in_order::InOrder;
pub(crate) use limits::{JobLimits, JobScope};
pub(crate) use preview::StageSample;
pub(crate) use result::ResultStage;
pub(crate) use run::StageRun;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, JobEvents, JobMonitor, JobOutcome, JobSummary};
use crate::executor::{AnyExecutor, SharedSlots};
use crate::files::ShuffleFiles;
use crate::id::ShuffleId;
use crate::lineage::Node;
use crate::plan::{JobPlan, Plan};
use crate::task::{JobState, Pullers, Resources, Site, is_in_task};

use exports::Exports;
use plans::Plans;
use timer::Timer;

/// Minimum memory of a thread for a shuffle: enough to write a run, and to read four of them.
const MIN_THREAD_BYTES: usize = 1 << 20;

/// One run of one action.
pub(crate) struct Job {
    state: Arc<JobState>,
    executor: AnyExecutor,
    plan: JobPlan,
    /// Plans for recomputing outputs.
    later_plans: Plans,
    /// Shuffles that the first plan did not include.
    later_shuffles: Mutex<Vec<ShuffleId>>,
    /// Map outputs on a remote executor.
    exports: Exports,
    /// The files in the shuffle directory, if map outputs go there.
    shuffle: Option<Arc<ShuffleFiles>>,
    /// The slots of the executor, which the stages share.
    slots: SharedSlots,
    events: JobEvents,
    monitor: Arc<JobMonitor>,
    /// Ends the job at its deadline.
    timer: Option<Timer>,
    /// The last event, or `None` after it has been sent.
    end: Mutex<Option<JobEnd>>,
}

/// Content of the last event of a job.
struct JobEnd {
    /// Time at which the first stage began.
    start: Option<Instant>,
    summary: JobSummary,
    outcome: JobOutcome,
}

impl Job {
    /// Creates a job that computes `result` for the action at `site`, until `limits` end it. Nothing runs yet.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::NestedJob`] on a thread that runs a task, [`ErrorKind::BudgetTooSmall`] if the budget is too
    /// small for the threads, and [`ErrorKind::Threads`] if no thread can wait for the deadline.
    pub(crate) fn new(
        result: &Arc<Node>,
        executor: AnyExecutor,
        resources: Resources,
        events: JobEvents,
        limits: &JobLimits,
        site: Site,
        shuffle: Option<Arc<ShuffleFiles>>,
    ) -> Result<Self> {
        if is_in_task() {
            return Err(Error::new(ErrorKind::NestedJob));
        }
        let plan = JobPlan::new(result);
        let shares = if executor.divides_memory() {
            resources.threads
        } else {
            1
        };
        let needed_bytes = MIN_THREAD_BYTES.saturating_mul(shares);
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
        let end = JobEnd {
            start: None,
            summary,
            outcome: JobOutcome::Cancelled,
        };
        let slots = SharedSlots::new(executor.slots());
        let monitor = JobMonitor::new(
            events.job(),
            site.operator,
            plan.stages(),
            Arc::clone(&resources.progress),
        );
        let mut job = Self {
            state: Arc::new(JobState::new(resources)),
            executor,
            plan,
            later_plans: Plans::default(),
            later_shuffles: Mutex::default(),
            exports: Exports::default(),
            shuffle,
            slots,
            events,
            monitor: Arc::new(monitor),
            timer: None,
            end: Mutex::new(Some(end)),
        };
        job.timer = limits.apply(&job.state, &job.monitor, site)?;
        Ok(job)
    }

    pub(crate) fn state(&self) -> &Arc<JobState> {
        &self.state
    }

    /// Returns the number of tasks that the executor runs at a time.
    pub(crate) fn threads(&self) -> usize {
        self.executor.slots()
    }

    /// Returns the threads or processes for which one thread reads a source.
    fn pullers(&self) -> Pullers {
        Pullers {
            count: self.slots.count(),
            budget: self.state.resources().budget.clone(),
        }
    }

    /// Returns the number of a map stage. Stages that the first plan did not include are numbered after those that it
    /// did.
    fn number_of(&self, shuffle: ShuffleId) -> usize {
        if let Some(position) = self.plan.position(shuffle) {
            return position + 1;
        }
        let shuffles = &mut *lock(&self.later_shuffles);
        let known = shuffles.iter().position(|known| *known == shuffle);
        let index = known.unwrap_or_else(|| {
            shuffles.push(shuffle);
            shuffles.len() - 1
        });
        self.plan.stages() + 1 + index
    }

    /// Plans the stage of `node` and its input again. Persisted partitions may have been dropped or completed since the
    /// job was planned.
    fn plan_again(&self, node: &Arc<Node>) -> &JobPlan {
        self.later_plans.push(JobPlan::new(node))
    }

    /// Sends the event that the stage of `node` runs again.
    fn send_restarted(&self, stage: usize, node: &Node) {
        self.events.send(|job| Event::StageRestarted {
            job,
            stage,
            operator: node.site.operator,
        });
    }

    /// Records how the job ends if no other stage runs after these.
    fn set_outcome<R>(&self, result: &Result<R>, is_last: bool) {
        let outcome = match result {
            Ok(_) if is_last && !self.state.is_stopped() => JobOutcome::Completed,
            Err(error) if !error.is_cancelled() => JobOutcome::failed(error),
            _ => JobOutcome::Cancelled,
        };
        if let Some(end) = &mut *self.lock_end() {
            end.outcome = outcome;
        }
    }

    /// Sends the last event, unless it has been sent.
    pub(crate) fn end(&self) {
        let end = self.lock_end().take();
        if let Some(JobEnd {
            summary, outcome, ..
        }) = end
        {
            self.monitor.end();
            self.events.send_end(summary, outcome);
        }
    }

    fn lock_end(&self) -> MutexGuard<'_, Option<JobEnd>> {
        lock(&self.end)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.end();
    }
}

/// A panic while a lock is held leaves these values consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
