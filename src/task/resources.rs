//! Resources of a job, and its progress.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{MemoryReclaimer, StopFlag};
use crate::error::Result;
use crate::storage::memory::{MemoryBudget, Reservation};
use crate::storage::scratch::Scratch;

/// Memory budget, spill directory, and shared state of a job.
#[derive(Clone)]
pub(crate) struct Resources {
    pub(crate) budget: MemoryBudget,
    pub(crate) scratch: Scratch,
    /// Number of threads, at least 1.
    pub(crate) threads: usize,
    pub(crate) progress: Arc<Progress>,
    pub(crate) reclaimer: Arc<MemoryReclaimer>,
    /// Set once the tasks of the job must end.
    pub(crate) stop: StopFlag,
}

impl Resources {
    /// Returns an equal share of the budget for each thread, in bytes.
    pub(crate) fn share_bytes(&self) -> usize {
        self.budget.limit_bytes() / self.threads
    }

    /// Returns the same resources, with separate counters of progress and of written bytes for a map stage.
    pub(crate) fn of_stage(&self, number: usize) -> Self {
        Self {
            scratch: self.scratch.part(),
            progress: self.progress.of_stage(number),
            ..self.clone()
        }
    }

    /// Grows a reservation to `bytes`. If the budget refuses, first reclaims the memory of persisted bags, and then
    /// calls `spill` to release more. Returns whether the reservation has grown.
    pub(crate) fn reserve(
        &self,
        reservation: &mut Reservation,
        bytes: usize,
        spill: impl FnOnce() -> Result<()>,
    ) -> Result<bool> {
        if reservation.try_resize(bytes) || self.reclaimer.ask()? && reservation.try_resize(bytes) {
            return Ok(true);
        }
        spill()?;
        Ok(reservation.try_resize(bytes))
    }
}

#[cfg(test)]
impl Resources {
    /// Creates resources that belong to no job.
    pub(crate) fn unlimited() -> Self {
        Self {
            budget: MemoryBudget::unlimited(),
            scratch: Scratch::new(None, None),
            threads: 1,
            progress: Arc::default(),
            reclaimer: Arc::default(),
            stop: StopFlag::default(),
        }
    }
}

/// Progress of a stage. Tasks add to it; the progress bar and the job's summary read it.
///
/// The progress of the last stage of a job has those of the map stages, some of which may run at the same time.
#[derive(Default)]
pub(crate) struct Progress {
    bytes: AtomicU64,
    tasks: AtomicUsize,
    shuffled_records: AtomicU64,
    shuffled_bytes: AtomicU64,
    filtered_records: AtomicU64,
    longest_task_nanos: AtomicU64,
    total_task_nanos: AtomicU64,
    notes: Mutex<Vec<String>>,
    /// Progress of each map stage, with its number.
    map_stages: Mutex<Vec<(usize, Arc<Progress>)>>,
}

impl Progress {
    /// Adds the progress of a map stage.
    fn of_stage(&self, number: usize) -> Arc<Self> {
        let progress = Arc::<Self>::default();
        let mut map_stages = self
            .map_stages
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        map_stages.push((number, Arc::clone(&progress)));
        progress
    }

    /// Returns the progress of a stage of the job of which this is the last one.
    pub(crate) fn stage(self: &Arc<Self>, number: usize) -> Arc<Self> {
        let map_stages = self
            .map_stages
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Usually one of the last.
        let mut map_stages = map_stages.iter().rev();
        let found = map_stages.find(|(stage, _)| *stage == number);
        Arc::clone(found.map_or(self, |(_, progress)| progress))
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        ThreadTally::add(|tally| tally.input_bytes += bytes);
    }

    /// Counts tasks that one thread ran one after the other in `time`.
    pub(crate) fn add_tasks(&self, tasks: usize, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.tasks.fetch_add(tasks, Ordering::Relaxed);
        self.longest_task_nanos
            .fetch_max(nanos / tasks.max(1) as u64, Ordering::Relaxed);
        self.total_task_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Counts the records that a map task passed to its shuffle, and the bytes of its output.
    pub(crate) fn add_shuffled(&self, records: u64, bytes: u64) {
        self.shuffled_records.fetch_add(records, Ordering::Relaxed);
        self.shuffled_bytes.fetch_add(bytes, Ordering::Relaxed);
        ThreadTally::add(|tally| {
            tally.shuffled_records += records;
            tally.shuffled_bytes += bytes;
        });
    }

    /// Adds notes for the summary of the stage.
    pub(crate) fn add_notes(&self, notes: Vec<String>) {
        if !notes.is_empty() {
            let mut all = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(notes);
        }
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.clone()
    }

    /// Counts records that the join filter dropped.
    pub(crate) fn add_dropped(&self, records: u64) {
        if records > 0 {
            self.filtered_records.fetch_add(records, Ordering::Relaxed);
        }
    }

    pub(crate) fn filtered_records(&self) -> u64 {
        self.filtered_records.load(Ordering::Relaxed)
    }

    pub(crate) fn shuffled_records(&self) -> u64 {
        self.shuffled_records.load(Ordering::Relaxed)
    }

    pub(crate) fn shuffled_bytes(&self) -> u64 {
        self.shuffled_bytes.load(Ordering::Relaxed)
    }

    /// Returns the time of the longest task, and the total time of all tasks.
    pub(crate) fn task_times(&self) -> (Duration, Duration) {
        let time = |counter: &AtomicU64| Duration::from_nanos(counter.load(Ordering::Relaxed));
        (time(&self.longest_task_nanos), time(&self.total_task_nanos))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn tasks(&self) -> usize {
        self.tasks.load(Ordering::Relaxed)
    }
}

/// Counts that one thread has added to [`Progress`], for the event of a batch of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ThreadTally {
    pub(crate) input_bytes: u64,
    pub(crate) shuffled_records: u64,
    pub(crate) shuffled_bytes: u64,
}

thread_local! {
    static TALLY: Cell<ThreadTally> = Cell::default();
}

impl ThreadTally {
    /// Returns the counts of the current thread since the last call, and resets them.
    pub(crate) fn take() -> Self {
        TALLY.take()
    }

    /// Runs `work` with separate counts: it may be nested in a task of another stage.
    pub(crate) fn separate<R>(work: impl FnOnce() -> R) -> R {
        let outer = TALLY.take();
        let result = work();
        TALLY.set(outer);
        result
    }

    fn add(add: impl FnOnce(&mut Self)) {
        let mut tally = TALLY.get();
        add(&mut tally);
        TALLY.set(tally);
    }
}
