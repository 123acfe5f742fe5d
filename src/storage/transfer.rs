//! Scratch files of other processes that share no disk with this one.
//!
//! Each of these processes has a [`Home`]. A file of such a process is named by its home and its path there, as
//! `home://<home><path>`. Files of processes that share a disk have no home, and are named by their path alone.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{self, FileRange};
use crate::error::plain::ToPlain;
use crate::error::{Error, ErrorKind};

/// Beginning of the name of a file that has a home. The path of a scratch file is absolute, so it never begins so.
const SCHEME: &[u8] = b"home://";

/// Number of bytes that are read from another home at a time. With fewer, small runs take more requests; with more, a
/// merge of many runs needs more memory.
pub(crate) const STEP_BYTES: usize = 64 << 10;

/// The name of a place where workers keep their files, such as the disk of one machine: `"node7:40123"`.
///
/// The executor chooses the name, and only its [`FileTransfer`] interprets it. When the files of a home are lost, its
/// name must not be used again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Home(Arc<str>);

impl Home {
    /// Creates a home.
    ///
    /// # Panics
    ///
    /// Panics if the name is empty or contains a slash.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::executor::Home;
    ///
    /// assert_eq!(Home::new("node7:40123").name(), "node7:40123");
    /// ```
    #[must_use]
    pub fn new(name: &str) -> Self {
        let is_name = !name.is_empty() && !name.contains('/');
        assert!(is_name, "a home needs a name without slashes");
        Self(name.into())
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Returns the home of a file, and its path there, or `None` if the file has no home.
    pub(crate) fn split(name: &Path) -> Option<(Self, PathBuf)> {
        let bytes = name.as_os_str().as_encoded_bytes();
        if !bytes.starts_with(SCHEME) {
            return None;
        }
        let plain = name.to_owned().to_plain();
        let rest = plain.strip_prefix(SCHEME)?;
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        let home = std::str::from_utf8(&rest[..slash]).ok()?;
        let path = PathBuf::from_plain(rest[slash..].to_owned());
        (!home.is_empty()).then(|| (Self(home.into()), path))
    }

    /// Returns the name of the file at `path` of this home.
    fn name_of(&self, path: &Path) -> PathBuf {
        let path = path.to_owned().to_plain();
        PathBuf::from_plain([SCHEME, self.0.as_bytes(), &path].concat())
    }
}

impl Display for Home {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Access of one process to the scratch files of other processes, with which it shares no disk.
///
/// An executor whose workers share no disk implements it, for its workers and for this process: see
/// [the module](crate::executor#workers-that-share-no-disk).
pub trait FileTransfer: Send + Sync + 'static {
    /// The home of the files that this process writes.
    fn home(&self) -> &Home;

    /// Fills the start of `buffer` with the bytes from `offset` of a file of another process. Returns their number,
    /// which is 0 only at the end of the file. A running task calls this, so it must return within a bounded time.
    ///
    /// # Errors
    ///
    /// Returns [`NotFound`](io::ErrorKind::NotFound) if the file does not exist, and any other error if the home cannot
    /// be reached. All files of that home then count as lost, and are recomputed.
    fn read(&self, home: &Home, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Requests the deletion of a file of another process that is no longer read. Must neither wait nor fail: a file that
    /// cannot be deleted now is deleted with its directory.
    fn remove(&self, home: &Home, path: &Path);
}

/// Access to the files of a job: those of this process, and those of other homes if there are any.
#[derive(Clone, Default)]
pub(crate) struct Transfer(Option<Arc<dyn FileTransfer>>);

impl From<Option<Arc<dyn FileTransfer>>> for Transfer {
    fn from(transfer: Option<Arc<dyn FileTransfer>>) -> Self {
        Self(transfer)
    }
}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let home = self.0.as_ref().map(|transfer| transfer.home());
        f.debug_tuple("Transfer").field(&home).finish()
    }
}

/// Location of a file.
pub(super) enum FilePlace<'p> {
    Here(Cow<'p, Path>),
    Elsewhere(HomeFile),
}

impl Transfer {
    /// Returns whether processes have homes.
    pub(super) fn has_homes(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the name of a file of this process, for all processes.
    pub(super) fn name_of(&self, path: PathBuf) -> PathBuf {
        match &self.0 {
            Some(transfer) => transfer.home().name_of(&path),
            None => path,
        }
    }

    pub(super) fn locate<'p>(&self, name: &'p Path) -> FilePlace<'p> {
        match Home::split(name) {
            None => FilePlace::Here(name.into()),
            Some((home, path)) if self.is_here(&home) => FilePlace::Here(path.into()),
            Some((home, path)) => FilePlace::Elsewhere(HomeFile {
                transfer: self.clone(),
                home,
                path,
            }),
        }
    }

    fn is_here(&self, home: &Home) -> bool {
        let transfer = self.0.as_ref();
        transfer.is_some_and(|transfer| transfer.home() == home)
    }
}

/// A file of another home.
#[derive(Debug)]
pub(crate) struct HomeFile {
    transfer: Transfer,
    home: Home,
    path: PathBuf,
}

impl HomeFile {
    pub(super) fn remove(&self) {
        if let Some(transfer) = &self.transfer.0 {
            transfer.remove(&self.home, &self.path);
        }
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &self.transfer.0 {
            Some(transfer) => transfer.read(&self.home, &self.path, offset, buffer),
            None => Err(io::Error::other("this process has no access to it")),
        };
        read.map_err(|error| self.lost(&error).into())
    }

    /// Returns the error of lost records, so that they are recomputed.
    fn lost(&self, error: &io::Error) -> Error {
        Error::new(if error.kind() == io::ErrorKind::NotFound {
            ErrorKind::CorruptRun {
                path: self.home.name_of(&self.path),
                offset: 0,
                reason: "the file is missing",
            }
        } else {
            ErrorKind::HomeLost {
                home: self.home.to_string(),
                reason: error.to_string(),
            }
        })
    }
}

/// An open scratch file.
#[derive(Clone, Debug)]
pub(crate) enum ScratchHandle {
    Here(Arc<File>),
    Elsewhere(Arc<HomeFile>),
}

impl ScratchHandle {
    /// Returns a reader of `bytes` bytes from `start` on.
    pub(crate) fn range(self, start: u64, bytes: u64) -> ScratchRange {
        match self {
            Self::Here(file) => ScratchRange::Here(FileRange::new(file, start, bytes)),
            Self::Elsewhere(file) => ScratchRange::Elsewhere(Box::new(HomeRange {
                file,
                position: start,
                end: start.saturating_add(bytes),
                buffer: Vec::new(),
                taken: 0,
            })),
        }
    }

    /// Prefetches the start of a range, if it is on this machine.
    pub(super) fn read_ahead(&self, offset: u64, bytes: u64) {
        if let Self::Here(file) = self {
            file::read_ahead(file, offset, bytes.min(file::AHEAD_BYTES));
        }
    }
}

/// A byte range of a scratch file, read sequentially.
#[derive(Debug)]
pub(crate) enum ScratchRange {
    Here(FileRange),
    Elsewhere(Box<HomeRange>),
}

impl Read for ScratchRange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Here(range) => range.read(buffer),
            Self::Elsewhere(range) => range.read(buffer),
        }
    }
}

/// A byte range of a file of another home.
#[derive(Debug)]
pub(crate) struct HomeRange {
    file: Arc<HomeFile>,
    /// Offset of the bytes after those in the buffer.
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Number of bytes of the buffer that have been read.
    taken: usize,
}

impl Read for HomeRange {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.buffer.len() {
            let step = (self.end - self.position).min(STEP_BYTES as u64);
            self.buffer.resize(step as usize, 0);
            self.taken = 0;
            let read = match &mut self.buffer[..] {
                [] => Ok(0),
                buffer => self.file.read(self.position, buffer),
            };
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            self.position += read? as u64;
        }
        let count = (&self.buffer[self.taken..]).read(out)?;
        self.taken += count;
        Ok(count)
    }
}

/// Returns the error of a read from a scratch file.
pub(super) fn read_error(path: &Path, error: io::Error) -> Error {
    let ours = error.downcast::<Error>();
    ours.unwrap_or_else(|error| Error::io("read", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_home_is_taken_apart_again() {
        let home = Home::new("a:1");
        let name = home.name_of(Path::new("/tmp/b/c"));
        assert_eq!(name, Path::new("home://a:1/tmp/b/c"));
        assert_eq!(Home::split(&name), Some((home, "/tmp/b/c".into())));
        for other in ["/tmp/home://a/b", "home:///tmp", "home://a", "tmp/a", ""] {
            assert_eq!(Home::split(Path::new(other)), None, "{other}");
        }
    }
}
