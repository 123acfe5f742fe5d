//! What an action computes of each partition.

use super::{Pipeline, Record};
use crate::error::Result;
use crate::portable::Portable;
use crate::task::{Flow, Partition, Task};

/// Computes a part of an action's value of each partition: the last operator of a job.
///
/// What becomes of the parts is the business of whoever runs the action.
pub(crate) trait Action<In: Record + ?Sized>: Portable + Send + Sync + 'static {
    /// What comes of a partition; or from another process, of a piece of one.
    type Part: Send;

    /// Computes a partition in this process.
    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<Self::Part>
    where
        P: Pipeline<Out = In>;

    /// The same in a worker process: hands the part on as bytes, in one piece or in several, until `emit` breaks off.
    /// Where a partition is cut into pieces must depend on its records alone.
    fn send<P>(
        &self,
        pipeline: &P,
        partition: Partition,
        task: &Task<'_>,
        emit: &mut dyn FnMut(Vec<u8>) -> Result<Flow>,
    ) -> Result<()>
    where
        P: Pipeline<Out = In>;

    /// A piece that came as bytes.
    fn receive(&self, bytes: &[u8]) -> Result<Self::Part>;
}
