//! Whether a thread runs a task, so that a closure of the program may be what is running.

use std::cell::Cell;

thread_local! {
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as running a task while `work` runs. Tasks can be nested where a closure of the program lets the
/// pool's threads steal work.
pub(crate) fn in_task<R>(work: impl FnOnce() -> R) -> R {
    let before = IN_TASK.replace(true);
    let result = work();
    IN_TASK.set(before);
    result
}

pub(crate) fn is_in_task() -> bool {
    IN_TASK.get()
}
