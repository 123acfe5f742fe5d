//! A file that a task or an action writes: buffered, counted, and with its path in errors.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::encoder::{Compression, FileEncoder};
use super::output::{PendingFile, Token};
use crate::error::{Error, Result};
use crate::storage::file::{Uninterrupted, write_error};

const BUFFER_BYTES: usize = 64 << 10;

/// Returns a name for an attempt at a file that no other attempt has, neither in this process nor in others. It consists
/// of digits and `-`.
pub(crate) fn attempt_name() -> String {
    /// Random, because processes of several machines may have the same number.
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(std::process::id())));
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{number}", std::process::id())
}

/// A file that is being written. Dropping it discards it.
#[derive(Debug)]
pub(super) struct BufferedFile {
    file: BufWriter<CountedFile>,
    encoder: Option<FileEncoder>,
}

/// A file that counts the bytes that are written to it.
struct CountedFile {
    file: Box<dyn PendingFile>,
    path: PathBuf,
    bytes: u64,
}

impl BufferedFile {
    pub(super) fn new(
        file: Box<dyn PendingFile>,
        path: PathBuf,
        compression: Option<Compression>,
    ) -> Self {
        let file = CountedFile {
            file,
            path,
            bytes: 0,
        };
        Self {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            encoder: compression.map(FileEncoder::new),
        }
    }

    /// Writes bytes that are compressed. Not inlined, so that writing others is.
    #[inline(never)]
    fn encode(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.encoder {
            Some(encoder) => encoder.write(bytes, &mut self.file),
            None => self.file.write_all(bytes),
        }
    }

    /// Completes the file. Returns its size, and what its output needs to make it visible.
    pub(super) fn finish(mut self) -> Result<(u64, Token)> {
        if let Some(encoder) = &mut self.encoder {
            encoder.finish(&mut self.file)?;
        }
        let flushed = self.file.into_inner().map_err(IntoInnerError::into_error);
        let CountedFile { file, path, bytes } = flushed?;
        let token = file.finish().map_err(|error| failed("write", &path, error));
        Ok((bytes, token?))
    }
}

impl Write for BufferedFile {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.encoder {
            None => self.file.write_all(bytes),
            Some(_) => self.encode(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Write for CountedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = Uninterrupted(&mut *self.file).write(bytes);
        let written = written.map_err(|error| failed("write", &self.path, error))?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for CountedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedFile")
            .field("path", &self.path)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Returns the error of a failed operation. Local files have errors with paths of their own.
#[cold]
pub(super) fn failed(operation: &'static str, path: &Path, error: io::Error) -> Error {
    match error.downcast() {
        Ok(error) => error,
        Err(error) => write_error(operation, path, 0, error),
    }
}
