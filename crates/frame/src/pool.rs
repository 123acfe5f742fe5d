//! The memory budget of holdall as a memory pool of DataFusion.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use holdall::extend::{ContextResources, ReservedMemory};

use crate::failure::external;

/// A pool whose memory is reserved in the budget of a context. The consumers that can spill have equal shares of what the
/// others leave, so that none of them starves. If the budget is exhausted, each consumer may exceed it by one batch, and the
/// job holds a minimum in any case: otherwise they could not even spill and merge.
#[derive(Debug)]
pub(crate) struct BudgetPool {
    budget_bytes: usize,
    /// Number of bytes that the job may hold even if the budget refuses them.
    least_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    memory: ReservedMemory,
    /// Bytes that DataFusion holds although the budget has refused them.
    excess: usize,
    /// Number of consumers that can spill.
    spillable: usize,
    /// Bytes of the consumers that cannot.
    unspillable_bytes: usize,
}

impl BudgetPool {
    pub(crate) fn new(resources: &ContextResources, least_bytes: usize) -> Self {
        Self {
            budget_bytes: resources.budget_bytes(),
            least_bytes,
            state: Mutex::new(State {
                memory: resources.reserve(),
                excess: 0,
                spillable: 0,
                unspillable_bytes: 0,
            }),
        }
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
        self.lock().spillable += usize::from(consumer.can_spill());
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut state = self.lock();
        state.spillable = state
            .spillable
            .saturating_sub(usize::from(consumer.can_spill()));
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
        let held = state.memory.bytes() + state.excess;
        let may_exceed = reservation.size() == 0 || held + additional <= self.least_bytes;
        let exceeds_share = can_spill && reservation.size() + additional > share;
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
