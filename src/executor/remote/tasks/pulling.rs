//! Pulls partitions from a source in the process of the driver.

use std::sync::PoisonError;

use super::*;

impl Tasks<'_> {
    /// Pulls the partitions of one more task from the source. Returns whether there are none at the moment, but may be
    /// later.
    pub(super) fn pull(&self) -> bool {
        let _pull = self.pull.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        // The thread that held the source before may have pulled enough.
        if state.is_exhausted || !state.waiting.is_empty() || self.is_over(&mut state) {
            return false;
        }
        // The total number of partitions is unknown, so each task is a small fraction of those pulled so far.
        let most = (state.pulled / (self.slots.count() * 16)).clamp(1, MAX_PARTITIONS);
        drop(state);
        let (partitions, end) = pull_some(self.source, most);
        let mut state = self.lock();
        if partitions.is_empty() && matches!(end, Ok(false)) {
            // Without a notification: two waiting threads would wake each other endlessly.
            return true;
        }
        state.pulled += partitions.len();
        state.put_back(partitions, 0);
        match end {
            Ok(is_exhausted) => state.is_exhausted = is_exhausted,
            Err(error) => state.end(End::Failed(error)),
        }
        drop(state);
        self.changed.notify_all();
        false
    }
}
