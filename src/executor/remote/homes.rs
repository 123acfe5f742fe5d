//! The scratch directories of workers that share no disk.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;
use crate::storage::scratch::{Scratch, open_own, sweep};
use crate::storage::transfer::FileTransfer;

/// Place for the files of a [`Worker`](super::Worker) that shares no disk with the others.
#[derive(Clone)]
#[non_exhaustive]
pub struct WorkerHome {
    /// The directory for its files, usually a [`ScratchDirectory`]. Several workers may share it.
    pub directory: PathBuf,
    /// Access to the files of other homes. Its own [home](FileTransfer::home) is that of the directory.
    pub transfer: Arc<dyn FileTransfer>,
    /// Memory that the worker may use for data that grows with the input, in bytes, or `None` for a share of the
    /// context's memory.
    pub memory_bytes: Option<usize>,
}

impl WorkerHome {
    /// Creates a home with the default memory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, transfer: Arc<dyn FileTransfer>) -> Self {
        Self {
            directory: directory.into(),
            transfer,
            memory_bytes: None,
        }
    }
}

impl std::fmt::Debug for WorkerHome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerHome")
            .field("home", self.transfer.home())
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// A directory for the files of workers, which is removed when it is dropped. If its process is killed, the next
/// directory in the same parent removes it: see [what holdall deletes](crate#what-holdall-deletes).
#[derive(Debug)]
pub struct ScratchDirectory {
    path: PathBuf,
    _scratch: Scratch,
}

impl ScratchDirectory {
    /// Creates a directory in `parent`, which is created if it is missing.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory cannot be created.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::executor::ScratchDirectory;
    ///
    /// let parent = tempfile::tempdir().unwrap();
    /// let directory = ScratchDirectory::create(parent.path())?;
    /// assert!(directory.path().is_dir());
    /// drop(directory);
    /// assert_eq!(parent.path().read_dir().unwrap().count(), 0);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn create(parent: &Path) -> Result<Self> {
        sweep(parent);
        let scratch = Scratch::new(Some(parent), None);
        Ok(Self {
            path: scratch.path()?,
            _scratch: scratch,
        })
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file for another process that [reads](FileTransfer::read) it. Only scratch files of this process can be
    /// opened: those in its `ScratchDirectory`s, and those of its contexts.
    ///
    /// # Errors
    ///
    /// Returns [`NotFound`](io::ErrorKind::NotFound) for all other files, and errors of the system.
    pub fn open(file: &Path) -> io::Result<File> {
        open_own(file)
    }

    /// Deletes a file for another process that [removes](FileTransfer::remove) it. Only scratch files of this process
    /// can be deleted.
    ///
    /// # Errors
    ///
    /// Returns [`NotFound`](io::ErrorKind::NotFound) for all other files, and errors of the system.
    pub fn remove(file: &Path) -> io::Result<()> {
        open_own(file).and_then(|_| fs::remove_file(file))
    }
}
