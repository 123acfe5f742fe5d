//! An open file, local or of another file system.

use std::fs::File;
use std::io::{self, Read};

use super::failure::ReadFailure;
use super::remote_reader::RemoteReader;
use crate::storage::file::uninterrupted;

/// Reads a file.
#[derive(Debug)]
pub(crate) enum FileReader {
    Local(File),
    Remote(Box<RemoteReader>),
    Part(Box<RawReader>),
}

impl Read for FileReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            // Decoders cannot continue after an interruption, so hide interruptions from them.
            Self::Local(file) => uninterrupted(|| file.read(out)),
            Self::Remote(reader) => reader.read(out),
            Self::Part(reader) => reader.read(out),
        }
    }
}

/// Reads a part of a file, which must not become shorter. Its errors have no path, so that decoders can wrap them.
#[derive(Debug)]
pub(crate) struct RawReader {
    file: FileReader,
    position: u64,
    end: u64,
}

impl RawReader {
    /// The position of `file` is `start`.
    pub(super) fn new(file: FileReader, start: u64, end: u64) -> Self {
        let position = start;
        Self {
            file,
            position,
            end,
        }
    }

    /// Returns the offset in the file.
    pub(super) fn position(&self) -> u64 {
        self.position
    }
}

impl Read for RawReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let len = out.len().min(left);
        if len == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut out[..len])?;
        if read == 0 {
            return Err(ReadFailure::Changed.into());
        }
        self.position += read as u64;
        Ok(read)
    }
}
