//! Transformations of a partition that depend on the other partitions, such as on the number of records before it.
//!
//! Map side: summarises each partition; the summaries are sent to every task. The bag is not shuffled, but computed
//! twice. This is the parallel prefix scan of Blelloch (Prefix sums and their applications, 1990), with one level.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::id::ShuffleId;
use crate::pipeline::{Data, Pipeline, Record, Ref};
use crate::portable::{Portable, portable};
use crate::shuffle::{KeyedOutputs, Lookup};
use crate::storage::codec;
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

/// A transformation of each partition that depends on summaries of all partitions.
pub(crate) trait Scan<T: Record + ?Sized>: Portable + Send + Sync + 'static {
    type Out: Record + ?Sized;
    /// Information about a partition that the others need.
    type Summary: Data;
    /// Information about the other partitions, which a partition changes while it processes its records.
    type State: Clone + Send + Sync + 'static;

    /// Whether the number of records is all that matters, so that [`add`](Self::add) is never called. Sources can count
    /// faster than they read, or know the number.
    const ONLY_COUNTS: bool = false;

    /// Returns the number of records of a partition up to which they are counted, if its length is not known.
    fn to_count(&self) -> Option<u64> {
        None
    }

    /// Returns the summary of no records.
    fn empty(&self) -> Self::Summary;

    /// Adds a record to the summary of those before it. Breaks if the summary does not depend on later records.
    fn add(&self, _summary: &mut Self::Summary, _record: Ref<'_, T>) -> Flow {
        unreachable!("only the number of records is needed")
    }

    /// Summarises a partition of `parent`.
    fn summarize<P>(
        &self,
        parent: &P,
        partition: Partition,
        task: &Task<'_>,
        site: Site,
    ) -> Result<Summarized<Self::Summary>>
    where
        P: Pipeline<Out = T>,
    {
        let mut summary = task.call(&site, || self.empty());
        let mut records = 0;
        if Self::ONLY_COUNTS {
            let mut is_whole = true;
            if let Some(known) = parent.known_count(partition.index, task)? {
                records = known;
            } else if let Some(enough) = self.to_count() {
                let flow = parent.run(partition, task, &mut |_| {
                    records += 1;
                    match records < enough {
                        true => ControlFlow::Continue(()),
                        false => ControlFlow::Break(()),
                    }
                })?;
                is_whole = flow.is_continue();
            } else {
                records = parent.count(partition, task)?;
            }
            return Ok(Summarized {
                summary,
                records,
                is_whole,
            });
        }
        let flow = parent.run(partition, task, &mut |record| {
            records += 1;
            task.call(&site, || self.add(&mut summary, record))
        })?;
        Ok(Summarized {
            summary,
            records,
            is_whole: flow.is_continue(),
        })
    }

    /// Returns the state of each partition at its start. `partitions` are the summaries of all partitions, in order.
    fn states(&self, partitions: Vec<Summarized<Self::Summary>>) -> Vec<Self::State>;

    /// Returns whether the partition with this state has any result.
    fn is_needed(&self, _state: &Self::State) -> bool {
        true
    }

    /// Returns the number of results of a partition with this state and so many records, if it depends on nothing else.
    fn known_count(&self, _state: &Self::State, _records: u64) -> Option<u64> {
        None
    }

    /// Processes one record and pushes the results into `sink`. Breaks if the partition has no further results, or if
    /// `sink` does.
    fn push<S>(&self, state: &mut Self::State, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow;

    /// Pushes the results after the last record.
    fn end<S>(&self, _state: Self::State, _sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow,
    {
        ControlFlow::Continue(())
    }
}

/// The summary of a partition.
#[derive(Serialize, Deserialize)]
pub(crate) struct Summarized<S> {
    pub(crate) summary: S,
    /// Number of records that were summarised.
    pub(crate) records: u64,
    /// Whether these are all records of the partition.
    pub(crate) is_whole: bool,
}

/// Returns the number of records before each partition.
pub(super) fn starts<S>(partitions: &[Summarized<S>]) -> Vec<u64> {
    let mut next = 0;
    let start = |partition: &Summarized<S>| {
        let start = next;
        // More records than that can be known, but not read.
        next = partition.records.saturating_add(next);
        start
    };
    partitions.iter().map(start).collect()
}

/// The index of a partition and its summary.
pub(crate) type Numbered<S> = (usize, Summarized<S>);

/// Computes the summary of each partition, with the same key for all.
pub(crate) struct Summarize<P, C> {
    pub(crate) parent: Arc<P>,
    pub(crate) scan: Arc<C>,
    pub(crate) site: Site,
}

portable! {
    [P: Portable, C: Portable] Summarize<P, C> { site: part, parent: part, scan: part }
}

impl<P: Pipeline, C: Scan<P::Out>> Pipeline for Summarize<P, C> {
    type Out = ((), Numbered<C::Summary>);

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(((), Numbered<C::Summary>)) -> Flow,
    {
        let index = partition.index;
        let summarized = self
            .scan
            .summarize(&*self.parent, partition, task, self.site)?;
        // An interrupted partition must not be summarised as complete.
        if task.has_failed() || task.is_stopped() {
            return Ok(ControlFlow::Break(()));
        }
        Ok(sink(((), (index, summarized))))
    }
}

/// Returns what `make` computes from the summaries, sorted by partition. The first task of a process computes it.
pub(super) fn of_summaries<S, M, R>(
    summaries: ShuffleId,
    site: Site,
    task: &Task<'_>,
    make: impl FnOnce(Vec<Numbered<S>>) -> M,
    read: impl FnOnce(&M) -> R,
) -> Result<R>
where
    S: Data,
    M: Send + Sync + 'static,
{
    let outputs = task.map_outputs(summaries, |blocks| {
        KeyedOutputs::import_broadcast(blocks, task.resources())
    })?;
    let lookup = outputs.lookup(task.resources())?;
    // Decoding and `make` may run user code.
    let made = lookup.made(|| {
        task.call(&site, || {
            let mut all = decoded(&lookup)?;
            all.sort_unstable_by_key(|(index, _)| *index);
            let made = make(all);
            task.take_stored().map(|()| made)
        })
    });
    made.map(read).map_err(|error: Error| error.at(site))
}

fn decoded<S: Data>(summaries: &Lookup) -> Result<Vec<Numbered<S>>> {
    let all = summaries.find::<(), _>(&(), &mut Vec::new(), |values| {
        values.map(codec::decode).collect()
    })?;
    all.unwrap_or_else(|| Ok(Vec::new()))
}

#[cold]
pub(super) fn not_repeatable(site: Site) -> Error {
    let context = ErrorContext::from(site);
    Error::new(ErrorKind::NotRepeatable { context })
}

/// Applies a [`Scan`] to each partition.
pub(crate) struct Scanned<P, C> {
    pub(crate) parent: Arc<P>,
    /// The shuffle of the summaries from [`Summarize`], into one partition.
    pub(crate) summaries: ShuffleId,
    pub(crate) scan: Arc<C>,
    pub(crate) site: Site,
}

portable! {
    [P: Portable, C: Portable] Scanned<P, C> {
        site: part, parent: part, summaries: data, scan: part,
    }
}

/// The start of a partition.
struct Start<S> {
    partition: usize,
    records: u64,
    is_whole: bool,
    state: S,
}

impl<P: Pipeline, C: Scan<P::Out>> Scanned<P, C> {
    fn starts(&self, partitions: Vec<Numbered<C::Summary>>) -> Vec<Start<C::State>> {
        let known = |(index, of): &Numbered<C::Summary>| (*index, of.records, of.is_whole);
        let known: Vec<_> = partitions.iter().map(known).collect();
        let summaries = partitions.into_iter().map(|(_, summary)| summary);
        let states = self.scan.states(summaries.collect());
        let start = |((partition, records, is_whole), state)| Start {
            partition,
            records,
            is_whole,
            state,
        };
        known.into_iter().zip(states).map(start).collect()
    }

    /// Returns the start of a partition; `None` if it was not there when the partitions were summarised.
    fn start(&self, partition: usize, task: &Task<'_>) -> Result<Option<Start<C::State>>> {
        let find = |starts: &Vec<Start<C::State>>| {
            let at = starts.binary_search_by_key(&partition, |start| start.partition);
            let start = &starts[at.ok()?];
            Some(Start {
                state: start.state.clone(),
                ..*start
            })
        };
        let make = |partitions| self.starts(partitions);
        let read = |starts: &_| task.call(&self.site, || find(starts));
        of_summaries(self.summaries, self.site, task, make, read)
    }
}

impl<P: Pipeline, C: Scan<P::Out>> Pipeline for Scanned<P, C> {
    type Out = C::Out;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, C::Out>) -> Flow,
    {
        let start = self.start(partition.index, task)?;
        let start = start.ok_or_else(|| not_repeatable(self.site))?;
        if !self.scan.is_needed(&start.state) {
            return Ok(ControlFlow::Continue(()));
        }
        let mut state = start.state;
        let mut records = 0;
        // Whether `sink` needs more records. If only the scan breaks, later partitions may still have results.
        let mut flow = ControlFlow::Continue(());
        let mut sink = |record: Ref<'_, C::Out>| {
            flow = sink(record);
            flow
        };
        let pushed = self.parent.run(partition, task, &mut |record| {
            records += 1;
            task.call(&self.site, || self.scan.push(&mut state, record, &mut sink))
        })?;
        if task.has_failed() || task.is_stopped() {
            return Ok(ControlFlow::Break(()));
        }
        let is_complete = pushed.is_continue();
        if start.is_whole && (records > start.records || is_complete && records < start.records) {
            return Err(not_repeatable(self.site));
        }
        if is_complete {
            let _ = task.call(&self.site, || self.scan.end(state, &mut sink));
        }
        Ok(flow)
    }

    fn known_count(&self, partition: usize, task: &Task<'_>) -> Result<Option<u64>> {
        let start = self.start(partition, task)?.filter(|start| start.is_whole);
        Ok(start.and_then(|start| self.scan.known_count(&start.state, start.records)))
    }
}
