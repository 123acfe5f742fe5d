//! Observer that draws the progress bar: stage, bytes or tasks done, rate, time left.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::event::Event;
use super::observer::Observer;
use crate::task::Progress;

/// Stages that are shorter than this show no progress bar.
const DELAY: Duration = Duration::from_millis(400);
const REFRESH: Duration = Duration::from_millis(100);

/// Draws a bar on standard error for each stage of one job, and removes it at the end of the stage. Stages that run at
/// the same time have a line each.
pub(crate) struct StageBar {
    /// Counts between events: a task may read a large file.
    progress: Arc<Progress>,
    bars: MultiProgress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number of stages of the job.
    stages: usize,
    /// The bars of the stages that run, by number.
    drawings: HashMap<usize, Drawing>,
}

/// The thread that draws the bar of a stage. Ends when `end` is dropped.
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
            bars: MultiProgress::new(),
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
                let drawing = shown.start(self.progress.stage(*stage), self.bars.clone());
                state
                    .drawings
                    .extend(drawing.map(|drawing| (*stage, drawing)));
            }
            Event::StageDone { summary, .. } => {
                if let Some(Drawing { end, thread }) = state.drawings.remove(&summary.stage) {
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
    fn start(self, progress: Arc<Progress>, bars: MultiProgress) -> Option<Drawing> {
        let (end, ended) = mpsc::channel();
        let draw = move || self.draw(&progress, &bars, &ended);
        let thread = std::thread::Builder::new().spawn(draw).ok()?;
        Some(Drawing { end, thread })
    }

    /// Draws the bar as one of `bars` until the other end of `ended` is dropped.
    fn draw(&self, progress: &Progress, bars: &MultiProgress, ended: &Receiver<()>) {
        if ended.recv_timeout(DELAY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let bar = bars.add(self.bar());
        loop {
            self.update(&bar, progress);
            if ended.recv_timeout(REFRESH) != Err(RecvTimeoutError::Timeout) {
                bar.finish_and_clear();
                return bars.remove(&bar);
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
        let drawn = || bar.state.lock().unwrap().drawings.len();
        let start = |stage| {
            bar.event(&Event::StageStarted {
                job: 1,
                stage,
                operator: "map",
                tasks: Some(3),
                input_bytes: None,
            });
        };
        let end = |stage| {
            let summary = StageSummary {
                stage,
                ..StageSummary::default()
            };
            bar.event(&Event::StageDone { job: 1, summary });
        };
        start(1);
        start(2);
        assert_eq!(drawn(), 2);
        end(1);
        assert_eq!(drawn(), 1);
        start(3);
        end(2);
        end(3);
        assert_eq!(drawn(), 0);
    }
}
