//! The entries of a partition that several readers share.

use std::sync::Arc;

use crate::shuffle::read::chunk_set::ChunkSet;

/// The entries of one partition that are in memory, once the first of its readers has gathered them.
#[derive(Debug)]
pub(crate) struct SortedPartition {
    entries: Option<Arc<ChunkSet>>,
    /// Number of reads of the partition still to come.
    readers_left: usize,
}

impl SortedPartition {
    pub(crate) fn new(readers: usize) -> Self {
        Self {
            entries: None,
            readers_left: readers,
        }
    }

    /// Returns the entries if a reader has gathered them.
    pub(crate) fn gathered(&self) -> Option<&Arc<ChunkSet>> {
        self.entries.as_ref()
    }

    /// Keeps gathered entries for this reader and later ones.
    pub(crate) fn put(&mut self, entries: ChunkSet) {
        self.entries = Some(Arc::new(entries));
    }

    /// Takes the entries. No later reader gets them.
    pub(crate) fn take(&mut self) -> Option<Arc<ChunkSet>> {
        self.entries.take()
    }

    /// Counts a read. Returns the entries, and whether this is the last read, after which nothing is kept.
    pub(crate) fn read(&mut self) -> (Option<Arc<ChunkSet>>, bool) {
        self.readers_left = self.readers_left.saturating_sub(1);
        match self.readers_left {
            0 => (self.entries.take(), true),
            _ => (self.entries.clone(), false),
        }
    }
}
