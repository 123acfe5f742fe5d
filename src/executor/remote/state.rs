//! What is known of the tasks of a stage, behind the lock of [`Tasks`](super::Tasks).

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::PathBuf;

use super::results::Results;
use super::spec::{PartitionSpec, Report, TaskSpec};
use crate::error::Error;

/// How much of results may wait for earlier ones.
const ROOM_BYTES: usize = 8 << 20;

#[derive(Default)]
pub(super) struct RoundState {
    pub(super) last_id: u64,
    /// The first partition of a known number of them that was never handed out.
    pub(super) unclaimed: usize,
    /// How many the source has given, and whether it has no more.
    pub(super) pulled: usize,
    pub(super) is_exhausted: bool,
    /// To be handed out next, by the first partition of each.
    pub(super) waiting: BTreeMap<usize, WaitingTask>,
    pub(super) out: BTreeMap<u64, TaskSpec>,
    /// Of what is done, by the first partition of each.
    pub(super) reports: BTreeMap<usize, Report>,
    /// All that these have ever named.
    pub(super) files: HashSet<PathBuf>,
    pub(super) results: Results,
    pub(super) end: Option<End>,
    /// How many tasks were taken since the executor was called.
    pub(super) taken: usize,
}

/// A task that is not out.
pub(super) struct WaitingTask {
    pub(super) partitions: Vec<PartitionSpec>,
    /// How often it was tried.
    pub(super) attempts: usize,
}

/// Why no more tasks are handed out, although there are some.
pub(super) enum End {
    /// Nobody wants more of the result.
    Enough,
    Failed(Error),
    /// What an earlier stage has left is damaged.
    Damaged,
}

impl RoundState {
    /// The first end counts, but for one that only asks to wait.
    pub(super) fn end(&mut self, end: End) {
        if self.wants_results() {
            self.end = Some(end);
        }
    }

    pub(super) fn wants_results(&self) -> bool {
        matches!(self.end, None | Some(End::Damaged))
    }

    /// Says that the partitions of `task` before `partition` have given all of their chunks: a task computes one after
    /// the other. False if `partition` is none of the task's.
    pub(super) fn finish_before(&mut self, task: &TaskSpec, partition: usize) -> bool {
        let mut partitions = task.partitions.iter().map(|partition| partition.index);
        let Some(position) = partitions.position(|index| index == partition) else {
            return false;
        };
        // If one is finished, all before it are.
        let before = task.partitions[..position].iter().rev();
        for before in before {
            if !self.results.finish(before.index, task.id) {
                break;
            }
        }
        true
    }

    pub(super) fn put_back(&mut self, partitions: Vec<PartitionSpec>, attempts: usize) {
        let Some(first) = partitions.first().map(|partition| partition.index) else {
            return;
        };
        for partition in &partitions {
            self.results.abandon(partition.index);
        }
        let waiting = WaitingTask {
            partitions,
            attempts,
        };
        self.waiting.insert(first, waiting);
    }

    /// Removes what a report names that nobody will read. One that comes twice names what is needed.
    pub(super) fn remove_files(&self, report: &Report) {
        for file in report.files().filter(|file| !self.files.contains(*file)) {
            // If it cannot be, it goes with its directory.
            let _ = fs::remove_file(file);
        }
    }

    pub(super) fn is_done(&self, partitions: Option<usize>) -> bool {
        let is_claimed = match partitions {
            Some(partitions) => self.unclaimed >= partitions,
            None => self.is_exhausted,
        };
        is_claimed && self.waiting.is_empty() && self.out.is_empty()
    }

    /// Whether a chunk of `partition` that task `id` sends may be kept.
    pub(super) fn has_room(&self, id: u64, partition: usize) -> bool {
        if self.results.early_bytes() < ROOM_BYTES {
            return true;
        }
        // What a worker was given first it is done with first. So those with earlier numbers come on, whatever the
        // others wait for; and only for these may anyone wait.
        let next = self.results.partition();
        let holds_next = |task: &TaskSpec| task.partitions.iter().any(|p| p.index == next);
        !self.results.is_busy
            && (partition == next || !self.out.range(..id).any(|(_, task)| holds_next(task)))
    }
}
