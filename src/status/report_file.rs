//! Writes the report: one HTML file that shows the jobs without a server.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde_json::json;

use super::job_details::JobDetails;
use super::page;
use super::recorder::Recorder;
use super::stage_drawing::stage_drawing;
use super::views::Overview;
use crate::error::{Error, Result, caught};
use crate::events::{Event, Observer};
use crate::storage::{at_exit, process_number};

/// Minimum time between two reports, unless the process or the context ends. Writing one takes some milliseconds.
const MIN_TIME: Duration = Duration::from_secs(1);

/// All reports, which are written again when the process ends: contexts in statics are never dropped.
static REPORTS: Mutex<Vec<Weak<ReportFile>>> = Mutex::new(Vec::new());

/// A report, which is written after each job, and at the end.
pub(super) struct ReportFile {
    path: PathBuf,
    recorder: Arc<Recorder>,
    /// Time at which it was last written.
    last: Mutex<Instant>,
    is_outdated: AtomicBool,
    /// A forked copy of this process does not write it.
    process: u64,
}

/// Writes the report after a job.
pub(super) struct Reporter(pub(super) Arc<ReportFile>);

impl ReportFile {
    /// Writes an empty report, so that an error occurs before the first job.
    pub(super) fn create(path: &Path, recorder: Arc<Recorder>) -> Result<Arc<Self>> {
        File::create(path).map_err(|source| Error::io("create", path, source))?;
        let absolute = std::path::absolute(path);
        let report = Arc::new(Self {
            path: absolute.unwrap_or_else(|_| path.to_owned()),
            recorder,
            last: Mutex::new(Instant::now()),
            is_outdated: AtomicBool::new(true),
            process: process_number(),
        });
        let mut reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
        reports.retain(|report| report.strong_count() > 0);
        reports.push(Arc::downgrade(&report));
        drop(reports);
        at_exit(write_all);
        Ok(report)
    }

    /// Writes the report if there have been events since it was last written.
    fn write(&self) {
        if process_number() != self.process || !self.is_outdated.swap(false, Ordering::SeqCst) {
            return;
        }
        if let Err(error) = fs::write(&self.path, html(&self.recorder)) {
            let path = self.path.display();
            eprintln!("holdall: cannot write the report {path}: {error}");
        }
    }
}

impl Observer for Reporter {
    fn event(&self, event: &Event) {
        self.0.is_outdated.store(true, Ordering::SeqCst);
        if let Event::JobDone { .. } = event {
            let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() >= MIN_TIME {
                self.0.write();
                *last = Instant::now();
            }
        }
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        self.write();
    }
}

/// Writes the reports when the process ends.
fn write_all() {
    let reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    for report in reports.iter().filter_map(Weak::upgrade) {
        // A panic must not leave the function that ends the process.
        let _ = caught(None, || {
            report.write();
            Ok(())
        });
    }
}

/// Returns the status page with the data of all jobs in it.
fn html(recorder: &Recorder) -> String {
    let plans: Vec<_> = recorder.read(|recorded| {
        let jobs = recorded.jobs.iter().map(|job| &job.record);
        jobs.map(|job| (job.number.to_string(), Arc::clone(&job.plan)))
            .collect()
    });
    let drawings = plans.into_iter();
    let drawings = drawings.map(|(job, plan)| (job, stage_drawing(&plan).into()));
    let drawings: serde_json::Map<_, _> = drawings.collect();
    let data = json!({
        "overview": Overview::new(recorder),
        "jobs": JobDetails::of_all(recorder),
        "drawings": drawings,
    });
    page::with_data(&data.to_string())
}
