//! `ok_or_skip`, `parse_or_skip`: skip bad records instead of failing. Narrow.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Step;
use crate::counter::BadRecords;
use crate::error::{BoxError, Result};
use crate::pipeline::{Call, Pipeline, Record, Ref, Text, TextSlice};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

/// Passes values on, and skips errors.
pub(crate) struct OkOrSkip {
    pub(crate) bad: BadRecords,
    pub(crate) site: Site,
}

portable! { [] OkOrSkip { site: part, bad: data } }

impl<T, E> Step<Result<T, E>> for OkOrSkip
where
    T: 'static,
    E: Into<BoxError> + 'static,
{
    type Out = T;

    #[inline]
    fn push<K>(&self, record: Ref<'_, Result<T, E>>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: FnMut(T) -> Flow,
    {
        match record {
            Ok(record) => sink(record),
            Err(error) => task.reject(&self.bad, self.site, &error.into(), None),
        }
    }
}

/// Makes a value, or an error, of each text with a closure, and skips the texts with errors.
pub(crate) struct ParseOrSkip<P, C, U, E> {
    pub(crate) parent: Arc<P>,
    pub(crate) op: C,
    pub(crate) bad: BadRecords,
    pub(crate) site: Site,
    pub(crate) out: PhantomData<fn() -> (U, E)>,
}

portable! {
    [P: Portable, C: Portable, U, E] ParseOrSkip<P, C, U, E> {
        site: part, parent: part, op: part, bad: data, out: part,
    }
}

impl<P, U, E, C> Pipeline for ParseOrSkip<P, C, U, E>
where
    P: Pipeline<Out: Text>,
    U: 'static,
    E: Into<BoxError> + 'static,
    C: for<'a> Call<(&'a <P::Out as Text>::Slice,), Out = Result<U, E>>,
{
    type Out = U;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(U) -> Flow,
    {
        self.parent.run(partition, task, &mut |record| {
            let text = P::Out::peek(&record).as_slice();
            match task.call(&self.site, || self.op.call((text,))) {
                Ok(value) => sink(value),
                Err(error) => {
                    task.reject(&self.bad, self.site, &error.into(), Some(text.as_bytes()))
                }
            }
        })
    }
}
