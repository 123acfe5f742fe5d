//! Scratch files that are on no disk of this process: those of processes that share no disk with it, and those in a store.
//!
//! Each process that shares no disk with others has a [`Home`]. A file of such a process is named by its home and its path
//! there, as `home://<home><path>`. Files of processes that share a disk have no home, and are named by their path alone.
//! [`StoredFiles`] have no home either: all processes know them by the same names.

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
const STEP_BYTES: usize = 64 << 10;

/// Maximum number of bytes that are read from a store at a time. With fewer, a run takes more requests, each of which
/// takes tens of milliseconds; with more, a request to a bucket is divided.
const STORED_STEP_BYTES: usize = 512 << 10;

/// Number of steps from a store that fit into the memory of a worker. With fewer, merges of many runs exceed a small
/// budget; with more, they take more requests.
const STEPS_OF_MEMORY: usize = 64;

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

/// Files that all processes of a job reach by the same names, such as objects of a store.
pub(crate) trait StoredFiles: Send + Sync {
    /// Returns whether the file with this name is one of them.
    fn has(&self, name: &Path) -> bool;

    /// Fills the start of `buffer` with the bytes from `offset` of a file. Returns their number, which is smaller than the
    /// buffer only at the end of the file.
    ///
    /// # Errors
    ///
    /// Returns [`NotFound`](io::ErrorKind::NotFound) if the file does not exist.
    fn read(&self, name: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Requests the deletion of a file that is no longer read. Must neither wait nor fail.
    fn remove(&self, name: &Path);
}

/// Access to the files of a job: those of this process, and those of other homes and in a store if there are any.
#[derive(Clone, Default)]
pub(crate) struct Transfer {
    homes: Option<Arc<dyn FileTransfer>>,
    store: Option<Arc<dyn StoredFiles>>,
    /// Number of bytes that are read from the store at a time.
    stored_step_bytes: usize,
}

impl From<Option<Arc<dyn FileTransfer>>> for Transfer {
    fn from(homes: Option<Arc<dyn FileTransfer>>) -> Self {
        Self {
            homes,
            ..Self::default()
        }
    }
}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let home = self.homes.as_ref().map(|homes| homes.home());
        f.debug_struct("Transfer")
            .field("home", &home)
            .field("has_store", &self.store.is_some())
            .finish_non_exhaustive()
    }
}

/// Location of a file.
pub(super) enum FilePlace<'p> {
    Here(Cow<'p, Path>),
    Elsewhere(DistantFile),
}

impl Transfer {
    /// Adds the files of a store. Readers have `memory_bytes` of memory.
    pub(crate) fn with_store(self, store: Arc<dyn StoredFiles>, memory_bytes: usize) -> Self {
        let step_bytes = memory_bytes / STEPS_OF_MEMORY;
        Self {
            store: Some(store),
            stored_step_bytes: step_bytes.clamp(STEP_BYTES, STORED_STEP_BYTES),
            ..self
        }
    }

    /// Returns whether processes have homes.
    pub(super) fn has_homes(&self) -> bool {
        self.homes.is_some()
    }

    /// Maximum number of bytes that a reader holds in memory.
    pub(super) fn step_bytes(&self) -> usize {
        match self {
            Self { store: Some(_), .. } => self.stored_step_bytes,
            Self { homes: Some(_), .. } => STEP_BYTES,
            _ => 0,
        }
    }

    /// Returns the name of a file of this process, for all processes.
    pub(super) fn name_of(&self, path: PathBuf) -> PathBuf {
        match &self.homes {
            Some(homes) => homes.home().name_of(&path),
            None => path,
        }
    }

    pub(super) fn locate<'p>(&self, name: &'p Path) -> FilePlace<'p> {
        match Home::split(name) {
            None => match self.store.as_ref().filter(|store| store.has(name)) {
                None => FilePlace::Here(name.into()),
                Some(store) => FilePlace::Elsewhere(DistantFile::Stored {
                    store: Arc::clone(store),
                    name: name.to_owned(),
                    step_bytes: self.stored_step_bytes,
                }),
            },
            Some((home, path)) if self.is_here(&home) => FilePlace::Here(path.into()),
            Some((home, path)) => FilePlace::Elsewhere(DistantFile::AtHome {
                homes: self.homes.clone(),
                home,
                path,
            }),
        }
    }

    fn is_here(&self, home: &Home) -> bool {
        let homes = self.homes.as_ref();
        homes.is_some_and(|homes| homes.home() == home)
    }
}

/// A file that is on no disk of this process.
pub(crate) enum DistantFile {
    AtHome {
        homes: Option<Arc<dyn FileTransfer>>,
        home: Home,
        path: PathBuf,
    },
    Stored {
        store: Arc<dyn StoredFiles>,
        name: PathBuf,
        step_bytes: usize,
    },
}

impl DistantFile {
    pub(super) fn remove(&self) {
        match self {
            Self::AtHome { homes, home, path } => {
                if let Some(homes) = homes {
                    homes.remove(home, path);
                }
            }
            Self::Stored { store, name, .. } => store.remove(name),
        }
    }

    /// Maximum number of bytes that are read at a time.
    fn step_bytes(&self) -> usize {
        match self {
            Self::AtHome { .. } => STEP_BYTES,
            Self::Stored { step_bytes, .. } => *step_bytes,
        }
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Self::AtHome { homes, home, path } => match homes {
                Some(homes) => homes.read(home, path, offset, buffer),
                None => Err(io::Error::other("this process has no access to it")),
            },
            Self::Stored { store, name, .. } => store.read(name, offset, buffer),
        };
        read.map_err(|error| self.failed(offset, error).into())
    }

    /// Returns the error of a read. If records are lost, they are recomputed.
    fn failed(&self, offset: u64, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::NotFound {
            return Error::new(ErrorKind::CorruptRun {
                path: self.name(),
                offset: 0,
                reason: "the file is missing",
            });
        }
        match self {
            Self::AtHome { home, .. } => Error::new(ErrorKind::HomeLost {
                home: home.to_string(),
                reason: error.to_string(),
            }),
            Self::Stored { name, .. } => Error::io_at("read", name, Some(offset), error),
        }
    }

    fn name(&self) -> PathBuf {
        match self {
            Self::AtHome { home, path, .. } => home.name_of(path),
            Self::Stored { name, .. } => name.clone(),
        }
    }
}

impl fmt::Debug for DistantFile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DistantFile").field(&self.name()).finish()
    }
}

/// An open scratch file.
#[derive(Clone, Debug)]
pub(crate) enum ScratchHandle {
    Here(Arc<File>),
    Elsewhere(Arc<DistantFile>),
}

impl ScratchHandle {
    /// Returns a reader of `bytes` bytes from `start` on.
    pub(crate) fn range(self, start: u64, bytes: u64) -> ScratchRange {
        match self {
            Self::Here(file) => ScratchRange::Here(FileRange::new(file, start, bytes)),
            Self::Elsewhere(file) => ScratchRange::Elsewhere(Box::new(DistantRange {
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
    Elsewhere(Box<DistantRange>),
}

impl Read for ScratchRange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Here(range) => range.read(buffer),
            Self::Elsewhere(range) => range.read(buffer),
        }
    }
}

/// A byte range of a file that is on no disk of this process.
#[derive(Debug)]
pub(crate) struct DistantRange {
    file: Arc<DistantFile>,
    /// Offset of the bytes after those in the buffer.
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Number of bytes of the buffer that have been read.
    taken: usize,
}

impl Read for DistantRange {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.buffer.len() {
            let step = (self.end - self.position).min(self.file.step_bytes() as u64);
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
