//! Who can make room when memory runs short.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::error::Result;

/// Holds memory that it can do without.
pub(crate) trait Relieve: Send + Sync {
    /// Gives it back. False if there was none.
    fn relieve(&self) -> Result<bool>;
}

/// All who hold such memory of one budget, as long as they live.
#[derive(Default)]
pub(crate) struct Relief(Mutex<Vec<Weak<dyn Relieve>>>);

impl Relief {
    pub(crate) fn add(&self, holder: &Arc<dyn Relieve>) {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holders.retain(|holder| holder.strong_count() > 0);
        holders.push(Arc::downgrade(holder));
    }

    /// Asks all of them. False if none had any.
    pub(crate) fn ask(&self) -> Result<bool> {
        let holders = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut is_relieved = false;
        for holder in holders.iter().filter_map(Weak::upgrade) {
            is_relieved |= holder.relieve()?;
        }
        Ok(is_relieved)
    }
}
