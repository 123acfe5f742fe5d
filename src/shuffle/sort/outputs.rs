//! Map output of a sort: sorted runs and samples. Also the reduce side, which reads a partition from them.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::run::{RunBuilder, SortedRun};
use super::run_segment::{Bounds, CutRun, RunSegment};
use super::sample::{KeySample, SampleSize, bounds};
use super::{Sort, Stable};
use crate::error::Result;
use crate::pipeline::Ref;
use crate::storage::memory::MemoryBudget;
use crate::storage::merge::Merge;
use crate::storage::run::READER_BYTES;
use crate::task::{Flow, Resources, StopFlag};

/// Minimum number of runs that are merged concurrently, whatever the budget.
const MIN_FAN_IN: usize = 8;

/// Maximum number of runs that are merged concurrently. More would exceed the CPU caches, and need more open files.
const MAX_FAN_IN: usize = 512;

/// Map output of all tasks.
pub(crate) struct SortOutputs {
    partitions: usize,
    sample_size: SampleSize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    runs: Vec<Arc<CutRun>>,
    /// Memory of the runs, in bytes.
    memory_bytes: usize,
    samples: Arc<Vec<KeySample>>,
    /// Computed from the samples, once all of them are there.
    bounds: Option<Arc<Vec<Arc<[u8]>>>>,
}

impl SortOutputs {
    /// Creates outputs for `partitions` partitions of a stage of `tasks` tasks. `tasks` is `None` if their number is
    /// unknown.
    pub(crate) fn new(partitions: usize, tasks: Option<usize>) -> Self {
        Self {
            partitions,
            sample_size: SampleSize::new(partitions, tasks),
            state: Mutex::default(),
        }
    }

    pub(super) fn sample_size(&self) -> SampleSize {
        self.sample_size
    }

    pub(super) fn put_sample(&self, sample: KeySample) {
        if !sample.is_empty() {
            Arc::make_mut(&mut self.lock().samples).push(sample);
        }
    }

    /// Returns the maximum memory for one more run, in bytes. All runs together take at most half of the budget. The
    /// other half is for the buffers that other threads fill in the meantime, and later for the readers.
    pub(super) fn memory_left(&self, budget: &MemoryBudget) -> usize {
        (budget.limit_bytes() / 2).saturating_sub(self.lock().memory_bytes)
    }

    pub(super) fn put_run(&self, run: Arc<SortedRun>) {
        let mut state = self.lock();
        state.memory_bytes += run.memory_bytes();
        state.runs.push(Arc::new(CutRun::new(run, self.partitions)));
    }

    /// Returns all runs and samples.
    pub(super) fn parts(&self) -> (Vec<Arc<CutRun>>, Arc<Vec<KeySample>>) {
        let state = self.lock();
        (state.runs.clone(), Arc::clone(&state.samples))
    }

    /// Computes the bounds, before tasks that read them begin together.
    pub(crate) fn prepare<S: Sort>(&self, sort: &S) -> Result<()> {
        self.bounds(sort).map(|_| ())
    }

    /// Passes the records of a partition to `sink`, in order.
    pub(crate) fn read<S, F>(
        &self,
        partition: usize,
        sort: &S,
        resources: &Resources,
        sink: &mut F,
    ) -> Result<Flow>
    where
        S: Sort,
        F: FnMut(Ref<'_, S::Record>) -> Flow,
    {
        let bounds = Bounds {
            records: self.bounds(sort)?,
            partitions: self.partitions,
        };
        let runs = self.lock().runs.clone();
        let mut slices = Vec::new();
        // Each task begins with another run, so that those who begin at once cut different ones first.
        let turned = partition % runs.len().max(1);
        for run in runs[turned..].iter().chain(&runs[..turned]) {
            run.cut_if_short(sort, &bounds)?;
        }
        for run in &runs {
            slices.extend(run.slice(partition, sort, &bounds)?);
        }
        let mut reservation = resources.budget.reservation();
        let in_files = slices.iter().filter(|slice| slice.is_in_file()).count();
        let mut fan_in = most_at_once(resources).min(in_files.max(1));
        while fan_in > MIN_FAN_IN && !reservation.try_resize(fan_in * READER_BYTES) {
            fan_in = (fan_in / 2).max(MIN_FAN_IN);
        }
        merge_down(&mut slices, fan_in, sort, resources)?;
        push_merged(slices, sort, &resources.stop, sink)
    }

    /// Returns the first records of all partitions except the first.
    fn bounds<S: Sort>(&self, sort: &S) -> Result<Arc<Vec<Arc<[u8]>>>> {
        let state = self.lock();
        if let Some(bounds) = &state.bounds {
            return Ok(Arc::clone(bounds));
        }
        let samples = Arc::clone(&state.samples);
        drop(state);
        let load = |bytes: &[u8]| {
            let mut slot = S::Decoded::default();
            sort.load(bytes, &mut slot).map(|()| slot)
        };
        let compare = |a: (&[u8], &S::Decoded), b: (&[u8], &S::Decoded)| {
            let heads = S::head(a.0, a.1).zip(S::head(b.0, b.1));
            heads.map_or(std::cmp::Ordering::Equal, |(a, b)| sort.compare(a, b))
        };
        let bounds = Arc::new(bounds(&samples, self.partitions, load, compare)?);
        // If another thread was faster, its bounds count.
        let mut state = self.lock();
        state.samples = Arc::default();
        Ok(Arc::clone(state.bounds.get_or_insert(bounds)))
    }

    /// Locks the state even if the lock is poisoned: a panic leaves it consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the maximum number of runs that a task merges concurrently: their readers fit into a quarter of its share of
/// the budget.
fn most_at_once(resources: &Resources) -> usize {
    (resources.share_bytes() / 4 / READER_BYTES).clamp(MIN_FAN_IN, MAX_FAN_IN)
}

/// Merges run segments in files, a group at a time, until the remaining ones can be merged concurrently.
fn merge_down<'s, S: Sort>(
    slices: &mut Vec<RunSegment<'s, S>>,
    fan_in: usize,
    sort: &'s S,
    resources: &Resources,
) -> Result<()> {
    let (mut in_files, in_memory): (Vec<_>, Vec<_>) =
        slices.drain(..).partition(|slice| slice.is_in_file());
    let mut checks = resources.stop.checks();
    while in_files.len() > fan_in {
        let mut merged = Vec::new();
        let mut rest = in_files.into_iter().peekable();
        while rest.peek().is_some() {
            let mut merge = Merge::by(Stable(sort), rest.by_ref().take(fan_in));
            let mut run = RunBuilder::new(&resources.budget, &resources.scratch, 0);
            while let Some(slice) = merge.next_source()? {
                if let Some(bytes) = slice.bytes() {
                    run.append(bytes)?;
                }
                checks.count()?;
            }
            let run = run.finish()?;
            merged.extend(run.map(|run| RunSegment::whole(sort, &run)));
        }
        in_files = merged;
    }
    slices.extend(in_files);
    slices.extend(in_memory);
    Ok(())
}

fn push_merged<S, F>(
    slices: Vec<RunSegment<'_, S>>,
    sort: &S,
    stop: &StopFlag,
    sink: &mut F,
) -> Result<Flow>
where
    S: Sort,
    F: FnMut(Ref<'_, S::Record>) -> Flow,
{
    let mut merge = Merge::by(Stable(sort), slices);
    let mut checks = stop.checks();
    while let Some(slice) = merge.next_source()? {
        if slice.take(&mut *sink).is_some_and(|flow| flow.is_break()) {
            return Ok(ControlFlow::Break(()));
        }
        checks.count()?;
    }
    Ok(ControlFlow::Continue(()))
}
