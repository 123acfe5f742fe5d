//! The slots of an executor, which the stages of one job share if several of them run at the same time.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The slots of one job.
///
/// A stage takes a slot for each task that it assigns. An executor may take more tasks in advance; a stage never counts
/// for more than all slots, and may take any number of tasks while no other stage has any. If a stage waits for a slot,
/// later ones take none, so that a slot goes to the first stage that has a task for it.
#[derive(Debug)]
pub(crate) struct SharedSlots {
    count: usize,
    stages: Mutex<Stages>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Stages {
    /// The stages that have tasks or wait for a slot.
    by_number: BTreeMap<usize, Uses>,
    /// Number of slots that were released so far.
    released: u64,
}

/// Slots that one stage uses.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    /// Number of assigned tasks.
    tasks: usize,
    /// Number of threads that wait for a slot for another task.
    waiting: usize,
}

impl Stages {
    /// Changes the uses of a stage. Forgets a stage without any, so that a long job does not remember all of its stages.
    fn change(&mut self, stage: usize, change: impl FnOnce(&mut Uses)) {
        let uses = self.by_number.entry(stage).or_default();
        change(uses);
        if uses.tasks + uses.waiting == 0 {
            self.by_number.remove(&stage);
        }
    }
}

impl SharedSlots {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            count: count.max(1),
            stages: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Number of slots.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Takes a slot for a task of `stage`. Returns `false` if none is free for this stage.
    pub(super) fn take(&self, stage: usize) -> bool {
        let mut stages = self.lock();
        let is_preceded = stages
            .by_number
            .range(..stage)
            .any(|(_, uses)| uses.waiting > 0);
        let mut others = stages
            .by_number
            .iter()
            .filter(|(other, _)| **other != stage);
        let of_others = others.try_fold(0_usize, |sum, (_, uses)| {
            Some(sum + uses.tasks.min(self.count)).filter(|sum| *sum < self.count)
        });
        let tasks = stages.by_number.get(&stage).map_or(0, |uses| uses.tasks);
        let is_free = match of_others {
            Some(0) => true,
            Some(of_others) => of_others + tasks < self.count,
            None => false,
        };
        let takes = is_free && !is_preceded;
        if takes {
            stages.change(stage, |uses| uses.tasks += 1);
        }
        takes
    }

    /// Returns a slot of `stage`.
    pub(super) fn release(&self, stage: usize) {
        let mut stages = self.lock();
        stages.change(stage, |uses| uses.tasks -= 1);
        stages.released += 1;
        drop(stages);
        self.changed.notify_all();
    }

    /// Waits, on behalf of a task of `stage`, until a slot is released, or for at most `timeout`.
    pub(super) fn wait(&self, stage: usize, timeout: Duration) {
        let mut stages = self.lock();
        let released = stages.released;
        stages.change(stage, |uses| uses.waiting += 1);
        let is_same = |stages: &mut Stages| stages.released == released;
        let waited = self.changed.wait_timeout_while(stages, timeout, is_same);
        stages = waited.unwrap_or_else(PoisonError::into_inner).0;
        stages.change(stage, |uses| uses.waiting -= 1);
    }

    /// A panic while the lock is held leaves the state consistent.
    fn lock(&self) -> MutexGuard<'_, Stages> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_stage_alone_takes_tasks_in_advance() {
        let slots = SharedSlots::new(2);
        assert!((0..5).all(|_| slots.take(1)));
        assert!(!slots.take(2));
        (0..4).for_each(|_| slots.release(1));
        assert!(slots.take(2) && !slots.take(2) && !slots.take(1));
        slots.release(1);
        assert!(slots.take(2) && !slots.take(1));
        (0..2).for_each(|_| slots.release(2));
        assert!((0..5).all(|_| slots.take(1)));
    }

    #[test]
    fn a_slot_goes_to_the_first_stage_that_waits() {
        let slots = SharedSlots::new(1);
        let has_taken = AtomicBool::new(false);
        assert!(slots.take(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !slots.take(1) {
                    slots.wait(1, Duration::from_secs(60));
                }
                has_taken.store(true, Ordering::SeqCst);
            });
            // Stage 2 takes tasks in advance until stage 1 waits.
            while slots.take(2) {
                slots.release(2);
                thread::yield_now();
            }
            assert!(!has_taken.load(Ordering::SeqCst));
            slots.release(2);
        });
        assert!(has_taken.load(Ordering::SeqCst) && !slots.take(2));
    }
}
