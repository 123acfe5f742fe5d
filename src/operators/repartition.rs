//! `repartition`, `partition_by` and others: assign each record to a partition. Wide.
//!
//! Map side: encodes records and divides them among the partitions of the next stage.
//! Reduce side: reads the records of all map tasks, in the order of the tasks.

use std::marker::PhantomData;
use std::mem;
use std::ops::ControlFlow;

use super::map_side::{MapSide, ShuffleKind};
use crate::error::{Error, ErrorKind, PlaceError as _, Result};
use crate::id::ShuffleId;
use crate::pipeline::{Call, Data, Key, Peek, Pipeline, Record, Ref, Storable, count_erased};
use crate::portable::{Portable, portable};
use crate::shuffle::{Divider, HashPartitioner, RecordBuffer, ShuffleOutputs, replay};
use crate::task::{Flow, Partition, Resources, Site, StageWorker, Task};

/// Chooses the partition of a record.
pub(crate) trait Choose<T: Record + ?Sized>: Portable + Send + Sync + 'static {
    /// Describes, for the plan, what determines the partition of a record.
    const PARTITIONING: &'static str;

    /// Whether any number of tasks reads each partition.
    const IS_READ_BY_ALL: bool = false;

    /// State of the choices for the records of one partition.
    type Start;

    fn partitions(&self) -> usize;

    /// Returns the start for the partition of `task`.
    fn begin(&self, task: &Task<'_>) -> Result<Self::Start>;

    /// Chooses the partition of `record`, which has the index `position` in the partition with this start.
    fn choose(
        &self,
        start: &mut Self::Start,
        record: Peek<'_, T>,
        position: usize,
    ) -> Result<usize>;
}

/// Round-robin. Each task starts at a different partition, so that short tasks do not all fill the first ones.
pub(crate) struct InTurn(pub(crate) usize);

portable! {
    [] InTurn { 0: data }
}

impl<T: Record + ?Sized> Choose<T> for InTurn {
    const PARTITIONING: &'static str = "round-robin";

    type Start = usize;

    fn partitions(&self) -> usize {
        self.0
    }

    fn begin(&self, task: &Task<'_>) -> Result<usize> {
        Ok(task.partition() % self.0)
    }

    #[inline]
    fn choose(&self, next: &mut usize, _: Peek<'_, T>, _: usize) -> Result<usize> {
        // A division for each record would take longer than to store it.
        let after = if *next + 1 == self.0 { 0 } else { *next + 1 };
        Ok(mem::replace(next, after))
    }
}

/// By the hash of the key.
pub(crate) struct ByKey(pub(crate) HashPartitioner);

portable! {
    [] ByKey { 0: data }
}

impl<K: Data + Eq, V: 'static> Choose<(K, V)> for ByKey {
    const PARTITIONING: &'static str = "by hash of the key";

    type Start = ();

    fn partitions(&self) -> usize {
        self.0.partitions()
    }

    fn begin(&self, _: &Task<'_>) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn choose(&self, (): &mut (), (key, _): &(K, V), _: usize) -> Result<usize> {
        K::with_bytes(key, &mut Vec::new(), |key| self.0.position(key).partition)
    }
}

/// By a closure that returns the number of the partition.
pub(crate) struct ByClosure<C> {
    pub(crate) op: C,
    pub(crate) partitions: usize,
    pub(crate) site: Site,
}

portable! {
    [C: Portable] ByClosure<C> { site: part, op: part, partitions: data }
}

impl<T, C> Choose<T> for ByClosure<C>
where
    T: Record + ?Sized,
    C: for<'a> Call<(Peek<'a, T>,), Out = usize>,
{
    const PARTITIONING: &'static str = "by a closure";

    type Start = ();

    fn partitions(&self) -> usize {
        self.partitions
    }

    fn begin(&self, _: &Task<'_>) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn choose(&self, (): &mut (), record: Peek<'_, T>, _: usize) -> Result<usize> {
        let partition = self.op.call((record,));
        if partition < self.partitions {
            return Ok(partition);
        }
        let reason = format!(
            "cannot assign a record to partition {partition}: there are only {} partitions, numbered from 0",
            self.partitions
        );
        Err(Error::new(ErrorKind::Closure {
            context: self.site.into(),
            source: reason.into(),
        }))
    }
}

/// The map side.
pub(crate) struct Dividing<C>(pub(crate) C);

portable! {
    [C: Portable] Dividing<C> { 0: part }
}

impl<P, T, C> ShuffleKind<P> for Dividing<C>
where
    P: Pipeline<Out = T>,
    T: Storable + ?Sized,
    C: Choose<T>,
{
    type Outputs = ShuffleOutputs<RecordBuffer>;

    fn outputs(&self, _: &P, readers: usize, _: &Resources) -> Self::Outputs {
        let readers = if C::IS_READ_BY_ALL {
            usize::MAX
        } else {
            readers
        };
        ShuffleOutputs::new(self.0.partitions(), (), readers)
    }

    fn worker<'s>(
        side: &'s MapSide<P, Self>,
        outputs: &'s Self::Outputs,
        resources: &'s Resources,
    ) -> Box<dyn StageWorker + 's> {
        let partitions = side.kind.0.partitions();
        let divider = Divider::new(partitions, outputs, resources);
        Box::new(DivideWorker { side, divider })
    }

    fn finish(&self, outputs: &mut Self::Outputs, resources: &Resources) -> Result<()> {
        outputs.finish(resources)
    }

    fn partitioning(&self) -> &'static str {
        C::PARTITIONING
    }

    fn is_broadcast(&self) -> bool {
        C::IS_READ_BY_ALL
    }
}

struct DivideWorker<'s, P, C> {
    side: &'s MapSide<P, Dividing<C>>,
    divider: Divider<'s>,
}

impl<P, T, C> StageWorker for DivideWorker<'_, P, C>
where
    P: Pipeline<Out = T>,
    T: Storable + ?Sized,
    C: Choose<T>,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let MapSide {
            parent, site, kind, ..
        } = self.side;
        let divider = &mut self.divider;
        let begun = divider.begin_task(task.partition());
        begun.at(*site)?;
        let mut start = kind.0.begin(task)?;
        let mut position = 0;
        let _ = parent.run(partition, task, &mut |record| {
            // The codec calls `Serialize`, which may be user code.
            let outcome = task.call(site, || {
                let record = T::peek(&record);
                let to = kind.0.choose(&mut start, record, position)?;
                divider.push::<T>(to, record)
            });
            position += 1;
            match outcome {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => task.fail_at(*site, error),
            }
        })?;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let site = self.side.site;
        let committed = self.divider.commit();
        committed.at(site)
    }
}

/// The reduce side.
pub(crate) struct Repartitioned<T: ?Sized> {
    pub(crate) shuffle: ShuffleId,
    pub(crate) partitions: usize,
    pub(crate) site: Site,
    pub(crate) records: PhantomData<fn(&T)>,
}

portable! {
    [T: ?Sized] Repartitioned<T> { site: part, shuffle: data, partitions: data, records: part }
}

impl<T: Storable + ?Sized> Pipeline for Repartitioned<T> {
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        Some(self.partitions)
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        let outputs = task.map_outputs(self.shuffle, |blocks| {
            ShuffleOutputs::<RecordBuffer>::import(self.partitions, (), blocks, task.resources())
        })?;
        // The codec calls `Deserialize`, which may be user code.
        let flow = task.call(&self.site, || {
            let stop = &task.resources().stop;
            replay::<T, _, _>(outputs.open(partition.index), stop, sink)
        });
        flow.at(self.site)
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        count_erased(self, partition, task)
    }
}
