//! Directories and files that clean up after themselves.
//!
//! ```text
//!  <spill directory>/
//!  └─ holdall-<process>-<time>-<n>-<check>/    one per Scratch, made with its first file: see `owned`
//!     ├─ lock
//!     └─ <name>-<n>                            deleted when its ScratchFile is dropped
//! ```
//!
//! A worker process puts its files into the directory of the job, which is the driver's; what is to outlive it is kept,
//! and then adopted by the driver.
//!
//! The directory goes when the [`Scratch`] and all its files are dropped (also while a panic unwinds), at the end of the
//! process (`interrupt`), and after a `kill -9` by the next [`sweep`]. If it is lost before, it is made again, and so is
//! what was in it: its readers find that damaged.

#[cfg(test)]
pub(in crate::storage) mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::directory::FileKind;
use super::owned::{self, Kind, OwnedDirectory};
use super::{environment, file, interrupt, system};
use crate::error::{Error, ErrorContext, ErrorKind, Result};

/// How often a directory that is lost is made again for one file.
const MAX_CREATIONS: usize = 10;

static KIND: Kind = Kind {
    prefix: "holdall-",
    has_file: |name, kind| kind == FileKind::File && is_file_name(name),
    directories: &[],
    has_inner_file: |_| false,
    settle: |_| true,
};

/// Whether files get such names from [`Scratch::create`].
fn is_file_name(name: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.rsplit_once('-')
        .is_some_and(|(name, number)| name.bytes().all(is_of_name) && number.parse::<u64>().is_ok())
}

/// The scratch files of one job; clones share them. Nothing is on disk before the first file is created.
#[derive(Clone, Debug)]
pub(crate) struct Scratch(Arc<Root>);

#[derive(Debug)]
struct Root {
    home: Home,
    quota_bytes: Option<u64>,
    used_bytes: AtomicU64,
    written_bytes: AtomicU64,
    next_file: AtomicU64,
    /// The process whose files these are: a copy of it deletes none.
    process: u64,
}

/// Where the files are.
#[derive(Debug)]
enum Home {
    /// In a directory of our own, once there is one.
    Own {
        spill_directory: PathBuf,
        directory: Mutex<Option<OwnedDirectory>>,
    },
    /// In one that another process owns, under names that begin with `prefix`.
    OfOther { directory: PathBuf, prefix: String },
}

impl Scratch {
    /// Scratch below `spill_directory`, or below the system's directory for temporary files; `quota_bytes` bounds all
    /// its files together.
    pub(crate) fn new(spill_directory: Option<&Path>, quota_bytes: Option<u64>) -> Self {
        let home = Home::Own {
            spill_directory: spill_directory
                .map_or_else(environment::temporary_directory, Path::to_owned),
            directory: Mutex::new(None),
        };
        Self::at(home, quota_bytes)
    }

    /// Scratch in the `directory` of another process, which removes it. No other files there may have names that begin
    /// with `prefix`.
    pub(crate) fn within(directory: PathBuf, prefix: String, quota_bytes: Option<u64>) -> Self {
        interrupt::outlive_long_files();
        Self::at(Home::OfOther { directory, prefix }, quota_bytes)
    }

    fn at(home: Home, quota_bytes: Option<u64>) -> Self {
        Self(Arc::new(Root {
            home,
            quota_bytes,
            used_bytes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            next_file: AtomicU64::new(1),
            process: system::process_number(),
        }))
    }

    /// Creates a file; `name` need not be new. The first one creates the directory.
    pub(crate) fn create(&self, name: &str) -> Result<ScratchWriter> {
        let (path, handle) = self.put(name, file::create_new)?;
        let handle = Arc::new(handle);
        file::read_as_asked(&handle);
        let mut file = self.file(path, true);
        file.handle = Mutex::new(Arc::downgrade(&handle));
        Ok(ScratchWriter {
            file: Arc::new(file),
            handle,
            bytes: 0,
        })
    }

    /// Has `put` make a file of a new name. If the directory is lost, it is made again; if it is another process's, that
    /// is an error which has the process make it again.
    fn put<R>(&self, name: &str, put: impl Fn(&Path) -> Result<R>) -> Result<(PathBuf, R)> {
        let number = self.0.next_file.fetch_add(1, Ordering::Relaxed);
        let name = match &self.0.home {
            Home::Own { .. } => format!("{name}-{number}"),
            Home::OfOther { prefix, .. } => format!("{prefix}{name}-{number}"),
        };
        debug_assert!(is_file_name(&name), "a sweep must know {name} for ours");
        let mut attempt = 1;
        loop {
            let path = self.path()?.join(&name);
            match (put(&path), &self.0.home) {
                (Ok(made), _) => return Ok((path, made)),
                (Err(error), Home::OfOther { directory, .. }) => {
                    return Err(if is_missing(&error) {
                        missing(directory, "the directory is missing")
                    } else {
                        error
                    });
                }
                (Err(error), Home::Own { .. }) => {
                    if !is_missing(&error) || attempt == MAX_CREATIONS {
                        return Err(error);
                    }
                }
            }
            attempt += 1;
        }
    }

    /// Takes over a file that a worker has kept: it is deleted as one of ours is, and counts for the quota.
    ///
    /// If it is not there any more, its readers will say so.
    pub(crate) fn adopt(&self, path: PathBuf) -> Result<Arc<ScratchFile>> {
        let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let file = self.file(path, true);
        // The worker has counted it as written.
        self.0.take(bytes, &file.path)?;
        file.used_bytes.store(bytes, Ordering::Relaxed);
        Ok(Arc::new(file))
    }

    /// The same, into the directory of this scratch; `name` need not be new.
    pub(crate) fn adopt_into(&self, from: &Path, name: &str) -> Result<Arc<ScratchFile>> {
        let moved = self.put(name, |path| match fs::rename(from, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(false),
            Err(error) => Err(Error::io("move", from, error)),
            Ok(()) => Ok(true),
        });
        match moved? {
            (path, true) => self.adopt(path),
            (_, false) => Err(missing(from, FILE_IS_MISSING)),
        }
    }

    /// A file that another process owns, for reading.
    pub(crate) fn borrow(&self, path: PathBuf) -> Arc<ScratchFile> {
        Arc::new(self.file(path, false))
    }

    /// Counts what others have written for the same job.
    pub(crate) fn count_written(&self, bytes: u64) {
        self.0.written_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What bounds all its files together.
    pub(crate) fn quota_bytes(&self) -> Option<u64> {
        self.0.quota_bytes
    }

    fn file(&self, path: PathBuf, is_owned: bool) -> ScratchFile {
        ScratchFile {
            path,
            handle: Mutex::default(),
            root: Arc::clone(&self.0),
            used_bytes: AtomicU64::new(0),
            is_owned: AtomicBool::new(is_owned),
        }
    }

    /// The directory, which is made if there is none yet, or none any more. A copy of the process makes one of its own.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        match &self.0.home {
            Home::OfOther { directory, .. } => Ok(directory.clone()),
            Home::Own {
                spill_directory,
                directory,
            } => {
                let mut directory = lock(directory);
                if let Some(made) = directory.as_ref().filter(|made| made.is_there()) {
                    return Ok(made.path().to_owned());
                }
                let made = OwnedDirectory::create(&KIND, spill_directory, Vec::new())
                    .map_err(|source| file::write_error("create", spill_directory, 0, source))?;
                let made = made.ok_or_else(|| Error::new(ErrorKind::Cancelled))?;
                Ok(directory.insert(made).path().to_owned())
            }
        }
    }

    /// The directory of its own, if it has been made.
    #[cfg(test)]
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        let Home::Own { directory, .. } = &self.0.home else {
            return None;
        };
        let directory = lock(directory);
        directory
            .as_ref()
            .map(|directory| directory.path().to_owned())
    }

    /// The length of all its files now.
    #[cfg(test)]
    pub(crate) fn used_bytes(&self) -> u64 {
        self.0.used_bytes.load(Ordering::Relaxed)
    }

    /// How many files there have been.
    #[cfg(test)]
    pub(crate) fn files(&self) -> u64 {
        self.0.next_file.load(Ordering::Relaxed) - 1
    }

    /// The length of all its files, those that are gone included.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.0.written_bytes.load(Ordering::Relaxed)
    }
}

impl Root {
    fn take(&self, bytes: u64, path: &Path) -> Result<()> {
        let quota_bytes = self.quota_bytes.unwrap_or(u64::MAX);
        let grown = |used: u64| used.checked_add(bytes).filter(|&used| used <= quota_bytes);
        self.used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .map_err(|_| {
                Error::new(ErrorKind::QuotaExceeded {
                    context: ErrorContext::default(),
                    path: path.to_owned(),
                    needed_bytes: bytes,
                    quota_bytes,
                })
            })?;
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A file that is written from start to end.
#[derive(Debug)]
pub(crate) struct ScratchWriter {
    file: Arc<ScratchFile>,
    handle: Arc<File>,
    bytes: u64,
}

impl ScratchWriter {
    /// Appends all of `bytes`, or nothing: after an error the file is as long as before.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let length = bytes.len() as u64;
        let path = self.file.path();
        self.file.take(length)?;
        if let Err(error) = file::write_all_at(&self.handle, path, bytes, self.bytes) {
            self.file.give_back(length);
            // What was written before the disk was full only takes room. If this fails too, the first error says more.
            let _ = file::truncate(&self.handle, path, self.bytes);
            return Err(error);
        }
        self.bytes += length;
        Ok(())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file, for its readers; it is deleted when the last of these is dropped, and the writer.
    pub(crate) fn file(&self) -> &Arc<ScratchFile> {
        &self.file
    }
}

/// A file that can be read by several at a time, and is deleted on drop, unless it is another's.
#[derive(Debug)]
pub(crate) struct ScratchFile {
    path: PathBuf,
    /// The open file, as long as somebody reads or writes it: there may be more files than may be open at a time.
    handle: Mutex<Weak<File>>,
    /// Whose quota it counts against.
    root: Arc<Root>,
    /// With how many bytes.
    used_bytes: AtomicU64,
    /// Whether it is for us to delete it.
    is_owned: AtomicBool,
}

impl ScratchFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file; all who have it open at a time share one.
    pub(crate) fn open(&self) -> Result<Arc<File>> {
        let mut shared = lock(&self.handle);
        if let Some(handle) = shared.upgrade() {
            return Ok(handle);
        }
        let handle = file::open(&self.path).map_err(|error| {
            if is_missing(&error) {
                missing(&self.path, FILE_IS_MISSING)
            } else {
                error
            }
        })?;
        file::read_as_asked(&handle);
        let handle = Arc::new(handle);
        *shared = Arc::downgrade(&handle);
        Ok(handle)
    }

    /// Leaves the file to who adopts it. Without one it goes with its directory.
    pub(crate) fn keep(&self) {
        self.is_owned.store(false, Ordering::Relaxed);
    }

    fn take(&self, bytes: u64) -> Result<()> {
        self.root.take(bytes, &self.path)?;
        self.root.written_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, bytes: u64) {
        self.root.give_back(bytes);
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        if *self.is_owned.get_mut() && self.root.process == system::process_number() {
            // It may be gone with its directory; if it cannot be deleted, it goes with that, or by a sweep.
            let _ = fs::remove_file(&self.path);
        }
        self.root.give_back(*self.used_bytes.get_mut());
    }
}

const FILE_IS_MISSING: &str = "the file is missing";

fn is_missing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// What is ours and gone is damage, not a failure of the system.
fn missing(path: &Path, reason: &'static str) -> Error {
    Error::new(ErrorKind::CorruptRun {
        path: path.to_owned(),
        offset: 0,
        reason,
    })
}

/// Removes the directories that dead processes of this user have left in `spill_directory`, and returns their number.
///
/// It removes nothing that holdall did not create: see [`owned`].
pub(crate) fn sweep(spill_directory: &Path) -> usize {
    owned::sweep(&KIND, spill_directory)
}

/// What these locks guard is whole at any time, so a panic elsewhere while one was held does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
