//! `combine_by_key` if the order of combining cannot matter.
//!
//! Map side: each thread has a table per partition of the next stage. If tables save little, it forwards pairs without
//! combining them. Reduce side: merges the outputs for a partition.

use super::combining::{CombineInPlace, CombineRead, Combining, check};
use super::map_side::{MapSide, ShuffleKind, feed};
use super::sides::of_no_shuffle;
use crate::error::{PlaceError as _, Result};
use crate::pipeline::{BatchSink, Owned, Pipeline, Ref};
use crate::shuffle::{Combine, Combiner, CombinerOutputs, HashPartitioner};
use crate::task::{Flow, Partition, Resources, StageWorker, Task};

impl<P, C> ShuffleKind<P> for Combining<C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    type Outputs = CombinerOutputs<C::Combined>;

    fn outputs(&self, _: &P, readers: usize, _: &Resources) -> Self::Outputs {
        CombinerOutputs::new(self.partitioner.partitions(), readers)
    }

    fn worker<'s>(
        side: &'s MapSide<P, Self>,
        outputs: &'s Self::Outputs,
        resources: &'s Resources,
    ) -> Box<dyn StageWorker + 's> {
        let Self {
            combine,
            partitioner,
        } = &side.kind;
        let combiner = Combiner::new(&**combine, *partitioner, outputs, resources);
        Box::new(CombineWorker { side, combiner })
    }

    fn finish(&self, outputs: &mut Self::Outputs, resources: &Resources) -> Result<()> {
        outputs.parts.finish(resources)
    }
}

struct CombineWorker<'s, P, C: Combine> {
    side: &'s MapSide<P, Combining<C>>,
    combiner: Combiner<'s, C>,
}

impl<P, C> StageWorker for CombineWorker<'_, P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let MapSide { parent, site, .. } = self.side;
        let combiner = &mut self.combiner;
        let _ = feed(&**parent, partition, task, *site, |record| {
            combiner.push(record)?;
            check::<C>(task)
        })?;
        let outcome = task.call_batched(site, || combiner.flush());
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
    let outputs = task.map_outputs(combined.shuffle, |blocks| {
        let partitions = combined.partitioner.partitions();
        CombinerOutputs::<C::Combined>::import(partitions, blocks, task.resources())
    })?;
    // Merging runs user closures; their panics get this site. Later operators run inside this call, and set their
    // own site first.
    let flow = task.call(&combined.site, || {
        let CombineRead {
            combine,
            partitioner,
            ..
        } = combined;
        let resources = task.resources();
        merge(
            &outputs,
            partition,
            &**combine,
            *partitioner,
            resources,
            sink,
        )
    });
    flow.at(combined.site)
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
    let outputs = CombinerOutputs::new(partitioner.partitions(), 1);
    let mut combiner = Combiner::new(combine, *partitioner, &outputs, resources);
    let push = |record: Ref<'_, P::Out>| {
        combiner.push(record)?;
        check::<C>(task)
    };
    let flow = feed(&**parent, partition, task, *site, push)?;
    if flow.is_break() {
        return Ok(flow);
    }
    let flow = task.call_batched(site, || {
        combiner.commit()?;
        merge(&outputs, index, combine, *partitioner, resources, sink)
    });
    flow.at(*site)
}

/// Merges the outputs for a partition. The code is the same for both operators.
fn merge<C: Combine>(
    outputs: &CombinerOutputs<C::Combined>,
    partition: usize,
    combine: &C,
    partitioner: HashPartitioner,
    resources: &Resources,
    sink: &mut BatchSink<'_, (Owned<C::Key>, C::Combined)>,
) -> Result<Flow> {
    outputs.read(partition, combine, partitioner, resources, |pair| {
        sink.push(pair)
    })
}
