//! The last stage of a job: its tasks compute the result of the action.

use std::sync::{Mutex, MutexGuard, PoisonError};

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
    parts: ResultParts<'p, A::Part>,
}

/// Consumes the parts of a result in order of partition. It exists once for each type of parts, not for each pipeline.
struct ResultParts<'p, R> {
    in_order: InOrder<'p, R>,
    /// Parts of the partition whose chunks arrive, if they are held until it is known to be complete.
    held: Option<Mutex<HeldChunks<R>>>,
}

/// Chunks of one partition. Those of all partitions before it have been consumed.
struct HeldChunks<R> {
    /// `None` before the first chunk.
    partition: Option<usize>,
    parts: Vec<R>,
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
            parts: ResultParts {
                in_order: InOrder::new(Box::new(consume)),
                held: None,
            },
        }
    }

    /// Consumes the chunks of another process only once their partition is complete, if `holds` is `true`.
    pub(crate) fn holding_chunks(mut self, holds: bool) -> Self {
        self.parts.hold_chunks(holds);
        self
    }

    /// Returns the number of partitions, from the first on, whose results have been consumed, for a stage that holds
    /// chunks.
    pub(crate) fn partitions_done(&self) -> usize {
        self.parts.partitions_done()
    }
}

impl<R> ResultParts<'_, R> {
    fn hold_chunks(&mut self, holds: bool) {
        self.held = holds.then(|| {
            Mutex::new(HeldChunks {
                partition: None,
                parts: Vec::new(),
            })
        });
    }

    fn partitions_done(&self) -> usize {
        // Without chunks, the parts are those of partitions.
        let held = self.held.as_ref().and_then(|held| lock(held).partition);
        held.unwrap_or_else(|| self.in_order.consumed())
    }

    /// Consumes the chunk of a partition, or holds it.
    fn put_chunk(&self, task: &Task<'_>, partition: usize, part: R) -> Flow {
        let Some(held) = &self.held else {
            return self.in_order.put_next(task, part);
        };
        let is_same = lock(held).partition == Some(partition);
        let flow = match is_same {
            true => Flow::Continue(()),
            false => self.release(task, held, partition),
        };
        lock(held).parts.push(part);
        flow
    }

    fn end_chunks(&self, task: &Task<'_>, partitions: usize) {
        if let Some(held) = &self.held {
            let _ = self.release(task, held, partitions);
        }
    }

    /// Consumes the chunks that are held. Those that follow are of `partition`.
    fn release(&self, task: &Task<'_>, held: &Mutex<HeldChunks<R>>, partition: usize) -> Flow {
        let mut held = lock(held);
        held.partition = Some(partition);
        let parts = std::mem::take(&mut held.parts);
        drop(held);
        let mut parts = parts.into_iter();
        parts.try_for_each(|part| self.in_order.put_next(task, part))
    }
}

/// A panic while the lock is held leaves the chunks consistent.
fn lock<R>(held: &Mutex<HeldChunks<R>>) -> MutexGuard<'_, HeldChunks<R>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
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
        ResultWorker::boxed(self, &self.parts.in_order)
    }

    fn check_whole(&self, partitions: usize) -> Result<()> {
        self.parts.in_order.check_whole(partitions)
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry(const { &FunctionEntry::of::<RemoteResult<P, A>>(load::<P, A>) })?;
        self.pipeline.save(to)?;
        self.action.save(to)
    }

    fn accept(&self, task: &Task<'_>, partition: usize, chunk: &[u8]) -> Result<Flow> {
        let part = self.action.receive(chunk)?;
        Ok(self.parts.put_chunk(task, partition, part))
    }

    fn end_chunks(&self, task: &Task<'_>, partitions: usize) {
        self.parts.end_chunks(task, partitions);
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

impl<'s, 'p, R: Send + 'static> ResultWorker<'s, 'p, R> {
    fn boxed(
        stage: &'s dyn ComputePart<R>,
        parts: &'s InOrder<'p, R>,
    ) -> Box<dyn StageWorker + 's> {
        Box::new(Self {
            stage,
            parts,
            computed: None,
            kept: Vec::new(),
        })
    }
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
    let split_reader = SplitReader::new(job.resources().scratch.has_homes());
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
