//! A part of the memory budget, for code outside this crate.

use std::fmt;
use std::sync::Arc;

use super::MemoryReclaimer;
use crate::error::Result;
use crate::storage::memory::{MemoryBudget, Reservation};

/// Memory of the budget that the holder has reserved for its data. Dropping it returns the memory.
///
/// Request memory before your data grows. If the budget refuses, hold no more than before: write the data to a
/// [`SpillFile`](super::SpillFile), and shrink the reservation. No task waits for memory, so tasks cannot block one
/// another.
///
/// Created by [`TaskScope::reserve`](crate::extend::TaskScope::reserve) and
/// [`ContextResources::reserve`](crate::extend::ContextResources::reserve).
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall::extend::ContextResources;
///
/// let context = Context::builder().memory("1MiB").build()?;
/// let mut memory = ContextResources::new(&context).reserve();
/// assert!(memory.try_grow(900 << 10)?);
/// assert!(!memory.try_grow(900 << 10)?);
/// assert_eq!(memory.bytes(), 900 << 10);
/// memory.shrink(500 << 10);
/// assert!(memory.try_grow(500 << 10)?);
/// # Ok::<(), holdall::Error>(())
/// ```
pub struct ReservedMemory {
    reservation: Reservation,
    reclaimer: Arc<MemoryReclaimer>,
}

impl ReservedMemory {
    /// Creates an empty reservation.
    pub(crate) fn new(budget: &MemoryBudget, reclaimer: Arc<MemoryReclaimer>) -> Self {
        Self {
            reservation: budget.reservation(),
            reclaimer,
        }
    }

    /// Returns the number of reserved bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.reservation.bytes()
    }

    /// Requests `bytes` more. Before the budget refuses, persisted bags and other holders of
    /// [reclaimable](super::ReclaimMemory) memory release theirs. Returns `false` and changes nothing if that is not
    /// enough. The caller must then hold no more memory than before.
    ///
    /// # Errors
    ///
    /// Returns an error if a holder of reclaimable memory cannot write its data to disk.
    pub fn try_grow(&mut self, bytes: usize) -> Result<bool> {
        Ok(self.reservation.try_grow(bytes)
            || self.reclaimer.ask()? && self.reservation.try_grow(bytes))
    }

    /// Returns `bytes` to the budget, or all that is reserved if that is less.
    pub fn shrink(&mut self, bytes: usize) {
        self.reservation.shrink(bytes);
    }
}

impl fmt::Debug for ReservedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReservedMemory")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
