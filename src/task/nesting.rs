//! Records whether a thread runs a task, so that a closure of the user may be running, and for whom it reads a source.

use std::cell::{Cell, RefCell};

use crate::storage::memory::MemoryBudget;

thread_local! {
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
    static PULLS_FOR: RefCell<Option<Pullers>> = const { RefCell::new(None) };
    static NOTES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Marks this thread as running a task while `work` runs. Tasks can be nested if a closure of the user lets the pool's
/// threads steal work.
pub(crate) fn in_task<R>(work: impl FnOnce() -> R) -> R {
    /// When dropped, also by unwinding, restores the previous mark of the thread.
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            IN_TASK.set(self.0);
        }
    }

    let _before = Before(IN_TASK.replace(true));
    work()
}

pub(crate) fn is_in_task() -> bool {
    IN_TASK.get()
}

/// The threads or processes for which one thread reads a source.
#[derive(Clone, Debug)]
pub(crate) struct Pullers {
    /// Their number, at least 1.
    pub(crate) count: usize,
    /// Budget for what is read in advance.
    pub(crate) budget: MemoryBudget,
}

/// Reads the next partition of a source for others, which may wait for it.
pub(crate) fn pulling_for<R>(pullers: &Pullers, pull: impl FnOnce() -> R) -> R {
    let before = PULLS_FOR.replace(Some(pullers.clone()));
    let pulled = in_task(pull);
    PULLS_FOR.set(before);
    pulled
}

/// Returns those for which this thread reads a source: itself, if no others wait for it.
pub(crate) fn pullers() -> Pullers {
    let pullers = PULLS_FOR.with_borrow(Clone::clone);
    pullers.unwrap_or_else(|| Pullers {
        count: 1,
        budget: MemoryBudget::new(0),
    })
}

/// Adds a note to the summary of the stage for which this thread reads a source.
pub(crate) fn add_note(note: String) {
    NOTES.with_borrow_mut(|notes| notes.push(note));
}

/// Returns the notes of this thread since the last call.
pub(crate) fn take_notes() -> Vec<String> {
    NOTES.take()
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_panic_ends_the_task_that_it_leaves() {
        let left = catch_unwind(|| in_task(|| panic!("on purpose")));
        assert!(left.is_err() && !is_in_task());
        in_task(|| {
            let left = catch_unwind(|| in_task(|| panic!("on purpose")));
            assert!(left.is_err() && is_in_task());
        });
        assert!(!is_in_task());
    }
}
