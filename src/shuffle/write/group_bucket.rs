//! The entries of one radix partition on the map side of groups.

use crate::shuffle::memory::slab::SlabSpan;

/// Entries of one radix partition of a partition since the last commit.
#[derive(Default)]
pub(super) struct Bucket {
    /// The open chunk, and its number of entries.
    pub(super) open: SlabSpan,
    pub(super) open_entries: usize,
    pub(super) full: Vec<(SlabSpan, usize)>,
}

impl Bucket {
    /// Returns the number of chunks that have entries.
    pub(super) fn chunks(&self) -> usize {
        self.full.len() + usize::from(self.open_entries > 0)
    }

    /// Takes the chunks with their numbers of entries. The unused end of the last chunk stays available.
    pub(super) fn take(&mut self) -> Vec<(SlabSpan, usize)> {
        let mut chunks = std::mem::take(&mut self.full);
        if self.open_entries > 0 {
            chunks.push((self.open.take_filled(), self.open_entries));
            self.open_entries = 0;
        }
        chunks
    }
}

pub(super) fn empty_buckets(count: usize) -> Vec<Bucket> {
    let mut buckets = Vec::new();
    buckets.resize_with(count, Bucket::default);
    buckets
}
