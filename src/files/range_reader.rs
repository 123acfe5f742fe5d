//! Reads a byte range of a file of a file system, and opens the file again after transient errors.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc::Receiver;

use super::any::AnyFileSystem;
use super::failure::ReadFailure;
use super::retry::pause;

/// A file as it was when it was listed.
#[derive(Clone, Debug)]
pub(super) struct RemoteFile {
    pub(super) file_system: AnyFileSystem,
    /// The path without the scheme.
    pub(super) path: String,
    pub(super) version: Option<String>,
}

/// Reads exactly the bytes of a range.
pub(super) struct RangeReader {
    file: RemoteFile,
    range: Range<u64>,
    /// Stops pauses when the sender is dropped.
    stop: Option<Receiver<()>>,

    reader: Option<Box<dyn Read + Send>>,
    /// Number of failed attempts since the last byte was read.
    attempts: u32,
}

impl RangeReader {
    pub(super) fn new(file: RemoteFile, range: Range<u64>, stop: Option<Receiver<()>>) -> Self {
        Self {
            file,
            range,
            stop,
            reader: None,
            attempts: 0,
        }
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let RemoteFile {
            file_system,
            path,
            version,
        } = &self.file;
        let open = file_system.get().open(path, self.range.clone())?;
        if version.is_some() && open.version.is_some() && *version != open.version {
            return Err(ReadFailure::Changed.into());
        }
        Ok(open.reader)
    }

    /// Reads at least one byte.
    fn try_read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => {
                let open = self.open()?;
                self.reader.insert(open)
            }
        };
        match reader.read(out)?.min(out.len()) {
            0 => {
                let at = self.range.start;
                let reason = format!("the file ends at byte {at}, before its listed size");
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason))
            }
            read => Ok(read),
        }
    }
}

impl Read for RangeReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let bytes = out.len().min(left);
        if bytes == 0 {
            return Ok(0);
        }
        loop {
            let error = match self.try_read(&mut out[..bytes]) {
                Ok(read) => {
                    self.attempts = 0;
                    self.range.start += read as u64;
                    return Ok(read);
                }
                Err(error) => error,
            };
            self.reader = None;
            if ReadFailure::find(&error).is_some() {
                return Err(error);
            }
            self.attempts += 1;
            let is_transient = self.file.file_system.get().is_transient(&error);
            if !is_transient || !pause(self.attempts, self.stop.as_ref()) {
                let failure = ReadFailure::Failed {
                    offset: self.range.start,
                    attempts: self.attempts,
                    source: error,
                };
                return Err(failure.into());
            }
        }
    }
}
