//! Access to files, with the path in every error.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

pub(crate) use super::system::start_writing;
use crate::error::{Error, ErrorContext, ErrorKind, Result};

/// How much of a range is asked for ahead at a time. With less the disk is waited for; more is too much for a small
/// cache, since a merge has a hundred ranges.
pub(crate) const AHEAD_BYTES: u64 = 512 << 10;

/// Maximum number of interruptions by signals of one call. More of them in a row are a fault of the system.
const MAX_INTERRUPTIONS: usize = 1_000;

/// Repeats a call that a signal interrupts, but not for ever. The error after that is not an interruption, so that no
/// caller repeats the call again.
pub(crate) fn uninterrupted<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    for _ in 0..MAX_INTERRUPTIONS {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
    Err(io::Error::other("interrupted again and again"))
}

/// A writer of which each call is repeated so. By itself, `write_all` would repeat it for ever.
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

/// Creates a file that is not there yet, for writing and reading, for this user only.
pub(crate) fn create_new(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map_err(|error| write_error("create", path, 0, error))
}

/// Tells the system to read no further in `file` than it is asked to, by who reads or by [`read_ahead`].
///
/// Else it reads on behind each piece, up to 8 MiB on some disks, as for who reads a file from its start to its end.
/// Where a cgroup leaves little room for its cache, that pushes out what was to be read next, and much is read several
/// times.
pub(crate) fn read_as_asked(file: &File) {
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Random);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Asks the system to have these bytes of a file at hand soon, and does not wait for them.
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

/// Makes a file end at `bytes`.
pub(crate) fn truncate(file: &File, path: &Path, bytes: u64) -> Result<()> {
    file.set_len(bytes)
        .map_err(|error| Error::io("shorten", path, error))
}

/// An error of something that needs room on the disk: a full disk and a used-up share of it have a kind of their own.
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

/// A range of bytes of a file, read from its start to its end.
///
/// It keeps its own position, so that any number of ranges can share one open file.
#[derive(Debug)]
pub(crate) struct FileRange {
    file: Arc<File>,
    position: u64,
    end: u64,
    /// What is before this was asked for ahead.
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

    /// Asks for what comes next, if little of it has been asked for.
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

/// Reading and writing at an offset where the system moves the one cursor of the file to do so.
#[cfg(not(unix))]
mod at_cursor {
    use std::fs::File;
    use std::io::{self, Read, Seek, SeekFrom, Write};
    use std::sync::{Mutex, PoisonError};

    /// One lock for all files: the platforms that come here are to work, not to be fast.
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
    fn a_call_is_repeated_when_it_is_interrupted_but_not_for_ever() {
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
