//! `combine_by_key` where the order of combining matters.
//!
//! Map side: tables of one task, and what comes of them is grouped as the records of `group_by_key` are.
//! Reduce side: the values of each group merged, in the order of the map tasks.

use std::any::Any;
use std::sync::Arc;

use super::combine_by_key::{CombineInPlace, CombineSide, Combined, feed};
use super::sides::of_no_shuffle;
use crate::error::Result;
use crate::pipeline::{Owned, Pipeline, Ref};
use crate::portable::Saver;
use crate::shuffle::{Combine, GroupOutputs, OrderedCombiner, merge_groups};
use crate::task::{
    Block, Flow, MapStage, Outputs, Partition, PartitionStream, Resources, StageCode, Task, Worker,
    save_map_side,
};

/// The map side.
pub(super) struct OrderedStage<'d, P, C> {
    side: &'d CombineSide<P, C>,
    outputs: GroupOutputs,
}

impl<'d, P, C> OrderedStage<'d, P, C> {
    pub(super) fn new(side: &'d CombineSide<P, C>, readers: usize) -> Self {
        Self {
            outputs: GroupOutputs::new(side.partitioner, readers, false),
            side,
        }
    }
}

impl<P, C> MapStage for OrderedStage<'_, P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    fn into_outputs(self: Box<Self>, _: &Resources) -> Result<Arc<dyn Any + Send + Sync>> {
        Ok(Arc::new(self.outputs))
    }

    fn into_blocks(self: Box<Self>, resources: &Resources) -> Result<Vec<Block>> {
        let site = self.side.site;
        let exported = self.outputs.export(self.side.id, resources);
        exported.map_err(|error| error.at(site))
    }
}

impl<P, C> StageCode for OrderedStage<'_, P, C>
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
        let combiner = OrderedCombiner::new(&*self.side.combine, &self.outputs, resources);
        Box::new(OrderedWorker {
            side: self.side,
            combiner,
        })
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        save_map_side(self.side, to)
    }
}

struct OrderedWorker<'s, P, C: Combine> {
    side: &'s CombineSide<P, C>,
    combiner: OrderedCombiner<'s, C>,
}

impl<P, C> Worker for OrderedWorker<'_, P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let CombineSide { parent, site, .. } = self.side;
        let combiner = &mut self.combiner;
        let begun = combiner.begin_task(task.partition());
        begun.map_err(|error| error.at(*site))?;
        let _ = feed(&**parent, partition, task, *site, |record| {
            combiner.push(record)
        })?;
        let entered = task.enter_batched(site);
        let outcome = combiner.end_task();
        entered.leave();
        outcome.map_err(|error| error.at(*site))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let site = self.side.site;
        let committed = self.combiner.commit();
        committed.map_err(|error| error.at(site))
    }
}

/// The reduce side: what a shuffle brought to a partition.
pub(super) fn read<C: Combine>(
    combined: &Combined<C>,
    partition: usize,
    task: &Task<'_>,
    sink: &mut impl FnMut((Owned<C::Key>, C::Combined)) -> Flow,
) -> Result<Flow> {
    let (site, resources) = (combined.site, task.resources());
    let outputs = task.map_outputs(combined.shuffle, |blocks| {
        GroupOutputs::import(combined.partitioner, false, blocks, resources)
    })?;
    let each = |key, value| sink((key, value));
    let entered = task.enter(&site);
    let flow = merge_groups(&outputs, partition, &*combined.combine, resources, each);
    entered.leave();
    flow.map_err(|error| error.at(site))
}

/// Both sides in one task.
pub(super) fn run_in_place<P, C>(
    combined: &CombineInPlace<P, C>,
    partition: Partition,
    task: &Task<'_>,
    sink: &mut impl FnMut((Owned<C::Key>, C::Combined)) -> Flow,
) -> Result<Flow>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    let CombineInPlace {
        parent,
        combine,
        partitioner,
        site,
    } = combined;
    let index = partition.index;
    let resources = &of_no_shuffle(task.resources());
    let outputs = GroupOutputs::new(*partitioner, 1, false);
    let mut combiner = OrderedCombiner::new(combine, &outputs, resources);
    let push = |record: Ref<'_, P::Out>| combiner.push(record);
    let flow = feed(&**parent, partition, task, *site, push)?;
    if flow.is_break() {
        return Ok(flow);
    }
    let mut each = |key, value| sink((key, value));
    let entered = task.enter_batched(site);
    let flow = match combiner.read_tables(&mut each) {
        Ok(None) => {
            let committed = combiner.end_task().and_then(|()| combiner.commit());
            committed.and_then(|()| merge_groups(&outputs, index, combine, resources, each))
        }
        Ok(Some(flow)) => Ok(flow),
        Err(error) => Err(error),
    };
    entered.leave();
    flow.map_err(|error| error.at(*site))
}
