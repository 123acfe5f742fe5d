//! The directories that this process makes, and removes at the latest when it ends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::owned::{Held, Kind, remove_if_empty};
use super::{interrupt, live, system};

/// How often a directory is made again that a sweeper has taken for left behind, between its making and its lock.
const MAX_CREATIONS: usize = 100;

/// A directory that this process owns. It is removed on drop, and at the end of the process.
#[derive(Debug)]
pub(super) struct OwnedDirectory {
    held: Arc<Held>,
    /// In the list of what is live.
    number: u64,
}

impl OwnedDirectory {
    /// Makes a directory in `parent`, which is made if it is missing. Returns `None` if the process is about to end.
    ///
    /// Those of the directories above it that were `made` for it, the outermost first, go with it if they are empty then.
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
        // Held over `mkdir`: the end of the process either finds the directory or keeps it from being made.
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

    /// The directories above it that were made for it.
    pub(super) fn made(&self) -> &[PathBuf] {
        &self.held.made
    }

    /// Whether it is still there, and this process is the one that made it and not a copy.
    pub(super) fn is_there(&self) -> bool {
        // If the system does not say, it may be there: another directory in its place would take its files along.
        let is_at = || self.held.directory.is_at(&self.held.path);
        self.is_of_this_process() && is_at().unwrap_or(true)
    }

    fn is_of_this_process(&self) -> bool {
        self.held.process == system::process_number()
    }

    /// Does some work that the end of the process waits for. Returns `None` if it did not.
    pub(super) fn uninterrupted<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        let live = live::lock();
        (!live.is_closed()).then(work)
    }
}

impl Drop for OwnedDirectory {
    fn drop(&mut self) {
        // In a copy of the process it is the original's.
        if self.is_of_this_process() {
            self.held.remove();
            live::lock().forget(self.number);
        }
    }
}

/// Whether another process was faster.
fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::WouldBlock
    )
}
