//! Entries of one task for one partition, in chunks.

use crate::shuffle::key::entry::EntrySeq;
use crate::shuffle::memory::slab::SlabSpan;

/// Entries of one radix partition and of one task, back to back.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// No entry begins after the first [`MAX_CHUNK_BYTES`], however long it is.
    pub(crate) bytes: SlabSpan,
    pub(crate) entries: usize,
    pub(crate) slice: usize,
    pub(crate) order: EntrySeq,
}

impl Chunk {
    pub(crate) fn empty() -> Self {
        Self {
            bytes: SlabSpan::default(),
            entries: 0,
            slice: 0,
            order: EntrySeq::default(),
        }
    }
}

/// Memory that a chunk takes in addition to its bytes, in a list that may grow.
pub(crate) const CHUNK_BYTES: usize = 2 * size_of::<Chunk>();

/// Maximum length of a chunk, in bytes, unless its last entry is long.
pub(crate) const MAX_CHUNK_BYTES: usize = 1 << OFFSET_BITS;

/// Number of bits for the offset of an entry in its chunk.
pub(crate) const OFFSET_BITS: u32 = 15;

/// Entries of one task for one partition.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) chunks: Vec<Chunk>,
    /// Memory of the chunks, in bytes.
    pub(crate) bytes: usize,
}

impl Segment {
    pub(crate) fn new(chunks: Vec<Chunk>) -> Self {
        let capacity = chunks.iter().map(|chunk| chunk.bytes.capacity());
        Self {
            bytes: capacity.sum(),
            chunks,
        }
    }

    pub(crate) fn order(&self) -> EntrySeq {
        self.chunks
            .first()
            .map_or_else(EntrySeq::default, |chunk| chunk.order)
    }
}

/// Returns the number of entries in the largest of the `2^slice_bits` radix partitions.
pub(crate) fn largest_slice<'s>(
    segments: impl Iterator<Item = &'s Segment>,
    slice_bits: u32,
) -> usize {
    let mut entries = vec![0; 1 << slice_bits];
    for chunk in segments.flat_map(|segment| &segment.chunks) {
        entries[chunk.slice] += chunk.entries;
    }
    entries.into_iter().max().unwrap_or(0)
}
