//! `combine_by_key` if the order of combining matters.
//!
//! Map side: the tables of one combine group; their entries are partitioned like the records of `group_by_key`.
//! Reduce side: merges the values of each key, in the order of the combine groups.

use super::combining::{CombineInPlace, CombineRead, Combining, check};
use super::map_side::{MapSide, ShuffleKind, feed};
use super::sides::of_no_shuffle;
use crate::error::{PlaceError as _, Result};
use crate::pipeline::{BatchSink, Owned, Pipeline, Ref};
use crate::portable::{Portable, portable};
use crate::shuffle::{Combine, OrderedCombiner, OrderedOutputs};
use crate::task::{Flow, Partition, Resources, StageWorker, Task};

/// Maximum number of combine groups, if the number of partitions is known. This bounds the output of the tables, which
/// has one entry per key and group, whatever the number of partitions. At least half as many groups remain, enough for
/// many cores. The grouping of values is visible in results, so these numbers must be constants, independent of the
/// machine.
const MAX_GROUPS: usize = 512;

/// Number of groups below which partitions are not joined into larger ones, because each group is the work of one
/// thread. With more partitions, up to `JOINED` neighbours become a group: each key is encoded, moved and merged once
/// for each group, which takes longer than to combine several of its records.
const MIN_GROUPS: usize = 16;
const JOINED: usize = 8;

fn partitions_per_group(partitions: usize) -> usize {
    let joined = (partitions / MIN_GROUPS).clamp(1, JOINED);
    joined.max(partitions.div_ceil(MAX_GROUPS))
}

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
    type Outputs = OrderedOutputs;

    fn outputs(&self, _: &P, readers: usize, resources: &Resources) -> OrderedOutputs {
        OrderedOutputs::new(self.0.partitioner, readers, resources)
    }

    fn partitions_per_task(&self, partitions: usize) -> usize {
        partitions_per_group(partitions)
    }

    fn worker<'s>(
        side: &'s MapSide<P, Self>,
        outputs: &'s OrderedOutputs,
        resources: &'s Resources,
    ) -> Box<dyn StageWorker + 's> {
        let combiner = OrderedCombiner::new(&*side.kind.0.combine, &outputs.groups, resources);
        Box::new(OrderedWorker {
            side,
            partitions: side.parent.partitions(),
            partitions_per_task: side.partitions_per_task(),
            combiner,
        })
    }
}

struct OrderedWorker<'s, P, C: Combine> {
    side: &'s MapSide<P, CombiningInOrder<C>>,
    partitions: Option<usize>,
    partitions_per_task: usize,
    combiner: OrderedCombiner<'s, C>,
}

impl<P, C> StageWorker for OrderedWorker<'_, P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let MapSide { parent, site, .. } = self.side;
        let (index, partitions_per_task) = (task.partition(), self.partitions_per_task);
        let combiner = &mut self.combiner;
        if index.is_multiple_of(partitions_per_task) {
            let begun = combiner.begin_group(index / partitions_per_task);
            begun.at(*site)?;
        }
        let _ = feed(&**parent, partition, task, *site, |record| {
            combiner.push(record)?;
            check::<C>(task)
        })?;
        let end = index + 1;
        let ends_group = end.is_multiple_of(partitions_per_task) || self.partitions == Some(end);
        let outcome = task.call_batched(site, || {
            // A group of one partition may be so small that it needs no tables.
            if partitions_per_task > 1 {
                combiner.flush()?;
                if !ends_group {
                    return Ok(());
                }
                task.leave_partition();
            }
            combiner.end_group()
        });
        outcome.at(*site)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let committed = self.combiner.commit();
        committed.at(self.side.site)
    }
}

/// The reduce side: merges the outputs for a partition.
pub(super) fn read<C: Combine>(
    combined: &CombineRead<C>,
    partition: usize,
    task: &Task<'_>,
    sink: &mut BatchSink<'_, (Owned<C::Key>, C::Combined)>,
) -> Result<Flow> {
    let (site, resources) = (combined.site, task.resources());
    let outputs = task.map_outputs(combined.shuffle, |blocks| {
        OrderedOutputs::import(combined.partitioner, blocks, resources)
    })?;
    let flow = task.call(&site, || {
        outputs.read(partition, &*combined.combine, resources, pushing::<C>(sink))
    });
    flow.at(site)
}

/// Both sides in one task.
pub(super) fn run_in_place<P, C>(
    combined: &CombineInPlace<P, C>,
    partition: Partition,
    task: &Task<'_>,
    sink: &mut BatchSink<'_, (Owned<C::Key>, C::Combined)>,
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
    let outputs = OrderedOutputs::new(*partitioner, 1, resources);
    let mut combiner = OrderedCombiner::new(combine, &outputs.groups, resources);
    let push = |record: Ref<'_, P::Out>| {
        combiner.push(record)?;
        check::<C>(task)
    };
    let flow = feed(&**parent, partition, task, *site, push)?;
    if flow.is_break() {
        return Ok(flow);
    }
    let flow = task.call_batched(site, || {
        if let Some(flow) = combiner.read_tables(&mut pushing::<C>(sink))? {
            return Ok(flow);
        }
        combiner.end_group()?;
        combiner.commit()?;
        outputs.read(index, combine, resources, pushing::<C>(sink))
    });
    flow.at(*site)
}

/// Returns the function that pushes pairs into `sink`. Its type is the same for both operators.
fn pushing<'s, 'e, C: Combine>(
    sink: &'s mut BatchSink<'e, (Owned<C::Key>, C::Combined)>,
) -> impl FnMut(Owned<C::Key>, C::Combined) -> Flow + use<'s, 'e, C> {
    |key, value| sink.push((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_neither_too_few_nor_too_many() {
        for partitions in 1..20_000 {
            let per_group = partitions_per_group(partitions);
            let groups = partitions.div_ceil(per_group);
            assert!(
                (MIN_GROUPS.min(partitions)..=MAX_GROUPS).contains(&groups),
                "{partitions}"
            );
            assert!(
                per_group <= JOINED || groups > MAX_GROUPS / 2,
                "{partitions}"
            );
        }
        let sizes = [0, 1, 31, 32, 64, 128, 4_096, 10_000].map(partitions_per_group);
        assert_eq!(sizes, [1, 1, 1, 2, 4, 8, 8, 20]);
    }
}
