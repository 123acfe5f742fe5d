//! State of the tasks of a stage, under the lock of [`Tasks`](super::Tasks).

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::locality::Locality;
use super::results::Results;
use super::spec::{PartitionSpec, Report, TaskSpec};
use crate::error::Error;
use crate::storage::transfer::Home;

/// Maximum number of partitions in a task.
pub(super) const MAX_PARTITIONS: usize = 256;

/// Maximum size of results that wait for earlier ones, in bytes.
const MAX_EARLY_BYTES: usize = 8 << 20;

#[derive(Default)]
pub(super) struct RoundState {
    pub(super) last_id: u64,
    /// If the number of partitions is known: those that were never assigned.
    pub(super) unclaimed: VecDeque<Range<usize>>,
    /// Number of partitions that the source has returned, and whether it is exhausted.
    pub(super) pulled: usize,
    pub(super) is_exhausted: bool,
    /// Tasks to be assigned next, by first partition.
    pub(super) waiting: BTreeMap<usize, WaitingTask>,
    pub(super) out: BTreeMap<u64, TaskSpec>,
    /// Number of tasks that are done.
    pub(super) done: usize,
    /// All files that the reports have named.
    pub(super) files: HashSet<PathBuf>,
    pub(super) results: Results,
    /// Homes of the input of the partitions, if workers share no disk.
    pub(super) locality: Locality,
    pub(super) end: Option<End>,
    /// Number of tasks that were taken since the executor was called.
    pub(super) taken: usize,
}

/// A task that is waiting to be assigned.
pub(super) struct WaitingTask {
    pub(super) partitions: Vec<PartitionSpec>,
    /// Number of attempts so far.
    pub(super) attempts: usize,
}

/// Reason why no more tasks are assigned, although some are left.
pub(super) enum End {
    /// No more results are needed.
    Enough,
    Failed(Error),
    /// The output of an earlier stage is damaged.
    Damaged,
}

/// State of a stage when the executor returns.
pub(crate) enum Round {
    /// All tasks are done.
    Done,
    /// The remaining results are not needed.
    Stopped,
    /// The earlier stages must run again, followed by the rest of this one.
    Damaged,
    /// Tasks are left.
    Again,
}

impl RoundState {
    /// Creates the state of a stage with this number of partitions, if it is known.
    pub(super) fn new(partitions: Option<usize>) -> Self {
        let all = partitions.filter(|partitions| *partitions > 0);
        Self {
            unclaimed: all.map(|partitions| 0..partitions).into_iter().collect(),
            ..Self::default()
        }
    }

    /// Sets the reason to end. The first one counts, except that `Damaged` may be replaced.
    pub(super) fn end(&mut self, end: End) {
        if self.wants_results() {
            self.end = Some(end);
        }
    }

    pub(super) fn wants_results(&self) -> bool {
        matches!(self.end, None | Some(End::Damaged))
    }

    /// Records that the partitions of `task` before `partition` have sent all of their chunks, since a task computes
    /// its partitions in order. Returns `false` if `partition` is not one of the task's.
    pub(super) fn finish_before(&mut self, task: &TaskSpec, partition: usize) -> bool {
        let mut partitions = task.partitions.iter().map(|partition| partition.index);
        let Some(position) = partitions.position(|index| index == partition) else {
            return false;
        };
        // If one is already finished, all before it are.
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

    /// Passes to `discard` the files of a report that was not accepted, except those that an accepted report names: a
    /// report may arrive twice.
    pub(super) fn discard_files(&self, report: &Report, discard: impl FnMut(&Path)) {
        let files = report.files().filter(|file| !self.files.contains(*file));
        files.for_each(discard);
    }

    /// Takes a task that is waiting: preferably the first one at `home`.
    pub(super) fn take_waiting(&mut self, home: Option<&Home>) -> Option<WaitingTask> {
        let near = home.and_then(|home| {
            let mut firsts = self.waiting.keys();
            firsts
                .find(|first| self.locality.is_at(**first, home))
                .copied()
        });
        match near {
            Some(first) => self.waiting.remove(&first),
            None => self.waiting.pop_first().map(|(_, waiting)| waiting),
        }
    }

    /// Has only the partitions in `missing` computed, of `partitions` in total.
    pub(super) fn run_only(&mut self, missing: &[Range<usize>], partitions: usize) {
        let mut next = 0;
        for range in missing.iter().chain([&(partitions..partitions)]) {
            self.results.skip(next..range.start);
            next = range.end;
        }
        self.unclaimed = missing.iter().cloned().collect();
    }

    /// Claims partitions that were never assigned, if their number is known: preferably at `home`, and whole groups of
    /// `group` neighbours.
    pub(super) fn claim(
        &mut self,
        home: Option<&Home>,
        slots: usize,
        group: usize,
    ) -> Option<WaitingTask> {
        let left: usize = self.unclaimed.iter().map(ExactSizeIterator::len).sum();
        // Begin with large tasks, to amortise their overhead, and end with small ones, so that all slots finish
        // together.
        let take = (left / (slots * 4)).clamp(1, MAX_PARTITIONS);
        let claimed = self.take_unclaimed(home, take.next_multiple_of(group), group)?;
        let partition = |index| PartitionSpec {
            index,
            payload: Vec::new(),
        };
        Some(WaitingTask {
            partitions: claimed.map(partition).collect(),
            attempts: 0,
        })
    }

    /// Takes at most `most` neighbouring partitions that were never assigned: preferably the first ones at `home`. They
    /// consist of whole groups.
    fn take_unclaimed(
        &mut self,
        home: Option<&Home>,
        most: usize,
        group: usize,
    ) -> Option<Range<usize>> {
        let (locality, unclaimed) = (&self.locality, &mut self.unclaimed);
        let near = home.and_then(|home| locality.take(unclaimed, home, most, group));
        near.or_else(|| {
            let range = unclaimed.front_mut()?;
            let claimed = range.start..range.end.min(range.start + most);
            range.start = claimed.end;
            if range.start == range.end {
                unclaimed.pop_front();
            }
            Some(claimed)
        })
    }

    /// Returns whether there is a task that is not assigned.
    pub(super) fn has_task(&self) -> bool {
        !self.waiting.is_empty() || !self.unclaimed.is_empty()
    }

    /// Returns whether all tasks are done. `is_known` tells whether the number of partitions is known in advance.
    pub(super) fn is_done(&self, is_known: bool) -> bool {
        let is_claimed = is_known || self.is_exhausted;
        is_claimed && !self.has_task() && self.out.is_empty()
    }

    /// Returns whether a chunk of `partition` that task `id` sends may be buffered.
    pub(super) fn may_buffer(&self, id: u64, partition: usize) -> bool {
        if self.results.early_bytes() < MAX_EARLY_BYTES {
            return true;
        }
        // A worker finishes its tasks in the order in which it received them. So the tasks with smaller numbers make
        // progress, whatever the others wait for, and a chunk may wait only for these.
        let next = self.results.partition();
        let holds_next = |task: &TaskSpec| task.partitions.iter().any(|p| p.index == next);
        !self.results.is_busy
            && (partition == next || !self.out.range(..id).any(|(_, task)| holds_next(task)))
    }
}
