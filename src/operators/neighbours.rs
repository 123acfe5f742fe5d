//! The scans of a number of neighbouring records, also across the ends of partitions.
//!
//! A partition completes its last results with the first records of later partitions. With the last records of earlier
//! ones instead, the summary of a partition would depend on all of its records, and the bag would be computed twice.

use std::ops::ControlFlow;

use super::scan::{Scan, Summarized, starts};
use crate::error::Result;
use crate::pipeline::{Data, Pipeline, Record, Ref};
use crate::portable::portable;
use crate::task::{Flow, Partition, Site, Task};

/// Adds a record to the first `most` records of a partition. Breaks if there are as many.
fn push_first<R>(first: &mut Vec<R>, most: usize, record: impl FnOnce() -> R) -> Flow {
    if first.len() < most {
        first.push(record());
    }
    match first.len() < most {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    }
}

/// Returns the first `most` records after each partition. `partitions` have the first `most` of their own records, or
/// all if they have fewer.
fn following<R: Clone>(partitions: Vec<Summarized<Vec<R>>>, most: usize) -> Vec<Vec<R>> {
    let mut next: Vec<R> = Vec::new();
    let before = |partition: Summarized<Vec<R>>| {
        let mut first = partition.summary;
        let more = next.iter().take(most - first.len());
        first.extend(more.cloned());
        std::mem::replace(&mut next, first)
    };
    let mut following: Vec<_> = partitions.into_iter().rev().map(before).collect();
    following.reverse();
    following
}

/// Each record with the `n - 1` records after it, if there are as many.
pub(crate) struct Windows {
    pub(crate) n: usize,
}

portable! { [] Windows { n: data } }

/// The records of the next window.
#[derive(Clone)]
pub(crate) struct OpenWindow<R> {
    /// Followed by the records of the window so far.
    passed: usize,
    records: Vec<R>,
    /// The first records after the partition.
    following: Vec<R>,
}

/// Number of records that have left the window before they are removed, if they own no memory.
const MAX_PASSED: usize = 64;

impl Windows {
    fn push_next<R: Clone>(
        &self,
        window: &mut OpenWindow<R>,
        record: R,
        sink: &mut impl FnMut(Vec<R>) -> Flow,
    ) -> Flow {
        window.records.push(record);
        let records = &window.records[window.passed..];
        if records.len() < self.n {
            return ControlFlow::Continue(());
        }
        let complete = records.to_vec();
        window.passed += 1;
        // To remove a record moves those after it.
        if window.passed >= self.n && (window.passed >= MAX_PASSED || std::mem::needs_drop::<R>()) {
            window.records.drain(..window.passed);
            window.passed = 0;
        }
        sink(complete)
    }
}

impl<T> Scan<T> for Windows
where
    T: Record<Owned: Data + Clone + Sync> + ?Sized,
{
    type Out = Vec<T::Owned>;
    /// The first `n - 1` records.
    type Summary = Vec<T::Owned>;
    type State = OpenWindow<T::Owned>;

    fn empty(&self) -> Self::Summary {
        Vec::new()
    }

    fn add(&self, first: &mut Self::Summary, record: Ref<'_, T>) -> Flow {
        push_first(first, self.n - 1, || T::into_owned(record))
    }

    fn states(&self, partitions: Vec<Summarized<Self::Summary>>) -> Vec<Self::State> {
        let open = |following| OpenWindow {
            passed: 0,
            records: Vec::new(),
            following,
        };
        let following = following(partitions, self.n - 1);
        following.into_iter().map(open).collect()
    }

    #[inline]
    fn push<S>(&self, window: &mut Self::State, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: FnMut(Vec<T::Owned>) -> Flow,
    {
        self.push_next(window, T::into_owned(record), sink)
    }

    fn end<S>(&self, mut window: Self::State, sink: &mut S) -> Flow
    where
        S: FnMut(Vec<T::Owned>) -> Flow,
    {
        let mut following = std::mem::take(&mut window.following).into_iter();
        following.try_for_each(|record| self.push_next(&mut window, record, sink))
    }
}

/// `n` records at a time.
pub(crate) struct InChunks {
    pub(crate) n: usize,
}

portable! { [] InChunks { n: data } }

/// The chunk that the next records belong to.
#[derive(Clone)]
pub(crate) struct OpenChunk<R> {
    /// Number of records that still belong to a chunk that begins in an earlier partition.
    to_skip: u64,
    records: Vec<R>,
    /// The first records after the partition.
    following: Vec<R>,
}

impl<T> Scan<T> for InChunks
where
    T: Record<Owned: Data + Clone + Sync> + ?Sized,
{
    type Out = Vec<T::Owned>;
    /// The first `n - 1` records. How many of them belong to the chunk before is known only when all partitions are
    /// counted.
    type Summary = Vec<T::Owned>;
    type State = OpenChunk<T::Owned>;

    fn empty(&self) -> Self::Summary {
        Vec::new()
    }

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
        let known = parent.known_count(partition.index, task)?;
        let (mut first, mut records) = (Vec::new(), 0);
        let flow = parent.run(partition, task, &mut |record| {
            records += 1;
            // The code that copies a record may be user code.
            let flow = task.call(&site, || {
                push_first(&mut first, self.n - 1, || T::into_owned(record))
            });
            match known {
                Some(_) => flow,
                None => ControlFlow::Continue(()),
            }
        })?;
        Ok(Summarized {
            summary: first,
            records: known.unwrap_or(records),
            is_whole: known.is_some() || flow.is_continue(),
        })
    }

    fn states(&self, partitions: Vec<Summarized<Self::Summary>>) -> Vec<Self::State> {
        let n = self.n as u64;
        let to_skip = starts(&partitions)
            .into_iter()
            .map(|start| (n - start % n) % n);
        let open = |(to_skip, following)| OpenChunk {
            to_skip,
            records: Vec::new(),
            following,
        };
        let to_skip: Vec<_> = to_skip.collect();
        let following = following(partitions, self.n - 1);
        to_skip.into_iter().zip(following).map(open).collect()
    }

    #[inline]
    fn push<S>(&self, chunk: &mut Self::State, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: FnMut(Vec<T::Owned>) -> Flow,
    {
        if chunk.to_skip > 0 {
            chunk.to_skip -= 1;
            return ControlFlow::Continue(());
        }
        chunk.records.push(T::into_owned(record));
        if chunk.records.len() < self.n {
            return ControlFlow::Continue(());
        }
        let next = Vec::with_capacity(self.n);
        sink(std::mem::replace(&mut chunk.records, next))
    }

    fn end<S>(&self, mut chunk: Self::State, sink: &mut S) -> Flow
    where
        S: FnMut(Vec<T::Owned>) -> Flow,
    {
        if chunk.records.is_empty() {
            return ControlFlow::Continue(());
        }
        let missing = self.n - chunk.records.len();
        chunk
            .records
            .extend(chunk.following.into_iter().take(missing));
        sink(chunk.records)
    }
}
