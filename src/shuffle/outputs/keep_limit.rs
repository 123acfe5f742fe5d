//! The decision how much map output stays in memory.

use crate::storage::memory::MemoryBudget;

/// Limit on the map output that a shuffle keeps in memory. The budget may grant less.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeepLimit {
    /// No limit: readers need almost no memory, and the output can be spilled later.
    Granted,
    /// Output is kept while at most half of the budget is in use, because readers need memory to sort it.
    HalfInUse,
    /// Half of the budget, whatever else is in use: the output cannot be spilled later.
    HalfKept,
}

impl KeepLimit {
    /// Returns how many bytes of map output may stay in memory if the shuffle already keeps `kept_bytes`. The bytes must
    /// already have their part of the budget.
    pub(crate) fn bytes_left(self, kept_bytes: usize, budget: &MemoryBudget) -> usize {
        let half = budget.limit_bytes() / 2;
        match self {
            Self::Granted => usize::MAX,
            Self::HalfInUse if budget.used_bytes() <= half => usize::MAX,
            Self::HalfInUse => 0,
            Self::HalfKept => half.saturating_sub(kept_bytes),
        }
    }
}
