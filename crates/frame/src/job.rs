//! Jobs of frames: their threads, and the partitions of their plans.

use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, SendableRecordBatchStream,
};
use futures::future::{Either, select, try_join_all};
use holdall::extend::{EngineJob, EngineScope};
use holdall::{BoxError, Context, Result};
use tokio::runtime;

use crate::failure::cause;
use crate::session::{PARTITIONS, job_state};

/// Time between two checks whether a job is stopped, and of what it has read.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// The plan of a running job.
pub(crate) struct Running<'a> {
    scope: EngineScope<'a>,
    plan: Arc<dyn ExecutionPlan>,
    tasks: Arc<TaskContext>,
    /// Bytes of input files that the scope has counted.
    read: AtomicU64,
}

/// Runs a job: `work` receives the physical plan of `plan`, within a runtime that has the threads of the context.
pub(crate) fn run<R: Send>(
    context: &Context,
    job: EngineJob,
    plan: &LogicalPlan,
    work: impl AsyncFnOnce(&Running<'_>) -> Result<R, BoxError> + Send,
) -> Result<R> {
    job.run(context, |scope| {
        let scope = *scope;
        thread::scope(|threads| {
            // The caller may be a thread of another runtime, which must not wait for this one.
            let driver = thread::Builder::new().name("frame-driver".to_owned());
            let driver = driver.spawn_scoped(threads, || drive(scope, plan, work))?;
            driver.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    })
}

fn drive<R>(
    scope: EngineScope<'_>,
    plan: &LogicalPlan,
    work: impl AsyncFnOnce(&Running<'_>) -> Result<R, BoxError>,
) -> Result<R, BoxError> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(scope.threads())
        .max_blocking_threads(PARTITIONS)
        .thread_name("frame")
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let state = job_state(&scope.resources()).map_err(cause)?;
        let physical = state.create_physical_plan(plan).await.map_err(cause)?;
        let running = Running {
            scope,
            plan: physical,
            tasks: state.task_ctx(),
            read: AtomicU64::new(0),
        };
        let result = match select(pin!(work(&running)), pin!(running.stopped())).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err("the job is stopped".into()),
        };
        running.count_read();
        result
    })
}

impl Running<'_> {
    pub(crate) fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }

    /// Returns once the job is stopped.
    async fn stopped(&self) {
        while !self.scope.is_stopped() {
            tokio::time::sleep(CHECK_INTERVAL).await;
            self.count_read();
        }
    }

    /// Calls `work` with the batches of each partition, on the threads of the runtime. Returns the results in the order of
    /// the partitions.
    pub(crate) async fn each_partition<R, F>(
        &self,
        work: impl Fn(usize, SendableRecordBatchStream) -> F,
    ) -> Result<Vec<R>, BoxError>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, BoxError>> + Send + 'static,
    {
        let mut tasks = Vec::new();
        for partition in 0..self.plan.output_partitioning().partition_count() {
            let batches = self.plan.execute(partition, Arc::clone(&self.tasks));
            let task = work(partition, batches.map_err(cause)?);
            let task = tokio::spawn(async {
                let start = Instant::now();
                Ok::<_, BoxError>((task.await?, start.elapsed()))
            });
            tasks.push(async {
                // The runtime aborts no tasks while it runs, so the error is that of a panic.
                let ended = task
                    .await
                    .unwrap_or_else(|error| resume_unwind(error.into_panic()));
                let (result, elapsed) = ended?;
                self.scope.end_task(elapsed, self.count_read());
                Ok(result)
            });
        }
        try_join_all(tasks).await
    }

    /// Counts the bytes that the scans have read since the last call. Returns their number.
    fn count_read(&self) -> u64 {
        let total = bytes_read(&*self.plan);
        let before = self.read.swap(total, Ordering::Relaxed);
        self.scope.count_bytes(total - before);
        total - before
    }
}

fn bytes_read(plan: &dyn ExecutionPlan) -> u64 {
    let of_children = plan
        .children()
        .into_iter()
        .map(|child| bytes_read(&**child));
    let metrics = plan.metrics();
    let own = metrics.and_then(|metrics| metrics.sum_by_name("bytes_scanned"));
    own.map_or(0, |own| own.as_usize() as u64) + of_children.sum::<u64>()
}
