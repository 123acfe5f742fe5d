//! Neighbouring tasks of one thread, whose output is committed together.

/// Minimum number of bytes for a commit. A commit has parts for all partitions, and those of one small task would be
/// almost empty. With larger values, a reader waits longer for the first output.
const MIN_COMMIT_BYTES: usize = 4 << 20;

/// Consecutive tasks that have not been committed.
#[derive(Default)]
pub(super) struct TaskBatch {
    last: Option<usize>,
}

impl TaskBatch {
    /// Adds `task`. Returns `true` if it begins another batch, so that the tasks before it must first be committed. They
    /// have left `bytes` bytes, and the thread may hold `most_bytes`.
    pub(super) fn begins_with(&mut self, task: usize, bytes: usize, most_bytes: usize) -> bool {
        let last = self.last.replace(task);
        let follows = last.is_some_and(|last| last + 1 == task);
        !follows || bytes >= MIN_COMMIT_BYTES.min(most_bytes / 2)
    }
}
