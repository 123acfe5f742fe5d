//! An observer that keeps all events.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use holdall::events::{Event, Observer};

/// Keeps the events of all jobs. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Vec<Event>>>);

impl Recorder {
    /// Returns the events since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Event> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Recorder {
    fn event(&self, event: &Event) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event.clone());
    }
}
