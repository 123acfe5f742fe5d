//! The map side of a shuffle: prepares the records of one stage for the next.
//!
//! This module contains what all shuffles have in common. A [`ShuffleKind`] defines what differs.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::{PlaceError as _, Result, caught};
use crate::id::ShuffleId;
use crate::lineage::{Node, ShuffleDependency};
use crate::pipeline::{Link, Pipeline, Ref};
use crate::portable::{Portable, Saver, portable};
use crate::task::{
    Flow, MakeStage, MapBlock, MapStage, Outputs, Partition, PartitionStream, Resources, Site,
    StageCode, StageWorker, Task, save_map_side,
};

/// A kind of shuffle: it combines, groups, sorts or only partitions the records for the next stage.
pub(crate) trait ShuffleKind<P: Pipeline>: Portable + Send + Sync + 'static {
    /// Output of the tasks.
    type Outputs: Outputs;

    /// Returns empty outputs, for tasks that use `resources`. Each partition will be read by `readers` readers.
    fn outputs(&self, parent: &P, readers: usize, resources: &Resources) -> Self::Outputs;

    /// Creates the state of one thread.
    fn worker<'s>(
        side: &'s MapSide<P, Self>,
        outputs: &'s Self::Outputs,
        resources: &'s Resources,
    ) -> Box<dyn StageWorker + 's>;

    /// Completes the outputs. Called once, after the last task.
    fn finish(&self, _outputs: &mut Self::Outputs, _resources: &Resources) -> Result<()> {
        Ok(())
    }

    /// Computes data that all readers of the outputs need, so that readers that begin at the same time do not each
    /// compute it. Called once, after [`finish`](Self::finish), if the outputs are read in this process.
    fn prepare(&self, _outputs: &Self::Outputs, _resources: &Resources) -> Result<()> {
        Ok(())
    }

    /// Returns how many of `partitions` neighbouring partitions a worker claims
    /// [together](StageCode::partitions_per_task).
    fn partitions_per_task(&self, _partitions: usize) -> usize {
        1
    }

    /// Describes, for the plan, what determines the partition of a record.
    fn partitioning(&self) -> &'static str {
        "by hash of the key"
    }

    /// Returns whether each reader gets all records, not only those of its partition.
    fn is_broadcast(&self) -> bool {
        false
    }
}

/// The map side of a shuffle, which can be sent to a worker process.
pub(crate) struct MapSide<P, K> {
    pub(crate) id: ShuffleId,
    pub(crate) parent: Arc<P>,
    pub(crate) site: Site,
    pub(crate) kind: K,
}

portable! {
    [P: Portable, K: Portable] MapSide<P, K> { parent: part, site: part, id: data, kind: part }
}

impl<P: Pipeline, K: ShuffleKind<P>> MapSide<P, K> {
    pub(super) fn partitions_per_task(&self) -> usize {
        let partitions = self.parent.partitions();
        partitions.map_or(1, |partitions| self.kind.partitions_per_task(partitions))
    }
}

impl<P: Pipeline, K: ShuffleKind<P>> MakeStage for MapSide<P, K> {
    fn stage(&self, readers: usize, resources: &Resources) -> Box<dyn MapStage + '_> {
        Box::new(ShuffleStage {
            side: self,
            outputs: self.kind.outputs(&self.parent, readers, resources),
        })
    }
}

/// The map side as a dependency in the lineage.
pub(crate) struct MapDependency<P, K> {
    pub(crate) side: MapSide<P, K>,
    pub(crate) parent_node: Link<Node>,
    /// A shuffle whose outputs this one uses if they are there.
    pub(crate) after: Option<Link<dyn ShuffleDependency>>,
}

impl<P: Pipeline, K: ShuffleKind<P>> ShuffleDependency for MapDependency<P, K> {
    fn id(&self) -> ShuffleId {
        self.side.id
    }

    fn parent(&self) -> &Arc<Node> {
        &self.parent_node
    }

    fn partitioning(&self) -> &'static str {
        self.side.kind.partitioning()
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        save_map_side(&self.side, to)
    }

    fn map_stage(&self, readers: usize, resources: &Resources) -> Box<dyn MapStage + '_> {
        self.side.stage(readers, resources)
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.side.parent.stream()
    }

    fn after(&self) -> Option<&Arc<dyn ShuffleDependency>> {
        self.after.as_deref()
    }

    fn is_broadcast(&self) -> bool {
        self.side.kind.is_broadcast()
    }
}

/// The map side while its stage runs.
struct ShuffleStage<'d, P: Pipeline, K: ShuffleKind<P>> {
    side: &'d MapSide<P, K>,
    outputs: K::Outputs,
}

impl<P: Pipeline, K: ShuffleKind<P>> ShuffleStage<'_, P, K> {
    fn finish(&mut self, resources: &Resources) -> Result<()> {
        let finished = self.side.kind.finish(&mut self.outputs, resources);
        finished.at(self.side.site)
    }
}

impl<P: Pipeline, K: ShuffleKind<P>> MapStage for ShuffleStage<'_, P, K> {
    fn into_outputs(
        mut self: Box<Self>,
        resources: &Resources,
    ) -> Result<Arc<dyn Any + Send + Sync>> {
        self.finish(resources)?;
        let ShuffleStage { side, outputs } = &*self;
        caught_at(side.site, &|| side.kind.prepare(outputs, resources))?;
        Ok(Arc::new(self.outputs))
    }

    fn into_blocks(mut self: Box<Self>, resources: &Resources) -> Result<Vec<MapBlock>> {
        self.finish(resources)?;
        let exported = self.outputs.export(self.side.id, resources);
        exported.at(self.side.site)
    }
}

impl<P: Pipeline, K: ShuffleKind<P>> StageCode for ShuffleStage<'_, P, K> {
    fn partitions(&self) -> Option<usize> {
        self.side.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.side.parent.stream()
    }

    fn partitions_per_task(&self) -> usize {
        self.side.partitions_per_task()
    }

    fn worker<'s>(&'s self, resources: &'s Resources) -> Box<dyn StageWorker + 's> {
        K::worker(self.side, &self.outputs, resources)
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        save_map_side(self.side, to)
    }
}

/// Runs code of the user. It is not generic, so that it is compiled once.
fn caught_at(site: Site, work: &dyn Fn() -> Result<()>) -> Result<()> {
    caught(Some(site), work).at(site)
}

/// Passes each record of a partition to `take`, which may buffer records and process them when later ones arrive.
pub(super) fn feed<P: Pipeline>(
    parent: &P,
    partition: Partition,
    task: &Task<'_>,
    site: Site,
    mut take: impl FnMut(Ref<'_, P::Out>) -> Result<()>,
) -> Result<Flow> {
    parent.run(partition, task, &mut |record| {
        let outcome = task.call_batched(&site, || take(record));
        match outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => task.fail_at(site, error),
        }
    })
}
