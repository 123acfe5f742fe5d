//! All records of a small bag, indexed by key.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use super::key_table::KeyTable;
use crate::error::Result;
use crate::pipeline::{Key, Peek};
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::read::chunk_set::{ChunkIndex, ChunkSet, Matches};
use crate::storage::codec::Short;
use crate::task::Resources;

/// ChunkSet entries, and an index of their hash ranks.
#[derive(Debug)]
pub(crate) struct Lookup {
    entries: Option<(Arc<ChunkSet>, ChunkIndex)>,
    partitioner: HashPartitioner,
    /// Value that the first task has computed from the entries, for the tasks after it.
    made: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Lookup {
    pub(crate) fn new(
        entries: Option<(Arc<ChunkSet>, ChunkIndex)>,
        partitioner: HashPartitioner,
    ) -> Self {
        Self {
            entries,
            partitioner,
            made: OnceLock::new(),
        }
    }

    /// Returns the value that `make` computes from the records. Calls `make` once, or a few times if several tasks
    /// begin at the same time. `M` must always be the same type.
    pub(crate) fn made<M: Any + Send + Sync, E>(
        &self,
        make: impl FnOnce() -> Result<M, E>,
    ) -> Result<&M, E> {
        let made = match self.made.get() {
            Some(made) => made,
            None => {
                let new = Box::new(make()?);
                self.made.get_or_init(|| new)
            }
        };
        match made.downcast_ref() {
            Some(made) => Ok(made),
            None => unreachable!("one operator reads a broadcast, and makes one thing of it"),
        }
    }

    /// Returns the records as a table, if they fit into one. See [`KeyTable::of`].
    pub(crate) fn table(
        &self,
        resources: &Resources,
        convert: impl Fn(&[u8], &mut Vec<u8>) -> bool,
    ) -> Result<Option<KeyTable>> {
        match &self.entries {
            Some((sorted, index)) => KeyTable::of(sorted.indexed(index), resources, convert),
            None => Ok(None),
        }
    }

    /// Returns the result of `find` for the values of a key, in order, or `None` if the bag is empty. `buffer` is for the
    /// bytes of a long key.
    #[inline(always)]
    pub(crate) fn find<K: Key + ?Sized, R>(
        &self,
        key: Peek<'_, K>,
        buffer: &mut Vec<u8>,
        find: impl FnOnce(Matches<'_>) -> R,
    ) -> Result<Option<R>> {
        let Some((sorted, index)) = &self.entries else {
            return Ok(None);
        };
        let find = |short: Option<Short>, key: &[u8]| {
            let rank = self.partitioner.position_of(short, key).rank.0;
            Some(find(sorted.matches(index, rank, short, key)))
        };
        // A key in memory is hashed there.
        if !K::is_bytes()
            && let Some(short) = K::short(key)
        {
            return Ok(find(Some(short), &[]));
        }
        K::with_bytes(key, buffer, |key| find(Short::new(key), key))
    }
}
