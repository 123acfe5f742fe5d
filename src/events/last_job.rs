//! Observers that keep or print the summary of a job.

use std::sync::{Arc, Mutex, PoisonError};

use super::event::Event;
use super::observer::Observer;
use super::summary::JobSummary;

/// Keeps the summary of the last job. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct LastJob(Arc<Mutex<Option<JobSummary>>>);

impl LastJob {
    pub(crate) fn summary(&self) -> Option<JobSummary> {
        let summary = self.0.lock();
        summary.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for LastJob {
    fn event(&self, event: &Event) {
        if let Event::JobDone { summary, .. } = event {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(summary.clone());
        }
    }
}

/// Prints the summary of each job to standard error.
pub(crate) struct SummaryPrinter;

impl Observer for SummaryPrinter {
    fn event(&self, event: &Event) {
        if let Event::JobDone { summary, .. } = event {
            eprintln!("{summary}");
        }
    }
}
