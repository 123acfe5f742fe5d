//! The entries of a partition that several readers share.

use std::sync::Arc;

use super::reads_left::ReadsLeft;
use crate::shuffle::read::chunk_set::ChunkSet;

/// The entries of one partition that are in memory, once the first of its readers has gathered them.
#[derive(Debug)]
pub(crate) struct SortedPartition {
    entries: Option<Arc<ChunkSet>>,
    reads_left: ReadsLeft,
}

impl SortedPartition {
    pub(crate) fn new(readers: usize) -> Self {
        Self {
            entries: None,
            reads_left: ReadsLeft::new(readers),
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
        match self.reads_left.count() {
            true => (self.entries.take(), true),
            false => (self.entries.clone(), false),
        }
    }
}
