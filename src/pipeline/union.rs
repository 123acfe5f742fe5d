//! A union of any number of pipelines, as one level.

use std::any::Any;
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use super::boxed::{Boxed, Erased, ErasedSink};
use super::stack::{self, NestedStream};
use super::{Pipeline, Record};
use crate::error::Result;
use crate::portable::{FunctionEntry, Loader, Portable, Saver, portable};
use crate::task::{Flow, Partition, PartitionStream, Task};

/// Number of neighbouring sides that become one.
const FAN_OUT: usize = 64;

/// The partitions of several pipelines, one after another.
///
/// A union of unions is one of all their sides, of which neighbours are put together once they are many. So a bag that a
/// loop extends by one bag a round is never more than a few levels deep, and each round copies a short list only.
pub(crate) struct FlatUnion<T: Record + ?Sized> {
    sides: VecDeque<UnionSide<T>>,
    partitions: Option<usize>,
}

struct UnionSide<T: Record + ?Sized> {
    pipeline: Boxed<T>,
    /// Number of its first partition. It is relative, so that sides can be put before the others: the first side need
    /// not begin at 0. Without a meaning if the number of partitions is unknown.
    start: i64,
    /// Number of levels of sides that were put together.
    rank: u32,
}

impl<T: Record + ?Sized> Clone for UnionSide<T> {
    fn clone(&self) -> Self {
        Self {
            pipeline: self.pipeline.clone(),
            ..*self
        }
    }
}

impl<T: Record + ?Sized> UnionSide<T> {
    fn new(pipeline: Boxed<T>) -> Self {
        Self {
            pipeline,
            start: 0,
            rank: 0,
        }
    }

    /// Neighbouring sides as one.
    fn together(sides: VecDeque<Self>) -> Self {
        let start = sides.front().map_or(0, |first| first.start);
        let rank = sides.iter().map(|side| side.rank).max().unwrap_or(0) + 1;
        let mut union = FlatUnion::none();
        sides.iter().for_each(|side| union.count_in(&side.pipeline));
        union.sides = sides;
        Self {
            pipeline: Boxed::new(Arc::new(union)),
            start,
            rank,
        }
    }

    fn partitions(&self) -> i64 {
        Pipeline::partitions(&self.pipeline).unwrap_or(0) as i64
    }
}

impl<T: Record + ?Sized> FlatUnion<T> {
    /// A union of no pipelines.
    pub(crate) fn none() -> Self {
        Self {
            sides: VecDeque::new(),
            partitions: Some(0),
        }
    }

    /// `pipeline` alone, or its sides if it is a union.
    fn of(pipeline: Boxed<T>) -> Self {
        let erased: &dyn Any = pipeline.erased();
        if let Some(union) = erased.downcast_ref::<Self>() {
            return Self {
                sides: union.sides.clone(),
                partitions: union.partitions,
            };
        }
        let mut union = Self::none();
        union.push_back(UnionSide::new(pipeline));
        union
    }

    /// The union with `pipeline` behind it.
    pub(crate) fn then(mut self, pipeline: Boxed<T>) -> Self {
        let mut second = Self::of(pipeline);
        if self.sides.len() >= second.sides.len() {
            second
                .into_few()
                .into_iter()
                .for_each(|side| self.push_back(side));
            self
        } else {
            self.into_few()
                .into_iter()
                .rev()
                .for_each(|side| second.push_front(side));
            second
        }
    }

    /// Its sides, or if they are many, itself as the only one.
    fn into_few(self) -> VecDeque<UnionSide<T>> {
        if self.sides.len() < FAN_OUT {
            self.sides
        } else {
            VecDeque::from([UnionSide::together(self.sides)])
        }
    }

    fn push_back(&mut self, side: UnionSide<T>) {
        self.count_in(&side.pipeline);
        let last = self.sides.back();
        let start = last.map_or(0, |last| last.start + last.partitions());
        self.sides.push_back(UnionSide { start, ..side });
        while let Some(rank) = self.sides.back().map(|side| side.rank) {
            let at_end = self
                .sides
                .iter()
                .rev()
                .take_while(|side| side.rank <= rank)
                .count();
            if at_end < FAN_OUT {
                return;
            }
            let sides = self.sides.split_off(self.sides.len() - at_end);
            self.sides.push_back(UnionSide::together(sides));
        }
    }

    fn push_front(&mut self, side: UnionSide<T>) {
        self.count_in(&side.pipeline);
        let first = self.sides.front();
        let start = first.map_or(0, |first| first.start) - side.partitions();
        self.sides.push_front(UnionSide { start, ..side });
        while let Some(rank) = self.sides.front().map(|side| side.rank) {
            let at_start = self
                .sides
                .iter()
                .take_while(|side| side.rank <= rank)
                .count();
            if at_start < FAN_OUT {
                return;
            }
            let others = self.sides.split_off(at_start);
            let sides = mem::replace(&mut self.sides, others);
            self.sides.push_front(UnionSide::together(sides));
        }
    }

    fn count_in(&mut self, pipeline: &Boxed<T>) {
        let partitions = self.partitions.zip(Pipeline::partitions(pipeline));
        self.partitions = partitions.map(|(before, more)| before + more);
    }

    /// The pipeline that a partition is of, and which partition it is there.
    fn side(&self, partition: Partition) -> (&Boxed<T>, Partition) {
        let (side, partition) = partition.into_side().unwrap_or_else(|partition| {
            let origin = self.sides.front().map_or(0, |side| side.start);
            let place = origin + partition.index as i64;
            // Of those that start there, all but the last are empty.
            let side = self.sides.partition_point(|side| side.start <= place) - 1;
            let index = (place - self.sides[side].start) as usize;
            (side, Partition::at(index))
        });
        (&self.sides[side].pipeline, partition)
    }
}

impl<T: Record + ?Sized> Erased<T> for FlatUnion<T> {
    fn partitions(&self) -> Option<usize> {
        self.partitions
    }

    fn stream(&self) -> PartitionStream<'_> {
        let mut sides = self.sides.iter().enumerate();
        let mut open: Option<(usize, NestedStream<'_>)> = None;
        let mut index = 0;
        Box::new(move || {
            loop {
                if let Some((side, stream)) = &mut open
                    && let Some(partition) = stream.next()?
                {
                    index += 1;
                    return Ok(Some(partition.of_side(*side, index - 1)));
                }
                let Some((side, next)) = sides.next() else {
                    return Ok(None);
                };
                open = Some((side, partitions_of(&next.pipeline)));
            }
        })
    }

    fn run(&self, partition: Partition, task: &Task<'_>, sink: ErasedSink<'_, T>) -> Result<Flow> {
        let (side, partition) = self.side(partition);
        // Records that a side hands over in batches stay in them.
        stack::grown(|| side.erased().run(partition, task, sink))
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        let (side, partition) = self.side(partition);
        Pipeline::count(side, partition, task)
    }

    fn known_count(&self, partition: usize, task: &Task<'_>) -> Result<Option<u64>> {
        if self.partitions.is_none() {
            return Ok(None);
        }
        let (side, partition) = self.side(Partition::at(partition));
        Pipeline::known_count(side, partition.index, task)
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry(const { &FunctionEntry::of::<Self>(load::<T>) })?;
        to.data(&(self.partitions, self.sides.len()))?;
        self.sides.iter().try_for_each(|side| side.save(to))
    }
}

portable! {
    [T: Record + ?Sized] UnionSide<T> { pipeline: part, start: data, rank: data }
}

fn load<T: Record + ?Sized>(from: &mut Loader<'_>) -> Result<Arc<dyn Erased<T>>> {
    let (partitions, sides): (_, usize) = from.data()?;
    // As they were: the routes of partitions that were pulled elsewhere name them by their numbers.
    let sides = (0..sides)
        .map(|_| UnionSide::load(from))
        .collect::<Result<_>>()?;
    Ok(Arc::new(FlatUnion { sides, partitions }))
}

/// The partitions of `pipeline` as a stream, whether their number is known or not.
pub(crate) fn partitions_of<P: Pipeline>(pipeline: &P) -> NestedStream<'_> {
    NestedStream::new(|| match pipeline.partitions() {
        None => pipeline.stream(),
        Some(partitions) => {
            let mut indices = 0..partitions;
            Box::new(move || Ok(indices.next().map(Partition::at)))
        }
    })
}
