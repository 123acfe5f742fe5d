//! Map outputs of a job on a remote executor.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::ShuffleId;
use crate::plan::JobPlan;
use crate::storage::scratch::ScratchFile;
use crate::storage::transfer::Home;
use crate::task::MapOutput;

/// Files of map outputs, by shuffle.
#[derive(Default)]
pub(super) struct Exports {
    state: Mutex<State>,
    /// Held while outputs are recomputed, because a stage must not delete the outputs that another one recomputes.
    recovery: Mutex<()>,
}

#[derive(Default)]
struct State {
    by_shuffle: HashMap<ShuffleId, Arc<Export>>,
    /// Homes that the executor has reported as lost.
    lost: HashSet<Home>,
    /// Homes that a task could not reach.
    unreached: HashSet<Home>,
}

/// The output of one map task.
pub(super) struct MapTaskOutput {
    /// The partitions that it has computed.
    pub(super) partitions: Range<usize>,
    pub(super) outputs: Vec<MapOutput>,
    /// The files of the outputs, deleted with the last reference.
    pub(super) files: Vec<Arc<ScratchFile>>,
}

impl MapTaskOutput {
    fn is_at(&self, home: &Home) -> bool {
        let homes = self.files.iter().map(|file| file.home());
        homes.flatten().any(|its| its == *home)
    }

    /// Returns whether a file is damaged, or the file of another home, or known to be missing.
    fn is_harmed(&self, damaged: &Path) -> bool {
        let mut files = self.files.iter();
        files.any(|file| file.path() == damaged || file.is_missing())
    }
}

/// The output of the map side of one shuffle. Its files exist as long as a stage that reads them holds it.
#[derive(Clone)]
struct Export {
    /// Number of partitions of the map side.
    partitions: usize,
    /// The outputs that exist, in the order of their partitions.
    outputs: Vec<Arc<MapTaskOutput>>,
}

impl Export {
    /// Returns the partitions whose output is missing.
    fn missing(&self) -> Vec<Range<usize>> {
        let mut missing = Vec::new();
        let mut end = 0;
        let all = self.outputs.iter().map(|output| &output.partitions);
        for partitions in all.chain([&(self.partitions..self.partitions)]) {
            if end < partitions.start {
                missing.push(end..partitions.start);
            }
            end = partitions.end;
        }
        missing
    }

    fn is_whole(&self) -> bool {
        let mut end = 0;
        let mut outputs = self.outputs.iter().map(|output| &output.partitions);
        outputs.all(|partitions| std::mem::replace(&mut end, partitions.end) == partitions.start)
            && end == self.partitions
    }
}

impl State {
    /// Drops the outputs for which `is_lost` returns `true`. Returns whether there are any.
    fn drop_outputs(&mut self, is_lost: impl Fn(&MapTaskOutput) -> bool) -> bool {
        let mut has_dropped = false;
        for export in self.by_shuffle.values_mut() {
            if export.outputs.iter().any(|output| is_lost(output)) {
                let export = Arc::make_mut(export);
                export.outputs.retain(|output| !is_lost(output));
                has_dropped = true;
            }
        }
        has_dropped
    }
}

impl Exports {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds outputs of a shuffle whose map side has this number of partitions. Leaves out those whose files have been
    /// lost in the meantime.
    pub(super) fn put(&self, shuffle: ShuffleId, partitions: usize, outputs: Vec<MapTaskOutput>) {
        let mut state = self.lock();
        let known = state.by_shuffle.remove(&shuffle);
        let known = known.map_or_else(Vec::new, |export| export.outputs.clone());
        let is_lost = |output: &MapTaskOutput| state.lost.iter().any(|home| output.is_at(home));
        let outputs = outputs.into_iter().filter(|output| !is_lost(output));
        let mut outputs: Vec<_> = known.into_iter().chain(outputs.map(Arc::new)).collect();
        outputs.sort_by_key(|output| output.partitions.start);
        let export = Export {
            partitions,
            outputs,
        };
        state.by_shuffle.insert(shuffle, Arc::new(export));
    }

    /// Returns the partitions of the map side of `shuffle` whose output is missing, or `None` if all of them are.
    pub(super) fn missing(&self, shuffle: ShuffleId) -> Option<Vec<Range<usize>>> {
        let state = self.lock();
        let export = state.by_shuffle.get(&shuffle);
        let export = export.filter(|export| !export.outputs.is_empty());
        export.map(|export| export.missing())
    }

    /// Drops all outputs of a shuffle.
    pub(super) fn remove(&self, shuffle: ShuffleId) {
        self.lock().by_shuffle.remove(&shuffle);
    }

    /// Drops the output in a damaged file, and all outputs with missing files.
    pub(super) fn forget_file(&self, damaged: &Path) {
        self.lock().drop_outputs(|output| output.is_harmed(damaged));
    }

    /// Drops the outputs at a home, which the executor has lost.
    pub(super) fn lose_home(&self, home: &Home) {
        let mut state = self.lock();
        state.lost.insert(home.clone());
        state.drop_outputs(|output| output.is_at(home));
    }

    /// Drops the outputs at a home that a task cannot reach. The task has read `found`. Returns whether the attempt of
    /// the task counts: not for the first task that cannot reach the home, nor if the output has been dropped since the
    /// stage was sent. So a job survives any number of losses, but not a home that some tasks can never reach.
    pub(super) fn forget_home(&self, home: &Home, found: &ReadExports) -> bool {
        let mut state = self.lock();
        let has_dropped = state.drop_outputs(|output| output.is_at(home));
        let is_first = state.unreached.insert(home.clone());
        !is_first && (has_dropped || !found.are_at(home))
    }

    /// Drops all of these outputs that are still the current ones.
    pub(super) fn forget_all(&self, found: &ReadExports) {
        let outputs = found.0.iter().flat_map(|(_, export)| &export.outputs);
        let found: HashSet<_> = outputs.map(Arc::as_ptr).collect();
        self.lock()
            .drop_outputs(|output| found.contains(&std::ptr::from_ref(output)));
    }

    /// Drops the outputs of shuffles for which `is_read` returns `false`. While outputs are recomputed, drops none: the
    /// next call does.
    pub(super) fn retain(&self, is_read: impl Fn(ShuffleId) -> bool) {
        if let Ok(_recovery) = self.recovery.try_lock() {
            self.lock()
                .by_shuffle
                .retain(|shuffle, _| is_read(*shuffle));
        }
    }

    /// Waits until no other stage recomputes outputs. None does until the guard is dropped.
    pub(super) fn begin_recovery(&self) -> MutexGuard<'_, ()> {
        self.recovery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the current outputs of `shuffles`, or `None` if some are missing.
    pub(super) fn of(&self, shuffles: &[ShuffleId]) -> Option<ReadExports> {
        let state = self.lock();
        let found = shuffles.iter().map(|shuffle| {
            let export = state.by_shuffle.get(shuffle)?;
            export.is_whole().then(|| (*shuffle, Arc::clone(export)))
        });
        found.collect::<Option<_>>().map(ReadExports)
    }

    /// Returns the output for the join filter of a shuffle. Returns none if some is missing, because a filter without
    /// the keys of one task would drop records that are needed.
    pub(super) fn filter_of(&self, shuffle: ShuffleId) -> Vec<MapOutput> {
        let filter = shuffle.of_filter();
        let Some(whole) = self.of(&[shuffle]) else {
            return Vec::new();
        };
        let outputs = whole.outputs();
        let outputs = outputs.iter().filter_map(|output| output.of_filter(filter));
        outputs.collect()
    }

    /// Returns whether each map stage of a plan must run, because outputs are missing that the result needs.
    pub(super) fn incomplete(&self, plan: &JobPlan) -> Vec<bool> {
        let mut needed: HashSet<_> = plan.result_reads.iter().copied().collect();
        let mut incomplete = vec![false; plan.map_stages.len()];
        // Each stage comes after those that it reads.
        for (stage, incomplete) in plan.map_stages.iter().zip(&mut incomplete).rev() {
            let shuffle = stage.shuffle.id();
            if needed.contains(&shuffle) && self.of(&[shuffle]).is_none() {
                *incomplete = true;
                needed.extend(&stage.reads);
            }
        }
        incomplete
    }
}

/// The outputs that a stage reads.
#[derive(Clone, Default)]
pub(super) struct ReadExports(Vec<(ShuffleId, Arc<Export>)>);

impl ReadExports {
    /// Returns the partition, the home and the length of all output with a home.
    pub(super) fn homes(&self) -> impl Iterator<Item = (usize, Home, u64)> {
        let tasks = self.0.iter().flat_map(|(_, export)| &export.outputs);
        let outputs = tasks.flat_map(|task| &task.outputs);
        outputs.flat_map(|output| {
            let home = output.home();
            let sizes = home.map(|home| {
                let sizes = output.sizes();
                sizes.map(move |(partition, bytes)| (partition, home.clone(), bytes))
            });
            sizes.into_iter().flatten()
        })
    }

    fn are_at(&self, home: &Home) -> bool {
        let mut outputs = self.0.iter().flat_map(|(_, export)| &export.outputs);
        outputs.any(|output| output.is_at(home))
    }

    pub(super) fn outputs(&self) -> Vec<MapOutput> {
        let mut outputs = Vec::new();
        for (shuffle, export) in &self.0 {
            outputs.push(MapOutput::of_all(*shuffle));
            let of_tasks = export.outputs.iter();
            outputs.extend(of_tasks.flat_map(|task| task.outputs.iter().cloned()));
        }
        outputs
    }
}
