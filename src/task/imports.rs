//! What the stages before have left, for tasks in another process.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Block;
use crate::error::Result;
use crate::id::ShuffleId;

/// The blocks of all shuffles that a stage reads, and what has been made of them: each is imported once.
#[derive(Default)]
pub(crate) struct Imports {
    blocks: HashMap<u64, Vec<Block>>,
    outputs: Mutex<HashMap<ShuffleId, Arc<dyn Any + Send + Sync>>>,
}

impl Imports {
    pub(crate) fn new(blocks: impl IntoIterator<Item = Block>) -> Self {
        let mut by_shuffle: HashMap<_, Vec<_>> = HashMap::new();
        for block in blocks {
            by_shuffle.entry(block.shuffle).or_default().push(block);
        }
        Self {
            blocks: by_shuffle,
            outputs: Mutex::default(),
        }
    }

    /// The outputs of a shuffle, for which `import` makes of its blocks what the first reader wants.
    pub(crate) fn get<O: Any + Send + Sync>(
        &self,
        shuffle: ShuffleId,
        import: impl FnOnce(&[Block]) -> Result<O>,
    ) -> Result<Arc<O>> {
        // A panic meanwhile leaves it without the outputs.
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        let known = outputs.get(&shuffle).cloned();
        if let Some(outputs) = known.and_then(|outputs| outputs.downcast().ok()) {
            return Ok(outputs);
        }
        let none = Vec::new();
        let blocks = self.blocks.get(&shuffle.number()).unwrap_or(&none);
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
        let shuffles = [ShuffleId::next(), ShuffleId::next()];
        let blocks = [0, 1, 1].map(|index: usize| Block {
            shuffle: shuffles[index].number(),
            partition: None,
            file: None,
            about: Vec::new(),
        });
        let imports = Imports::new(blocks);
        let count = |shuffle| *imports.get(shuffle, |blocks| Ok(blocks.len())).unwrap();
        assert_eq!(shuffles.map(count), [1, 2]);
        assert_eq!(count(ShuffleId::next()), 0, "nothing was left");
        let again = imports.get::<usize>(shuffles[0], |_| panic!("it is known"));
        assert_eq!(*again.unwrap(), 1);
    }
}
