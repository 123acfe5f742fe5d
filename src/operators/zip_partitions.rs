//! `zip_partitions`: a closure that processes a partition of one bag together with that of another. Narrow.

use std::marker::PhantomData;
use std::sync::Arc;

use super::map_partitions::{Each, PartitionCall, Records};
use super::try_step::Outcome;
use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::pipeline::{Call, Pipeline, partitions_of};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

pub(crate) struct ZipPartitions<A, B, C, U, R> {
    pub(crate) left: Arc<A>,
    pub(crate) right: Arc<B>,
    pub(crate) op: C,
    pub(crate) site: Site,
    pub(crate) out: PhantomData<fn() -> (U, R)>,
}

portable! {
    [A: Portable, B: Portable, C: Portable, U, R] ZipPartitions<A, B, C, U, R> {
        left: part, right: part, site: part, op: part, out: part,
    }
}

impl<A: Pipeline, B: Pipeline, C, U, R> ZipPartitions<A, B, C, U, R> {
    /// Returns the number of partitions of each side, if it is known.
    fn known(&self) -> Option<(usize, usize)> {
        self.left.partitions().zip(self.right.partitions())
    }

    fn unequal(&self, at_least: usize, longer: &str, shorter: &str) -> Error {
        Error::new(ErrorKind::MissingPartition {
            context: ErrorContext::from(self.site),
            reason: format!(
                "the {shorter} bag has {at_least} partitions, and the {longer} bag has more; \
                 repartition both to the same number"
            ),
        })
    }
}

impl<A, B, C, U, R> Pipeline for ZipPartitions<A, B, C, U, R>
where
    A: Pipeline,
    B: Pipeline,
    C: for<'l, 'r, 'e> Call<
            (
                Records<'l, A::Out>,
                Records<'r, B::Out>,
                &'e mut (dyn FnMut(U) + 'e),
            ),
            Out = R,
        >,
    U: 'static,
    R: Outcome,
{
    type Out = U;

    fn partitions(&self) -> Option<usize> {
        self.known().map(|(left, _)| left)
    }

    fn stream(&self) -> PartitionStream<'_> {
        let mut left = partitions_of(&*self.left);
        let mut right = partitions_of(&*self.right);
        let mut index = 0;
        Box::new(move || match (left.next()?, right.next()?) {
            (Some(left), Some(right)) => {
                index += 1;
                Ok(Some(Partition::with(index - 1, (left, right))))
            }
            (None, None) => Ok(None),
            (Some(_), None) => Err(self.unequal(index, "left", "right")),
            (None, Some(_)) => Err(self.unequal(index, "right", "left")),
        })
    }

    fn run<K>(&self, partition: Partition, task: &Task<'_>, sink: &mut K) -> Result<Flow>
    where
        K: FnMut(U) -> Flow,
    {
        let index = partition.index;
        let pulled = partition.into_payload::<(Partition, Partition)>();
        let (left, right) = pulled.unwrap_or_else(|| (Partition::at(index), Partition::at(index)));
        let (mut left, mut right) = (Some(left), Some(right));
        let call = PartitionCall::new(task);
        let outcome = task.call(&self.site, || {
            let mut push_left = |op: &mut Each<'_, A::Out>| call.push(&*self.left, left.take(), op);
            let mut push_right =
                |op: &mut Each<'_, B::Out>| call.push(&*self.right, right.take(), op);
            self.op.call((
                Records::new(&mut push_left),
                Records::new(&mut push_right),
                &mut |record| call.emit(|| sink(record)),
            ))
        });
        let flow = call.finish()?;
        match outcome.into_result() {
            Ok(()) => Ok(flow),
            Err(error) => Ok(task.fail(self.site, error)),
        }
    }
}
