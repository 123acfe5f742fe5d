//! Whether a thread runs a task, so that a closure of the program may be what is running.

use std::cell::Cell;

thread_local! {
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as running a task while `work` runs. Tasks can be nested where a closure of the program lets the
/// pool's threads steal work.
pub(crate) fn in_task<R>(work: impl FnOnce() -> R) -> R {
    /// Dropped, also by unwinding, it puts back what the thread was marked as before.
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
