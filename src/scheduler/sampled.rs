//! A stage of which only some partitions are computed.

use crate::error::Result;
use crate::portable::{FunctionEntry, Loader, Saver};
use crate::task::{
    Emit, Flow, JobState, MapBlock, Partition, PartitionStream, RemoteStage, Resources, StageCode,
    StageWorker, Task,
};

/// Some partitions of `code`, which are numbered from 0. Their number is known.
pub(super) struct SampledStage<'c> {
    pub(super) code: &'c dyn StageCode,
    /// Numbers of these partitions in `code`, ascending.
    pub(super) selected: Vec<usize>,
}

impl StageCode for SampledStage<'_> {
    fn partitions(&self) -> Option<usize> {
        Some(self.selected.len())
    }

    fn stream(&self) -> PartitionStream<'_> {
        Box::new(|| Ok(None))
    }

    fn worker<'s>(&'s self, resources: &'s Resources) -> Box<dyn StageWorker + 's> {
        Box::new(SampledWorker {
            selected: &self.selected,
            worker: self.code.worker(resources),
        })
    }

    fn check_whole(&self, partitions: usize) -> Result<()> {
        self.code.check_whole(partitions)
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry(const { &FunctionEntry::of::<RemoteSample>(load) })?;
        to.data(&self.selected)?;
        self.code.save(to)
    }

    fn accept(&self, task: &Task<'_>, partition: usize, chunk: &[u8]) -> Result<Flow> {
        self.code.accept(task, partition, chunk)
    }
}

struct SampledWorker<'s> {
    selected: &'s [usize],
    worker: Box<dyn StageWorker + 's>,
}

impl StageWorker for SampledWorker<'_> {
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let partition = Partition::at(self.selected[partition.index]);
        self.worker.run(partition, task)
    }

    fn keep(&mut self, partition: usize) {
        self.worker.keep(partition);
    }

    fn is_repeatable(&self) -> bool {
        self.worker.is_repeatable()
    }

    fn end_batch(&mut self, task: &Task<'_>) -> Result<()> {
        self.worker.end_batch(task)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.worker.finish()
    }
}

/// The stage in a worker process.
struct RemoteSample {
    selected: Vec<usize>,
    stage: Box<dyn RemoteStage>,
}

fn load(from: &mut Loader<'_>) -> Result<Box<dyn RemoteStage>> {
    let selected = from.data()?;
    let stage = from.entry()?;
    Ok(Box::new(RemoteSample { selected, stage }))
}

impl RemoteStage for RemoteSample {
    fn run(
        &self,
        job: &JobState,
        number: usize,
        partitions: Vec<Partition>,
        emit: &mut Emit<'_>,
    ) -> Result<Vec<MapBlock>> {
        let partitions = partitions.into_iter();
        let selected = partitions.map(|partition| Partition::at(self.selected[partition.index]));
        let mut emit = |partition, chunk, is_last| {
            let sampled = self
                .selected
                .partition_point(|selected| *selected < partition);
            emit(sampled, chunk, is_last)
        };
        self.stage.run(job, number, selected.collect(), &mut emit)
    }
}
