//! `combine_by_key`: one value for each key. Wide.
//!
//! Map side: a table for each partition of the next stage, one set of them for each thread.
//! Reduce side: the tables of a partition merged.
//!
//! That is where the order of combining does not matter; where it does, see [`combine_in_order`].

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::combine_in_order::{self, OrderedStage};
use super::sides::of_no_shuffle;
use crate::error::Result;
use crate::id::ShuffleId;
use crate::lineage::{Node, ShuffleDependency};
use crate::pipeline::{Owned, Pipeline, Ref};
use crate::portable::{Portable, Saver, portable};
use crate::shuffle::{Combine, Combiner, CombinerOutputs, HashPartitioner};
use crate::task::{
    Block, Flow, MapSide, MapStage, Outputs, Partition, PartitionStream, Resources, Site,
    StageCode, Task, Worker, save_map_side,
};

/// The map side.
pub(crate) struct CombineSide<P, C> {
    pub(crate) id: ShuffleId,
    pub(crate) parent: Arc<P>,
    pub(crate) combine: Arc<C>,
    pub(crate) partitioner: HashPartitioner,
    pub(crate) site: Site,
}

portable! {
    [P: Portable, C: Portable] CombineSide<P, C> {
        parent: part, site: part, id: data, combine: part, partitioner: data,
    }
}

/// The map side in the lineage.
pub(crate) struct CombineDependency<P, C> {
    pub(crate) side: CombineSide<P, C>,
    pub(crate) parent_node: Arc<Node>,
}

impl<P, C> ShuffleDependency for CombineDependency<P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    fn id(&self) -> ShuffleId {
        self.side.id
    }

    fn parent(&self) -> &Arc<Node> {
        &self.parent_node
    }

    fn map_stage(&self, readers: usize) -> Box<dyn MapStage + '_> {
        self.side.stage(readers)
    }
}

impl<P, C> MapSide for CombineSide<P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    fn stage(&self, readers: usize) -> Box<dyn MapStage + '_> {
        if !C::COMMUTES {
            return Box::new(OrderedStage::new(self, readers));
        }
        Box::new(CombineStage {
            side: self,
            outputs: CombinerOutputs::new(self.partitioner.partitions(), readers),
        })
    }
}

struct CombineStage<'d, P, C: Combine> {
    side: &'d CombineSide<P, C>,
    outputs: CombinerOutputs<C::Combined>,
}

impl<P, C> MapStage for CombineStage<'_, P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    fn into_outputs(self: Box<Self>, resources: &Resources) -> Result<Arc<dyn Any + Send + Sync>> {
        let site = self.side.site;
        let finished = self.outputs.finish(resources);
        finished.map_err(|error| error.at(site))?;
        Ok(Arc::new(self.outputs))
    }

    fn into_blocks(self: Box<Self>, resources: &Resources) -> Result<Vec<Block>> {
        let site = self.side.site;
        let finished = self.outputs.finish(resources);
        let exported = finished.and_then(|()| self.outputs.export(self.side.id, resources));
        exported.map_err(|error| error.at(site))
    }
}

impl<P, C> StageCode for CombineStage<'_, P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    fn partitions(&self) -> Option<usize> {
        self.side.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.side.parent.stream()
    }

    fn worker<'s>(&'s self, resources: &'s Resources) -> Box<dyn Worker + 's> {
        let CombineSide {
            combine,
            partitioner,
            ..
        } = self.side;
        let combiner = Combiner::new(&**combine, *partitioner, &self.outputs, resources);
        Box::new(CombineWorker {
            side: self.side,
            combiner,
        })
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        save_map_side(self.side, to)
    }
}

struct CombineWorker<'s, P, C: Combine> {
    side: &'s CombineSide<P, C>,
    combiner: Combiner<'s, C>,
}

impl<P, C> Worker for CombineWorker<'_, P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let CombineSide { parent, site, .. } = self.side;
        let combiner = &mut self.combiner;
        let _ = feed(&**parent, partition, task, *site, |record| {
            combiner.push(record)
        })?;
        let entered = task.enter_batched(site);
        let outcome = combiner.flush();
        entered.leave();
        outcome.map_err(|error| error.at(*site))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let site = self.side.site;
        self.combiner.commit().map_err(|error| error.at(site))
    }
}

/// Has `take` take in the records of a partition.
pub(super) fn feed<P: Pipeline>(
    parent: &P,
    partition: Partition,
    task: &Task<'_>,
    site: Site,
    mut take: impl FnMut(Ref<'_, P::Out>) -> Result<()>,
) -> Result<Flow> {
    parent.run(partition, task, &mut |record| {
        let entered = task.enter_batched(&site);
        let outcome = take(record);
        entered.leave();
        match outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => task.fail_at(site, error),
        }
    })
}

/// The reduce side.
pub(crate) struct Combined<C> {
    pub(crate) shuffle: ShuffleId,
    pub(crate) combine: Arc<C>,
    pub(crate) partitioner: HashPartitioner,
    pub(crate) site: Site,
}

portable! {
    [C: Portable] Combined<C> { site: part, shuffle: data, combine: part, partitioner: data }
}

impl<C: Combine> Pipeline for Combined<C> {
    type Out = (Owned<C::Key>, C::Combined);

    fn partitions(&self) -> Option<usize> {
        Some(self.partitioner.partitions())
    }

    fn stream(&self) -> PartitionStream<'_> {
        super::union::open(self)
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(Self::Out) -> Flow,
    {
        if !C::COMMUTES {
            return combine_in_order::read(self, partition.index, task, sink);
        }
        let outputs = task.map_outputs(self.shuffle, |blocks| {
            let partitions = self.partitioner.partitions();
            CombinerOutputs::<C::Combined>::import(partitions, blocks, task.resources())
        })?;
        // Merging runs closures of the program. What comes after it has its own places, which are named first.
        let entered = task.enter(&self.site);
        let flow = outputs.read(
            partition.index,
            &*self.combine,
            self.partitioner,
            task.resources(),
            |key, value| sink((key, value)),
        );
        entered.leave();
        flow.map_err(|error| error.at(self.site))
    }
}

/// Both sides in one task, for pairs that are in the partition of their key already.
pub(crate) struct CombineInPlace<P, C> {
    pub(crate) parent: Arc<P>,
    pub(crate) combine: C,
    pub(crate) partitioner: HashPartitioner,
    pub(crate) site: Site,
}

portable! {
    [P: Portable, C: Portable] CombineInPlace<P, C> {
        parent: part, site: part, combine: part, partitioner: data,
    }
}

impl<P, C> Pipeline for CombineInPlace<P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    type Out = (Owned<C::Key>, C::Combined);

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(Self::Out) -> Flow,
    {
        if !C::COMMUTES {
            return combine_in_order::run_in_place(self, partition, task, sink);
        }
        let index = partition.index;
        let resources = &of_no_shuffle(task.resources());
        let outputs = CombinerOutputs::new(self.partitioner.partitions(), 1);
        let mut combiner = Combiner::new(&self.combine, self.partitioner, &outputs, resources);
        let push = |record: Ref<'_, P::Out>| combiner.push(record);
        let flow = feed(&*self.parent, partition, task, self.site, push)?;
        if flow.is_break() {
            return Ok(flow);
        }
        let entered = task.enter_batched(&self.site);
        let flow = combiner.commit().and_then(|()| {
            outputs.read(
                index,
                &self.combine,
                self.partitioner,
                resources,
                |key, value| sink((key, value)),
            )
        });
        entered.leave();
        flow.map_err(|error| error.at(self.site))
    }
}
