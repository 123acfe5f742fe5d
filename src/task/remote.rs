//! Stages in a worker process.

use super::{Flow, JobState, MapBlock, MapStage, Partition, Resources, Task, in_task};
use crate::error::{PlaceError as _, Result};
use crate::portable::{FunctionEntry, Loader, Portable, Saver, loading_stage};
use crate::text::SplitReader;

/// A stage that was decoded from bytes.
pub(crate) trait RemoteStage: Send + Sync {
    /// Computes partitions, one after the other, as one task. Returns the output of a map stage. Passes the results of
    /// the result's stage to `emit`, until it breaks.
    fn run(
        &self,
        job: &JobState,
        number: usize,
        partitions: Vec<Partition>,
        emit: &mut Emit<'_>,
    ) -> Result<Vec<MapBlock>>;
}

/// Receives chunks of results, with the number of their partition, and whether the chunk is the last one of the
/// partition. The last chunk is sent after the partition has been computed without an error.
pub(crate) type Emit<'e> = dyn FnMut(usize, Vec<u8>, bool) -> Result<Flow> + 'e;

/// Decodes the stage that [`StageCode::save`](super::StageCode::save) has written.
pub(crate) fn load_stage(bytes: &[u8]) -> Result<Box<dyn RemoteStage>> {
    loading_stage(|| Loader::read(bytes, |from| from.entry()))
}

/// The map side of a shuffle: the part of it that can be sent to a worker.
pub(crate) trait MakeStage: Portable + Send + Sync + 'static {
    /// Creates a stage with new outputs, for `readers` readers of each partition. Its tasks use `resources`.
    fn stage(&self, readers: usize, resources: &Resources) -> Box<dyn MapStage + '_>;
}

/// Writes a map stage.
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
        run_map(self.0.stage(1, job.resources()), job, number, partitions)
    }
}

fn run_map(
    stage: Box<dyn MapStage + '_>,
    job: &JobState,
    number: usize,
    partitions: Vec<Partition>,
) -> Result<Vec<MapBlock>> {
    run_worker(&*stage, job, number, partitions)?;
    // Writing the remaining output is also part of the task, and may call the user's code.
    let task = Task::of_no_partition(job, number);
    let blocks = in_task(|| task.guard(|_| stage.into_blocks(job.resources())));
    blocks.of_stage(number)
}

/// Runs all of the partitions on one worker.
fn run_worker(
    stage: &dyn MapStage,
    job: &JobState,
    number: usize,
    partitions: Vec<Partition>,
) -> Result<()> {
    let mut worker = stage.worker(job.resources());
    let split_reader = SplitReader::new(job.resources().scratch.has_homes());
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
    finished.of_stage(number)
}
