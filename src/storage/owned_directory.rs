//! Directories that this process creates, and removes at the latest when it ends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::owned::{Held, Kind, remove_if_empty};
use super::{interrupt, live, system};

/// Maximum number of attempts to create a directory. A sweeper may remove a new directory before it is locked.
const MAX_CREATIONS: usize = 100;

/// A directory that this process owns. It is removed on drop, and at the end of the process.
#[derive(Debug)]
pub(super) struct OwnedDirectory {
    held: Arc<Held>,
    /// Number in the list of live directories.
    number: u64,
}

impl OwnedDirectory {
    /// Creates a directory in `parent`, which is created if it is missing. Returns `None` if the process is ending.
    ///
    /// `made` are the parent directories that were created for it, the outermost first. They are removed with it if
    /// they are then empty.
    pub(super) fn create(
        kind: &'static Kind,
        parent: &Path,
        made: Vec<PathBuf>,
    ) -> io::Result<Option<Self>> {
        let created = Self::create_in(kind, parent, &made);
        if !matches!(created, Ok(Some(_))) {
            remove_if_empty(&made);
        }
        created
    }

    fn create_in(kind: &'static Kind, parent: &Path, made: &[PathBuf]) -> io::Result<Option<Self>> {
        interrupt::install(live::remove_all);
        for _ in 1..MAX_CREATIONS {
            match Self::try_create(kind, parent, made) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir_all(parent)?;
                }
                Err(error) if is_taken(&error) => {}
                outcome => return outcome,
            }
        }
        Self::try_create(kind, parent, made)
    }

    fn try_create(
        kind: &'static Kind,
        parent: &Path,
        made: &[PathBuf],
    ) -> io::Result<Option<Self>> {
        // Locked during `mkdir`: the end of the process either finds the directory or prevents its creation.
        let mut live = live::lock();
        if live.is_closed() {
            return Ok(None);
        }
        let mut held = Held::create(kind, parent.join(kind.new_name()))?;
        held.made = made.to_vec();
        let held = Arc::new(held);
        let number = live.add(Arc::clone(&held));
        Ok(Some(Self { held, number }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.held.path
    }

    /// Returns the parent directories that were created for it.
    pub(super) fn made(&self) -> &[PathBuf] {
        &self.held.made
    }

    /// Returns whether it still exists, and was created by this process rather than by the original of a forked copy.
    pub(super) fn is_there(&self) -> bool {
        // If the system cannot determine it, assume that it exists. If it were recreated instead, the files in it would
        // be lost.
        let is_at = || self.held.directory.is_at(&self.held.path);
        self.is_of_this_process() && is_at().unwrap_or(true)
    }

    fn is_of_this_process(&self) -> bool {
        self.held.process == system::process_number()
    }

    /// Runs `work`, which the end of the process waits for. Returns `None` without running it if the process is ending.
    pub(super) fn uninterrupted<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        let live = live::lock();
        (!live.is_closed()).then(work)
    }
}

impl Drop for OwnedDirectory {
    fn drop(&mut self) {
        // In a forked copy, the directory belongs to the original process.
        if self.is_of_this_process() {
            self.held.remove();
            live::lock().forget(self.number);
        }
    }
}

/// Returns whether another process was faster.
fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::WouldBlock
    )
}
