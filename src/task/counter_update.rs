//! Counter updates of tasks. Those of each partition of a stage are applied once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::counter::{self, Counts, RejectUpdate};
use crate::error::Result;

/// Increments of the counters, and bad records, of one partition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CounterUpdate {
    pub(crate) stage: usize,
    /// `None` for work that belongs to no single partition, such as the end of a worker after its last task.
    pub(crate) partition: Option<usize>,
    pub(crate) counts: Counts,
    pub(crate) rejects: Vec<RejectUpdate>,
}

/// Partitions and stages whose updates have been applied. Stages may run again to recompute lost output.
#[derive(Default)]
struct Taken {
    partitions: HashSet<(usize, usize)>,
    /// Map stages that have ended. If they run again, their updates are ignored.
    stages: HashSet<usize>,
}

/// The counter updates of a job.
pub(crate) struct CounterUpdates {
    /// Number of the job in this process, from 1.
    job: u64,
    taken: Mutex<Taken>,
    /// In a worker process: updates that have not been reported to the driver.
    kept: Option<Mutex<Vec<CounterUpdate>>>,
}

impl Default for CounterUpdates {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            job: NEXT.fetch_add(1, Ordering::Relaxed),
            taken: Mutex::default(),
            kept: None,
        }
    }
}

impl CounterUpdates {
    /// Creates the updates of a worker process, which the driver applies.
    pub(crate) fn kept() -> Self {
        Self {
            kept: Some(Mutex::default()),
            ..Self::default()
        }
    }

    /// Applies an update, unless its partition has already had one.
    ///
    /// # Errors
    ///
    /// Returns an error if the job must end because of its bad records.
    pub(crate) fn put(&self, counter_update: CounterUpdate) -> Result<()> {
        if counter_update.counts.is_empty() && counter_update.rejects.is_empty() {
            return Ok(());
        }
        if let Some(kept) = &self.kept {
            lock(kept).push(counter_update);
            return Ok(());
        }
        let CounterUpdate {
            stage, partition, ..
        } = counter_update;
        let mut taken = lock(&self.taken);
        let is_new = match partition {
            Some(partition) => taken.partitions.insert((stage, partition)),
            None => !taken.stages.contains(&stage),
        };
        drop(taken);
        if !is_new {
            return Ok(());
        }
        counter::commit(&counter_update.counts);
        let at = (stage, partition.unwrap_or(usize::MAX));
        let mut rejects = counter_update.rejects.into_iter();
        rejects.try_for_each(|rejects| rejects.apply(self.job, at))
    }

    /// Records that a map stage has ended.
    pub(crate) fn end_stage(&self, stage: usize) {
        lock(&self.taken).stages.insert(stage);
    }

    /// Takes the updates that have been kept since the last call.
    pub(crate) fn take(&self) -> Vec<CounterUpdate> {
        let kept = self.kept.as_ref();
        kept.map_or_else(Vec::new, |kept| std::mem::take(&mut *lock(kept)))
    }
}

/// A panic while a lock is held leaves these values consistent.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Counter, Tallying};
    use crate::task::{JobState, Resources, Task};

    #[test]
    fn a_partition_counts_once() {
        let counter = Counter::new("a");
        let counts = |n| {
            let tallying = Tallying::begin(1, Some(0));
            counter.add(n);
            tallying.end().unwrap().0
        };
        let counter_updates = CounterUpdates::default();
        for (stage, partition, n) in [(1, Some(0), 1), (1, Some(1), 10), (1, Some(0), 1)] {
            let counts = counts(n);
            let rejects = Vec::new();
            counter_updates
                .put(CounterUpdate {
                    stage,
                    partition,
                    counts,
                    rejects,
                })
                .unwrap();
        }
        assert_eq!(counter.value(), 11);
        for (stage, partition) in [(2, Some(0)), (1, None), (1, None)] {
            let counts = counts(100);
            let rejects = Vec::new();
            counter_updates
                .put(CounterUpdate {
                    stage,
                    partition,
                    counts,
                    rejects,
                })
                .unwrap();
        }
        assert_eq!(counter.value(), 311);
        counter_updates.end_stage(1);
        for stage in [1, 2] {
            let rejects = Vec::new();
            counter_updates
                .put(CounterUpdate {
                    stage,
                    partition: None,
                    counts: counts(1000),
                    rejects,
                })
                .unwrap();
        }
        assert_eq!(counter.value(), 1311);
    }

    #[test]
    fn a_task_that_was_broken_off_does_not_count() {
        let counter = Counter::new("a");
        let job = JobState::new(Resources::unlimited());
        let run = |partition| {
            let task = Task::new(&job, 1, partition);
            task.guard(|_| {
                counter.add(1);
                Ok(())
            })
        };
        run(0).unwrap();
        job.stop();
        run(1).unwrap();
        assert_eq!(counter.value(), 1);
    }

    #[test]
    fn a_worker_keeps_them_for_the_driver() {
        let counter = Counter::new("a");
        let counter_updates = CounterUpdates::kept();
        let tallying = Tallying::begin(1, Some(0));
        counter.add(1);
        let (counts, rejects) = tallying.end().unwrap();
        let counter_update = CounterUpdate {
            stage: 1,
            partition: Some(0),
            counts,
            rejects,
        };
        counter_updates.put(counter_update).unwrap();
        assert_eq!(counter.value(), 0);
        assert_eq!(counter_updates.take().len(), 1);
        assert_eq!(counter_updates.take().len(), 0);
    }
}
