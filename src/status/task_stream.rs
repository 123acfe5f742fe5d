//! The task stream of a job: which thread or worker ran which tasks, and when. Its memory is bounded.

use std::collections::HashMap;
use std::time::Duration;

/// Batches of tasks that one thread or worker ran, in the order in which they ended.
///
/// If there are more than `limit` of them, neighbouring ones of the same runner and stage become one. So the stream
/// always covers the whole job, and long jobs are shown at a lower resolution.
pub(super) struct TaskStream {
    spans: Vec<TaskSpan>,
    /// Number of spans at which they are merged.
    limit: usize,
    /// Maximum time between two batches that are one.
    resolution: Duration,
}

/// One batch of tasks, or several that are shown as one. Times are those since the start of the recorder.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TaskSpan {
    /// Position of the thread or worker in the list of the job.
    pub(super) lane: usize,
    pub(super) stage: usize,
    pub(super) start: Duration,
    pub(super) end: Duration,
    /// Sum of the times of the batches.
    pub(super) busy: Duration,
    /// First partition, if the span is one batch.
    pub(super) first: Option<usize>,
    pub(super) tasks: usize,
    pub(super) input_bytes: u64,
    pub(super) shuffled_bytes: u64,
}

impl TaskStream {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            spans: Vec::new(),
            limit,
            resolution: Duration::from_micros(50),
        }
    }

    pub(super) fn add(&mut self, span: TaskSpan) {
        if self.spans.len() >= self.limit {
            self.shrink(self.limit / 2);
            // There may be more runners and stages than that.
            self.limit = self.limit.max(2 * self.spans.len());
        }
        self.spans.push(span);
    }

    /// Merges spans until at most `limit` are left, or one for each runner and stage.
    pub(super) fn shrink(&mut self, limit: usize) {
        let end = self.spans.iter().map(|span| span.end).max();
        while self.spans.len() > limit {
            self.merge();
            if self.resolution > end.unwrap_or_default() {
                return;
            }
            self.resolution *= 2;
        }
    }

    fn merge(&mut self) {
        let mut merged: Vec<TaskSpan> = Vec::with_capacity(self.limit);
        let mut last: HashMap<(usize, usize), usize> = HashMap::new();
        for span in self.spans.drain(..) {
            let position = last.get(&(span.lane, span.stage)).copied();
            match position.and_then(|position| merged.get_mut(position)) {
                Some(before) if span.start <= before.end + self.resolution => before.append(&span),
                _ => {
                    last.insert((span.lane, span.stage), merged.len());
                    merged.push(span);
                }
            }
        }
        self.spans = merged;
    }

    pub(super) fn spans(&self) -> &[TaskSpan] {
        &self.spans
    }
}

impl TaskSpan {
    fn append(&mut self, next: &Self) {
        self.start = self.start.min(next.start);
        self.end = self.end.max(next.end);
        self.busy += next.busy;
        self.first = None;
        self.tasks += next.tasks;
        self.input_bytes += next.input_bytes;
        self.shuffled_bytes += next.shuffled_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(lane: usize, start: u64, end: u64) -> TaskSpan {
        let (start, end) = (Duration::from_micros(start), Duration::from_micros(end));
        TaskSpan {
            lane,
            stage: 1,
            start,
            end,
            busy: end - start,
            first: Some(0),
            tasks: 1,
            input_bytes: 10,
            shuffled_bytes: 1,
        }
    }

    #[test]
    fn a_long_stream_is_merged_and_loses_nothing() {
        let mut stream = TaskStream::new(64);
        for n in 0..100_000 {
            stream.add(span(n % 3, 100 * n as u64, 100 * n as u64 + 90));
            assert!(stream.spans().len() <= 64);
        }
        let sum = |number: fn(&TaskSpan) -> u64| stream.spans().iter().map(number).sum::<u64>();
        assert_eq!(sum(|span| span.tasks as u64), 100_000);
        assert_eq!(sum(|span| span.input_bytes), 1_000_000);
        assert_eq!(sum(|span| span.busy.as_micros() as u64), 9_000_000);
        let end = stream.spans().iter().map(|span| span.end).max();
        assert_eq!(end, Some(Duration::from_micros(9_999_990)));
    }

    #[test]
    fn spans_of_other_runners_stay_apart() {
        let mut stream = TaskStream::new(8);
        for lane in 0..20 {
            stream.add(span(lane, 0, 10));
        }
        assert_eq!(stream.spans().len(), 20);
        stream.shrink(0);
        assert_eq!(stream.spans().len(), 20);
        assert_eq!(stream.spans()[7], span(7, 0, 10));
        for n in 0..1_000 {
            stream.add(span(n % 20, 10, 20));
        }
        assert!(stream.spans().len() <= 40);
    }
}
