//! Writes the events of jobs as a Chrome trace, for Perfetto and `chrome://tracing`.
//!
//! The format is the "JSON Array Format" of the Trace Event Format. Events are written as they arrive, so the memory
//! does not grow with them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::trace_events::{counter, process_name, row_name, trace_event};
use super::views::program;
use crate::error::{Error, Result};
use crate::events::{Event, Observer, TaskRunner};
use crate::storage::memory::MemoryBudget;

/// End of the file, which the next event overwrites. So the file is valid JSON whenever no job runs.
const END: &str = "\n]\n";

/// A trace that is being written.
pub(super) struct TraceFile {
    path: PathBuf,
    start: Instant,
    /// `None` after an error.
    writer: Mutex<Option<TraceWriter<File>>>,
}

/// The observer of the jobs of a context.
pub(super) struct JobTracer {
    pub(super) file: Arc<TraceFile>,
    pub(super) budget: MemoryBudget,
}

struct TraceWriter<W: Write + Seek> {
    file: BufWriter<W>,
    has_events: bool,
    /// Whether the file ends with [`END`].
    is_complete: bool,
    /// Threads and workers, each with the end of its last batch.
    rows: HashMap<TaskRunner, Duration>,
    used_bytes: u64,
    spilled_bytes: u64,
}

impl TraceFile {
    /// Creates the file, or replaces its content.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let failed = |source| Error::io("write", path, source);
        let file = File::create(path).map_err(|source| Error::io("create", path, source))?;
        let mut writer = TraceWriter::new(file);
        writer.put(&process_name(&program())).map_err(failed)?;
        writer.complete().map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            start: Instant::now(),
            writer: Mutex::new(Some(writer)),
        })
    }
}

impl Observer for JobTracer {
    /// Adds an event. After an error, the trace ends, but not the job.
    fn event(&self, event: &Event) {
        let mut writer = self
            .file
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // With the lock, so that times are in the order of the events.
        let now = self.file.start.elapsed();
        let used_bytes = self.budget.used_bytes() as u64;
        let written = writer
            .as_mut()
            .map(|writer| writer.add(event, now, used_bytes));
        if let Some(Err(error)) = written {
            *writer = None;
            let path = self.file.path.display();
            eprintln!("holdall: cannot write {path}, so the trace ends early: {error}");
        }
    }
}

impl<W: Write + Seek> TraceWriter<W> {
    fn new(file: W) -> Self {
        Self {
            file: BufWriter::new(file),
            has_events: false,
            is_complete: false,
            rows: HashMap::new(),
            used_bytes: 0,
            spilled_bytes: 0,
        }
    }

    fn add(&mut self, event: &Event, now: Duration, used_bytes: u64) -> io::Result<()> {
        let mut start = now;
        match event {
            Event::TasksDone {
                runner, elapsed, ..
            } => {
                let last = self.rows.insert(*runner, now);
                if last.is_none() {
                    self.put(&row_name(*runner))?;
                }
                start = now.saturating_sub(*elapsed);
                if let TaskRunner::Worker(_) = runner {
                    // It may have begun this batch before the event of its last one arrived.
                    start = start.max(last.unwrap_or_default());
                }
            }
            Event::Spilled { bytes, .. } => {
                self.spilled_bytes += bytes;
                self.put(&counter("spilled", now, self.spilled_bytes))?;
            }
            _ => {}
        }
        if let Some(event) = trace_event(event, now, start) {
            self.put(&event)?;
        }
        if used_bytes != self.used_bytes {
            self.used_bytes = used_bytes;
            self.put(&counter("memory", now, used_bytes))?;
        }
        match event {
            Event::JobDone { .. } => self.complete(),
            _ => Ok(()),
        }
    }

    fn put(&mut self, event: &Value) -> io::Result<()> {
        if self.is_complete {
            self.file.seek(SeekFrom::Current(-(END.len() as i64)))?;
            self.is_complete = false;
        }
        let separator = if self.has_events { ",\n" } else { "[\n" };
        self.has_events = true;
        self.file.write_all(separator.as_bytes())?;
        serde_json::to_writer(&mut self.file, event)?;
        Ok(())
    }

    /// Ends the file, unless it is a pipe. There, readers accept an array without an end.
    fn complete(&mut self) -> io::Result<()> {
        self.file.flush()?;
        if !self.is_complete && self.file.stream_position().is_ok() {
            self.file.write_all(END.as_bytes())?;
            self.file.flush()?;
            self.is_complete = true;
        }
        Ok(())
    }
}
