//! Directories and files that clean up after themselves.
//!
//! ```text
//!  <spill directory>/
//!  └─ holdall-<process>-<time>-<n>-<check>/    one per Scratch, created with its first file: see `owned`
//!     ├─ lock
//!     └─ <name>-<n>                            deleted when its ScratchFile is dropped
//! ```
//!
//! A worker process writes its files to the directory of the job, which the driver owns. The worker keeps files that
//! must outlive it, and the driver adopts them.
//!
//! The directory is deleted when the [`Scratch`] and all its files are dropped (even if a panic unwinds), or at the end
//! of the process (`interrupt`). After a `kill -9`, the next [`sweep`] deletes it. If the directory is lost earlier, it
//! is created again. The readers of the lost files report damage, so their content is recomputed.

#[cfg(test)]
pub(in crate::storage) mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::directory::FileKind;
use super::owned::{self, Kind};
use super::owned_directory::OwnedDirectory;
use super::transfer::{FilePlace, Home, ScratchHandle, Transfer};
use super::{environment, file, interrupt, live, system};
use crate::error::{Error, ErrorContext, ErrorKind, Result};

/// Maximum number of times that a lost directory is created again for one file.
const MAX_CREATIONS: usize = 10;

static KIND: Kind = Kind {
    prefix: "holdall-",
    has_file: |name, kind| kind == FileKind::File && is_file_name(name),
    directories: &[],
    has_nested: false,
    has_inner_file: |_| false,
    recover: |_| true,
};

/// Returns `true` for names that [`Scratch::create`] gives to files.
fn is_file_name(name: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.rsplit_once('-')
        .is_some_and(|(name, number)| name.bytes().all(is_of_name) && number.parse::<u64>().is_ok())
}

/// The scratch files of one job. Clones share them. Nothing exists on disk before the first file is created.
#[derive(Clone, Debug)]
pub(crate) struct Scratch {
    root: Arc<Root>,
    written: Arc<WrittenBytes>,
}

/// Total length of the files that were written by one [part](Scratch::part) of a job, including deleted ones.
#[derive(Debug, Default)]
struct WrittenBytes {
    bytes: AtomicU64,
    /// The part of it that [`Scratch::take_written`] has returned.
    taken_bytes: AtomicU64,
}

#[derive(Debug)]
struct Root {
    place: Place,
    transfer: Transfer,
    quota_bytes: Option<u64>,
    used_bytes: AtomicU64,
    next_file: AtomicU64,
    /// Process that owns the files. A forked copy of the process deletes none of them.
    process: u64,
}

/// The directory of the files.
#[derive(Debug)]
enum Place {
    /// A directory that this scratch owns, once it has been created.
    Own {
        spill_directory: PathBuf,
        directory: Mutex<Option<OwnedDirectory>>,
    },
    /// A directory that another process owns. The names of the files begin with `prefix`.
    OfOther { directory: PathBuf, prefix: String },
}

impl Scratch {
    /// Creates a scratch below `spill_directory` or, by default, below the system's directory for temporary files.
    /// `quota_bytes` limits the total length of its files.
    pub(crate) fn new(spill_directory: Option<&Path>, quota_bytes: Option<u64>) -> Self {
        Self::with_homes(spill_directory, quota_bytes, Transfer::default())
    }

    /// Like [`new`](Self::new), with access to files of other homes.
    pub(crate) fn with_homes(
        spill_directory: Option<&Path>,
        quota_bytes: Option<u64>,
        transfer: Transfer,
    ) -> Self {
        let place = Place::Own {
            spill_directory: spill_directory
                .map_or_else(environment::temporary_directory, Path::to_owned),
            directory: Mutex::new(None),
        };
        Self::at(place, quota_bytes, transfer)
    }

    /// Creates a scratch in the `directory` of another process, which deletes it. No other files in the directory may
    /// have names that begin with `prefix`.
    #[cfg(test)]
    pub(crate) fn within(directory: PathBuf, prefix: String, quota_bytes: Option<u64>) -> Self {
        Self::within_home(directory, prefix, quota_bytes, Transfer::default())
    }

    /// Like [`within`](Self::within), with access to files of other homes.
    pub(crate) fn within_home(
        directory: PathBuf,
        prefix: String,
        quota_bytes: Option<u64>,
        transfer: Transfer,
    ) -> Self {
        interrupt::outlive_long_files();
        let place = Place::OfOther { directory, prefix };
        Self::at(place, quota_bytes, transfer)
    }

    fn at(place: Place, quota_bytes: Option<u64>, transfer: Transfer) -> Self {
        Self {
            root: Arc::new(Root {
                place,
                transfer,
                quota_bytes,
                used_bytes: AtomicU64::new(0),
                next_file: AtomicU64::new(1),
                process: system::process_number(),
            }),
            written: Arc::default(),
        }
    }

    /// Returns a scratch that shares directory, files and quota, but counts the bytes that are written through it
    /// separately.
    pub(crate) fn part(&self) -> Self {
        Self {
            root: Arc::clone(&self.root),
            written: Arc::default(),
        }
    }

    /// Creates a file. `name` need not be unique. The first call creates the directory.
    pub(crate) fn create(&self, name: &str) -> Result<ScratchWriter> {
        let (path, handle) = self.put(name, file::create_new)?;
        let handle = Arc::new(handle);
        file::read_as_asked(&handle);
        let mut file = self.file(self.root.transfer.name_of(path), true);
        file.handle = Mutex::new(Arc::downgrade(&handle));
        Ok(ScratchWriter {
            file: Arc::new(file),
            handle,
            bytes: 0,
        })
    }

    /// Calls `put` to create a file with a new name. If the directory is lost, creates it again. If it belongs to
    /// another process, returns an error, upon which that process creates it again.
    fn put<R>(&self, name: &str, put: impl Fn(&Path) -> Result<R>) -> Result<(PathBuf, R)> {
        let number = self.root.next_file.fetch_add(1, Ordering::Relaxed);
        let name = match &self.root.place {
            Place::Own { .. } => format!("{name}-{number}"),
            Place::OfOther { prefix, .. } => format!("{prefix}{name}-{number}"),
        };
        debug_assert!(is_file_name(&name), "a sweep must know {name} for ours");
        let mut attempt = 1;
        loop {
            let path = self.path()?.join(&name);
            match (put(&path), &self.root.place) {
                (Ok(made), _) => return Ok((path, made)),
                (Err(error), Place::OfOther { directory, .. }) => {
                    return Err(if is_missing(&error) {
                        missing(directory, "the directory is missing")
                    } else {
                        error
                    });
                }
                (Err(error), Place::Own { .. }) => {
                    if !is_missing(&error) || attempt == MAX_CREATIONS {
                        return Err(error);
                    }
                }
            }
            attempt += 1;
        }
    }

    /// Takes over a file that a worker has kept. The file is deleted like a file of this process, and counts towards
    /// the quota. `bytes` is the known length of a file that is on no disk of this process.
    ///
    /// If the file is missing, its readers will return the error.
    pub(crate) fn adopt(&self, path: PathBuf, bytes: u64) -> Result<Arc<ScratchFile>> {
        let bytes = match self.root.transfer.locate(&path) {
            FilePlace::Here(path) => fs::metadata(path).map_or(0, |metadata| metadata.len()),
            FilePlace::Elsewhere(_) => bytes,
        };
        let file = self.file(path, true);
        // Not added to `written_bytes`: the worker has counted the file already.
        self.root.take(bytes, &file.path)?;
        file.used_bytes.store(bytes, Ordering::Relaxed);
        Ok(Arc::new(file))
    }

    /// Like [`adopt`](Self::adopt), but moves the file into the directory of this scratch, unless the file has another
    /// home. `name` need not be unique.
    pub(crate) fn adopt_into(
        &self,
        from: &Path,
        bytes: u64,
        name: &str,
    ) -> Result<Arc<ScratchFile>> {
        if self.root.transfer.has_homes() {
            return self.adopt(from.to_owned(), bytes);
        }
        let moved = self.put(name, |path| match fs::rename(from, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(false),
            Err(error) => Err(Error::io("move", from, error)),
            Ok(()) => Ok(true),
        });
        match moved? {
            (path, true) => self.adopt(path, bytes),
            (_, false) => Err(missing(from, FILE_IS_MISSING)),
        }
    }

    /// Returns a file that another process owns, for reading.
    pub(crate) fn borrow(&self, path: PathBuf) -> Arc<ScratchFile> {
        Arc::new(self.file(path, false))
    }

    /// Deletes a file that a worker has kept and that this process does not adopt.
    pub(crate) fn discard(&self, path: &Path) {
        self.root.delete(path);
    }

    /// Returns whether the processes of the job have homes, because they share no disk.
    pub(crate) fn has_homes(&self) -> bool {
        self.root.transfer.has_homes()
    }

    /// Returns the maximum memory of a reader for bytes that were transferred in advance.
    pub(crate) fn transfer_bytes(&self) -> usize {
        self.root.transfer.step_bytes()
    }

    /// Adds the bytes that other processes have written for the same job.
    pub(crate) fn count_written(&self, bytes: u64) {
        self.written.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns the limit on the total length of the files.
    pub(crate) fn quota_bytes(&self) -> Option<u64> {
        self.root.quota_bytes
    }

    fn file(&self, path: PathBuf, is_owned: bool) -> ScratchFile {
        ScratchFile {
            path,
            handle: Mutex::default(),
            root: Arc::clone(&self.root),
            written: Arc::clone(&self.written),
            used_bytes: AtomicU64::new(0),
            is_owned: AtomicBool::new(is_owned),
        }
    }

    /// Returns the directory. Creates it if it does not exist yet, or no longer. A forked copy of the process creates
    /// its own.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        match &self.root.place {
            Place::OfOther { directory, .. } => Ok(directory.clone()),
            Place::Own {
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

    /// Returns the directory that this scratch owns, if it has been created.
    #[cfg(test)]
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        let Place::Own { directory, .. } = &self.root.place else {
            return None;
        };
        let directory = lock(directory);
        directory
            .as_ref()
            .map(|directory| directory.path().to_owned())
    }

    /// Returns the current total length of the files.
    #[cfg(test)]
    pub(crate) fn used_bytes(&self) -> u64 {
        self.root.used_bytes.load(Ordering::Relaxed)
    }

    /// Returns the number of files created so far.
    #[cfg(test)]
    pub(crate) fn files(&self) -> u64 {
        self.root.next_file.load(Ordering::Relaxed) - 1
    }

    /// Returns the total length of all files of this [part](Self::part) of the job, including deleted ones.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written.bytes.load(Ordering::Relaxed)
    }

    /// Returns the increase of [`written_bytes`](Self::written_bytes) since the last call. Each byte is returned once,
    /// whichever thread calls this.
    pub(crate) fn take_written(&self) -> u64 {
        let bytes = self.written_bytes();
        let taken_bytes = &self.written.taken_bytes;
        bytes.saturating_sub(taken_bytes.fetch_max(bytes, Ordering::Relaxed))
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

    fn release(&self, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The file may already be gone with its directory. If it cannot be deleted, it is deleted with the directory or by
    /// a sweep.
    fn delete(&self, path: &Path) {
        match self.transfer.locate(path) {
            FilePlace::Here(path) => _ = fs::remove_file(path),
            FilePlace::Elsewhere(file) => file.remove(),
        }
    }
}

/// A file that is written sequentially.
#[derive(Debug)]
pub(crate) struct ScratchWriter {
    file: Arc<ScratchFile>,
    handle: Arc<File>,
    bytes: u64,
}

impl ScratchWriter {
    /// Appends all of `bytes`. After an error, the file has its previous length.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let length = bytes.len() as u64;
        let path = self.file.path();
        self.file.take(length)?;
        if let Err(error) = file::write_all_at(&self.handle, path, bytes, self.bytes) {
            self.file.release(length);
            // The part that was written before the disk was full only wastes space. If truncating fails too, the first
            // error tells more.
            let _ = file::truncate(&self.handle, path, self.bytes);
            return Err(error);
        }
        self.bytes += length;
        Ok(())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the file for its readers. It is deleted when the last of them and the writer are dropped.
    pub(crate) fn file(&self) -> &Arc<ScratchFile> {
        &self.file
    }
}

/// A file that several readers can share. Dropping it deletes the file, unless another process owns it.
#[derive(Debug)]
pub(crate) struct ScratchFile {
    /// Path, or name at a home: see [`transfer`](super::transfer).
    path: PathBuf,
    /// The open file, while a reader or writer uses it. There may be more files than the process can have open.
    handle: Mutex<Weak<File>>,
    /// The scratch whose quota the file counts towards.
    root: Arc<Root>,
    written: Arc<WrittenBytes>,
    /// Number of bytes that the file counts for.
    used_bytes: AtomicU64,
    /// `true` if this process deletes the file.
    is_owned: AtomicBool,
}

impl ScratchFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the open file. All concurrent users in this process share one handle.
    pub(crate) fn open(&self) -> Result<ScratchHandle> {
        let mut shared = lock(&self.handle);
        if let Some(handle) = shared.upgrade() {
            return Ok(ScratchHandle::Here(handle));
        }
        let path = match self.root.transfer.locate(&self.path) {
            FilePlace::Here(path) => path,
            FilePlace::Elsewhere(file) => return Ok(ScratchHandle::Elsewhere(Arc::new(file))),
        };
        let handle = file::open(&path).map_err(|error| {
            if is_missing(&error) {
                missing(&self.path, FILE_IS_MISSING)
            } else {
                error
            }
        })?;
        file::read_as_asked(&handle);
        let handle = Arc::new(handle);
        *shared = Arc::downgrade(&handle);
        Ok(ScratchHandle::Here(handle))
    }

    /// Leaves the file to the process that adopts it. Otherwise, it is deleted with its directory.
    pub(crate) fn keep(&self) {
        self.is_owned.store(false, Ordering::Relaxed);
    }

    /// Returns the home of the file, if processes have homes.
    pub(crate) fn home(&self) -> Option<Home> {
        Home::split(&self.path).map(|(home, _)| home)
    }

    /// Returns the number of bytes that the file counts for.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Returns whether the file is known to be missing. One that is on no disk of this process is not.
    pub(crate) fn is_missing(&self) -> bool {
        match self.root.transfer.locate(&self.path) {
            FilePlace::Here(path) => !path.exists(),
            FilePlace::Elsewhere(_) => false,
        }
    }

    /// Returns whether this process deletes the file.
    pub(crate) fn is_owned(&self) -> bool {
        self.is_owned.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<()> {
        self.root.take(bytes, &self.path)?;
        self.written.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn release(&self, bytes: u64) {
        self.root.release(bytes);
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        if *self.is_owned.get_mut() && self.root.process == system::process_number() {
            self.root.delete(&self.path);
        }
        self.root.release(*self.used_bytes.get_mut());
    }
}

const FILE_IS_MISSING: &str = "the file is missing";

fn is_missing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// A missing file of ours counts as damage, not as a failure of the system, so that it is recomputed.
fn missing(path: &Path, reason: &'static str) -> Error {
    Error::new(ErrorKind::CorruptRun {
        path: path.to_owned(),
        offset: 0,
        reason,
    })
}

/// Deletes the directories that dead processes of this user have left in `spill_directory`. Returns their number.
///
/// Deletes nothing that holdall did not create: see [`owned`].
pub(crate) fn sweep(spill_directory: &Path) -> usize {
    owned::sweep(&KIND, spill_directory)
}

/// Opens a scratch file of this process, to send it to another process.
///
/// # Errors
///
/// Returns [`NotFound`](io::ErrorKind::NotFound) for all other files.
pub(crate) fn open_own(path: &Path) -> io::Result<File> {
    let is_own = path.parent().is_some_and(|parent| live::lock().has(parent));
    let name = path.file_name().and_then(|name| name.to_str());
    if is_own && name.is_some_and(is_file_name) {
        File::open(path)
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Ignores poisoning: the guarded data is consistent at any time, so a panic elsewhere does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
