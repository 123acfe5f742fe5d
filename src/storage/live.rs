//! The directories that this process owns. They are removed when the process ends, however it ends.

use std::collections::BTreeMap;
use std::path::Path;
#[cfg(test)]
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use super::owned::Held;
use super::system;

/// Number of attempts to lock the list at the end of the process, `LOOK` apart. After a second in total, it stops
/// waiting for a thread that is creating or moving a directory. A later sweep removes the remaining directories.
const LOOKS: usize = 200;
const LOOK: Duration = Duration::from_millis(5);

/// The directories of one process. A forked copy has its own list, linked from the original's: in the copy, the
/// original's lock may be held forever, by a thread that the copy does not have.
struct Process {
    number: u64,
    live: Mutex<Live>,
    copy: OnceLock<Box<Process>>,
}

#[derive(Default)]
pub(super) struct Live {
    /// By number in this list.
    directories: BTreeMap<u64, Arc<Held>>,
    last: u64,
    /// Whether the process is ending, so that no more directories may be created.
    is_closed: bool,
}

impl Process {
    fn new() -> Self {
        Self {
            number: system::process_number(),
            live: Mutex::default(),
            copy: OnceLock::new(),
        }
    }
}

fn this_process() -> &'static Mutex<Live> {
    static FIRST: OnceLock<Process> = OnceLock::new();
    let mut process = FIRST.get_or_init(Process::new);
    while process.number != system::process_number() {
        process = process.copy.get_or_init(|| Box::new(Process::new()));
    }
    &process.live
}

/// Locks the list of this process. [`remove_all`] waits for the lock.
pub(super) fn lock() -> MutexGuard<'static, Live> {
    this_process()
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Adds a directory, and returns its number.
    pub(super) fn add(&mut self, directory: Arc<Held>) -> u64 {
        self.last += 1;
        self.directories.insert(self.last, directory);
        self.last
    }

    /// Returns whether a directory is at this path.
    pub(super) fn has(&self, path: &Path) -> bool {
        let mut directories = self.directories.values();
        directories.any(|directory| directory.path == path)
    }

    pub(super) fn forget(&mut self, number: u64) {
        self.directories.remove(&number);
    }
}

/// Removes all directories of this process, which is ending. No more can be created.
pub(super) fn remove_all() {
    for _ in 0..LOOKS {
        let mut live = match this_process().try_lock() {
            Ok(live) => live,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => {
                thread::sleep(LOOK);
                continue;
            }
        };
        live.is_closed = true;
        for directory in std::mem::take(&mut live.directories).into_values() {
            directory.remove();
        }
        return;
    }
}

/// Returns the paths of all current directories of this process.
#[cfg(test)]
pub(super) fn paths() -> Vec<PathBuf> {
    let live = lock();
    let paths = live.directories.values();
    paths.map(|directory| directory.path.clone()).collect()
}
