//! The last stage of a job: its tasks yield what the action gives back.

use crate::error::Result;
use crate::pipeline::{Action, Pipeline};
use crate::portable::{Entry, Loader, Saver};
use crate::scheduler::InOrder;
use crate::task::{
    Block, Emit, Flow, JobState, Partition, PartitionStream, RemoteStage, Resources, StageCode,
    Task, Worker, in_task,
};
use crate::text::SplitReader;

/// Computes one part for each partition of a pipeline and hands them on in order of partition.
pub(crate) struct ResultStage<'p, P: Pipeline, A: Action<P::Out>, G> {
    pipeline: &'p P,
    action: &'p A,
    parts: InOrder<A::Part, G>,
}

impl<'p, P, A, G> ResultStage<'p, P, A, G>
where
    P: Pipeline,
    A: Action<P::Out>,
    G: FnMut(&Task<'_>, A::Part) -> Flow + Send,
{
    pub(crate) fn new(pipeline: &'p P, action: &'p A, consume: G) -> Self {
        Self {
            pipeline,
            action,
            parts: InOrder::new(consume),
        }
    }
}

impl<P, A, G> StageCode for ResultStage<'_, P, A, G>
where
    P: Pipeline,
    A: Action<P::Out>,
    G: FnMut(&Task<'_>, A::Part) -> Flow + Send,
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
            parts: Vec::new(),
            first: 0,
        })
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry(const { &Entry::of::<RemoteResult<P, A>>(load::<P, A>) })?;
        self.pipeline.save(to)?;
        self.action.save(to)
    }

    fn accept(&self, task: &Task<'_>, _partition: usize, chunk: &[u8]) -> Result<Flow> {
        let part = self.action.receive(chunk)?;
        Ok(self.parts.put_next(task, part))
    }
}

struct ResultWorker<'s, 'p, P: Pipeline, A: Action<P::Out>, G> {
    stage: &'s ResultStage<'p, P, A, G>,
    /// Of the partitions that were taken together, which follow each other from `first` on.
    parts: Vec<A::Part>,
    first: usize,
}

impl<P, A, G> Worker for ResultWorker<'_, '_, P, A, G>
where
    P: Pipeline,
    A: Action<P::Out>,
    G: FnMut(&Task<'_>, A::Part) -> Flow + Send,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let ResultStage {
            pipeline, action, ..
        } = self.stage;
        let part = action.compute(*pipeline, partition, task)?;
        if self.parts.is_empty() {
            self.first = task.partition();
        }
        self.parts.push(part);
        Ok(())
    }

    fn is_repeatable(&self) -> bool {
        true
    }

    fn settle(&mut self, task: &Task<'_>) {
        let parts = std::mem::take(&mut self.parts);
        self.stage.parts.put(task, self.first, parts);
    }
}

/// The stage in a worker process.
struct RemoteResult<P, A> {
    pipeline: P,
    action: A,
}

fn load<P, A>(from: &mut Loader<'_>) -> Result<Box<dyn RemoteStage>>
where
    P: Pipeline,
    A: Action<P::Out>,
{
    let pipeline = P::load(from)?;
    let action = A::load(from)?;
    Ok(Box::new(RemoteResult { pipeline, action }))
}

impl<P, A> RemoteStage for RemoteResult<P, A>
where
    P: Pipeline,
    A: Action<P::Out>,
{
    fn run(
        &self,
        job: &JobState,
        number: usize,
        partitions: Vec<Partition>,
        emit: &mut Emit<'_>,
    ) -> Result<Vec<Block>> {
        let split_reader = SplitReader::default();
        for partition in partitions {
            let index = partition.index;
            let mut emit = |bytes| emit(index, bytes);
            let task = Task::new(job, number, index).reading_with(&split_reader);
            let send =
                |task: &Task<'_>| self.action.send(&self.pipeline, partition, task, &mut emit);
            in_task(|| task.guard(send))?;
        }
        Ok(Vec::new())
    }
}
