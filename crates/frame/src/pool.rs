//! The memory budget of holdall as a memory pool of DataFusion.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use holdall::extend::{ContextResources, ReservedMemory};

use crate::failure::external;

/// Memory of each partition that DataFusion does not count, in bytes: the pieces of its file, and the batches between operators.
const UNCOUNTED_BYTES: usize = 2 << 20;

/// Memory that each consumer may hold even if the budget refuses it, in bytes. Without it, a job that begins when others have
/// exhausted the budget would write each batch to a file of its own.
const LEAST_BYTES: usize = 1 << 20;

/// Beginning of the names of the consumers that merge the sorted runs of a partition.
const MERGE_OF_RUNS: &str = "ExternalSorterMerge";

/// Beginning of the names of the consumers that merge sorted partitions. They hold batches that exist in any case.
const MERGE_OF_PARTITIONS: &str = "SortPreservingMergeExec";

/// A pool whose memory is reserved in the budget of a context. The consumers that can spill have equal shares of what the
/// others leave, so that none of them starves. If the budget is exhausted, each consumer may exceed it by one batch, and
/// hold a minimum. A merge may hold its share: it takes over rows that are in memory, so its job would fail otherwise.
#[derive(Debug)]
pub(crate) struct BudgetPool {
    budget_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    memory: ReservedMemory,
    /// Bytes that DataFusion holds although the budget has refused them.
    excess: usize,
    /// Number of consumers that can spill.
    spillable: usize,
    /// Number of consumers that merge sorted runs.
    merges: usize,
    /// Bytes of the consumers that cannot spill.
    unspillable_bytes: usize,
}

impl BudgetPool {
    /// Creates the pool of a job with this many partitions.
    pub(crate) fn new(resources: &ContextResources, partitions: usize) -> holdall::Result<Self> {
        let budget_bytes = resources.budget_bytes();
        let mut memory = resources.reserve();
        let uncounted = (UNCOUNTED_BYTES * partitions).min(budget_bytes / 4);
        let is_reserved = memory.try_grow(uncounted)?;
        Ok(Self {
            budget_bytes,
            state: Mutex::new(State {
                memory,
                excess: 0,
                spillable: 0,
                merges: 0,
                unspillable_bytes: if is_reserved { uncounted } else { 0 },
            }),
        })
    }

    /// A panic while the lock is held leaves the state consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for BudgetPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl MemoryPool for BudgetPool {
    fn name(&self) -> &str {
        "the memory budget"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        let mut state = self.lock();
        state.spillable += usize::from(consumer.can_spill());
        state.merges += usize::from(consumer.name().starts_with(MERGE_OF_RUNS));
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut state = self.lock();
        state.spillable -= usize::from(consumer.can_spill());
        state.merges -= usize::from(consumer.name().starts_with(MERGE_OF_RUNS));
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut state = self.lock();
        // DataFusion holds these bytes already.
        if !matches!(state.memory.try_grow(additional), Ok(true)) {
            state.excess += additional;
        }
        if !reservation.consumer().can_spill() {
            state.unspillable_bytes += additional;
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut state = self.lock();
        let of_excess = shrink.min(state.excess);
        state.excess -= of_excess;
        state.memory.shrink(shrink - of_excess);
        if !reservation.consumer().can_spill() {
            state.unspillable_bytes -= shrink;
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut state = self.lock();
        let can_spill = reservation.consumer().can_spill();
        let left = self.budget_bytes.saturating_sub(state.unspillable_bytes);
        let share = left / state.spillable.max(1);
        let held = reservation.size();
        let least = match reservation.consumer().name() {
            name if name.starts_with(MERGE_OF_PARTITIONS) => usize::MAX,
            name if name.starts_with(MERGE_OF_RUNS) => self.budget_bytes / state.merges.max(1),
            _ => LEAST_BYTES,
        };
        let may_exceed = held == 0 || held + additional <= least;
        let exceeds_share = can_spill && held + additional > share;
        let refusal = || refused(reservation, additional, self.budget_bytes);
        if exceeds_share && !may_exceed {
            return Err(refusal());
        }
        if !state.memory.try_grow(additional).map_err(external)? {
            if !may_exceed {
                return Err(refusal());
            }
            state.excess += additional;
        }
        if !can_spill {
            state.unspillable_bytes += additional;
        }
        Ok(())
    }

    fn reserved(&self) -> usize {
        let state = self.lock();
        state.memory.bytes() + state.excess
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.budget_bytes)
    }
}

fn refused(
    reservation: &MemoryReservation,
    additional: usize,
    budget_bytes: usize,
) -> DataFusionError {
    DataFusionError::ResourcesExhausted(format!(
        "{} holds {} bytes and needs {additional} more, which the memory budget of {budget_bytes} bytes refuses",
        reservation.consumer().name(),
        reservation.size(),
    ))
}
