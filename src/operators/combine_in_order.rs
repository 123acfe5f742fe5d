//! `combine_by_key` where the order of combining matters.
//!
//! Map side: tables of one turn, and what comes of them is divided as the records of `group_by_key` are.
//! Reduce side: the values of each key merged, in the order of the turns.

use super::combine_by_key::{CombineInPlace, Combined, Combining};
use super::map_side::{MapSide, ShuffleKind, feed};
use super::sides::of_no_shuffle;
use crate::error::Result;
use crate::pipeline::{Owned, Pipeline, Ref};
use crate::portable::{Portable, portable};
use crate::shuffle::{Combine, GroupOutputs, OrderedCombiner, merge_groups};
use crate::task::{Flow, Partition, Resources, Task, Worker};

/// Of more partitions than this some are taken at once, as one turn. So what comes of the tables, which is as much as there
/// are keys in each turn, does not grow with the number of partitions; and there are still at least half as many turns,
/// enough for many cores. As values are combined turn by turn, this is a constant, whatever cores there are.
const MOST_TURNS: usize = 512;

/// The map side.
pub(crate) struct CombiningInOrder<C>(pub(crate) Combining<C>);

portable! {
    [C: Portable] CombiningInOrder<C> { 0: part }
}

impl<P, C> ShuffleKind<P> for CombiningInOrder<C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    type Outputs = GroupOutputs;

    fn outputs(&self, _: &P, readers: usize) -> GroupOutputs {
        GroupOutputs::new(self.0.partitioner, readers, false)
    }

    fn at_once(&self, partitions: usize) -> usize {
        partitions.div_ceil(MOST_TURNS).max(1)
    }

    fn worker<'s>(
        side: &'s MapSide<P, Self>,
        outputs: &'s GroupOutputs,
        resources: &'s Resources,
    ) -> Box<dyn Worker + 's> {
        let combiner = OrderedCombiner::new(&*side.kind.0.combine, outputs, resources);
        Box::new(OrderedWorker {
            side,
            partitions: side.parent.partitions(),
            at_once: side.at_once(),
            combiner,
        })
    }
}

struct OrderedWorker<'s, P, C: Combine> {
    side: &'s MapSide<P, CombiningInOrder<C>>,
    partitions: Option<usize>,
    at_once: usize,
    combiner: OrderedCombiner<'s, C>,
}

impl<P, C> Worker for OrderedWorker<'_, P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let MapSide { parent, site, .. } = self.side;
        let (index, at_once) = (task.partition(), self.at_once);
        let combiner = &mut self.combiner;
        if index.is_multiple_of(at_once) {
            let begun = combiner.begin_turn(index / at_once);
            begun.map_err(|error| error.at(*site))?;
        }
        let _ = feed(&**parent, partition, task, *site, |record| {
            combiner.push(record)
        })?;
        let end = index + 1;
        let ends_turn = end.is_multiple_of(at_once) || self.partitions == Some(end);
        let outcome = task.call_batched(site, || {
            combiner.flush()?;
            if !ends_turn {
                return Ok(());
            }
            if at_once > 1 {
                task.leave_partition();
            }
            combiner.end_turn()
        });
        outcome.map_err(|error| error.at(*site))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let committed = self.combiner.commit();
        committed.map_err(|error| error.at(self.side.site))
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
    let flow = task.call(&site, || {
        merge_groups(&outputs, partition, &*combined.combine, resources, each)
    });
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
    let flow = task.call_batched(site, || {
        if let Some(flow) = combiner.read_tables(&mut each)? {
            return Ok(flow);
        }
        combiner.end_turn()?;
        combiner.commit()?;
        merge_groups(&outputs, index, combine, resources, each)
    });
    flow.map_err(|error| error.at(*site))
}
