//! `cartesian`: each record of one bag with each record of another.
//!
//! Map side of the other bag: its records in their order, divided into a few parts, in files that any number of tasks
//! can read. The first bag is not shuffled: a task reads one of its partitions and one part of the other bag, which it
//! keeps in memory if the budget permits.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::repartition::Choose;
use crate::error::{PlaceError as _, Result};
use crate::id::ShuffleId;
use crate::pipeline::{Owned, Peek, Pipeline, Record, Ref, Storable};
use crate::portable::{Portable, portable};
use crate::shuffle::{RecordBuffer, ShuffleOutputs, replay, replay_buffer};
use crate::storage::memory::Reservation;
use crate::summary::ClonedRecord;
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

/// Memory that a part may use whatever the budget says, in bytes.
const FLOOR_BYTES: usize = 64 << 10;

/// Divides a bag into parts of neighbouring partitions.
pub(crate) struct InParts {
    pub(crate) parts: usize,
    /// Number of partitions of the bag, if it is known.
    pub(crate) partitions: Option<usize>,
}

portable! {
    [] InParts { parts: data, partitions: data }
}

impl<T: Record + ?Sized> Choose<T> for InParts {
    const PARTITIONING: &'static str = "in order";

    const IS_READ_BY_ALL: bool = true;

    /// The part.
    type Start = usize;

    fn partitions(&self) -> usize {
        self.parts
    }

    fn begin(&self, task: &Task<'_>) -> Result<usize> {
        let part = match self.partitions {
            Some(partitions) => task.partition() * self.parts / partitions.max(1),
            None => task.partition(),
        };
        Ok(part.min(self.parts - 1))
    }

    #[inline]
    fn choose(&self, part: &mut usize, _: Peek<'_, T>, _: usize) -> Result<usize> {
        Ok(*part)
    }
}

pub(crate) struct Cartesian<P, U: ?Sized> {
    pub(crate) parent: Arc<P>,
    /// The shuffle of the other bag.
    pub(crate) other: ShuffleId,
    pub(crate) parts: usize,
    pub(crate) site: Site,
    pub(crate) records: std::marker::PhantomData<fn(&U)>,
}

portable! {
    [P: Portable, U: ?Sized] Cartesian<P, U> {
        parent: part, site: part, other: data, parts: data, records: part,
    }
}

impl<P, U> Pipeline for Cartesian<P, U>
where
    P: Pipeline<Out: ClonedRecord>,
    U: Storable + ?Sized,
    Owned<P::Out>: Clone,
{
    type Out = (Owned<P::Out>, U::Owned);

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions().map(|known| known * self.parts)
    }

    fn stream(&self) -> PartitionStream<'_> {
        // If the number of partitions is unknown, there is one part.
        match self.partitions() {
            Some(partitions) if self.parts > 1 => {
                let mut indices = 0..partitions;
                Box::new(move || Ok(indices.next().map(Partition::at)))
            }
            _ => self.parent.stream(),
        }
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(Self::Out) -> Flow,
    {
        let (partition, part) = match self.parts {
            1 => (partition, 0),
            parts => {
                let index = partition.index;
                (Partition::at(index / parts), index % parts)
            }
        };
        let outputs = task.map_outputs(self.other, |blocks| {
            ShuffleOutputs::import(self.parts, (), blocks, task.resources())
        })?;
        let part = Part { outputs, part };
        let kept = part.read::<U>(task).at(self.site)?;
        if matches!(&kept, Some(kept) if kept.is_empty()) {
            return Ok(ControlFlow::Continue(()));
        }
        let mut checks = task.resources().stop.checks();
        self.parent.run(partition, task, &mut |record| {
            let record = P::Out::into_owned(record);
            let mut push = |other: Ref<'_, U>| {
                // The code that clones a record is user code.
                let pair = task.call(&self.site, || (record.clone(), U::into_owned(other)));
                sink(pair)
            };
            let pushed = task.call(&self.site, || match &kept {
                Some(kept) => replay_buffer::<U>(&kept.records, &mut checks, &mut push),
                None => part.replay::<U>(task, &mut push),
            });
            pushed.unwrap_or_else(|error| task.fail_at(self.site, error))
        })
    }
}

/// A part of the other bag.
struct Part {
    outputs: Arc<ShuffleOutputs<RecordBuffer>>,
    part: usize,
}

impl Part {
    fn replay<U: Storable + ?Sized>(
        &self,
        task: &Task<'_>,
        each: &mut impl FnMut(Ref<'_, U>) -> Flow,
    ) -> Result<Flow> {
        let parts = self.outputs.open(self.part);
        replay::<U, _, _>(parts, &task.resources().stop, each)
    }

    /// Reads the records into memory. Returns `None` if the budget refuses.
    fn read<U: Storable + ?Sized>(&self, task: &Task<'_>) -> Result<Option<Kept>> {
        let mut kept = Kept {
            records: RecordBuffer::default(),
            new_bytes: 0,
            reservation: task.resources().budget.reservation(),
        };
        let mut stored = Ok(true);
        let flow = self.replay::<U>(task, &mut |record| {
            stored = kept.push::<U>(U::peek(&record));
            match stored {
                Ok(true) => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        })?;
        stored?;
        kept.records.complete();
        Ok(flow.is_continue().then_some(kept))
    }
}

/// Records in memory, encoded.
struct Kept {
    records: RecordBuffer,
    /// Bytes of records since their memory was last reserved.
    new_bytes: usize,
    reservation: Reservation,
}

impl Kept {
    fn is_empty(&self) -> bool {
        self.records.bytes() == 0
    }

    /// Adds a record. Returns `false` if the budget refuses.
    fn push<U: Storable + ?Sized>(&mut self, record: Peek<'_, U>) -> Result<bool> {
        self.new_bytes += self.records.push::<U>(record)?;
        if self.new_bytes < FLOOR_BYTES {
            return Ok(true);
        }
        self.new_bytes = 0;
        Ok(self.reservation.try_resize(self.records.capacity_bytes()))
    }
}
