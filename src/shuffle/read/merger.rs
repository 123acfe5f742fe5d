//! The settings of a merge, which the merge and the keys of its ranges share.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::shuffle::key::partitioner::HashPartitioner;
use crate::storage::memory::Reservation;
use crate::task::Resources;

/// Target size for the keys of one range, in bytes: a part of the second-level cache.
pub(crate) const RANGE_BYTES: usize = 512 << 10;

/// Size of the tables that readers of earlier ranges and partitions needed. Partitions and ranges are cut by hash, so all
/// of them have the same share of repeated keys.
#[derive(Debug, Default)]
pub(crate) struct TableSize(AtomicUsize);

impl TableSize {
    /// Returns the length of the slots, in bytes; 0 as long as no range needed a table.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Records that a range needed a table of `bytes` bytes.
    pub(crate) fn note(&self, bytes: usize) {
        self.0.fetch_max(bytes, Ordering::Relaxed);
    }
}

/// Merges the sources of one partition.
pub(crate) struct Merger<'m, M> {
    pub(crate) combine: &'m M,
    pub(crate) partitioner: HashPartitioner,
    pub(crate) resources: &'m Resources,
    pub(crate) table_size: &'m TableSize,
    /// Memory for any range. If it is set, no range is spilled.
    pub(crate) room: Option<&'m Reservation>,
}
