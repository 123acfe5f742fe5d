//! `repartition` and `partition_by`: each record to a partition of its own choice. Wide.
//!
//! Map side: encoded records, divided among the partitions of the next stage.
//! Reduce side: the records of all map tasks, in the order of the tasks.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::Result;
use crate::id::ShuffleId;
use crate::lineage::{Node, ShuffleDependency};
use crate::pipeline::{Data, Key, Pipeline};
use crate::shuffle::{Divider, HashPartitioner, MapOutputs, Spool, replay};
use crate::task::{
    Flow, MapStage, Partition, PartitionStream, Resources, Site, StageCode, Task, Worker,
};

/// Which partition a record goes to.
pub(crate) trait Choose<T>: Send + Sync + 'static {
    fn partitions(&self) -> usize;

    /// For record number `position` of partition number `task`.
    fn choose(&self, record: &T, task: usize, position: usize) -> Result<usize>;
}

/// One after the other, beginning with another one for each task, so that short tasks do not all fill the first.
pub(crate) struct InTurn(pub(crate) usize);

impl<T> Choose<T> for InTurn {
    fn partitions(&self) -> usize {
        self.0
    }

    #[inline]
    fn choose(&self, _: &T, task: usize, position: usize) -> Result<usize> {
        Ok((task + position) % self.0)
    }
}

/// By the hash of the key.
pub(crate) struct ByKey(pub(crate) HashPartitioner);

impl<K: Data + Eq, V: 'static> Choose<(K, V)> for ByKey {
    fn partitions(&self) -> usize {
        self.0.partitions()
    }

    #[inline]
    fn choose(&self, (key, _): &(K, V), _: usize, _: usize) -> Result<usize> {
        K::with_bytes(key, &mut Vec::new(), |key| self.0.position(key).partition)
    }
}

/// The map side.
pub(crate) struct RepartitionDependency<P, C> {
    pub(crate) id: ShuffleId,
    pub(crate) parent: Arc<P>,
    pub(crate) parent_node: Arc<Node>,
    pub(crate) choose: C,
    pub(crate) site: Site,
}

impl<P, T, C> ShuffleDependency for RepartitionDependency<P, C>
where
    P: Pipeline<Out = T>,
    T: Data,
    C: Choose<T>,
{
    fn id(&self) -> ShuffleId {
        self.id
    }

    fn parent(&self) -> &Arc<Node> {
        &self.parent_node
    }

    fn map_stage(&self, readers: usize) -> Box<dyn MapStage + '_> {
        Box::new(RepartitionStage {
            dependency: self,
            outputs: MapOutputs::new(self.choose.partitions(), readers),
        })
    }
}

struct RepartitionStage<'d, P, C> {
    dependency: &'d RepartitionDependency<P, C>,
    outputs: MapOutputs<Spool>,
}

impl<P, T, C> MapStage for RepartitionStage<'_, P, C>
where
    P: Pipeline<Out = T>,
    T: Data,
    C: Choose<T>,
{
    fn into_outputs(self: Box<Self>, resources: &Resources) -> Result<Arc<dyn Any + Send + Sync>> {
        let Site { operator, location } = self.dependency.site;
        let finished = self.outputs.finish(resources);
        finished.map_err(|error| error.at(operator, location))?;
        Ok(Arc::new(self.outputs))
    }
}

impl<P, T, C> StageCode for RepartitionStage<'_, P, C>
where
    P: Pipeline<Out = T>,
    T: Data,
    C: Choose<T>,
{
    fn partitions(&self) -> Option<usize> {
        self.dependency.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.dependency.parent.stream()
    }

    fn worker<'s>(&'s self, resources: &'s Resources) -> Box<dyn Worker + 's> {
        let partitions = self.dependency.choose.partitions();
        Box::new(RepartitionWorker {
            dependency: self.dependency,
            divider: Divider::new(partitions, &self.outputs, resources),
        })
    }
}

struct RepartitionWorker<'s, P, C> {
    dependency: &'s RepartitionDependency<P, C>,
    divider: Divider<'s>,
}

impl<P, T, C> Worker for RepartitionWorker<'_, P, C>
where
    P: Pipeline<Out = T>,
    T: Data,
    C: Choose<T>,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let RepartitionDependency {
            parent,
            choose,
            site,
            ..
        } = self.dependency;
        let divider = &mut self.divider;
        divider.begin_task(task.partition());
        let mut position = 0;
        let _ = parent.run(partition, task, &mut |record| {
            // The codec calls `Serialize`, which may be the program's.
            let entered = task.enter(*site);
            let to = choose.choose(&record, task.partition(), position);
            let outcome = to.and_then(|to| divider.push(to, &record));
            entered.leave();
            position += 1;
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => task.fail_at(*site, error),
            }
        })?;
        let Site { operator, location } = *site;
        let committed = divider.commit();
        committed.map_err(|error| error.at(operator, location))
    }
}

/// The reduce side.
pub(crate) struct Repartitioned<T> {
    pub(crate) shuffle: ShuffleId,
    pub(crate) partitions: usize,
    pub(crate) site: Site,
    pub(crate) records: std::marker::PhantomData<fn() -> T>,
}

impl<T: Data> Pipeline for Repartitioned<T> {
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        Some(self.partitions)
    }

    fn stream(&self) -> PartitionStream<'_> {
        super::union::open(self)
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(T) -> Flow,
    {
        let outputs = task.map_outputs(self.shuffle, |blocks| {
            MapOutputs::<Spool>::import(self.partitions, blocks, task.resources())
        })?;
        // The codec calls `Deserialize`, which may be the program's.
        let entered = task.enter(self.site);
        let flow = replay(outputs.open(partition.index), sink);
        entered.leave();
        flow
    }
}
