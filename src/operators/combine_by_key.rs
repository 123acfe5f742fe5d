//! `combine_by_key`: one value per key. Wide.
//!
//! Map side: each thread has a table per partition of the next stage. If tables save little, it passes pairs on
//! uncombined.
//! Reduce side: merges the outputs for a partition.
//!
//! This is how values are combined if the order cannot matter. If it may matter, see [`combine_in_order`].

use std::sync::Arc;

use super::combine_in_order;
use super::map_side::{MapSide, ShuffleKind, feed};
use super::sides::of_no_shuffle;
use crate::error::Result;
use crate::id::ShuffleId;
use crate::pipeline::{Owned, Pipeline, Ref};
use crate::portable::{Portable, portable};
use crate::shuffle::{Combine, Combiner, CombinerOutputs, HashPartitioner};
use crate::task::{Flow, Partition, PartitionStream, Resources, Site, Task, Worker};

/// The map side.
pub(crate) struct Combining<C> {
    pub(crate) combine: Arc<C>,
    pub(crate) partitioner: HashPartitioner,
}

portable! {
    [C: Portable] Combining<C> { combine: part, partitioner: data }
}

impl<P, C> ShuffleKind<P> for Combining<C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    type Outputs = CombinerOutputs<C::Combined>;

    fn outputs(&self, _: &P, readers: usize) -> Self::Outputs {
        CombinerOutputs::new(self.partitioner.partitions(), readers)
    }

    fn worker<'s>(
        side: &'s MapSide<P, Self>,
        outputs: &'s Self::Outputs,
        resources: &'s Resources,
    ) -> Box<dyn Worker + 's> {
        let Self {
            combine,
            partitioner,
        } = &side.kind;
        let combiner = Combiner::new(&**combine, *partitioner, outputs, resources);
        Box::new(CombineWorker { side, combiner })
    }

    fn finish(&self, outputs: &mut Self::Outputs, resources: &Resources) -> Result<()> {
        outputs.finish(resources)
    }
}

struct CombineWorker<'s, P, C: Combine> {
    side: &'s MapSide<P, Combining<C>>,
    combiner: Combiner<'s, C>,
}

impl<P, C> Worker for CombineWorker<'_, P, C>
where
    P: Pipeline,
    C: Combine<In = P::Out>,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let MapSide { parent, site, .. } = self.side;
        let combiner = &mut self.combiner;
        let _ = feed(&**parent, partition, task, *site, |record| {
            combiner.push(record)
        })?;
        let outcome = task.call_batched(site, || combiner.flush());
        outcome.map_err(|error| error.at(*site))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let committed = self.combiner.commit();
        committed.map_err(|error| error.at(self.side.site))
    }
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
        // Merging runs user closures; their panics get this site. Later operators run inside this call, and set their
        // own site first.
        let flow = task.call(&self.site, || {
            let (index, resources) = (partition.index, task.resources());
            outputs.read(index, &*self.combine, self.partitioner, resources, sink)
        });
        flow.map_err(|error| error.at(self.site))
    }
}

/// Both sides in one task, for pairs that are already in the partition of their key.
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
        let flow = task.call_batched(&self.site, || {
            combiner.commit()?;
            outputs.read(index, &self.combine, self.partitioner, resources, sink)
        });
        flow.map_err(|error| error.at(self.site))
    }
}
