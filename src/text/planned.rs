//! State of an input file when its splits were planned, to recognise it on another machine.
//!
//! Workers that share no disk open input files by the same paths. The files must be the same there: either on a file
//! system that the machines share, or copies that keep the time of modification. The device and inode of a file differ
//! between machines even if it is the same, and its content is too long to compare.

use std::fs::{self, Metadata};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::files::{FileState, InputFile};
use crate::storage::file;

const SECOND: i64 = 1_000_000_000;

/// Length and time of modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlannedFile {
    bytes: u64,
    /// In nanoseconds.
    modified: i64,
}

impl PlannedFile {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            modified: FileState::of(metadata).modified,
        }
    }

    /// Returns the state of a local file that is no stream.
    pub(super) fn of_file(file: &InputFile) -> Option<Self> {
        let FileState {
            bytes, modified, ..
        } = file.local_state()?;
        Some(Self { bytes, modified })
    }

    /// Checks that the file at `path` on this machine is the same. If it `may_grow`, a longer one passes, whose first
    /// bytes the caller compares.
    pub(super) fn check(self, path: &Path, may_grow: bool) -> Result<()> {
        let found = match fs::metadata(path) {
            Ok(metadata) => Some(Self::of(&metadata)),
            Err(error) if file::is_missing(&error) => None,
            Err(error) => return Err(Error::io("read", path, error)),
        };
        let is_same = found
            .is_some_and(|found| found.is_copy_of(self) || may_grow && found.bytes > self.bytes);
        if is_same {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InputDiffers {
            path: path.to_owned(),
            planned_bytes: self.bytes,
            found_bytes: found.map(|found| found.bytes),
            context: ErrorContext::default(),
        }))
    }

    /// Some programs that copy files keep only the seconds.
    fn is_copy_of(self, other: Self) -> bool {
        let is_whole = |time: i64| time.rem_euclid(SECOND) == 0;
        let is_rounded = is_whole(self.modified) || is_whole(other.modified);
        let seconds = |time: i64| time.div_euclid(SECOND);
        self.bytes == other.bytes
            && (self.modified == other.modified
                || is_rounded && seconds(self.modified) == seconds(other.modified))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn only_the_same_file_passes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123);
        let write = |content: &str, time: SystemTime| {
            fs::write(&path, content).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
        };
        write("12345", time);
        let planned = PlannedFile::of(&fs::metadata(&path).unwrap());
        planned.check(&path, false).unwrap();
        write("54321", time - Duration::from_nanos(123));
        planned.check(&path, false).unwrap();
        write("12345", time + Duration::from_nanos(1));
        assert!(planned.check(&path, true).is_err());
        write("123456", time);
        planned.check(&path, true).unwrap();
        let error = planned.check(&path, false).unwrap_err().to_string();
        assert!(error.contains("6 B instead of 5 B"), "{error}");
        fs::remove_file(&path).unwrap();
        let error = planned.check(&path, true).unwrap_err().to_string();
        assert!(error.contains("does not exist"), "{error}");
    }
}
