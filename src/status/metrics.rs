//! The numbers of all jobs in the text format of Prometheus.

use std::fmt::{Display, Write};

use super::recorder::{Recorder, Totals};
use super::views::MemoryView;

/// Returns the metrics, each with its name, type and help.
pub(super) fn metrics(recorder: &Recorder) -> String {
    let (totals, running, memory) = recorder.read(|recorded| {
        let running = recorded.jobs.iter();
        let running = running.filter(|job| job.record.end.is_none()).count();
        (
            recorded.totals.clone(),
            running,
            recorded.jobs.back().map(MemoryView::new),
        )
    });
    let mut text = MetricsText::default();
    text.add("jobs_running", "gauge", "Jobs that are running.", running);
    text.add_totals(&totals);
    if let Some(memory) = memory {
        text.add_memory(&memory);
    }
    text.0
}

#[derive(Default)]
struct MetricsText(String);

impl MetricsText {
    fn add_totals(&mut self, totals: &Totals) {
        self.describe("jobs_total", "counter", "Jobs that have ended.");
        self.sample("jobs_total{outcome=\"completed\"}", totals.completed);
        self.sample("jobs_total{outcome=\"failed\"}", totals.failed);
        self.sample("jobs_total{outcome=\"cancelled\"}", totals.cancelled);
        let counters = [
            ("tasks_total", "Tasks that are done.", totals.tasks),
            (
                "task_failures_total",
                "Attempts at tasks that have failed.",
                totals.failures,
            ),
            (
                "workers_started_total",
                "Workers that have started.",
                totals.workers_started,
            ),
            (
                "workers_lost_total",
                "Workers that were lost.",
                totals.workers_lost,
            ),
            (
                "input_bytes_total",
                "Bytes read from input files.",
                totals.input_bytes,
            ),
            (
                "shuffled_records_total",
                "Records passed to shuffles.",
                totals.shuffled_records,
            ),
            (
                "shuffled_bytes_total",
                "Size of these records.",
                totals.shuffled_bytes,
            ),
            (
                "spilled_bytes_total",
                "Bytes written to the spill directory.",
                totals.spilled_bytes,
            ),
        ];
        for (name, help, value) in counters {
            self.add(name, "counter", help, value);
        }
        let seconds = totals.task_time.as_secs_f64();
        self.add(
            "task_seconds_total",
            "counter",
            "Time that tasks took.",
            seconds,
        );
    }

    fn add_memory(&mut self, memory: &MemoryView) {
        let gauges = [
            (
                "memory_used_bytes",
                "Used part of the memory budget.",
                memory.used_bytes,
            ),
            (
                "memory_peak_bytes",
                "Highest use of the memory budget.",
                memory.peak_bytes,
            ),
            ("memory_limit_bytes", "Memory budget.", memory.limit_bytes),
        ];
        for (name, help, value) in gauges {
            self.add(name, "gauge", help, value);
        }
    }

    fn add(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.describe(name, kind, help);
        self.sample(name, value);
    }

    // Writing to a string cannot fail.

    fn describe(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(
            self.0,
            "# HELP holdall_{name} {help}\n# TYPE holdall_{name} {kind}"
        );
    }

    fn sample(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "holdall_{name} {value}");
    }
}
