//! Map outputs of a job on a remote executor.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::ShuffleId;
use crate::storage::scratch::ScratchFile;
use crate::task::MapBlock;

/// Files of map outputs, by shuffle.
#[derive(Default)]
pub(super) struct Exports {
    by_shuffle: Mutex<HashMap<ShuffleId, Arc<Export>>>,
    /// Held while outputs are recomputed, because a stage must not delete the outputs that another one recomputes.
    recovery: Mutex<()>,
}

/// The output of the map side of one shuffle. Its files exist as long as a stage that reads them holds it.
struct Export {
    /// The blocks, in the order of the map tasks.
    blocks: Vec<MapBlock>,
    /// The files of the blocks, deleted with the last reference.
    _files: Vec<Arc<ScratchFile>>,
}

impl Exports {
    fn lock(&self) -> MutexGuard<'_, HashMap<ShuffleId, Arc<Export>>> {
        let by_shuffle = self.by_shuffle.lock();
        by_shuffle.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(
        &self,
        shuffle: ShuffleId,
        blocks: Vec<MapBlock>,
        files: Vec<Arc<ScratchFile>>,
    ) {
        let export = Arc::new(Export {
            blocks,
            _files: files,
        });
        self.lock().insert(shuffle, export);
    }

    /// Drops the outputs of shuffles for which `is_read` returns `false`. While outputs are recomputed, drops none: the
    /// next call does.
    pub(super) fn retain(&self, is_read: impl Fn(ShuffleId) -> bool) {
        if let Ok(_recovery) = self.recovery.try_lock() {
            self.lock().retain(|shuffle, _| is_read(*shuffle));
        }
    }

    /// Waits until no other stage recomputes outputs. None does until the guard is dropped.
    pub(super) fn begin_recovery(&self) -> MutexGuard<'_, ()> {
        self.recovery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the current outputs of `shuffles`, without those that do not exist.
    pub(super) fn of(&self, shuffles: &[ShuffleId]) -> ReadExports {
        let exports = self.lock();
        let found = shuffles.iter().filter_map(|shuffle| exports.get(shuffle));
        ReadExports(found.cloned().collect())
    }
}

/// The outputs that a stage reads.
pub(super) struct ReadExports(Vec<Arc<Export>>);

impl ReadExports {
    pub(super) fn blocks(&self) -> Vec<MapBlock> {
        let exports = self.0.iter();
        exports.flat_map(|export| &export.blocks).cloned().collect()
    }

    /// Returns whether both are the same outputs, not just equal ones.
    pub(super) fn are(&self, others: &Self) -> bool {
        let mut pairs = self.0.iter().zip(&others.0);
        self.0.len() == others.0.len() && pairs.all(|(one, other)| Arc::ptr_eq(one, other))
    }
}
