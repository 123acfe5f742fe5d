//! Directories that holdall owns: how they are marked, and how they are removed.
//!
//! ```text
//!  <parent>/
//!  └─ <prefix><process>-<time>-<n>-<check>/   locked as long as its owner lives
//!     ├─ lock                                 the mark: the version of the format, and the inode number of this file
//!     └─ …                                    files of the directory's kind, and nothing else
//! ```
//!
//! The next [`sweep`] removes the directories of dead processes. It removes a directory only if
//!
//! 1. its name was given by holdall: the last part is a checksum of the rest;
//! 2. it is a directory, not a link to one, and belongs to this user;
//! 3. its owner is dead: the lock can be taken, because the system drops it when a process ends, however it ends;
//! 4. the mark exists and names this file, so the directory is not a copy; and
//! 5. everything in it has a name and a type that files of this kind have. Otherwise, the whole directory is left
//!    alone.
//!
//! A process that is killed after it has created a directory, but before it has marked it, leaves no mark. Such a
//! directory is removed if it is empty and the process in its name has ended. So is a directory whose mark was blanked
//! by a power failure, because the mark is not synchronised with the disk.
//!
//! The lock is on the directory, which also makes `systemd-tmpfiles` leave it alone. On a file system that cannot lock
//! directories, such as NFS, it is on the mark. If the file system has no locks at all, nothing is swept there. The
//! locks must be visible to all processes that use the directory, as those of local disks are.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::directory::{self, Directory, FileKind};
use super::system;

const LOCK_NAME: &str = "lock";

/// Maximum number of attempts at a removal, and the time that is added to the pause after each attempt.
const MAX_REMOVALS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(2);

/// The purpose of directories, which determines their names and their content.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) prefix: &'static str,
    /// Returns whether a directory may contain a file with this name.
    pub(super) has_file: fn(&str, FileKind) -> bool,
    /// Names of its subdirectories. The first is created with the directory.
    pub(super) directories: &'static [&'static str],
    /// Returns whether a subdirectory may contain a file with this name.
    pub(super) has_inner_file: fn(&str) -> bool,
    /// Whether a subdirectory may contain directories of such files.
    pub(super) has_nested: bool,
    /// Completes unfinished work in the directory at the path. Returns whether the directory may then be removed.
    pub(super) recover: fn(&Path) -> bool,
}

impl Kind {
    pub(super) fn new_name(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = now.map_or(0, |time| time.as_micros());
        let stem = format!("{}{}-{time:x}-{number}", self.prefix, process::id());
        format!("{stem}-{:08x}", crc32fast::hash(stem.as_bytes()))
    }

    /// Returns the process that created a directory with this name, if the name is one of [`new_name`](Self::new_name).
    fn process_of(&self, name: &OsStr) -> Option<u32> {
        let name = name.to_str()?;
        let name = name.strip_suffix(ASIDE).unwrap_or(name);
        let (stem, check) = name.rsplit_once('-')?;
        if check != format!("{:08x}", crc32fast::hash(stem.as_bytes())) {
            return None;
        }
        stem.strip_prefix(self.prefix)?
            .split('-')
            .next()?
            .parse()
            .ok()
    }

    /// Returns whether a name was given by holdall to a directory of this kind.
    pub(super) fn is_name(&self, name: &OsStr) -> bool {
        self.process_of(name).is_some()
    }

    fn mark(&self, lock: &File) -> io::Result<String> {
        Ok(format!("{}1 {}\n", self.prefix, system::inode(lock)?))
    }
}

/// Suffix of the name of a directory while it is removed, so that no task adds to it by its path.
const ASIDE: &str = "-left";

/// A directory and its lock.
#[derive(Debug)]
pub(super) struct Held {
    kind: &'static Kind,
    pub(super) path: PathBuf,
    pub(super) directory: Directory,
    /// The subdirectory that was created with it. It is open, so that a process can remove its files even if it has no
    /// descriptor left.
    inner: Option<Directory>,
    /// Locked, but not read, if the directory itself cannot be locked.
    _lock: Option<File>,
    /// The process that created it.
    pub(super) process: u64,
    /// Parent directories that were created for it, the outermost first.
    pub(super) made: Vec<PathBuf>,
}

impl Held {
    pub(super) fn create(kind: &'static Kind, path: PathBuf) -> io::Result<Self> {
        directory::make_private(&path)?;
        Self::mark(kind, &path).inspect_err(|_| {
            // A sweeper may have removed it already.
            if let Some(inner) = kind.directories.first() {
                let _ = fs::remove_dir(path.join(inner));
            }
            let _ = fs::remove_file(path.join(LOCK_NAME));
            let _ = fs::remove_dir(&path);
        })
    }

    /// Locks and marks a new directory.
    fn mark(kind: &'static Kind, path: &Path) -> io::Result<Self> {
        let directory = Directory::open(path)?;
        let is_locked = directory::lock(directory.try_lock())?;
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut lock = options.open(path.join(LOCK_NAME))?;
        if !is_locked {
            directory::lock(lock.try_lock())?;
        }
        lock.write_all(kind.mark(&lock)?.as_bytes())?;
        let inner = kind.directories.first().map(|name| {
            // Unlike the private directory around it, it has the default permissions of this process.
            fs::create_dir(path.join(name))?;
            directory.open_in(name.as_ref())
        });
        let inner = inner.transpose()?;
        if !directory.is_at(path)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self {
            kind,
            path: path.to_owned(),
            directory,
            inner,
            _lock: (!is_locked).then_some(lock),
            process: system::process_number(),
            made: Vec::new(),
        })
    }

    /// Takes ownership of a directory of `process`, if the process is dead and the directory is marked.
    fn claim(kind: &'static Kind, path: PathBuf, process: u32) -> Option<Self> {
        let directory = Directory::open(&path).ok()?;
        let is_locked = directory::lock(directory.try_lock()).ok()?;
        if !directory.is_own() || !directory.is_at(&path).ok()? {
            return None;
        }
        let lock = match directory.open_file(LOCK_NAME) {
            Ok(lock) => lock,
            Err(error) => {
                if error.kind() == io::ErrorKind::NotFound && !system::is_running(process) {
                    // Fails unless it is empty.
                    let _ = fs::remove_dir(&path);
                }
                return None;
            }
        };
        let is_file_locked = directory::lock(lock.try_lock()).ok()?;
        let mut mark = Vec::new();
        (&lock).take(100).read_to_end(&mut mark).ok()?;
        let is_blank = mark.iter().all(|byte| *byte == 0);
        let is_marked = mark == kind.mark(&lock).ok()?.as_bytes();
        let is_left = is_marked || (is_blank && !system::is_running(process));
        ((is_locked || is_file_locked) && is_left).then(|| Self {
            kind,
            path,
            directory,
            inner: None,
            _lock: Some(lock),
            process: system::process_number(),
            made: Vec::new(),
        })
    }

    /// Removes the directory if it contains only files of holdall, and no unfinished work. A later sweep removes what
    /// cannot be removed now.
    pub(super) fn remove(&self) -> bool {
        for attempt in 1..=MAX_REMOVALS {
            // `recover` also returns `false` if the system could not determine the state.
            if (self.kind.recover)(&self.path)
                && let Ok(is_removed) = self.try_remove()
            {
                remove_if_empty(&self.made);
                return is_removed;
            }
            thread::sleep(PAUSE * attempt);
        }
        false
    }

    fn try_remove(&self) -> io::Result<bool> {
        let aside = aside(&self.path);
        let entries = match self.own_entries() {
            Ok(Some(entries)) => entries,
            Ok(None) => return Ok(false),
            // Another program has removed it.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && !self.directory.is_at(&self.path)?
                    && !self.directory.is_at(&aside)? =>
            {
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        if self.directory.is_at(&self.path)? {
            // If this fails, a task may add another file, and the removal takes another attempt.
            let _ = fs::rename(&self.path, &aside);
        }
        let mut outcome = Ok(());
        for (name, kind) in entries {
            if name != LOCK_NAME {
                outcome = outcome.and(match kind {
                    FileKind::Directory => self.remove_inner(&name),
                    FileKind::File | FileKind::Other => or_gone(self.directory.remove_file(&name)),
                });
            }
        }
        // The mark is removed last, so that a sweep can continue from here.
        outcome?;
        or_gone(self.directory.remove_file(LOCK_NAME.as_ref()))?;
        // It is at neither path if another program has moved it.
        for path in [&aside, &self.path] {
            if self.directory.is_at(path)? {
                or_gone(fs::remove_dir(path))?;
                break;
            }
        }
        Ok(true)
    }

    fn remove_inner(&self, name: &OsStr) -> io::Result<()> {
        self.in_inner(name, |inner| {
            for (name, kind) in self.inner_entries(inner)?.into_iter().flatten() {
                or_gone(match kind {
                    FileKind::Directory => self.remove_nested(inner, &name),
                    FileKind::File | FileKind::Other => inner.remove_file(&name),
                })?;
            }
            Ok(())
        })?;
        or_gone(self.directory.remove_directory(name))
    }

    /// Removes a directory of files in a subdirectory.
    fn remove_nested(&self, inner: &Directory, name: &OsStr) -> io::Result<()> {
        let nested = inner.open_in(name)?;
        for name in self.nested_files(&nested)?.into_iter().flatten() {
            or_gone(nested.remove_file(&name))?;
        }
        inner.remove_directory(name)
    }

    /// Performs an operation on a subdirectory.
    fn in_inner<R>(
        &self,
        name: &OsStr,
        operation: impl FnOnce(&Directory) -> io::Result<R>,
    ) -> io::Result<R> {
        match &self.inner {
            // It may have another name now.
            Some(inner) if inner.is_in(&self.directory, name)? => operation(inner),
            _ => operation(&self.directory.open_in(name)?),
        }
    }

    /// Returns the entries of the directory, or `None` if one of them was not created by holdall.
    fn own_entries(&self) -> io::Result<Option<Vec<(OsString, FileKind)>>> {
        let entries = self.directory.entries()?;
        for (name, kind) in &entries {
            let name = name.to_str().unwrap_or_default();
            let is_own = match kind {
                FileKind::Directory => {
                    let files = || self.in_inner(name.as_ref(), |inner| self.inner_entries(inner));
                    self.kind.directories.contains(&name) && files()?.is_some()
                }
                FileKind::File if name == LOCK_NAME => true,
                FileKind::File | FileKind::Other => (self.kind.has_file)(name, *kind),
            };
            if !is_own {
                return Ok(None);
            }
        }
        Ok(Some(entries))
    }

    /// Returns the entries of a subdirectory, or `None` if one of them was not created by holdall.
    fn inner_entries(&self, inner: &Directory) -> io::Result<Option<Vec<(OsString, FileKind)>>> {
        let entries = inner.entries()?;
        for (name, kind) in &entries {
            let is_own = match kind {
                FileKind::File => name.to_str().is_some_and(self.kind.has_inner_file),
                FileKind::Directory if self.kind.has_nested => {
                    self.nested_files(&inner.open_in(name)?)?.is_some()
                }
                FileKind::Directory | FileKind::Other => false,
            };
            if !is_own {
                return Ok(None);
            }
        }
        Ok(Some(entries))
    }

    /// Returns the files of a directory in a subdirectory, or `None` if one of them was not created by holdall.
    fn nested_files(&self, nested: &Directory) -> io::Result<Option<Vec<OsString>>> {
        let files = nested.entries()?.into_iter().map(|(name, kind)| {
            let has_file = self.kind.has_inner_file;
            let is_own = kind == FileKind::File && name.to_str().is_some_and(has_file);
            is_own.then_some(name)
        });
        Ok(files.collect())
    }
}

/// Removes the directories that are empty. Each of `directories` is in the one before it.
pub(super) fn remove_if_empty(directories: &[PathBuf]) {
    for directory in directories.iter().rev() {
        let _ = fs::remove_dir(directory);
    }
}

/// Returns the path of a directory while it is removed.
fn aside(path: &Path) -> PathBuf {
    let path = path.as_os_str();
    if path.as_encoded_bytes().ends_with(ASIDE.as_bytes()) {
        return path.into();
    }
    let mut aside = path.to_owned();
    aside.push(ASIDE);
    aside.into()
}

/// Ignores the error that a file to be removed does not exist.
fn or_gone(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Removes the directories of this kind in `parent` that belong to dead processes of this user, and returns their
/// number.
///
/// A directory that cannot be read, locked or removed is left alone: a sweep never fails a job.
pub(super) fn sweep(kind: &'static Kind, parent: &Path) -> usize {
    let Ok(entries) = fs::read_dir(parent) else {
        return 0;
    };
    let left = entries.flatten().filter_map(|entry| {
        let process = kind.process_of(&entry.file_name())?;
        Held::claim(kind, entry.path(), process)
    });
    left.filter(Held::remove).count()
}
