//! The plan that requests slots, and its execution on a worker machine.
//!
//! The plan has a partition with one row for each slot. The row is a [`SlotSpec`]. On a machine, the agent holds the slot
//! until the driver lets go of it. The plan consists of nodes that every scheduler knows, so the scheduler need not be
//! this program.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use ballista_core::JobId;
use ballista_core::serde::protobuf::ShuffleWritePartition;
use ballista_executor::execution_engine::{ExecutionEngine, QueryStageExecutor};
use datafusion::arrow::array::{Array, BinaryArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;
use futures::StreamExt;

use crate::agent::Agent;
use crate::message::SlotSpec;
use crate::net::runtime;

/// Beginning of the error of a machine that refuses a slot.
pub(super) const REFUSAL: &str = "holdall refuses: ";

/// Returns a plan for a number of slots.
pub(super) fn plan(spec: &SlotSpec, slots: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let row = serde_json::to_vec(spec).map_err(|error| DataFusionError::External(error.into()))?;
    let schema = Arc::new(Schema::new(vec![Field::new(
        "slot",
        DataType::Binary,
        false,
    )]));
    let rows = Arc::new(BinaryArray::from(vec![&*row]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![rows])?;
    let partitions = vec![vec![batch]; slots];
    let source = MemorySourceConfig::try_new(&partitions, schema, None)?;
    Ok(DataSourceExec::from_data_source(source))
}

/// Executes only plans that request slots.
pub(super) struct SlotEngine {
    pub(super) agent: Arc<Agent>,
}

impl ExecutionEngine for SlotEngine {
    fn create_query_stage_exec(
        &self,
        _: JobId,
        _: usize,
        _: usize,
        _: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        _: &str,
        _: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let children = plan.children();
        let source = children
            .first()
            .filter(|child| child.is::<DataSourceExec>());
        match source {
            Some(source) => Ok(Arc::new(Slots {
                plan: Arc::clone(source),
                agent: Arc::clone(&self.agent),
            })),
            None => Err(refuse("this machine runs holdall programs only")),
        }
    }
}

/// Slots of one task, usually one.
struct Slots {
    plan: Arc<dyn ExecutionPlan>,
    agent: Arc<Agent>,
}

#[async_trait::async_trait]
impl QueryStageExecutor for Slots {
    async fn execute_query_stage(
        &self,
        _: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        for partition in 0..self.plan.properties().partitioning.partition_count() {
            let mut batches = self.plan.execute(partition, Arc::clone(&context))?;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let rows = batch.column(0).as_any().downcast_ref::<BinaryArray>();
                let rows = rows.ok_or_else(|| refuse("this machine runs holdall programs only"))?;
                for row in 0..rows.len() {
                    let spec: SlotSpec = serde_json::from_slice(rows.value(row))
                        .map_err(|error| refuse(&error.to_string()))?;
                    hold(Arc::clone(&self.agent), spec).await?;
                }
            }
        }
        Ok(Vec::new())
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        Vec::new()
    }
}

/// Holds a slot. The agent has a runtime of its own, because its connections outlive the task.
async fn hold(agent: Arc<Agent>, spec: SlotSpec) -> Result<()> {
    let runtime = runtime().map_err(|error| refuse(&error.to_string()))?;
    let held = runtime
        .spawn(async move { agent.hold_slot(&spec).await })
        .await;
    let held = held.map_err(|error| DataFusionError::External(error.into()))?;
    held.map_err(|reason| refuse(&reason))
}

fn refuse(reason: &str) -> DataFusionError {
    DataFusionError::Execution(format!("{REFUSAL}{reason}"))
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Slots")
    }
}

impl Display for Slots {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("holdall slots")
    }
}
