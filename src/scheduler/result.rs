//! The last stage of a job: its tasks compute the result of the action.

use crate::error::Result;
use crate::pipeline::{Action, Pipeline};
use crate::portable::{FunctionEntry, Loader, Saver};
use crate::scheduler::InOrder;
use crate::task::{
    Emit, Flow, JobState, MapBlock, Partition, PartitionStream, RemoteStage, Resources, StageCode,
    StageWorker, Task, in_task,
};
use crate::text::SplitReader;

/// Computes one part of the result for each partition of a pipeline, and emits the parts in order of partition.
pub(crate) struct ResultStage<'p, P: Pipeline, A: Action<P::Out>> {
    pipeline: &'p P,
    action: &'p A,
    parts: InOrder<'p, A::Part>,
}

impl<'p, P: Pipeline, A: Action<P::Out>> ResultStage<'p, P, A> {
    pub(crate) fn new(
        pipeline: &'p P,
        action: &'p A,
        consume: impl FnMut(&Task<'_>, A::Part) -> Flow + Send + 'p,
    ) -> Self {
        Self {
            pipeline,
            action,
            parts: InOrder::new(Box::new(consume)),
        }
    }
}

impl<P, A> StageCode for ResultStage<'_, P, A>
where
    P: Pipeline,
    A: Action<P::Out>,
{
    fn partitions(&self) -> Option<usize> {
        self.pipeline.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.pipeline.stream()
    }

    fn worker<'s>(&'s self, _resources: &'s Resources) -> Box<dyn StageWorker + 's> {
        Box::new(ResultWorker {
            stage: self,
            parts: &self.parts,
            computed: None,
            kept: Vec::new(),
        })
    }

    fn check_whole(&self, partitions: usize) -> Result<()> {
        self.parts.check_whole(partitions)
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry(const { &FunctionEntry::of::<RemoteResult<P, A>>(load::<P, A>) })?;
        self.pipeline.save(to)?;
        self.action.save(to)
    }

    fn accept(&self, task: &Task<'_>, _partition: usize, chunk: &[u8]) -> Result<Flow> {
        let part = self.action.receive(chunk)?;
        Ok(self.parts.put_next(task, part))
    }
}

/// Computes parts of the result. Known only by their type, so that the code around it exists once for each type.
trait ComputePart<R> {
    fn compute(&self, partition: Partition, task: &Task<'_>) -> Result<R>;
}

impl<P, A> ComputePart<A::Part> for ResultStage<'_, P, A>
where
    P: Pipeline,
    A: Action<P::Out>,
{
    fn compute(&self, partition: Partition, task: &Task<'_>) -> Result<A::Part> {
        self.action.compute(self.pipeline, partition, task)
    }
}

struct ResultWorker<'s, 'p, R> {
    stage: &'s dyn ComputePart<R>,
    parts: &'s InOrder<'p, R>,
    /// The part of the last partition. It counts only if its task has not failed.
    computed: Option<R>,
    /// Parts of consecutive partitions, with the number of the first. There is usually one such sequence. A thread that
    /// finds damage also computes partitions of other threads, which need not be neighbours of its own.
    kept: Vec<(usize, Vec<R>)>,
}

impl<R: Send + 'static> StageWorker for ResultWorker<'_, '_, R> {
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        self.computed = Some(self.stage.compute(partition, task)?);
        Ok(())
    }

    fn keep(&mut self, partition: usize) {
        let Some(part) = self.computed.take() else {
            return;
        };
        match self.kept.last_mut() {
            Some((first, parts)) if *first + parts.len() == partition => parts.push(part),
            _ => self.kept.push((partition, vec![part])),
        }
    }

    fn is_repeatable(&self) -> bool {
        true
    }

    fn end_batch(&mut self, task: &Task<'_>) -> Result<()> {
        self.kept
            .drain(..)
            .try_for_each(|(first, parts)| self.parts.put(task, first, parts))
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
    ) -> Result<Vec<MapBlock>> {
        run_each(job, number, partitions, emit, &|partition, task, emit| {
            self.action.send(&self.pipeline, partition, task, emit)
        })
    }
}

/// Computes the part of one partition and emits it in chunks.
type SendPart<'a> = dyn Fn(Partition, &Task<'_>, &mut EmitChunk<'_>) -> Result<()> + 'a;

type EmitChunk<'a> = dyn FnMut(Vec<u8>) -> Result<Flow> + 'a;

/// Computes the parts of the result for some partitions, and emits each in chunks.
fn run_each(
    job: &JobState,
    number: usize,
    partitions: Vec<Partition>,
    emit: &mut Emit<'_>,
    send: &SendPart<'_>,
) -> Result<Vec<MapBlock>> {
    let split_reader = SplitReader::default();
    for partition in partitions {
        let index = partition.index;
        let task = Task::new(job, number, index).reading_with(&split_reader);
        // The last chunk is held back until the task is known to have succeeded.
        let mut last = None;
        let send = |task: &Task<'_>| {
            let mut emit = |chunk| {
                // After a failure, the chunk may be incomplete.
                if task.has_failed() {
                    return Ok(Flow::Break(()));
                }
                match last.replace(chunk) {
                    Some(chunk) => emit(index, chunk, false),
                    None => Ok(Flow::Continue(())),
                }
            };
            send(partition, task, &mut emit)
        };
        in_task(|| task.guard(send))?;
        if let Some(chunk) = last {
            let _ = emit(index, chunk, true)?;
        }
    }
    Ok(Vec::new())
}
