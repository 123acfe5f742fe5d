//! The last stage of a job: its tasks yield what the action gives back.

use crate::error::Result;
use crate::pipeline::Pipeline;
use crate::scheduler::InOrder;
use crate::task::{Partition, PartitionStream, Resources, StageCode, Task, Worker};

/// Computes one result for each partition of a pipeline and hands them on in order of partition.
pub(crate) struct ResultStage<'p, P, R, F, G> {
    pipeline: &'p P,
    compute: F,
    results: InOrder<R, G>,
    is_repeatable: bool,
}

impl<'p, P, R, F, G> ResultStage<'p, P, R, F, G>
where
    P: Pipeline,
    R: Send,
    F: Fn(&P, Partition, &Task<'_>) -> Result<R> + Sync,
    G: FnMut(&Task<'_>, R) + Send,
{
    pub(crate) fn new(pipeline: &'p P, compute: F, consume: G) -> Self {
        Self {
            pipeline,
            compute,
            results: InOrder::new(consume),
            is_repeatable: true,
        }
    }

    /// The same, where `compute` hands records on as they come, so that a partition cannot be computed again.
    pub(crate) fn handing_on(mut self) -> Self {
        self.is_repeatable = false;
        self
    }
}

impl<P, R, F, G> StageCode for ResultStage<'_, P, R, F, G>
where
    P: Pipeline,
    R: Send,
    F: Fn(&P, Partition, &Task<'_>) -> Result<R> + Sync,
    G: FnMut(&Task<'_>, R) + Send,
{
    fn partitions(&self) -> Option<usize> {
        self.pipeline.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.pipeline.stream()
    }

    fn worker<'s>(&'s self, _resources: &'s Resources) -> Box<dyn Worker + 's> {
        Box::new(ResultWorker {
            stage: self,
            results: Vec::new(),
        })
    }
}

struct ResultWorker<'s, 'p, P, R, F, G> {
    stage: &'s ResultStage<'p, P, R, F, G>,
    /// Of the partitions that were taken together.
    results: Vec<(usize, R)>,
}

impl<P, R, F, G> Worker for ResultWorker<'_, '_, P, R, F, G>
where
    P: Pipeline,
    R: Send,
    F: Fn(&P, Partition, &Task<'_>) -> Result<R> + Sync,
    G: FnMut(&Task<'_>, R) + Send,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let result = (self.stage.compute)(self.stage.pipeline, partition, task)?;
        self.results.push((task.partition(), result));
        Ok(())
    }

    fn is_repeatable(&self) -> bool {
        self.stage.is_repeatable
    }

    fn settle(&mut self, task: &Task<'_>) {
        self.stage.results.put(task, self.results.drain(..));
    }
}
