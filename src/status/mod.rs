//! Shows what jobs do: on a status page, in a trace, and in a report. `docs/status.md` describes them.
//!
//! All of it is observers of [events](crate::events), so that a context without them does nothing.
//!
//! | file | purpose |
//! | --- | --- |
//! | `task_times`, `task_stream`, `memory_samples` | parts of the record of a job, in bounded memory |
//! | `job_record`, `recorder` | records of jobs |
//! | `views`, `job_details`, `stage_drawing`, `metrics` | the record as JSON, as SVG, and for Prometheus |
//! | `page` | the page: HTML, CSS and JavaScript |
//! | `request`, `response`, `server` | the server of the page |
//! | `trace_events`, `trace_file` | the Chrome trace |
//! | `report_file` | the report |

mod job_details;
mod job_record;
mod memory_samples;
mod metrics;
mod page;
mod recorder;
mod report_file;
mod request;
mod response;
mod server;
mod stage_drawing;
mod task_stream;
mod task_times;
mod trace_events;
mod trace_file;
mod views;

use std::sync::{Arc, Mutex, PoisonError};

use crate::config::StatusSettings;
use crate::error::Result;
use crate::events::GuardedObserver;

pub(crate) use recorder::FollowedResources;
use recorder::Recorder;
use report_file::{ReportFile, Reporter};
use server::StatusServer;
use trace_file::{JobTracer, TraceFile};

/// The status page, the trace and the report of the jobs of a context, if they are wanted. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct StatusOutputs {
    page: Option<(Arc<StatusServer>, Arc<Recorder>)>,
    trace: Option<Arc<TraceFile>>,
    report: Option<(Arc<ReportFile>, Arc<Recorder>)>,
}

impl StatusOutputs {
    /// Begins the outputs that the environment specifies, or returns those that this process has begun already. They
    /// remain until it ends.
    pub(crate) fn of_environment(settings: &StatusSettings) -> Result<Self> {
        static OUTPUTS: Mutex<Option<StatusOutputs>> = Mutex::new(None);
        let mut outputs = OUTPUTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outputs) = &*outputs {
            return Ok(outputs.clone());
        }
        let begun = Self::default().with(settings)?;
        if let Some(url) = begun.url() {
            eprintln!("holdall: status page at {url}");
        }
        *outputs = Some(begun.clone());
        Ok(begun)
    }

    /// Replaces some of the outputs with new ones.
    ///
    /// # Errors
    ///
    /// Returns an error if the page cannot be served, or if a file cannot be created.
    pub(crate) fn with(mut self, settings: &StatusSettings) -> Result<Self> {
        if let Some(address) = &settings.address {
            let recorder = Recorder::new();
            let server = StatusServer::start(address, Arc::clone(&recorder))?;
            self.page = Some((Arc::new(server), recorder));
        }
        if let Some(path) = &settings.trace {
            self.trace = Some(Arc::new(TraceFile::create(path)?));
        }
        if let Some(path) = &settings.report {
            let recorder = Recorder::new();
            let report = ReportFile::create(path, Arc::clone(&recorder))?;
            self.report = Some((report, recorder));
        }
        Ok(self)
    }

    /// Returns the URL of the status page.
    pub(crate) fn url(&self) -> Option<String> {
        self.page.as_ref().map(|(server, _)| server.url())
    }

    /// Returns whether there is any of them.
    pub(crate) fn is_empty(&self) -> bool {
        self.page.is_none() && self.trace.is_none() && self.report.is_none()
    }

    /// Adds the observers of one job.
    pub(crate) fn observe(
        &self,
        resources: &FollowedResources,
        observers: &mut Vec<Arc<GuardedObserver>>,
    ) {
        let recorders = [
            self.page.as_ref().map(|(_, recorder)| recorder),
            self.report.as_ref().map(|(_, recorder)| recorder),
        ];
        for recorder in recorders.into_iter().flatten() {
            observers.push(GuardedObserver::new(recorder.of_job(resources.clone())));
        }
        if let Some(file) = &self.trace {
            observers.push(GuardedObserver::new(JobTracer {
                file: Arc::clone(file),
                budget: resources.budget.clone(),
            }));
        }
        // After its recorder.
        if let Some((report, _)) = &self.report {
            observers.push(GuardedObserver::new(Reporter(Arc::clone(report))));
        }
    }
}
