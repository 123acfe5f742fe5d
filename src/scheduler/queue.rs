//! The partitions of a stage that no thread has claimed yet.

use std::cell::Cell;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, caught};
use crate::task::{Partition, PartitionStream, Pullers, StageCode, pulling_for};

thread_local! {
    /// Address of the queue for which this thread is pulling a partition, or 0.
    static PULLS_FOR: Cell<usize> = const { Cell::new(0) };
}

/// Maximum number of partitions that a thread claims together.
const MAX_AT_ONCE: usize = 256;

/// Time that a thread waits for a source before it looks for another stage. Larger values leave cores idle for longer;
/// smaller ones let threads change stages while the source is only briefly in use.
const PATIENCE: Duration = Duration::from_millis(3);

/// The queue of the partitions of one stage.
pub(super) struct PartitionQueue<'s> {
    pullers: Pullers,
    /// Threads claim partitions in multiples of this number; see [`StageCode::partitions_per_task`].
    partitions_per_task: usize,
    source: QueuedPartitions<'s>,
}

enum QueuedPartitions<'s> {
    /// The partitions from `next` to `end` have not been claimed.
    Counted { next: AtomicUsize, end: usize },
    Pulled {
        state: Mutex<Pulled<'s>>,
        /// Notified after each pull.
        changed: Condvar,
    },
}

/// A source of unknown length. No lock is held while it is pulled: the user's iterator may call rayon, and rayon may
/// let the thread take up other work of the stage.
struct Pulled<'s> {
    /// `None` while a thread pulls, and once the stream has ended.
    stream: Option<PartitionStream<'s>>,
    /// Time at which a thread began to pull, while it does.
    since: Option<Instant>,
    /// Number of partitions that the stream has returned.
    count: usize,
    /// The error that ended the stream.
    failure: Option<Error>,
}

impl Pulled<'_> {
    fn has_ended(&self) -> bool {
        self.stream.is_none() && self.since.is_none()
    }
}

/// Partitions that one thread computes next.
pub(super) enum Claim {
    Counted(Range<usize>),
    Streamed(Partition),
}

impl<'s> PartitionQueue<'s> {
    /// Creates the queue of a stage for some threads. `stream` returns the partitions if their number is unknown.
    pub(super) fn new(
        code: &dyn StageCode,
        pullers: Pullers,
        stream: impl FnOnce() -> PartitionStream<'s>,
    ) -> Self {
        let source = match code.partitions() {
            Some(end) => QueuedPartitions::Counted {
                next: AtomicUsize::new(0),
                end,
            },
            None => QueuedPartitions::Pulled {
                state: Mutex::new(Pulled {
                    stream: Some(stream()),
                    since: None,
                    count: 0,
                    failure: None,
                }),
                changed: Condvar::new(),
            },
        };
        Self {
            pullers,
            partitions_per_task: code.partitions_per_task(),
            source,
        }
    }

    /// Returns whether the partitions come from a stream.
    pub(super) fn is_streamed(&self) -> bool {
        matches!(self.source, QueuedPartitions::Pulled { .. })
    }

    /// Returns the maximum number of tasks that are left.
    pub(super) fn tasks(&self) -> usize {
        match &self.source {
            QueuedPartitions::Counted { next, end } => {
                let left = end.saturating_sub(next.load(Ordering::Relaxed));
                left.div_ceil(self.partitions_per_task)
            }
            QueuedPartitions::Pulled { .. } => usize::MAX,
        }
    }

    /// Returns whether all partitions have been claimed.
    pub(super) fn is_exhausted(&self) -> bool {
        match &self.source {
            QueuedPartitions::Counted { next, end } => next.load(Ordering::Relaxed) >= *end,
            QueuedPartitions::Pulled { state, .. } => lock(state).has_ended(),
        }
    }

    /// Returns whether this thread may find a partition to claim.
    pub(super) fn is_open_to_this_thread(&self) -> bool {
        !self.is_exhausted() && PULLS_FOR.get() != self.address()
    }

    /// Returns whether there are too few partitions for all threads: their total is smaller than the number of threads,
    /// or threads have to wait for the source.
    pub(super) fn is_short(&self) -> bool {
        match &self.source {
            QueuedPartitions::Counted { end, .. } => *end < self.pullers.count,
            QueuedPartitions::Pulled { state, .. } => {
                let state = lock(state);
                let is_slow = state.since.is_some_and(|since| since.elapsed() >= PATIENCE);
                is_slow || state.has_ended() && state.count < self.pullers.count
            }
        }
    }

    /// Returns the number of partitions. Known once all have been claimed.
    pub(super) fn partitions(&self) -> usize {
        match &self.source {
            QueuedPartitions::Counted { end, .. } => *end,
            QueuedPartitions::Pulled { state, .. } => lock(state).count,
        }
    }

    /// Takes the error of the source, which ended the partitions. It comes after those of all partitions that the source
    /// had returned, so call this method after their tasks: otherwise the error of a job would depend on which thread is
    /// faster.
    pub(super) fn take_failure(&self) -> Option<Error> {
        match &self.source {
            QueuedPartitions::Counted { .. } => None,
            QueuedPartitions::Pulled { state, .. } => lock(state).failure.take(),
        }
    }

    /// Claims the next partitions below `limit`. If another thread has been pulling for some time, and `has_other_work`
    /// returns `true`, returns `None` although there may be more.
    pub(super) fn claim(&self, limit: usize, has_other_work: &dyn Fn() -> bool) -> Option<Claim> {
        match &self.source {
            QueuedPartitions::Counted { next, end } => self.claim_counted(next, limit.min(*end)),
            QueuedPartitions::Pulled { state, changed } => {
                // The thread must not wait for itself. It continues when the iterator returns.
                if PULLS_FOR.get() == self.address() {
                    return None;
                }
                let stream = take_stream(state, changed, limit, has_other_work)?;
                self.pull(state, changed, stream).map(Claim::Streamed)
            }
        }
    }

    fn claim_counted(&self, next: &AtomicUsize, end: usize) -> Option<Claim> {
        let mut start = next.load(Ordering::Relaxed);
        loop {
            let left = end.checked_sub(start).filter(|left| *left > 0)?;
            // Begin with large claims, to amortise their overhead, and end with small ones, so that all threads finish
            // together.
            let take = (left / (self.pullers.count * 16)).clamp(1, MAX_AT_ONCE);
            let take = take.next_multiple_of(self.partitions_per_task).min(left);
            match next.compare_exchange_weak(
                start,
                start + take,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(Claim::Counted(start..start + take)),
                Err(now) => start = now,
            }
        }
    }

    /// Pulls one partition, and puts the stream back unless it has ended.
    fn pull(
        &self,
        state: &Mutex<Pulled<'s>>,
        changed: &Condvar,
        mut stream: PartitionStream<'s>,
    ) -> Option<Partition> {
        let before = PULLS_FOR.replace(self.address());
        let pulled = pulling_for(&self.pullers, || caught(None, &mut stream));
        PULLS_FOR.set(before);
        let mut state = lock(state);
        state.since = None;
        if let Ok(Some(partition)) = pulled {
            state.count += 1;
            state.stream = Some(stream);
            drop(state);
            changed.notify_one();
            return Some(partition);
        }
        state.failure = pulled.err();
        drop(state);
        changed.notify_all();
        // The iterator of the user may panic when it is dropped.
        drop(stream);
        None
    }

    fn address(&self) -> usize {
        ptr::from_ref(self).addr()
    }
}

/// Takes the stream, once no other thread is pulling.
fn take_stream<'s>(
    state: &Mutex<Pulled<'s>>,
    changed: &Condvar,
    limit: usize,
    has_other_work: &dyn Fn() -> bool,
) -> Option<PartitionStream<'s>> {
    let mut pulled = lock(state);
    loop {
        if pulled.has_ended() {
            return None;
        }
        if pulled.count >= limit {
            // The next one that waits must also see this.
            changed.notify_one();
            return None;
        }
        if let Some(stream) = pulled.stream.take() {
            pulled.since = Some(Instant::now());
            return Some(stream);
        }
        let waited = changed.wait_timeout(pulled, PATIENCE);
        let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        pulled = now;
        if timeout.timed_out() && pulled.stream.is_none() {
            drop(pulled);
            if has_other_work() {
                return None;
            }
            pulled = lock(state);
        }
    }
}

/// A panic while a lock is held leaves these values consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::error::Result;
    use crate::portable::Saver;
    use crate::storage::memory::MemoryBudget;
    use crate::task::{Resources, StageWorker};

    /// A stage that only has partitions.
    struct Partitions(Option<usize>);

    impl StageCode for Partitions {
        fn partitions(&self) -> Option<usize> {
            self.0
        }

        fn stream(&self) -> PartitionStream<'_> {
            unreachable!("each test has its own")
        }

        fn worker<'s>(&'s self, _: &'s Resources) -> Box<dyn StageWorker + 's> {
            unreachable!("nothing runs")
        }

        fn save(&self, _: &mut Saver) -> Result<()> {
            unreachable!("nothing is sent")
        }
    }

    /// Claims all partitions, and returns their number.
    fn claim_all(queue: &PartitionQueue<'_>) -> usize {
        let mut claimed = 0;
        while let Some(claim) = queue.claim(usize::MAX, &|| false) {
            claimed += match claim {
                Claim::Counted(indices) => indices.len(),
                Claim::Streamed(_) => 1,
            };
        }
        claimed
    }

    fn stream(count: usize) -> PartitionStream<'static> {
        let mut next = 0;
        Box::new(move || {
            next += 1;
            Ok((next <= count).then(|| Partition::at(next - 1)))
        })
    }

    fn threads(count: usize) -> Pullers {
        Pullers {
            count,
            budget: MemoryBudget::unlimited(),
        }
    }

    #[test]
    fn few_partitions_are_short_for_the_threads() {
        for (count, is_short) in [(0, true), (2, true), (3, false), (1000, false)] {
            let counted =
                PartitionQueue::new(&Partitions(Some(count)), threads(3), || unreachable!());
            assert_eq!(counted.is_short(), is_short, "{count}");
            assert_eq!((claim_all(&counted), counted.partitions()), (count, count));
            let pulled = PartitionQueue::new(&Partitions(None), threads(3), || stream(count));
            assert!(!pulled.is_short() && pulled.is_open_to_this_thread());
            assert_eq!((claim_all(&pulled), pulled.partitions()), (count, count));
            assert_eq!((pulled.is_short(), pulled.is_exhausted()), (is_short, true));
        }
    }

    #[test]
    fn a_thread_leaves_a_slow_source_for_other_work() {
        let (go_on, wait) = mpsc::channel::<()>();
        let (send, begun) = mpsc::channel();
        let queue = PartitionQueue::new(&Partitions(None), threads(1), || {
            Box::new(move || {
                send.send(()).unwrap();
                Ok(wait.recv().ok().map(|()| Partition::at(0)))
            })
        });
        thread::scope(|scope| {
            scope.spawn(|| assert!(queue.claim(9, &|| false).is_some()));
            begun.recv().unwrap();
            assert!(queue.claim(9, &|| true).is_none());
            assert!(queue.is_short() && queue.is_open_to_this_thread());
            go_on.send(()).unwrap();
        });
        assert!(!queue.is_exhausted());
        drop(go_on);
        assert!(queue.claim(9, &|| false).is_none() && queue.is_exhausted());
    }
}
