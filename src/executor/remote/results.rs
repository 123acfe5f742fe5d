//! Chunks of results, which come from several workers at once and perhaps more than once, in order of partition.

use std::collections::{BTreeMap, BTreeSet};

use super::spec::Report;
use crate::error::{Error, Result};
use crate::task::Flow;

/// What the driver has for the tasks of a stage, and where their results go.
pub(crate) trait Source: Sync {
    /// The next partition of a source of unknown length, as bytes.
    fn pull(&self) -> Result<Option<(usize, Vec<u8>)>>;

    /// Takes down what a task of some partitions has done.
    fn take(&self, partitions: usize, report: &Report) -> Result<()>;

    /// Lets go of what this error says is damaged, if it is part of what is kept from job to job.
    fn forget(&self, damage: &Error);

    /// Takes a chunk of the result of a partition. They come in order, one at a time, each once.
    fn accept(&self, partition: usize, chunk: &[u8]) -> Result<Flow>;

    /// Whether nobody wants the result any more.
    fn is_stopped(&self) -> bool;
}

/// Chunks that have come too early, and how far they have been taken.
#[derive(Default)]
pub(super) struct Results {
    /// The partition whose chunks are taken now.
    partition: usize,
    /// How many of its chunks have been.
    taken: usize,
    early: BTreeMap<(usize, usize), Vec<u8>>,
    early_bytes: usize,
    /// Later partitions of which nothing more comes.
    finished: BTreeSet<usize>,
    /// Whether a thread is handing them on.
    pub(super) is_busy: bool,
}

impl Results {
    /// The partition that is to be taken next.
    pub(super) fn partition(&self) -> usize {
        self.partition
    }

    pub(super) fn early_bytes(&self) -> usize {
        self.early_bytes
    }

    /// Whether this chunk has come before.
    pub(super) fn is_known(&self, partition: usize, number: usize) -> bool {
        (partition, number) < (self.partition, self.taken)
            || self.early.contains_key(&(partition, number))
    }

    pub(super) fn put(&mut self, partition: usize, number: usize, chunk: Vec<u8>) {
        self.early_bytes += chunk.len();
        self.early.insert((partition, number), chunk);
    }

    /// Nothing more comes of this partition.
    pub(super) fn finish(&mut self, partition: usize) {
        if partition >= self.partition {
            self.finished.insert(partition);
        }
    }

    /// The next chunk, if it is there.
    pub(super) fn take(&mut self) -> Option<(usize, Vec<u8>)> {
        loop {
            let next = (self.partition, self.taken);
            if let Some(chunk) = self.early.remove(&next) {
                self.early_bytes -= chunk.len();
                self.taken += 1;
                return Some((self.partition, chunk));
            }
            if !self.finished.remove(&self.partition) {
                return None;
            }
            self.partition += 1;
            self.taken = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(results: &mut Results) -> Vec<(usize, Vec<u8>)> {
        std::iter::from_fn(|| results.take()).collect()
    }

    #[test]
    fn chunks_come_in_order_of_partition_and_number() {
        let mut results = Results::default();
        results.put(1, 0, vec![10]);
        results.put(0, 1, vec![1]);
        assert_eq!(taken(&mut results), []);
        results.put(0, 0, vec![0]);
        assert_eq!(taken(&mut results), [(0, vec![0]), (0, vec![1])]);
        results.finish(2);
        results.finish(0);
        assert_eq!(taken(&mut results), [(1, vec![10])]);
        results.finish(1);
        assert_eq!(taken(&mut results), []);
        assert_eq!((results.partition(), results.early_bytes()), (3, 0));
    }

    #[test]
    fn what_has_come_before_is_known() {
        let mut results = Results::default();
        results.put(0, 0, vec![0]);
        results.put(1, 1, vec![11]);
        assert!(results.is_known(0, 0) && results.is_known(1, 1));
        assert!(!results.is_known(0, 1) && !results.is_known(1, 0));
        assert_eq!(results.take(), Some((0, vec![0])));
        assert!(results.is_known(0, 0) && !results.is_known(0, 1));
    }
}
