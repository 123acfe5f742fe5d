//! A program with too few descriptors, threads, processes, memory or room for files.

/// Applies a limit such as `nofile=40` to this process.
pub(crate) fn apply(limit: &str) {
    let _ = limit;
}
