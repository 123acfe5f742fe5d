//! Slices: equal parts of the places of a partition, by which entries are divided as they come.
//!
//! What is in a slice of many records is to fit into the processor's cache when it is read. More slices than these are
//! more places to write to than it keeps track of; and where memory is short, much that is hardly begun is a waste.

use super::partitioner::{HashPartitioner, Position};

/// Slices of all partitions together, and of one.
const MOST_BUCKETS: usize = 512;
const MOST_SLICES: usize = 16;

/// So much memory there must be for each: twice the longest piece of it.
const SLICE_BYTES: usize = 64 << 10;

/// How many bits of a place say which slice it belongs to, where all slices have so much memory.
pub(crate) fn slice_bits(partitioner: HashPartitioner, memory_bytes: usize) -> u32 {
    let most = (memory_bytes / SLICE_BYTES).min(MOST_BUCKETS);
    let slices = (most / partitioner.partitions()).clamp(1, MOST_SLICES);
    slices.ilog2()
}

/// Which slice of its partition a place belongs to.
#[inline(always)]
pub(crate) fn slice_of(place: u64, slice_bits: u32) -> usize {
    // Shifted in two steps, since there may be no bits to be left.
    ((place >> 1) >> (u64::BITS - 1 - slice_bits)) as usize
}

/// The number of a slice among those of all partitions.
#[inline(always)]
pub(crate) fn bucket_of(position: Position, slice_bits: u32) -> usize {
    position.partition << slice_bits | slice_of(position.place.0, slice_bits)
}
