//! The progress bar: stage, bytes or tasks done, rate, time left.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::task::Progress;

/// Jobs that are shorter than this show no progress bar.
const DELAY: Duration = Duration::from_millis(400);
const REFRESH: Duration = Duration::from_millis(100);

/// Properties of a stage that are known before it runs.
pub(crate) struct Shown {
    pub(crate) stage: usize,
    pub(crate) stages: usize,
    pub(crate) operator: &'static str,
    pub(crate) tasks: Option<usize>,
    pub(crate) bytes: Option<u64>,
}

impl Shown {
    /// Draws a bar on standard error while `work` runs, and removes it at the end.
    pub(crate) fn during<R>(&self, progress: &Progress, work: impl FnOnce() -> R) -> R {
        let (done, wait) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let draw = move || {
                if wait.recv_timeout(DELAY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let bar = self.bar();
                loop {
                    self.update(&bar, progress);
                    if wait.recv_timeout(REFRESH) != Err(RecvTimeoutError::Timeout) {
                        return bar.finish_and_clear();
                    }
                }
            };
            // If the thread cannot be started, no bar is drawn.
            let _ = std::thread::Builder::new().spawn_scoped(scope, draw);
            let result = work();
            drop(done);
            result
        })
    }

    fn bar(&self) -> ProgressBar {
        let counts = match (self.bytes, self.tasks) {
            (Some(_), _) => "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
            (None, Some(_)) => "{wide_bar} {pos}/{len} tasks {eta} left",
            (None, None) => "{spinner} {pos} tasks {elapsed}",
        };
        let template = format!(
            "stage {}/{} {} {counts}",
            self.stage, self.stages, self.operator
        );
        let bar = match self.bytes.or(self.tasks.map(|tasks| tasks as u64)) {
            Some(len) => ProgressBar::new(len),
            None => ProgressBar::new_spinner(),
        };
        // Operator names contain no braces, so the template is valid. If it were not, the default style would be used.
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.with_elapsed(DELAY)
    }

    fn update(&self, bar: &ProgressBar, progress: &Progress) {
        bar.set_position(match self.bytes {
            Some(_) => progress.bytes(),
            None => progress.tasks() as u64,
        });
    }
}
