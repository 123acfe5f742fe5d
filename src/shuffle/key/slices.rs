//! Radix partitions (slices): equal parts of the hash ranks of a partition, by which entries are divided on arrival.
//!
//! A radix partition of many records should fit into the CPU cache when it is read. With more radix partitions, the
//! cache could not hold all of their open pieces for writing. If memory is short, many of them would be almost empty.

use super::partitioner::{HashPartitioner, KeyPosition};
use crate::task::Resources;

/// Maximum number of radix partitions, of all partitions together and of one.
const MAX_BUCKETS: usize = 512;
const MAX_SLICES: usize = 16;

/// Minimum memory for each radix partition, in bytes: twice the length of its longest piece.
const SLICE_BYTES: usize = 64 << 10;

/// Returns the number of bits of a hash rank that determine its radix partition, if all radix partitions together have
/// `memory_bytes` of memory.
pub(crate) fn slice_bits(partitioner: HashPartitioner, memory_bytes: usize) -> u32 {
    let most = (memory_bytes / SLICE_BYTES).min(MAX_BUCKETS);
    let slices = (most / partitioner.partitions()).clamp(1, MAX_SLICES);
    slices.ilog2()
}

/// Returns the maximum memory for the chunks of a thread, in bytes.
pub(crate) fn group_share_bytes(resources: &Resources) -> usize {
    resources.share_bytes() / 2
}

/// Division of the entries of groups by partition and radix partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SliceLayout {
    pub(crate) partitioner: HashPartitioner,
    /// Number of bits of a hash rank that determine its radix partition, which each chunk records.
    pub(crate) slice_bits: u32,
}

impl SliceLayout {
    /// Returns a layout that suits the memory of a thread for chunks.
    pub(crate) fn new(partitioner: HashPartitioner, resources: &Resources) -> Self {
        Self {
            partitioner,
            slice_bits: slice_bits(partitioner, group_share_bytes(resources)),
        }
    }
}

/// Returns the radix partition of a hash rank.
#[inline(always)]
pub(crate) fn slice_of(rank: u64, slice_bits: u32) -> usize {
    // Shift in two steps: `slice_bits` may be 0, and shifting by 64 bits would overflow.
    ((rank >> 1) >> (u64::BITS - 1 - slice_bits)) as usize
}

/// Returns the number of a radix partition among those of all partitions.
#[inline(always)]
pub(crate) fn bucket_of(position: KeyPosition, slice_bits: u32) -> usize {
    position.partition << slice_bits | slice_of(position.rank.0, slice_bits)
}
