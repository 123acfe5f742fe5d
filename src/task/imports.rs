//! Output of earlier stages, for tasks in another process.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::MapBlock;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShuffleId;

/// The blocks of all shuffles that a stage reads, and the outputs imported from them. Each shuffle is imported once.
#[derive(Default)]
pub(crate) struct Imports {
    blocks: HashMap<u64, Vec<MapBlock>>,
    outputs: Mutex<HashMap<ShuffleId, Arc<dyn Any + Send + Sync>>>,
}

impl Imports {
    pub(crate) fn new(blocks: impl IntoIterator<Item = MapBlock>) -> Self {
        let mut by_shuffle: HashMap<_, Vec<_>> = HashMap::new();
        for block in blocks {
            let blocks = by_shuffle.entry(block.shuffle).or_default();
            if !block.is_of_all() {
                blocks.push(block);
            }
        }
        Self {
            blocks: by_shuffle,
            outputs: Mutex::default(),
        }
    }

    /// Returns the outputs of a shuffle. The first reader imports them from its blocks by `import`.
    pub(crate) fn get<O: Any + Send + Sync>(
        &self,
        shuffle: ShuffleId,
        import: impl FnOnce(&[MapBlock]) -> Result<O>,
    ) -> Result<Arc<O>> {
        // A panic during an import leaves the shuffle without outputs.
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        let known = outputs.get(&shuffle).cloned();
        if let Some(outputs) = known.and_then(|outputs| outputs.downcast().ok()) {
            return Ok(outputs);
        }
        let Some(blocks) = self.blocks.get(&shuffle.number()) else {
            // The stage did not need this shuffle while the persisted data that was computed from it existed.
            return Err(Error::new(ErrorKind::MapOutputLost));
        };
        let imported = Arc::new(import(blocks)?);
        outputs.insert(shuffle, Arc::<O>::clone(&imported));
        Ok(imported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shuffle_is_imported_once_from_its_own_blocks() {
        let shuffles = [(); 3].map(|()| ShuffleId::next());
        let block = |index: usize| MapBlock {
            about: vec![1],
            ..MapBlock::of_all(shuffles[index])
        };
        let nothing = MapBlock::of_all(shuffles[2]);
        let imports = Imports::new([block(0), block(1), block(1), nothing]);
        let count = |shuffle| *imports.get(shuffle, |blocks| Ok(blocks.len())).unwrap();
        assert_eq!(shuffles.map(count), [1, 2, 0]);
        let lost = imports.get(ShuffleId::next(), |blocks| Ok(blocks.len()));
        assert!(lost.unwrap_err().is_recoverable());
        let again = imports.get::<usize>(shuffles[0], |_| panic!("it is known"));
        assert_eq!(*again.unwrap(), 1);
    }
}
