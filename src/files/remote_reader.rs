//! The reader of a file of a file system.

use std::fmt;
use std::io::{self, Read};

use super::any::AnyFileSystem;
use super::range_reader::{RangeReader, RemoteFile};
use super::read_ahead::ReadAhead;

/// Minimum number of bytes of a request. Smaller ranges need more requests, larger ones may transfer bytes
/// that are not used.
const MIN_RANGE_BYTES: u64 = 16 << 10;

/// Reads a file from some offset on, exactly up to the size that it had when it was listed.
pub(crate) struct RemoteReader {
    file: RemoteFile,
    /// Size of the file.
    bytes: u64,
    position: u64,
    /// Offset up to which the file will probably be read.
    expected_end: u64,
    /// Reader of a range that contains `position`.
    range: Option<RemoteRange>,
}

enum RemoteRange {
    Direct(RangeReader),
    Ahead(ReadAhead),
}

impl RemoteReader {
    /// Returns a reader. `path` has no scheme. Opens the file with the first call of `read`.
    pub(crate) fn new(
        file_system: &AnyFileSystem,
        path: &str,
        version: Option<&str>,
        bytes: u64,
        position: u64,
    ) -> Self {
        let file = RemoteFile {
            file_system: file_system.clone(),
            path: path.to_owned(),
            version: version.map(str::to_owned),
        };
        Self {
            file,
            bytes,
            position,
            expected_end: 0,
            range: None,
        }
    }

    /// Sets the offset up to which the file will probably be read.
    pub(crate) fn expect_end(&mut self, end: u64) {
        self.expected_end = end;
    }

    /// Closes the file, and ends its thread, until the next call of `read`.
    pub(crate) fn pause(&mut self) {
        self.range = None;
    }

    fn open(&self) -> RemoteRange {
        let min_end = self.position.saturating_add(MIN_RANGE_BYTES);
        let range = self.position..self.expected_end.max(min_end).min(self.bytes);
        let ahead_bytes = self.file.file_system.get().read_ahead_bytes();
        if ahead_bytes > 0
            && let Ok(ahead) = ReadAhead::start(self.file.clone(), range.clone(), ahead_bytes)
        {
            return RemoteRange::Ahead(ahead);
        }
        RemoteRange::Direct(RangeReader::new(self.file.clone(), range, None))
    }
}

impl Read for RemoteReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.position < self.bytes && !out.is_empty() {
            let range = match &mut self.range {
                Some(range) => range,
                None => {
                    let open = self.open();
                    self.range.insert(open)
                }
            };
            let read = match range {
                RemoteRange::Direct(reader) => reader.read(out),
                RemoteRange::Ahead(reader) => reader.read(out),
            };
            match read {
                // The end of the range.
                Ok(0) => self.range = None,
                Ok(read) => {
                    self.position += read as u64;
                    return Ok(read);
                }
                Err(error) => {
                    self.range = None;
                    return Err(error);
                }
            }
        }
        Ok(0)
    }
}

impl fmt::Debug for RemoteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteReader")
            .field("path", &self.file.path)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
