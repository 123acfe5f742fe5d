//! Directories and files that clean up after themselves.
//!
//! ```text
//!  <spill directory>/
//!  └─ holdall-<pid>-<time>-<n>/     one per Scratch, for this user only, made with its first file
//!     ├─ lock                       locked as long as its owner lives
//!     └─ <name>-<n>                 deleted when its ScratchFile is dropped
//! ```
//!
//! A worker process puts its files into the directory of the job, which is the driver's; what is to outlive it is kept,
//! and then adopted by the driver.
//!
//! The directory goes when the [`Scratch`] and all its files are dropped (also while a panic unwinds), at Ctrl-C
//! (`interrupt`), and after a `kill -9` by the next [`sweep`].
//!
//! Who may delete a directory is settled by the lock alone, never by the process number in the name, which another
//! process may have by now. Owner and sweeper do the same: make the lock file if it is not there, lock it, and look
//! whether it still is the file at that path. Only who gets that far owns the directory. So a sweeper that comes
//! between an owner's `mkdir` and its lock takes the directory away, under another name, and the owner makes another.
//! The system drops the lock when the process ends, however it ends. The spill directory must be on a file system whose
//! locks reach all processes that use it, as local disks do and NFS does.

#[cfg(test)]
pub(in crate::storage) mod tests;

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{environment, file, interrupt, system};
use crate::error::{Error, ErrorKind, Place, Result};

const NAME_PREFIX: &str = "holdall-";
const LOCK_NAME: &str = "lock";

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
}

/// Where the files are.
#[derive(Debug)]
enum Home {
    /// In a directory of our own, once there is one.
    Own {
        spill_directory: PathBuf,
        directory: Mutex<Option<Directory>>,
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
        Self::at(Home::OfOther { directory, prefix }, quota_bytes)
    }

    fn at(home: Home, quota_bytes: Option<u64>) -> Self {
        Self(Arc::new(Root {
            home,
            quota_bytes,
            used_bytes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            next_file: AtomicU64::new(1),
        }))
    }

    /// Creates a file; `name` need not be new. The first one creates the directory.
    pub(crate) fn create(&self, name: &str) -> Result<ScratchWriter> {
        let path = self.new_path(name)?;
        let handle = Arc::new(file::create_new(&path)?);
        file::read_as_asked(&handle);
        let mut file = self.file(path, true);
        file.handle = Mutex::new(Arc::downgrade(&handle));
        Ok(ScratchWriter {
            file: Arc::new(file),
            handle,
            bytes: 0,
        })
    }

    /// The path of a file that is not there yet.
    fn new_path(&self, name: &str) -> Result<PathBuf> {
        let number = self.0.next_file.fetch_add(1, Ordering::Relaxed);
        let name = match &self.0.home {
            Home::Own { .. } => format!("{name}-{number}"),
            Home::OfOther { prefix, .. } => format!("{prefix}{name}-{number}"),
        };
        Ok(self.path()?.join(name))
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
        let path = self.new_path(name)?;
        fs::rename(from, &path)
            .map_err(|error| missing_or(from, Error::io("move", from, error)))?;
        self.adopt(path)
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

    /// The directory, which is made if there is none yet.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        match &self.0.home {
            Home::OfOther { directory, .. } => Ok(directory.clone()),
            Home::Own {
                spill_directory,
                directory,
            } => {
                let mut directory = lock(directory);
                let directory = match &mut *directory {
                    Some(directory) => directory,
                    none => none.insert(Directory::create(spill_directory)?),
                };
                Ok(directory.path.clone())
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
        directory.as_ref().map(|directory| directory.path.clone())
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
                    place: Place::default(),
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
        let handle = file::open(&self.path).map_err(|error| missing_or(&self.path, error))?;
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
        if *self.is_owned.get_mut() {
            // It may be gone with its directory (Ctrl-C); if it cannot be deleted, the directory's end or a sweep will.
            let _ = fs::remove_file(&self.path);
        }
        self.root.give_back(*self.used_bytes.get_mut());
    }
}

/// A file of ours that is gone is damage, not a failure of the system.
fn missing_or(path: &Path, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Error::new(ErrorKind::CorruptRun {
                path: path.to_owned(),
                offset: 0,
                reason: "the file is missing",
            })
        }
        _ => error,
    }
}

/// A locked directory, removed on drop.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// Held, not read. Without one the file system has no locks, and no sweeper can take the directory either.
    _lock: Option<File>,
}

impl Directory {
    fn create(spill_directory: &Path) -> Result<Self> {
        fs::create_dir_all(spill_directory)
            .map_err(|error| file::write_error("create", spill_directory, 0, error))?;
        interrupt::install();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = now.map_or(0, |time| time.as_micros());
        for number in 0..u32::MAX {
            let name = format!("{NAME_PREFIX}{}-{time:x}-{number}", process::id());
            let path = spill_directory.join(name);
            // Held over `mkdir`: `remove_all` either finds the directory or keeps it from being made.
            let mut live = live();
            if live.is_closed {
                break;
            }
            match make_private_directory(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(file::write_error("create", &path, 0, error)),
                Ok(()) => {}
            }
            let lock = match claim(&path) {
                Claim::Owned(file) => Some(file),
                Claim::Impossible(error) if is_without_locks(&error) => None,
                Claim::Impossible(error) => {
                    let _ = fs::remove_dir_all(&path);
                    return Err(file::write_error("lock", &path, 0, error));
                }
                Claim::OfOther => continue, // a sweeper was faster
            };
            live.directories.insert(path.clone());
            return Ok(Self { path, _lock: lock });
        }
        Err(Error::new(ErrorKind::Cancelled))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // While the lock is still held. What cannot be deleted is left to the next sweep.
        remove_directory(&self.path);
        live().directories.remove(&self.path);
    }
}

fn make_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Whose a directory is, after [`claim`].
enum Claim {
    /// The caller's, as long as it holds this file.
    Owned(File),
    /// Somebody else's, or it is gone.
    OfOther,
    /// The system does not say.
    Impossible(io::Error),
}

/// Tries to become the owner of a directory.
fn claim(directory: &Path) -> Claim {
    let path = directory.join(LOCK_NAME);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let file = match options.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Claim::OfOther,
        Err(error) => return Claim::Impossible(error),
    };
    match file.try_lock() {
        Ok(()) if system::is_file_at(&file, &path) => Claim::Owned(file),
        Ok(()) | Err(TryLockError::WouldBlock) => Claim::OfOther,
        Err(TryLockError::Error(error)) => Claim::Impossible(error),
    }
}

fn is_without_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::ENOLCK) {
        return true;
    }
    error.kind() == io::ErrorKind::Unsupported
}

/// Removes a directory with all that is in it. Tries again if a file is created in it meanwhile.
fn remove_directory(path: &Path) -> bool {
    for _ in 0..10 {
        match fs::remove_dir_all(path) {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return !path.exists(),
            Err(_) => {}
        }
    }
    false
}

/// Removes a directory that nobody owns but the caller. It first gets another name: while its files go, the lock among
/// them, somebody who wants it could make a lock of his own there, and would lose the directory.
fn remove_left(path: &Path) -> bool {
    let mut name = path.as_os_str().to_owned();
    name.push("-left");
    let aside = PathBuf::from(name);
    fs::rename(path, &aside).is_ok() && remove_directory(&aside)
}

/// Removes the directories that dead processes of this user have left in `spill_directory`, and gives their number.
///
/// What cannot be read, locked or removed is left alone: a sweep never fails a job.
pub(crate) fn sweep(spill_directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(spill_directory) else {
        return 0;
    };
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(NAME_PREFIX)) && system::is_own_directory(path)
    };
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .filter(is_ours)
        .filter(|path| match claim(path) {
            Claim::Owned(_lock) => remove_left(path),
            Claim::OfOther | Claim::Impossible(_) => false,
        })
        .count()
}

/// The directories of this process.
struct Live {
    directories: BTreeSet<PathBuf>,
    /// Whether the process is about to end, so that no more may be made.
    is_closed: bool,
}

static LIVE: Mutex<Live> = Mutex::new(Live {
    directories: BTreeSet::new(),
    is_closed: false,
});

fn live() -> MutexGuard<'static, Live> {
    lock(&LIVE)
}

/// The scratch directories that this process has now.
#[cfg(test)]
pub(crate) fn live_directories() -> Vec<PathBuf> {
    live().directories.iter().cloned().collect()
}

/// Removes all scratch directories of this process, which is about to end: no more can be made.
pub(crate) fn remove_all() {
    let mut live = live();
    live.is_closed = true;
    for path in std::mem::take(&mut live.directories) {
        remove_directory(&path);
    }
}

/// What these locks guard is whole at any time, so a panic elsewhere while one was held does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
