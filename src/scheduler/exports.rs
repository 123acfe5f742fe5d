//! Map outputs of a job on a remote executor.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::ShuffleId;
use crate::storage::scratch::ScratchFile;
use crate::task::MapBlock;

/// Files of map outputs, by shuffle.
#[derive(Default)]
pub(super) struct Exports(Mutex<HashMap<ShuffleId, Export>>);

struct Export {
    /// The blocks, in the order of the map tasks.
    blocks: Vec<MapBlock>,
    /// The files of the blocks, deleted with the last reference.
    _files: Vec<Arc<ScratchFile>>,
}

impl Exports {
    fn lock(&self) -> MutexGuard<'_, HashMap<ShuffleId, Export>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(
        &self,
        shuffle: ShuffleId,
        blocks: Vec<MapBlock>,
        files: Vec<Arc<ScratchFile>>,
    ) {
        let export = Export {
            blocks,
            _files: files,
        };
        self.lock().insert(shuffle, export);
    }

    /// Drops the outputs of shuffles for which `is_read` returns `false`.
    pub(super) fn retain(&self, is_read: impl Fn(ShuffleId) -> bool) {
        self.lock().retain(|shuffle, _| is_read(*shuffle));
    }

    pub(super) fn blocks(&self, shuffles: &[ShuffleId]) -> Vec<MapBlock> {
        let exports = self.lock();
        let found = shuffles.iter().filter_map(|shuffle| exports.get(shuffle));
        found.flat_map(|export| &export.blocks).cloned().collect()
    }
}
