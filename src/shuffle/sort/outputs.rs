//! Map output of a sort: sorted runs and samples. Also the reduce side, which reads a partition from them.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::run::{RunBuilder, SortedRun};
use super::run_segment::{Bounds, CutRun, RunSegment};
use super::sample::{KeySample, SampleSize, bounds};
use super::{Sort, Stable};
use crate::error::Result;
use crate::pipeline::Ref;
use crate::shuffle::outputs::keep_limit::KeepLimit;
use crate::shuffle::read::compact::{compact, fan_in};
use crate::storage::memory::{MemoryBudget, Reservation};
use crate::storage::merge::Merge;
use crate::task::{Flow, Resources, StopFlag};

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

    /// Returns the maximum memory for one more run, in bytes. The rest of the budget is for the buffers that other threads
    /// fill in the meantime, and later for the readers.
    pub(super) fn memory_left(&self, budget: &MemoryBudget) -> usize {
        KeepLimit::HalfKept.bytes_left(self.lock().memory_bytes, budget)
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
        let _for_readers = merge_down(&mut slices, sort, resources)?;
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

/// Merges run segments in files until those that remain can be read concurrently, and returns the memory for their
/// readers.
fn merge_down<'s, S: Sort>(
    slices: &mut Vec<RunSegment<'s, S>>,
    sort: &'s S,
    resources: &Resources,
) -> Result<Reservation> {
    let (in_files, in_memory): (Vec<_>, Vec<_>) =
        slices.drain(..).partition(|slice| slice.is_in_file());
    let (fan_in, for_readers) = fan_in(in_files.len(), resources);
    let mut checks = resources.stop.checks();
    let in_files = compact(in_files, fan_in, |some| {
        let mut merge = Merge::by(Stable(sort), some);
        let mut run = RunBuilder::new(&resources.budget, &resources.scratch, 0);
        while let Some(slice) = merge.next_source()? {
            if let Some(bytes) = slice.bytes() {
                run.append(bytes)?;
            }
            checks.count()?;
        }
        let run = run.finish()?;
        Ok(run.map(|run| RunSegment::whole(sort, &run)))
    })?;
    slices.extend(in_files);
    slices.extend(in_memory);
    Ok(for_readers)
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
