//! Partitioning of records by their position in the bag, for `split_partitions` and `zip`.

use std::marker::PhantomData;
use std::sync::Arc;
use std::{mem, vec};

use super::repartition::Choose;
use super::scan::{Summarized, not_repeatable, of_summaries, starts};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShuffleId;
use crate::pipeline::{Peek, Pipeline, Record, Storable};
use crate::portable::{Portable, portable};
use crate::shuffle::{RecordBuffer, RecordReader, ShuffleOutputs};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

/// The positions of the records of each partition, as counted by [`WithIndex`](super::scans::WithIndex).
struct RecordPositions {
    /// The number of each partition and the positions of its first record and after its last, in ascending order.
    partitions: Vec<(usize, u64, u64)>,
}

impl RecordPositions {
    /// Calls `read` with the positions that `counts` has.
    fn read<R>(
        counts: ShuffleId,
        site: Site,
        task: &Task<'_>,
        read: impl FnOnce(&Self) -> R,
    ) -> Result<R> {
        let make = |counts: Vec<(usize, Summarized<()>)>| {
            let (numbers, counts): (Vec<_>, Vec<_>) = counts.into_iter().unzip();
            let ranges = starts(&counts).into_iter().zip(&counts);
            let ranges = ranges.map(|(start, count)| (start, count.records.saturating_add(start)));
            let partition = |(number, (start, end))| (number, start, end);
            Self {
                partitions: numbers.into_iter().zip(ranges).map(partition).collect(),
            }
        };
        of_summaries(counts, site, task, make, read)
    }

    /// Returns the number of records of the bag.
    fn records(&self) -> u64 {
        self.partitions.last().map_or(0, |(_, _, end)| *end)
    }

    fn of(&self, partition: usize) -> Option<(u64, u64)> {
        let at = self
            .partitions
            .binary_search_by_key(&partition, |(number, ..)| *number);
        let (_, start, end) = self.partitions[at.ok()?];
        Some((start, end))
    }

    /// Returns the partitions that have positions from `start` to before `end`, with their ends.
    fn ends_in(&self, (start, end): (u64, u64)) -> Vec<(usize, u64)> {
        let first = self.partitions.partition_point(|(.., end)| *end <= start);
        let overlapping = self.partitions[first..].iter();
        let overlapping = overlapping.take_while(|(_, start, _)| *start < end);
        overlapping
            .map(|(number, _, end)| (*number, *end))
            .collect()
    }
}

/// Returns the position of a record that is at `position` in a partition with these positions.
fn position_in((start, end): (u64, u64), position: usize, site: Site) -> Result<u64> {
    let position = start + position as u64;
    if position < end {
        Ok(position)
    } else {
        Err(not_repeatable(site))
    }
}

/// Ranges of positions, of equal size.
pub(crate) struct Evenly {
    pub(crate) partitions: usize,
    pub(crate) counts: ShuffleId,
    pub(crate) site: Site,
}

portable! { [] Evenly { site: part, partitions: data, counts: data } }

impl<T: Record + ?Sized> Choose<T> for Evenly {
    const PARTITIONING: &'static str = "by position";

    /// The positions of the partition, and the number of records of the bag.
    type Start = ((u64, u64), u64);

    fn partitions(&self) -> usize {
        self.partitions
    }

    fn begin(&self, task: &Task<'_>) -> Result<Self::Start> {
        let start = |positions: &RecordPositions| {
            Some((positions.of(task.partition())?, positions.records()))
        };
        let start = RecordPositions::read(self.counts, self.site, task, start)?;
        start.ok_or_else(|| not_repeatable(self.site))
    }

    #[inline]
    fn choose(&self, start: &mut Self::Start, _: Peek<'_, T>, position: usize) -> Result<usize> {
        let (range, records) = *start;
        let position = position_in(range, position, self.site)?;
        // Less than `partitions`, because the position is less than `records`.
        Ok((u128::from(position) * self.partitions as u128 / u128::from(records)) as usize)
    }
}

/// The positions of the records of two bags of the same length.
#[derive(Clone, Copy)]
pub(crate) struct Both {
    pub(crate) left: ShuffleId,
    pub(crate) right: ShuffleId,
    pub(crate) site: Site,
}

portable! { [] Both { site: part, left: data, right: data } }

impl Both {
    /// Fails unless both bags have the same number of records.
    fn check(&self, task: &Task<'_>) -> Result<()> {
        let records =
            |counts| RecordPositions::read(counts, self.site, task, RecordPositions::records);
        let (left, right) = (records(self.left)?, records(self.right)?);
        if left == right {
            return Ok(());
        }
        let context = self.site.into();
        Err(Error::new(ErrorKind::LengthMismatch {
            context,
            left,
            right,
        }))
    }
}

/// The partition in which the left bag has the record at the same position.
pub(crate) struct Opposite {
    pub(crate) both: Both,
    /// Number of partitions of the left bag.
    pub(crate) partitions: usize,
}

portable! { [] Opposite { both: part, partitions: data } }

/// The place of a partition of the right bag in the left one.
pub(crate) struct OppositeStart {
    /// The positions of the partition.
    range: (u64, u64),
    /// The partition of the left bag that has the current position, with its end.
    current: (usize, u64),
    /// The partitions that have later positions, with their ends.
    later: vec::IntoIter<(usize, u64)>,
}

impl<T: Record + ?Sized> Choose<T> for Opposite {
    const PARTITIONING: &'static str = "by position";

    type Start = OppositeStart;

    fn partitions(&self) -> usize {
        self.partitions
    }

    fn begin(&self, task: &Task<'_>) -> Result<Self::Start> {
        self.both.check(task)?;
        let Both { left, right, site } = self.both;
        let of_task = |positions: &RecordPositions| positions.of(task.partition());
        let range = RecordPositions::read(right, site, task, of_task)?;
        let range = range.ok_or_else(|| not_repeatable(site))?;
        let ends = |positions: &RecordPositions| positions.ends_in(range);
        let ends = RecordPositions::read(left, site, task, ends)?;
        Ok(OppositeStart {
            range,
            current: (0, 0),
            later: ends.into_iter(),
        })
    }

    #[inline]
    fn choose(&self, start: &mut Self::Start, _: Peek<'_, T>, position: usize) -> Result<usize> {
        let site = self.both.site;
        let position = position_in(start.range, position, site)?;
        while position >= start.current.1 {
            start.current = start.later.next().ok_or_else(|| not_repeatable(site))?;
        }
        Ok(start.current.0)
    }
}

/// Maximum number of records of the right bag that are decoded at once, and the same of records that own memory.
const BATCH_RECORDS: usize = 512;
const BATCH_OWNERS: usize = 4;

/// Pairs the records of `parent`, the left bag, with those of the right bag, which have been shuffled to the same
/// partitions.
pub(crate) struct Zipped<P, U: ?Sized> {
    pub(crate) parent: Arc<P>,
    pub(crate) right: ShuffleId,
    pub(crate) both: Both,
    pub(crate) partitions: usize,
    pub(crate) records: PhantomData<fn(&U)>,
}

portable! {
    [P: Portable, U: ?Sized] Zipped<P, U> {
        both: part, parent: part, right: data, partitions: data, records: part,
    }
}

impl<P: Pipeline, U: Storable + ?Sized> Pipeline for Zipped<P, U> {
    type Out = (<P::Out as Record>::Owned, U::Owned);

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
        self.both.check(task)?;
        let site = self.both.site;
        let outputs = task.map_outputs(self.right, |blocks| {
            ShuffleOutputs::<RecordBuffer>::import(self.partitions, (), blocks, task.resources())
        })?;
        let mut right = RecordReader::new(outputs.open(partition.index));
        let most = match mem::needs_drop::<U::Owned>() {
            true => BATCH_OWNERS,
            false => BATCH_RECORDS,
        };
        let mut batch = Vec::new().into_iter();
        let mut next = || {
            if batch.len() == 0 {
                let mut records = Vec::new();
                // The codec calls `Deserialize`, which may be user code.
                let read = task.call(&site, || right.read::<U>(most, &mut records));
                read.map_err(|error: Error| error.at(site))?;
                batch = records.into_iter();
            }
            Ok(batch.next())
        };
        let flow = self.parent.run(partition, task, &mut |left| match next() {
            Ok(Some(right)) => sink((P::Out::into_owned(left), right)),
            Ok(None) => task.fail_with(not_repeatable(site)),
            Err(error) => task.fail_with(error),
        })?;
        if flow.is_continue() && !task.is_stopped() && !task.has_failed() && next()?.is_some() {
            return Err(not_repeatable(site));
        }
        Ok(flow)
    }
}
