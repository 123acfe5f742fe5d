//! Who can make room when memory runs short.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::error::Result;

/// Holds memory that it can do without.
pub(crate) trait ReclaimMemory: Send + Sync {
    /// Gives it back. False if there was none.
    fn reclaim(&self) -> Result<bool>;
}

/// All who hold such memory of one budget, as long as they live.
#[derive(Default)]
pub(crate) struct MemoryReclaimer(Mutex<Holders>);

#[derive(Default)]
struct Holders {
    all: Vec<Weak<dyn ReclaimMemory>>,
    /// The number of them from which on those that are gone are looked for.
    crowded: usize,
}

impl MemoryReclaimer {
    pub(crate) fn add(&self, holder: &Arc<dyn ReclaimMemory>) {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if holders.all.len() >= holders.crowded {
            holders.all.retain(|holder| holder.strong_count() > 0);
            // Not with each new one: a loop may persist in each of many rounds.
            holders.crowded = 2 * holders.all.len() + 1;
        }
        holders.all.push(Arc::downgrade(holder));
    }

    /// Asks all of them. False if none had any.
    pub(crate) fn ask(&self) -> Result<bool> {
        let holders = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .all
            .clone();
        let mut has_reclaimed = false;
        for holder in holders.iter().filter_map(Weak::upgrade) {
            has_reclaimed |= holder.reclaim()?;
        }
        Ok(has_reclaimed)
    }
}
