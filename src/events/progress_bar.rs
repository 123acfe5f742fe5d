//! Observer that draws the progress bar: stage, bytes or tasks done, rate, time left.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::event::Event;
use super::observer::Observer;
use crate::task::Progress;

/// Stages that are shorter than this show no progress bar.
const DELAY: Duration = Duration::from_millis(400);
const REFRESH: Duration = Duration::from_millis(100);

/// Draws a bar on standard error for each stage of one job, and removes it at the end of the stage.
pub(crate) struct StageBar {
    /// Counts between events: a task may read a large file.
    progress: Arc<Progress>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number of stages of the job.
    stages: usize,
    drawing: Option<Drawing>,
}

/// The thread that draws the bar of the current stage. Ends when `end` is dropped.
struct Drawing {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

/// Properties of a stage that are known before it runs.
struct Shown {
    stage: usize,
    stages: usize,
    operator: &'static str,
    tasks: Option<usize>,
    bytes: Option<u64>,
}

impl StageBar {
    /// Creates the bar of a job that counts its progress in `progress`.
    pub(crate) fn new(progress: Arc<Progress>) -> Self {
        Self {
            progress,
            state: Mutex::default(),
        }
    }
}

impl Observer for StageBar {
    fn event(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::JobStarted { plan, .. } => state.stages = plan.stages().len(),
            Event::StageStarted {
                stage,
                operator,
                tasks,
                input_bytes,
                ..
            } => {
                let shown = Shown {
                    stage: *stage,
                    stages: state.stages,
                    operator,
                    tasks: *tasks,
                    bytes: *input_bytes,
                };
                state.drawing = shown.start(Arc::clone(&self.progress));
            }
            Event::StageDone { .. } => {
                if let Some(Drawing { end, thread }) = state.drawing.take() {
                    drop(end);
                    let _ = thread.join();
                }
            }
            _ => {}
        }
    }
}

impl Shown {
    /// Starts to draw. If the thread cannot be started, no bar is drawn.
    fn start(self, progress: Arc<Progress>) -> Option<Drawing> {
        let (end, ended) = mpsc::channel();
        let draw = move || self.draw(&progress, &ended);
        let thread = std::thread::Builder::new().spawn(draw).ok()?;
        Some(Drawing { end, thread })
    }

    /// Draws the bar until the other end of `ended` is dropped.
    fn draw(&self, progress: &Progress, ended: &Receiver<()>) {
        if ended.recv_timeout(DELAY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let bar = self.bar();
        loop {
            self.update(&bar, progress);
            if ended.recv_timeout(REFRESH) != Err(RecvTimeoutError::Timeout) {
                return bar.finish_and_clear();
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::StageSummary;

    #[test]
    fn a_bar_is_drawn_from_the_start_to_the_end_of_a_stage() {
        let bar = StageBar::new(Arc::default());
        let is_drawn = || bar.state.lock().unwrap().drawing.is_some();
        for stage in 1..3 {
            bar.event(&Event::StageStarted {
                job: 1,
                stage,
                operator: "map",
                tasks: Some(3),
                input_bytes: None,
            });
            assert!(is_drawn());
            let summary = StageSummary::default();
            bar.event(&Event::StageDone { job: 1, summary });
            assert!(!is_drawn());
        }
    }
}
