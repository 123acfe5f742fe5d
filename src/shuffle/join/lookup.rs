//! All records of a small bag, indexed by key.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::read::sorted::{Index, Sorted};

/// Sorted entries, and an index of their hash ranks.
#[derive(Debug)]
pub(crate) struct Lookup {
    entries: Option<(Arc<Sorted>, Index)>,
    partitioner: HashPartitioner,
}

impl Lookup {
    pub(crate) fn new(entries: Option<(Arc<Sorted>, Index)>, partitioner: HashPartitioner) -> Self {
        Self {
            entries,
            partitioner,
        }
    }

    /// Calls `each` with the values of a key, in order, until it breaks.
    #[inline]
    pub(crate) fn for_each<B>(
        &self,
        key: &[u8],
        each: impl FnMut(&[u8]) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        match &self.entries {
            Some((sorted, index)) => {
                let place = self.partitioner.position(key).place.0;
                sorted.find(index, place, key, each)
            }
            None => ControlFlow::Continue(()),
        }
    }
}
