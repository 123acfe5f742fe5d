//! Output of earlier stages, for tasks in another process.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{MapBlocks, MapOutput};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShuffleId;

/// The map outputs of all shuffles that a stage reads, and the outputs imported from them. Each shuffle is imported once.
#[derive(Default)]
pub(crate) struct Imports {
    by_shuffle: HashMap<u64, Vec<MapOutput>>,
    outputs: Mutex<HashMap<ShuffleId, AnyOutputs>>,
}

/// Outputs of any type.
type AnyOutputs = Arc<dyn Any + Send + Sync>;

impl Imports {
    pub(crate) fn new(outputs: impl IntoIterator<Item = MapOutput>) -> Self {
        let mut by_shuffle: HashMap<_, Vec<_>> = HashMap::new();
        for output in outputs {
            by_shuffle.entry(output.shuffle).or_default().push(output);
        }
        Self {
            by_shuffle,
            outputs: Mutex::default(),
        }
    }

    /// Returns the outputs of a shuffle. The first reader imports them from its blocks by `import`.
    pub(crate) fn get<O: Any + Send + Sync>(
        &self,
        shuffle: ShuffleId,
        import: impl Fn(MapBlocks<'_>) -> Result<O>,
    ) -> Result<Arc<O>> {
        let import =
            |blocks: MapBlocks<'_>| -> Result<AnyOutputs> { Ok(Arc::new(import(blocks)?)) };
        match self.any(shuffle, TypeId::of::<O>(), &import)?.downcast() {
            Ok(outputs) => Ok(outputs),
            Err(_) => unreachable!("the outputs are of this type"),
        }
    }

    /// Like [`get`](Self::get), for outputs of the given type. Compiled once, not for each type.
    fn any(
        &self,
        shuffle: ShuffleId,
        outputs_type: TypeId,
        import: &dyn Fn(MapBlocks<'_>) -> Result<AnyOutputs>,
    ) -> Result<AnyOutputs> {
        // A panic during an import leaves the shuffle without outputs.
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        let known = outputs.get(&shuffle);
        if let Some(outputs) = known.filter(|outputs| (***outputs).type_id() == outputs_type) {
            return Ok(Arc::clone(outputs));
        }
        let Some(of_shuffle) = self.by_shuffle.get(&shuffle.number()) else {
            // The stage did not need this shuffle while the persisted data that was computed from it existed.
            return Err(Error::new(ErrorKind::MapOutputLost));
        };
        let imported = import(MapBlocks(of_shuffle))?;
        outputs.insert(shuffle, Arc::clone(&imported));
        Ok(imported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::MapBlock;

    #[test]
    fn each_shuffle_is_imported_once_from_its_own_blocks() {
        let shuffles = [(); 3].map(|()| ShuffleId::next());
        let output = |index: usize| {
            let block = MapBlock {
                shuffle: shuffles[index].number(),
                partition: None,
                file: None,
                about: vec![1],
            };
            MapOutput::group([block]).unwrap().remove(0)
        };
        let nothing = MapOutput::of_all(shuffles[2]);
        let imports = Imports::new([output(0), output(1), output(1), nothing]);
        let count = |shuffle| {
            *imports
                .get(shuffle, |blocks| Ok(blocks.iter().count()))
                .unwrap()
        };
        assert_eq!(shuffles.map(count), [1, 2, 0]);
        let lost = imports.get(ShuffleId::next(), |_| Ok(0));
        assert!(lost.unwrap_err().is_recoverable());
        let again = imports.get::<usize>(shuffles[0], |_| panic!("it is known"));
        assert_eq!(*again.unwrap(), 1);
    }
}
