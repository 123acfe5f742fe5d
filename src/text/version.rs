//! State of a file when it was split, to verify that its parts still fit together.
//!
//! The parts of a file are read at different times, and possibly by different processes. A log that grows in the
//! meantime is common and harmless: the parts are unchanged, and the last one is read to the new end. Any other change
//! could lose or duplicate lines.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

use crate::files::FileState;

/// Number of bytes at the start, and before the previous end, that are compared to verify that a file has only grown.
const END_BYTES: u64 = 4 << 10;

/// State of a file that is read in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    state: FileState,
    /// Whether this is another machine than the one that has split the file, so that device and inode may differ.
    is_elsewhere: bool,
    /// Checksum of the first and last bytes.
    ends: u32,
}

impl Version {
    /// Returns the current state.
    pub(super) fn of(file: &mut File) -> io::Result<Self> {
        let state = FileState::of(&file.metadata()?);
        let ends = checksum_of_ends(file, state.bytes)?;
        Ok(Self {
            state,
            is_elsewhere: false,
            ends,
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.state.bytes
    }

    /// Returns the state for a machine on which the file has another device and inode.
    pub(super) fn of_other_machine(self) -> Self {
        Self {
            is_elsewhere: true,
            ..self
        }
    }

    /// Returns `true` if `file` is the same file and has at most grown. This is a cheap check, which does not compare
    /// the whole content. The position of `file` is unspecified afterwards.
    pub(super) fn is_prefix_of(&self, file: &mut File) -> io::Result<bool> {
        let state = FileState::of(&file.metadata()?);
        let is_other = !self.is_elsewhere && state.file != self.state.file;
        if is_other || state.bytes < self.state.bytes {
            return Ok(false);
        }
        let is_untouched = state.bytes == self.state.bytes && state.modified == self.state.modified;
        Ok(is_untouched || checksum_of_ends(file, self.state.bytes)? == self.ends)
    }
}

/// Returns a checksum of the first and the last of `bytes` bytes.
fn checksum_of_ends(file: &mut File, bytes: u64) -> io::Result<u32> {
    let mut ends = Vec::new();
    for start in [0, bytes.saturating_sub(END_BYTES)] {
        file.seek(SeekFrom::Start(start))?;
        let len = END_BYTES.min(bytes - start);
        file.by_ref().take(len).read_to_end(&mut ends)?;
    }
    Ok(crc32fast::hash(&ends))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn only_growth_is_no_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let content: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
        let write = |content: &[u8]| fs::write(&path, content).unwrap();
        write(&content);
        let version = Version::of(&mut File::open(&path).unwrap()).unwrap();
        let holds = || {
            version
                .is_prefix_of(&mut File::open(&path).unwrap())
                .unwrap()
        };
        assert!(holds());
        File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"more")
            .unwrap();
        assert!(holds());
        // Rewritten with the same content.
        write(&content);
        assert!(holds());
        write(&content[1..]);
        assert!(!holds());
        let mut other = content.clone();
        *other.last_mut().unwrap() ^= 1;
        write(&[&other[..], b"more"].concat());
        assert!(!holds());
        // Another file with the same content.
        let new = directory.path().join("new");
        fs::write(&new, &content).unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(holds(), cfg!(not(unix)));
    }

    #[test]
    fn files_of_any_length_have_ends() {
        for bytes in [0, 1, END_BYTES - 1, END_BYTES, END_BYTES + 1, 3 * END_BYTES] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![b'x'; bytes as usize]).unwrap();
            assert!(
                Version::of(&mut file)
                    .unwrap()
                    .is_prefix_of(&mut file)
                    .unwrap()
            );
        }
    }
}
