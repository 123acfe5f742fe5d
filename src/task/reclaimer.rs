//! Reclaims memory if the budget is exhausted.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::error::Result;

/// A component that holds memory of the budget which it can release, such as a cache.
///
/// [`ContextResources::add_reclaimer`](crate::extend::ContextResources::add_reclaimer) has an example.
pub trait ReclaimMemory: Send + Sync {
    /// Releases memory, and shrinks the reservation that counts it. Returns `false` if there was none to release.
    ///
    /// Called on any thread that needs memory, also concurrently, and possibly on a thread that is inside of this
    /// component. So it must not wait for a lock that its caller may hold; use `try_lock`, and return `false`.
    ///
    /// # Errors
    ///
    /// Returns an error if the data cannot be written elsewhere. The error ends the work that needs the memory.
    fn reclaim(&self) -> Result<bool>;
}

/// All live components that hold such memory of one budget.
#[derive(Default)]
pub(crate) struct MemoryReclaimer(Mutex<Holders>);

#[derive(Default)]
struct Holders {
    all: Vec<Weak<dyn ReclaimMemory>>,
    /// Number of holders at which those that have been dropped are removed.
    crowded: usize,
}

impl MemoryReclaimer {
    pub(crate) fn add(&self, holder: &Arc<dyn ReclaimMemory>) {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if holders.all.len() >= holders.crowded {
            holders.all.retain(|holder| holder.strong_count() > 0);
            // Not for each new holder: a loop may persist a bag in each of many rounds.
            holders.crowded = 2 * holders.all.len() + 1;
        }
        holders.all.push(Arc::downgrade(holder));
    }

    /// Removes a component. Takes time that grows with the number of live components.
    pub(crate) fn remove<T: ReclaimMemory + 'static>(&self, holder: &Weak<T>) {
        let holder: Weak<dyn ReclaimMemory> = Weak::<T>::clone(holder);
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holders.all.retain(|other| !other.ptr_eq(&holder));
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        let holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holders.all.len()
    }

    /// Calls all of them. Returns `false` if none released memory.
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
