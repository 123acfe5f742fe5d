//! The functions, rules and settings of DataFusion that frames share, and the environment of a job.

use std::sync::{Arc, OnceLock};

use datafusion::error::Result;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use holdall::extend::ContextResources;

use crate::failure::external;
use crate::pool::BudgetPool;
use crate::spill::ScratchFiles;

/// Maximum number of partitions of a plan. It does not depend on the machine, so neither does the division of the input.
pub(crate) const PARTITIONS: usize = 16;

/// Memory of the budget that each partition should have, in bytes: enough to sort some batches, and to merge runs.
const PARTITION_BYTES: usize = 16 << 20;

/// Maximum number of sorted runs that a partition merges at a time. More would take memory from other partitions, and fewer
/// would write the rows more often.
const MERGED_RUNS: usize = 16;

/// Memory of a partition for each row of a batch, in bytes: a merge reserves four batches of each run, of rows that have up to
/// 512 bytes.
const ROW_BYTES: usize = 4 * MERGED_RUNS * 512;

/// Minimum and maximum number of rows of a batch. Large ones cost less per row, and small ones fit into a small budget.
const BATCH_ROWS: (usize, usize) = (256, 8192);

/// Maximum memory that a sort keeps for merging while it reads its input, in bytes.
const MERGE_BYTES: usize = 1 << 20;

/// Returns the state that plans are made in.
pub(crate) fn state() -> &'static SessionState {
    static STATE: OnceLock<SessionState> = OnceLock::new();
    STATE.get_or_init(new_state)
}

/// Returns a state without tables.
pub(crate) fn new_state() -> SessionState {
    SessionStateBuilder::new()
        .with_config(config(usize::MAX))
        .with_default_features()
        .build()
}

fn partitions(budget_bytes: usize) -> usize {
    (budget_bytes / PARTITION_BYTES).clamp(1, PARTITIONS)
}

/// Returns settings for a budget.
fn config(budget_bytes: usize) -> SessionConfig {
    let partitions = partitions(budget_bytes);
    let share = budget_bytes / partitions;
    let (least, most) = BATCH_ROWS;
    let rows = (share / ROW_BYTES).clamp(least, most);
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(rows)
        // The files are divided when they are scanned. These would change the order of rows.
        .with_repartition_file_scans(false)
        .with_round_robin_repartition(false);
    let execution = &mut config.options_mut().execution;
    execution.enable_file_stream_work_stealing = false;
    execution.sort_spill_reservation_bytes = (share / 4).min(MERGE_BYTES);
    config
}

/// Returns the state of a job: with the memory budget and the scratch files of `resources`.
pub(crate) fn job_state(resources: &ContextResources) -> Result<SessionState> {
    let spills = DiskManagerBuilder::default()
        .with_temp_file_factory(Arc::new(ScratchFiles(resources.clone())))
        .with_max_spill_merge_fan_in(MERGED_RUNS);
    let pool = BudgetPool::new(resources, partitions(resources.budget_bytes()));
    let environment = RuntimeEnvBuilder::from_runtime_env(state().runtime_env())
        .with_memory_pool(Arc::new(pool.map_err(external)?))
        .with_disk_manager_builder(spills)
        .build_arc()?;
    Ok(SessionStateBuilder::new_from_existing(state().clone())
        .with_config(config(resources.budget_bytes()))
        .with_runtime_env(environment)
        .build())
}
