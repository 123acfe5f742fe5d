//! Several results of one bag: summarises each partition for all of them, in one pass. Narrow.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::{Error, Result, caught};
use crate::pipeline::{Peek, Pipeline, Record, Storable};
use crate::portable::{FunctionEntry, Loader, Portable, Saver};
use crate::summary::Summary;
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

/// A value of any type, which is the result of a summary.
pub(crate) type AnyOutput = Arc<dyn Any + Send + Sync>;

/// A summary of any type.
pub(crate) trait AnySummary<T: Record + ?Sized>: Send + Sync {
    fn site(&self) -> Site;

    /// Starts a part.
    fn part(&self) -> Box<dyn AnyPart<T> + '_>;

    /// Returns the result, from the parts in the order of the partitions.
    fn finish(&self, parts: &mut dyn Iterator<Item = Vec<u8>>) -> Result<AnyOutput>;

    /// Writes the summary for [`load_summary`].
    fn save(&self, to: &mut Saver) -> Result<()>;
}

/// Results for the records of a partition.
pub(crate) trait AnyPart<T: Record + ?Sized> {
    fn add(&mut self, record: Peek<'_, T>);

    fn into_bytes(self: Box<Self>) -> Result<Vec<u8>>;
}

/// A summary of the type `S`, for the method at `site`.
pub(crate) struct ResultOf<S> {
    pub(crate) site: Site,
    pub(crate) summary: S,
}

struct PartOf<'s, T: Record + ?Sized, S: Summary<T>> {
    summary: &'s S,
    part: S::Part,
}

impl<T, S> AnySummary<T> for ResultOf<S>
where
    T: Record + ?Sized,
    S: Summary<T, Output: Send + Sync + 'static> + Portable,
{
    fn site(&self) -> Site {
        self.site
    }

    fn part(&self) -> Box<dyn AnyPart<T> + '_> {
        Box::new(PartOf {
            summary: &self.summary,
            part: self.summary.start(),
        })
    }

    fn finish(&self, parts: &mut dyn Iterator<Item = Vec<u8>>) -> Result<AnyOutput> {
        caught(Some(self.site), || {
            let mut merged = None;
            for bytes in parts {
                let part = S::Part::restore(&bytes, |part| part)?;
                match &mut merged {
                    None => merged = Some(part),
                    Some(merged) => self.summary.merge(merged, part),
                }
            }
            let merged = merged.unwrap_or_else(|| self.summary.start());
            let output: AnyOutput = Arc::new(self.summary.finish(merged));
            Ok(output)
        })
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry(const { &FunctionEntry::of::<(S, *const T)>(load::<T, S>) })?;
        to.site(self.site)?;
        self.summary.save(to)
    }
}

impl<T: Record + ?Sized, S: Summary<T>> AnyPart<T> for PartOf<'_, T, S> {
    fn add(&mut self, record: Peek<'_, T>) {
        self.summary.add(&mut self.part, record);
    }

    fn into_bytes(self: Box<Self>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        S::Part::store(&self.part, &mut bytes)?;
        Ok(bytes)
    }
}

fn load<T, S>(from: &mut Loader<'_>) -> Result<Arc<dyn AnySummary<T>>>
where
    T: Record + ?Sized,
    S: Summary<T, Output: Send + Sync + 'static> + Portable,
{
    let site = from.site()?;
    let summary = S::load(from)?;
    Ok(Arc::new(ResultOf { site, summary }))
}

/// A part of a result: number of the bag, number of the result, and the bytes of the part.
pub(crate) type PartialResult = (u32, u32, Vec<u8>);

/// Replaces the records of each partition by one part for each result.
pub(crate) struct PartialResults<P: Pipeline> {
    pub(crate) parent: Arc<P>,
    /// Number of the bag.
    pub(crate) bag: u32,
    pub(crate) summaries: Vec<PartitionSummary<P::Out>>,
}

/// A summary of all partitions, or of one.
pub(crate) type PartitionSummary<T> = (Option<usize>, Arc<dyn AnySummary<T>>);

impl<P: Pipeline> Portable for PartialResults<P> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        self.parent.save(to)?;
        to.data(&(self.bag, self.summaries.len()))?;
        self.summaries.iter().try_for_each(|(partition, summary)| {
            to.data(partition)?;
            summary.save(to)
        })
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let parent = Portable::load(from)?;
        let (bag, summaries): (u32, usize) = from.data()?;
        let summary = |_| Ok((from.data()?, from.entry()?));
        Ok(Self {
            parent,
            bag,
            summaries: (0..summaries).map(summary).collect::<Result<_>>()?,
        })
    }
}

impl<P: Pipeline> Pipeline for PartialResults<P> {
    type Out = PartialResult;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(PartialResult) -> Flow,
    {
        let mut parts = Vec::with_capacity(self.summaries.len());
        for (number, (only, summary)) in (0..).zip(&self.summaries) {
            if only.is_none_or(|only| only == partition.index) {
                let site = summary.site();
                parts.push((number, site, task.call(&site, || summary.part())));
            }
        }
        if parts.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let flow = self.parent.run(partition, task, &mut |record| {
            let record = P::Out::peek(&record);
            for (_, site, part) in &mut parts {
                task.call(site, || part.add(record));
            }
            ControlFlow::Continue(())
        })?;
        if flow.is_break() {
            return Ok(flow);
        }
        for (number, site, part) in parts {
            let bytes = task.call(&site, || part.into_bytes());
            let bytes = bytes.map_err(|error: Error| error.at(site))?;
            if sink((self.bag, number, bytes)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
