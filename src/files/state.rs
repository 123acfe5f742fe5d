//! State of a local file: which file it is, its size and its time of modification.

use std::fs::Metadata;

use serde::{Deserialize, Serialize};

/// State of a local file when it was found or split. Comparing it needs no read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileState {
    /// Device and inode. Another file with the same name has others.
    pub(crate) file: (u64, u64),
    pub(crate) bytes: u64,
    /// Modification time in nanoseconds.
    pub(crate) modified: i64,
}

impl FileState {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            file: identity(metadata),
            bytes: metadata.len(),
            modified: modified(metadata),
        }
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

fn modified(metadata: &Metadata) -> i64 {
    use std::time::UNIX_EPOCH;
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i64,
        Err(before) => -(before.duration().as_nanos() as i64),
    }
}
