//! The scans of a number of neighbouring records, also across the ends of partitions.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::scan::{Scan, Summarized, starts};
use crate::pipeline::{Data, Record, Ref};
use crate::portable::portable;
use crate::task::Flow;

/// Appends a record to the last `most` records.
fn push_last<R>(last: &mut VecDeque<R>, most: usize, record: R) {
    if last.len() == most {
        last.pop_front();
    }
    if most > 0 {
        last.push_back(record);
    }
}

/// Each record with the `n - 1` records before it, if there are as many.
pub(crate) struct Windows {
    pub(crate) n: usize,
}

portable! { [] Windows { n: data } }

impl<T> Scan<T> for Windows
where
    T: Record<Owned: Data + Clone + Sync> + ?Sized,
{
    type Out = Vec<T::Owned>;
    /// The last `n - 1` records.
    type Summary = VecDeque<T::Owned>;
    type State = VecDeque<T::Owned>;

    fn empty(&self) -> Self::Summary {
        VecDeque::new()
    }

    fn add(&self, last: &mut Self::Summary, record: Ref<'_, T>) -> Flow {
        push_last(last, self.n - 1, T::into_owned(record));
        ControlFlow::Continue(())
    }

    fn states(&self, partitions: Vec<Summarized<Self::Summary>>) -> Vec<Self::State> {
        let mut last = VecDeque::new();
        let state = |partition: Summarized<Self::Summary>| {
            let state = last.clone();
            for record in partition.summary {
                push_last(&mut last, self.n - 1, record);
            }
            state
        };
        partitions.into_iter().map(state).collect()
    }

    fn push<S>(&self, last: &mut Self::State, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: FnMut(Vec<T::Owned>) -> Flow,
    {
        last.push_back(T::into_owned(record));
        if last.len() < self.n {
            return ControlFlow::Continue(());
        }
        let window = last.iter().cloned().collect();
        last.pop_front();
        sink(window)
    }
}

/// `n` records at a time.
pub(crate) struct InChunks {
    pub(crate) n: usize,
}

portable! { [] InChunks { n: data } }

/// A chunk that more records belong to.
#[derive(Clone)]
pub(crate) struct OpenChunk<R> {
    records: Vec<R>,
    /// Whether no later partition has a record.
    is_last: bool,
}

impl<T> Scan<T> for InChunks
where
    T: Record<Owned: Data + Clone + Sync> + ?Sized,
{
    type Out = Vec<T::Owned>;
    /// The last `n - 1` records. How many of them belong to the last chunk is known only when all partitions are
    /// counted.
    type Summary = VecDeque<T::Owned>;
    type State = OpenChunk<T::Owned>;

    fn empty(&self) -> Self::Summary {
        VecDeque::new()
    }

    fn add(&self, last: &mut Self::Summary, record: Ref<'_, T>) -> Flow {
        push_last(last, self.n - 1, T::into_owned(record));
        ControlFlow::Continue(())
    }

    fn states(&self, partitions: Vec<Summarized<Self::Summary>>) -> Vec<Self::State> {
        let starts = starts(&partitions);
        let end = partitions
            .iter()
            .rposition(|partition| partition.records > 0);
        let mut last = VecDeque::new();
        let numbered = partitions.into_iter().zip(starts).enumerate();
        let state = |(index, (partition, start)): (usize, (Summarized<Self::Summary>, u64))| {
            // Less than `n`, and so a `usize`.
            let open = (start % self.n as u64) as usize;
            let records = last.iter().skip(last.len() - open).cloned().collect();
            for record in partition.summary {
                push_last(&mut last, self.n - 1, record);
            }
            OpenChunk {
                records,
                is_last: Some(index) == end,
            }
        };
        numbered.map(state).collect()
    }

    fn push<S>(&self, chunk: &mut Self::State, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: FnMut(Vec<T::Owned>) -> Flow,
    {
        chunk.records.push(T::into_owned(record));
        if chunk.records.len() < self.n {
            return ControlFlow::Continue(());
        }
        sink(std::mem::take(&mut chunk.records))
    }

    fn end<S>(&self, chunk: Self::State, sink: &mut S) -> Flow
    where
        S: FnMut(Vec<T::Owned>) -> Flow,
    {
        if chunk.is_last && !chunk.records.is_empty() {
            sink(chunk.records)
        } else {
            ControlFlow::Continue(())
        }
    }
}
