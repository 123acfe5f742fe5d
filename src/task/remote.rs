//! Stages in a worker process.

use super::{Flow, JobState, MapBlock, MapStage, Partition, Resources, Task, in_task};
use crate::error::Result;
use crate::portable::{FunctionEntry, Loader, Portable, Saver, loading_stage};
use crate::text::SplitReader;

/// A stage that came as bytes.
pub(crate) trait RemoteStage: Send + Sync {
    /// Computes partitions, one after the other, as one task. What a map stage leaves of them is returned; what a
    /// result's stage hands on to the action goes to `emit`, until that breaks off.
    fn run(
        &self,
        job: &JobState,
        number: usize,
        partitions: Vec<Partition>,
        emit: &mut Emit<'_>,
    ) -> Result<Vec<MapBlock>>;
}

/// Where chunks of results go, with the number of their partition, and whether they are the last of it. The last one
/// comes when the partition has been computed without an error.
pub(crate) type Emit<'e> = dyn FnMut(usize, Vec<u8>, bool) -> Result<Flow> + 'e;

/// The stage that [`StageCode::save`](super::StageCode::save) has taken down, in this process.
pub(crate) fn load_stage(bytes: &[u8]) -> Result<Box<dyn RemoteStage>> {
    loading_stage(|| Loader::read(bytes, |from| from.entry()))
}

/// The map side of a shuffle: all that its stage needs and that can be sent.
pub(crate) trait MakeStage: Portable + Send + Sync + 'static {
    /// A stage with fresh outputs, for `readers` readers of each partition. Its tasks use `resources`.
    fn stage(&self, readers: usize, resources: &Resources) -> Box<dyn MapStage + '_>;
}

/// Takes down a map stage.
pub(crate) fn save_map_side<M: MakeStage>(side: &M, to: &mut Saver) -> Result<()> {
    to.entry(const { &FunctionEntry::of::<M>(load_map_side::<M>) })?;
    side.save(to)
}

fn load_map_side<M: MakeStage>(from: &mut Loader<'_>) -> Result<Box<dyn RemoteStage>> {
    Ok(Box::new(RemoteMap(M::load(from)?)))
}

struct RemoteMap<M>(M);

impl<M: MakeStage> RemoteStage for RemoteMap<M> {
    fn run(
        &self,
        job: &JobState,
        number: usize,
        partitions: Vec<Partition>,
        _emit: &mut Emit<'_>,
    ) -> Result<Vec<MapBlock>> {
        let stage = self.0.stage(1, job.resources());
        run_worker(&*stage, job, number, partitions)?;
        // What is left to be written is the task's too, and writing it may call the program.
        let task = Task::of_no_partition(job, number);
        let blocks = in_task(|| task.guard(|_| stage.into_blocks(job.resources())));
        blocks.map_err(|error| error.of_stage(number))
    }
}

/// One worker for all of the partitions.
fn run_worker(
    stage: &dyn MapStage,
    job: &JobState,
    number: usize,
    partitions: Vec<Partition>,
) -> Result<()> {
    let mut worker = stage.worker(job.resources());
    let split_reader = SplitReader::default();
    for partition in partitions {
        let index = partition.index;
        let task = Task::new(job, number, index).reading_with(&split_reader);
        in_task(|| task.guard(|task| worker.run(partition, task)))?;
        worker.keep(index);
    }
    let task = Task::of_no_partition(job, number);
    let finished = in_task(|| {
        task.guard(|task| {
            worker.end_batch(task)?;
            worker.finish()
        })
    });
    finished.map_err(|error| error.of_stage(number))
}
