//! Puts chunks of results into the order of their partitions. Several workers send chunks concurrently, and may repeat
//! them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::spec::Report;
use crate::error::{Error, Result};
use crate::storage::transfer::Home;
use crate::task::{Flow, fingerprint};

/// The driver's side of the tasks of a stage: a source of partitions, and the receiver of results.
pub(crate) trait Driver: Sync {
    /// Returns the next partition of a source of unknown length, as bytes.
    fn pull(&self) -> Result<Option<(usize, Vec<u8>)>>;

    /// Returns whether [`pull`](Self::pull) may return more partitions after it has returned none: the tasks that are
    /// assigned may make others ready.
    fn is_growing(&self) -> bool {
        false
    }

    /// Returns the maximum number of partitions of the next task, if it must be less than `most`.
    fn limit(&self, most: usize) -> usize {
        most
    }

    /// Records the report of a task of these partitions. May take its blocks out, if nothing else needs them.
    fn take(&self, partitions: Range<usize>, report: &mut Report) -> Result<()>;

    /// Returns the length of the files that the tasks of the stage have written since the last call.
    fn take_written(&self) -> u64;

    /// Drops the map output and the persisted partitions that the error of a task reports as damaged. `attempt` is the
    /// number of the attempt. Returns whether the attempt counts.
    fn forget(&self, damage: &Error, attempt: usize) -> bool;

    /// Drops the map output and the persisted partitions at a home, which is lost.
    fn lose_home(&self, home: &Home);

    /// Deletes a file of a report that was not accepted.
    fn discard(&self, file: &Path);

    /// Takes a chunk of the result of a partition. Chunks arrive in order, one at a time, each exactly once.
    fn accept(&self, partition: usize, chunk: &[u8]) -> Result<Flow>;

    /// Returns whether the result is no longer needed.
    fn is_stopped(&self) -> bool;

    /// Called when a slot is idle although tasks of this stage run: they are too few. Must not wait.
    fn idle(&self);
}

/// Encodes a chunk: appends a byte that marks the last chunk of a partition.
pub(super) fn framed(mut bytes: Vec<u8>, is_last: bool) -> Vec<u8> {
    bytes.push(u8::from(is_last));
    bytes
}

/// A part of the result of a partition.
pub(super) struct ResultChunk {
    bytes: Vec<u8>,
    /// Fingerprint of the bytes, or `None` for the last chunk. It remains after the bytes have been forwarded, because
    /// later attempts must send the same bytes.
    fingerprint: Option<u64>,
}

impl ResultChunk {
    /// Decodes a [framed] chunk.
    pub(super) fn new(mut bytes: Vec<u8>) -> Self {
        let is_last = bytes.pop() == Some(1);
        Self {
            fingerprint: (!is_last).then(|| fingerprint(&bytes)),
            bytes,
        }
    }
}

/// Result of comparing a chunk, or the end of a partition, with what earlier attempts have sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the next one of its partition.
    New,
    /// Another attempt has already sent it.
    Known,
    /// It differs from what an earlier attempt has sent, which has been forwarded.
    Other,
    /// It is out of order: the executor has skipped or repeated something.
    Misplaced,
}

/// The chunks of the partitions that are not done yet, or that wait for earlier partitions.
#[derive(Default)]
pub(super) struct Results {
    /// The partition whose chunks are forwarded now. All earlier partitions are finished.
    partition: usize,
    by_partition: BTreeMap<usize, Chunks>,
    early_bytes: usize,
    /// Whether a thread is forwarding chunks.
    pub(super) is_busy: bool,
}

#[derive(Default)]
struct Chunks {
    all: Vec<ResultChunk>,
    /// Number of chunks that have been forwarded.
    taken: usize,
    /// The task that has sent all chunks, if one has.
    finished_by: Option<u64>,
    /// Whether the task of the partition is done.
    is_done: bool,
}

impl Results {
    /// Returns the partition whose chunks are forwarded next.
    pub(super) fn partition(&self) -> usize {
        self.partition
    }

    pub(super) fn early_bytes(&self) -> usize {
        self.early_bytes
    }

    /// Compares chunk `number` of a partition with the chunks that have arrived before.
    pub(super) fn look(&self, partition: usize, number: usize, chunk: &ResultChunk) -> Standing {
        let chunks = self.by_partition.get(&partition);
        let is_whole = chunks.map_or(partition < self.partition, |chunks| {
            chunks.finished_by.is_some()
        });
        let all = chunks.map_or(&[][..], |chunks| &chunks.all);
        match all.get(number) {
            _ if is_whole => Standing::Known,
            Some(known) if known.fingerprint == chunk.fingerprint => Standing::Known,
            Some(_) => Standing::Other,
            None if number == all.len() => Standing::New,
            None => Standing::Misplaced,
        }
    }

    /// Stores a chunk that is [new](Standing::New).
    pub(super) fn put(&mut self, partition: usize, task: u64, chunk: ResultChunk) {
        self.early_bytes += chunk.bytes.len();
        let chunks = self.by_partition.entry(partition).or_default();
        if chunk.fingerprint.is_none() {
            chunks.finished_by = Some(task);
        }
        chunks.all.push(chunk);
    }

    /// Records that a task has sent all chunks of a partition. Returns whether it is the first to do so.
    pub(super) fn finish(&mut self, partition: usize, task: u64) -> bool {
        if partition < self.partition && !self.by_partition.contains_key(&partition) {
            return false;
        }
        let chunks = self.by_partition.entry(partition).or_default();
        let is_new = chunks.finished_by.is_none();
        chunks.finished_by.get_or_insert(task);
        is_new
    }

    /// Records that the task of a partition is done and has sent `count` chunks of it.
    pub(super) fn done(&mut self, partition: usize, task: u64, count: usize) -> Standing {
        self.finish(partition, task);
        let Some(chunks) = self.by_partition.get_mut(&partition) else {
            return Standing::Misplaced;
        };
        if std::mem::replace(&mut chunks.is_done, true) {
            return Standing::Misplaced;
        }
        let is_of_task = chunks.finished_by == Some(task);
        let standing = match chunks.all.len() {
            known if known == count => Standing::New,
            _ if !is_of_task => Standing::Known,
            // The executor has not forwarded all of them.
            known if known < count => Standing::Misplaced,
            _ => Standing::Other,
        };
        if partition < self.partition {
            self.by_partition.remove(&partition);
        }
        standing
    }

    /// Records that these partitions were done before, without chunks.
    pub(super) fn skip(&mut self, partitions: Range<usize>) {
        for partition in partitions {
            self.done(partition, 0, 0);
        }
    }

    /// Drops the chunks of an unfinished attempt, except those that have been forwarded.
    pub(super) fn abandon(&mut self, partition: usize) {
        let Some(chunks) = self.by_partition.get_mut(&partition) else {
            return;
        };
        if chunks.finished_by.is_none() {
            let dropped = chunks.all.drain(chunks.taken..);
            self.early_bytes -= dropped.map(|chunk| chunk.bytes.len()).sum::<usize>();
        }
    }

    /// Takes the next chunk in order, if it has arrived.
    pub(super) fn take(&mut self) -> Option<(usize, Vec<u8>)> {
        loop {
            let partition = self.partition;
            let chunks = self.by_partition.get_mut(&partition)?;
            if let Some(chunk) = chunks.all.get_mut(chunks.taken) {
                chunks.taken += 1;
                let bytes = std::mem::take(&mut chunk.bytes);
                self.early_bytes -= bytes.len();
                return Some((partition, bytes));
            }
            chunks.finished_by?;
            if chunks.is_done {
                self.by_partition.remove(&partition);
            }
            self.partition += 1;
        }
    }

    /// Returns whether all of `partitions` partitions are done, each once, and all of their chunks have been taken.
    pub(super) fn are_whole(&self, partitions: usize) -> bool {
        self.partition == partitions && self.by_partition.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(results: &mut Results) -> Vec<(usize, Vec<u8>)> {
        std::iter::from_fn(|| results.take()).collect()
    }

    fn chunk(byte: u8, is_last: bool) -> ResultChunk {
        ResultChunk::new(framed(vec![byte], is_last))
    }

    fn look(results: &Results, partition: usize, number: usize, byte: u8) -> Standing {
        results.look(partition, number, &chunk(byte, false))
    }

    fn put(results: &mut Results, partition: usize, number: usize, byte: u8) {
        assert_eq!(look(results, partition, number, byte), Standing::New);
        results.put(partition, 1, chunk(byte, false));
    }

    #[test]
    fn chunks_come_in_order_of_partition_and_number() {
        let mut results = Results::default();
        put(&mut results, 1, 0, 10);
        assert_eq!(taken(&mut results), []);
        put(&mut results, 0, 0, 0);
        put(&mut results, 0, 1, 1);
        assert_eq!(taken(&mut results), [(0, vec![0]), (0, vec![1])]);
        assert!(results.finish(2, 1) && results.finish(0, 1));
        assert_eq!(taken(&mut results), [(1, vec![10])]);
        assert!(results.finish(1, 1) && !results.finish(1, 1));
        assert_eq!(taken(&mut results), []);
        assert_eq!((results.partition(), results.early_bytes()), (3, 0));
        for (partition, count) in [(0, 2), (1, 1), (2, 0)] {
            assert!(!results.are_whole(3));
            assert_eq!(results.done(partition, 1, count), Standing::New);
        }
        assert!(results.are_whole(3) && !results.are_whole(2));
    }

    #[test]
    fn what_was_handed_on_must_come_again() {
        let mut results = Results::default();
        put(&mut results, 0, 0, 0);
        put(&mut results, 1, 0, 10);
        assert_eq!(taken(&mut results), [(0, vec![0])]);
        put(&mut results, 0, 1, 1);
        results.abandon(0);
        results.abandon(1);
        assert_eq!(results.early_bytes(), 0);
        put(&mut results, 1, 0, 11);
        assert_eq!(look(&results, 0, 0, 7), Standing::Other);
        assert_eq!(look(&results, 0, 0, 0), Standing::Known);
        assert_eq!(look(&results, 0, 2, 2), Standing::Misplaced);
        put(&mut results, 0, 1, 2);
        assert_eq!(taken(&mut results), [(0, vec![2])]);
        assert_eq!(results.done(0, 1, 1), Standing::Other, "it has given two");
        assert_eq!(results.done(1, 1, 2), Standing::Misplaced, "one is missing");
    }

    #[test]
    fn the_last_chunk_ends_a_partition() {
        let mut results = Results::default();
        put(&mut results, 0, 0, 0);
        taken(&mut results);
        assert_eq!(results.look(0, 0, &chunk(0, true)), Standing::Other);
        assert_eq!(results.look(0, 1, &chunk(1, true)), Standing::New);
        results.put(0, 1, chunk(1, true));
        put(&mut results, 1, 0, 10);
        assert_eq!(taken(&mut results), [(0, vec![1]), (1, vec![10])]);
        results.abandon(0);
        assert_eq!(look(&results, 0, 0, 7), Standing::Known);
    }

    #[test]
    fn what_is_whole_need_not_come_again() {
        let mut results = Results::default();
        put(&mut results, 0, 0, 0);
        put(&mut results, 1, 0, 10);
        results.finish(0, 1);
        results.abandon(0);
        for _ in 0..2 {
            assert_eq!(look(&results, 0, 0, 7), Standing::Known);
            assert_eq!(look(&results, 0, 1, 7), Standing::Known);
            // The answer is the same once the chunks have been forwarded.
            taken(&mut results);
        }
        assert_eq!(results.done(0, 2, 2), Standing::Known);
        assert_eq!(
            look(&results, 0, 1, 7),
            Standing::Known,
            "of a worker that is late"
        );
        assert_eq!(results.done(0, 2, 2), Standing::Misplaced, "it comes twice");
    }
}
