//! The settings of a merge, which the merge and the keys of its ranges share.

use std::sync::atomic::AtomicUsize;

use crate::shuffle::key::partitioner::HashPartitioner;
use crate::storage::memory::Reservation;
use crate::task::Resources;

/// Target size for the keys of one range, in bytes: a part of the second-level cache.
pub(crate) const RANGE_BYTES: usize = 512 << 10;

/// Merges the sources of one partition.
pub(crate) struct Merger<'m, C> {
    pub(crate) combine: &'m C,
    pub(crate) partitioner: HashPartitioner,
    pub(crate) resources: &'m Resources,
    /// Length of the slots in the tables of earlier ranges, in bytes; 0 as long as no range needed a table. Partitions
    /// and ranges are cut by hash, so all of them have the same share of repeated keys.
    pub(crate) table_bytes: &'m AtomicUsize,
    /// Memory for any range. If it is set, no range is spilled.
    pub(crate) room: Option<&'m Reservation>,
}
