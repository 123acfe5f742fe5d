//! `sort`: records in order, divided by ranges of it. Wide.
//!
//! Map side: one buffer for each thread, which becomes a sorted run when it is full.
//! Reduce side: the slices of all runs that belong to a partition, merged.

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::Result;
use crate::id::ShuffleId;
use crate::lineage::{Node, ShuffleDependency};
use crate::pipeline::{Pipeline, Ref};
use crate::shuffle::sort::{Sort, SortOutputs, SortWriter};
use crate::task::{
    Flow, MapStage, Partition, PartitionStream, Resources, Site, StageCode, Task, Worker, panicked,
};

/// The map side.
pub(crate) struct SortDependency<P, S> {
    pub(crate) id: ShuffleId,
    pub(crate) parent: Arc<P>,
    pub(crate) parent_node: Arc<Node>,
    pub(crate) sort: Arc<S>,
    pub(crate) partitions: usize,
    pub(crate) site: Site,
}

impl<P, S> ShuffleDependency for SortDependency<P, S>
where
    P: Pipeline,
    S: Sort<Record = P::Out>,
{
    fn id(&self) -> ShuffleId {
        self.id
    }

    fn parent(&self) -> &Arc<Node> {
        &self.parent_node
    }

    fn partitioning(&self) -> &'static str {
        if S::SAMPLED {
            "by range of the key"
        } else {
            "by hash of the key"
        }
    }

    fn map_stage(&self, _readers: usize) -> Box<dyn MapStage + '_> {
        Box::new(SortStage {
            dependency: self,
            outputs: SortOutputs::new(self.partitions, self.parent.partitions()),
        })
    }
}

struct SortStage<'d, P, S> {
    dependency: &'d SortDependency<P, S>,
    outputs: SortOutputs,
}

impl<P, S> MapStage for SortStage<'_, P, S>
where
    P: Pipeline,
    S: Sort<Record = P::Out>,
{
    fn into_outputs(self: Box<Self>, _resources: &Resources) -> Result<Arc<dyn Any + Send + Sync>> {
        Ok(Arc::new(self.outputs))
    }
}

impl<P, S> StageCode for SortStage<'_, P, S>
where
    P: Pipeline,
    S: Sort<Record = P::Out>,
{
    fn partitions(&self) -> Option<usize> {
        self.dependency.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.dependency.parent.stream()
    }

    fn worker<'s>(&'s self, resources: &'s Resources) -> Box<dyn Worker + 's> {
        Box::new(SortWorker {
            dependency: self.dependency,
            writer: SortWriter::new(&*self.dependency.sort, &self.outputs, resources),
        })
    }
}

struct SortWorker<'s, P, S: Sort> {
    dependency: &'s SortDependency<P, S>,
    writer: SortWriter<'s, S>,
}

impl<P, S> Worker for SortWorker<'_, P, S>
where
    P: Pipeline,
    S: Sort<Record = P::Out>,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let SortDependency { parent, site, .. } = self.dependency;
        let writer = &mut self.writer;
        writer.begin_task(task.partition());
        let _ = parent.run(partition, task, &mut |record| {
            let entered = task.enter_batched(*site);
            let outcome = writer.push(record);
            entered.leave();
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => task.fail_with(error),
            }
        })?;
        writer.end_task();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        // Sorting runs closures of the program, and here no task can say whose.
        let site = self.dependency.site;
        let finished = catch_unwind(AssertUnwindSafe(|| self.writer.finish()));
        finished.unwrap_or_else(|payload| Err(panicked(Some(site), payload)))
    }
}

/// The reduce side.
pub(crate) struct Sorted<S> {
    pub(crate) shuffle: ShuffleId,
    pub(crate) sort: Arc<S>,
    pub(crate) partitions: usize,
    pub(crate) site: Site,
}

impl<S: Sort> Pipeline for Sorted<S> {
    type Out = S::Record;

    fn partitions(&self) -> Option<usize> {
        Some(self.partitions)
    }

    fn stream(&self) -> PartitionStream<'_> {
        super::union::open(self)
    }

    fn run<F>(&self, partition: Partition, task: &Task<'_>, sink: &mut F) -> Result<Flow>
    where
        F: for<'a> FnMut(Ref<'a, S::Record>) -> Flow,
    {
        let outputs = task.map_outputs::<SortOutputs>(self.shuffle);
        // Merging compares. What comes after it has its own places, which are named first.
        let entered = task.enter(self.site);
        let flow = outputs.read(partition.index, &*self.sort, task, sink);
        entered.leave();
        flow
    }
}
