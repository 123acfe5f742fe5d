//! File access with the path in every error, and explicit read-ahead.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

pub(crate) use super::system::start_writing;
use crate::error::{Error, ErrorContext, ErrorKind, Result};

/// Read-ahead window of a `FileRange`, in bytes. With smaller windows, readers wait for the disk. Larger windows
/// overflow a small page cache, because a merge reads about a hundred ranges at a time.
pub(crate) const AHEAD_BYTES: u64 = 512 << 10;

/// Returns whether an error means that there is no file at a path.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Maximum number of times that signals may interrupt one call. More in a row indicate a fault of the system.
const MAX_INTERRUPTIONS: usize = 1_000;

/// Repeats a call that a signal interrupts, up to `MAX_INTERRUPTIONS` times. The error after that is not of the kind
/// `Interrupted`, so that no caller repeats the call again.
pub(crate) fn uninterrupted<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    for _ in 0..MAX_INTERRUPTIONS {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
    Err(io::Error::other("interrupted again and again"))
}

/// A writer that repeats each interrupted call, with the same bound. `write_all` of std has none.
pub(crate) struct Uninterrupted<W>(pub(crate) W);

impl<W: Write> Write for Uninterrupted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        uninterrupted(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        uninterrupted(|| self.0.flush())
    }
}

/// Opens a file for reading.
pub(crate) fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::io("open", path, error))
}

/// Creates a new file for writing and reading, accessible to this user only. Fails if the file exists.
pub(crate) fn create_new(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map_err(|error| write_error("create", path, 0, error))
}

/// Disables the kernel's own read-ahead for `file`; readers prefetch with [`read_ahead`] instead.
///
/// By default, the kernel assumes sequential access and on some disks reads up to 8 MiB past each request. In a cgroup
/// with a small page cache, that evicts data before it is used, and much of the file is read several times.
pub(crate) fn read_as_asked(file: &File) {
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Random);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Prefetches a range of `file` into the page cache, without waiting for it.
pub(crate) fn read_ahead(file: &File, offset: u64, bytes: u64) {
    #[cfg(target_os = "linux")]
    if let Some(bytes) = std::num::NonZero::new(bytes) {
        let _ = rustix::fs::fadvise(file, offset, Some(bytes), rustix::fs::Advice::WillNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, offset, bytes);
}

/// Writes all of `bytes` at `offset`. After an error, some of them may have been written.
pub(crate) fn write_all_at(file: &File, path: &Path, bytes: &[u8], offset: u64) -> Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        let rest = &bytes[written..];
        match uninterrupted(|| write_at(file, rest, offset + written as u64)) {
            Ok(0) => {
                let error = io::ErrorKind::WriteZero.into();
                return Err(write_error("write", path, rest.len(), error));
            }
            Ok(count) => written += count,
            Err(error) => return Err(write_error("write", path, rest.len(), error)),
        }
    }
    Ok(())
}

/// Shortens a file to `bytes`.
pub(crate) fn truncate(file: &File, path: &Path, bytes: u64) -> Result<()> {
    file.set_len(bytes)
        .map_err(|error| Error::io("shorten", path, error))
}

/// Returns the error of an operation that needs disk space. A full disk and an exhausted quota of the file system are
/// [`ErrorKind::DiskFull`].
pub(crate) fn write_error(
    operation: &'static str,
    path: &Path,
    needed_bytes: usize,
    source: io::Error,
) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::new(ErrorKind::DiskFull {
                context: ErrorContext::default(),
                path: path.to_owned(),
                needed_bytes: needed_bytes as u64,
                source,
            })
        }
        _ => Error::io(operation, path, source),
    }
}

/// A byte range of a file, read sequentially.
///
/// Each range has its own position, so any number of ranges can share one open file.
#[derive(Debug)]
pub(crate) struct FileRange {
    file: Arc<File>,
    position: u64,
    end: u64,
    /// End of the prefetched part.
    asked: u64,
}

impl FileRange {
    pub(crate) fn new(file: Arc<File>, start: u64, bytes: u64) -> Self {
        Self {
            file,
            position: start,
            end: start.saturating_add(bytes),
            asked: start,
        }
    }

    /// Prefetches the next window if at most half a window is left of the prefetched part.
    fn read_ahead(&mut self) {
        let from = self.asked.max(self.position);
        if from < self.end && from - self.position <= AHEAD_BYTES / 2 {
            let bytes = AHEAD_BYTES.min(self.end - from);
            read_ahead(&self.file, from, bytes);
            self.asked = from + bytes;
        }
    }
}

impl Read for FileRange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_ahead();
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let buffer = &mut buffer[..length];
        let count = uninterrupted(|| read_at(&self.file, buffer, self.position))?;
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

#[cfg(not(unix))]
use at_cursor::{read_at, write_at};

/// Reads and writes at an offset by moving the cursor of the file, for systems without positioned access.
#[cfg(not(unix))]
mod at_cursor {
    use std::fs::File;
    use std::io::{self, Read, Seek, SeekFrom, Write};
    use std::sync::{Mutex, PoisonError};

    /// One lock for all files: these platforms must work, but need not be fast.
    static CURSOR: Mutex<()> = Mutex::new(());

    pub(super) fn read_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let _cursor = CURSOR.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read(buffer)
    }

    pub(super) fn write_at(mut file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let _cursor = CURSOR.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.write(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_carry_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing");
        let error = open(&path).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
        create_new(&path).unwrap();
        let error = create_new(&path).unwrap_err();
        assert!(error.to_string().starts_with("cannot create"), "{error}");
    }

    #[test]
    fn an_interrupted_call_is_repeated_a_limited_number_of_times() {
        let mut calls = 0;
        let mut call = |interruptions| {
            calls = 0;
            uninterrupted(|| {
                calls += 1;
                match calls > interruptions {
                    true => Ok(calls),
                    false => Err(io::ErrorKind::Interrupted.into()),
                }
            })
        };
        assert_eq!(call(0).unwrap(), 1);
        assert_eq!(call(5).unwrap(), 6);
        let error = call(usize::MAX).unwrap_err();
        assert_ne!(error.kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn ranges_share_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = Arc::new(create_new(&path).unwrap());
        write_all_at(&file, &path, b"0123456789", 0).unwrap();
        write_all_at(&file, &path, b"ab", 4).unwrap();
        let mut first = FileRange::new(Arc::clone(&file), 0, 5);
        let mut second = FileRange::new(Arc::clone(&file), 5, 3);
        let mut beyond = FileRange::new(Arc::clone(&file), 8, u64::MAX);
        let mut byte = [0];
        first.read_exact(&mut byte).unwrap();
        let mut text = String::new();
        second.read_to_string(&mut text).unwrap();
        first.read_to_string(&mut text).unwrap();
        beyond.read_to_string(&mut text).unwrap();
        assert_eq!((byte, text.as_str()), (*b"0", "b67123a89"));
        truncate(&file, &path, 2).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 2);
    }

    #[test]
    fn a_long_range_is_read_in_steps_of_any_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = Arc::new(create_new(&path).unwrap());
        let content: Vec<u8> = (0..4 * AHEAD_BYTES + 17).map(|n| (n % 251) as u8).collect();
        write_all_at(&file, &path, &content, 0).unwrap();
        for step_bytes in [1_000, AHEAD_BYTES as usize, 3 * AHEAD_BYTES as usize] {
            let mut range = FileRange::new(Arc::clone(&file), 5, content.len() as u64);
            let (mut read, mut buffer) = (Vec::new(), vec![0; step_bytes]);
            loop {
                match range.read(&mut buffer).unwrap() {
                    0 => break,
                    count => read.extend_from_slice(&buffer[..count]),
                }
            }
            assert!(read == content[5..]);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named_with_what_it_lacks() {
        let path = Path::new("/dev/full");
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let error = write_all_at(&file, path, &[0; 300], 0).unwrap_err();
        match error.kind() {
            ErrorKind::DiskFull {
                path, needed_bytes, ..
            } => {
                assert_eq!(
                    (path.as_path(), *needed_bytes),
                    (Path::new("/dev/full"), 300)
                );
            }
            other => panic!("expected a full disk, got {other}"),
        }
        assert!(error.is_io() && error.context().is_some());
    }
}
