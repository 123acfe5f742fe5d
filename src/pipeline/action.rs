//! The last operator of a job: computes the value of an action.

use super::{Pipeline, Record};
use crate::error::Result;
use crate::portable::Portable;
use crate::task::{Flow, Partition, Site, Task};

/// Computes one part of an action's value from each partition: the last operator of a job.
///
/// The caller that runs the action combines the parts.
pub(crate) trait Action<In: Record + ?Sized>: Portable + Send + Sync + 'static {
    /// The result of a partition or, if it was computed in another process, of a chunk of one.
    type Part: Send;

    /// Returns the call site of the action.
    fn site(&self) -> Site;

    /// Computes a partition in this process.
    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<Self::Part>
    where
        P: Pipeline<Out = In>;

    /// Computes a partition in a worker process. Passes the result to `emit` as bytes, in one or more chunks, until
    /// `emit` returns `Break`. The boundaries of the chunks must depend only on the records of the partition.
    fn send<P>(
        &self,
        pipeline: &P,
        partition: Partition,
        task: &Task<'_>,
        emit: &mut dyn FnMut(Vec<u8>) -> Result<Flow>,
    ) -> Result<()>
    where
        P: Pipeline<Out = In>;

    /// Decodes a chunk that another process has sent.
    fn receive(&self, bytes: &[u8]) -> Result<Self::Part>;
}
