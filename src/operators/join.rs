//! The joins: pairs of values of one key in two bags. Wide.
//!
//! Map sides: `records_by_key`, twice. Reduce side: a merge of both partitions, which are in order of (hash, key). Of
//! a key that both sides have more than once, the right side's values are buffered, unless both sides are in memory, and
//! the left side's streamed.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::STOP_CHECK_RECORDS;
use super::cogroup::Sides;
use super::sides::Side;
use crate::error::Result;
use crate::pipeline::{Pipeline, Record, Ref};
use crate::portable::portable;
use crate::shuffle::{Encode, GroupCursor, GroupValues, ValueBuffer};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

/// What a join gives of keys that both sides have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matched {
    /// Each value of the left with each of the right.
    Pairs,
    /// Each value of the left.
    Left,
    /// The key.
    Once,
    Nothing,
}

/// What kind of join.
pub(crate) trait Joining: Send + Sync + 'static {
    /// What the records of both sides are brought together by.
    type Key: ?Sized + 'static;
    type Left: Encode;
    type Right: Encode;
    type Out: Record + ?Sized;

    const MATCHED: Matched;
    /// Whether it gives a row for each value of a key that only the left side has.
    const LEFT_ALONE: bool;
    /// The same of the right side.
    const RIGHT_ALONE: bool;

    /// Whether rows of the left side whose key the right side has not give nothing.
    const SIFTS_LEFT: bool = !Self::LEFT_ALONE;
    /// The same of the right side.
    const SIFTS_RIGHT: bool = !Self::RIGHT_ALONE;

    /// A row, of the bytes of a key and of the values that it has.
    fn row<'a>(
        key: &'a [u8],
        left: Option<&'a [u8]>,
        right: Option<&'a [u8]>,
    ) -> Result<Ref<'a, Self::Out>>;
}

/// The reduce side.
pub(crate) struct Joined<J: Joining> {
    pub(crate) left: Side<J::Left>,
    pub(crate) right: Side<J::Right>,
    pub(crate) partitions: usize,
    pub(crate) site: Site,
}

portable! {
    [J: Joining] Joined<J> { site: part, left: part, right: part, partitions: data }
}

impl<J: Joining> Pipeline for Joined<J> {
    type Out = J::Out;

    fn partitions(&self) -> Option<usize> {
        Some(self.partitions)
    }

    fn stream(&self) -> PartitionStream<'_> {
        super::union::open(self)
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow,
    {
        let pushed = self.push_rows(partition, task, sink);
        pushed.map_err(|error| error.at(self.site.operator, self.site.location))
    }
}

impl<J: Joining> Joined<J> {
    fn push_rows<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, <Self as Pipeline>::Out>) -> Flow,
    {
        let sides = Sides::open(&self.left, &self.right, partition.index, task, self.site)?;
        let Some(sides) = sides else {
            return Ok(ControlFlow::Break(()));
        };
        let mut sides = sides.wanted_alone(J::LEFT_ALONE, J::RIGHT_ALONE);
        let mut rows = Rows::<J, S> {
            task,
            site: self.site,
            sink,
            until_check: STOP_CHECK_RECORDS,
            joining: PhantomData,
        };
        let mut buffer = ValueBuffer::new(task.resources());
        let mut first = Vec::new();
        while let Some(order) = sides.next()? {
            let flow = match order {
                Ordering::Less => rows.push_left(&mut sides, J::LEFT_ALONE)?,
                Ordering::Greater => rows.push_right(&mut sides)?,
                Ordering::Equal => match J::MATCHED {
                    Matched::Pairs => rows.push_pairs(&mut sides, &mut buffer, &mut first)?,
                    Matched::Left => rows.push_left(&mut sides, true)?,
                    Matched::Once => rows.push(sides.left.key(), None, None)?,
                    Matched::Nothing => ControlFlow::Continue(()),
                },
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Where the rows of a join go.
struct Rows<'s, J, S> {
    task: &'s Task<'s>,
    site: Site,
    sink: &'s mut S,
    until_check: usize,
    joining: PhantomData<fn(J)>,
}

impl<J, S> Rows<'_, J, S>
where
    J: Joining,
    S: for<'a> FnMut(Ref<'a, J::Out>) -> Flow,
{
    #[inline]
    fn push(&mut self, key: &[u8], left: Option<&[u8]>, right: Option<&[u8]>) -> Result<Flow> {
        self.until_check -= 1;
        if self.until_check == 0 {
            self.until_check = STOP_CHECK_RECORDS;
            if self.task.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
        }
        // The code that reads a row back is the program's.
        let entered = self.task.enter(self.site);
        let row = J::row(key, left, right);
        entered.leave();
        Ok((self.sink)(row?))
    }

    /// The values of a key of the left side.
    #[inline]
    fn push_left(&mut self, sides: &mut Sides, is_wanted: bool) -> Result<Flow> {
        while is_wanted && sides.left.advance()? {
            let flow = self.push(sides.left.key(), Some(sides.left.value()), None)?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The values of a key that only the right side has.
    #[inline]
    fn push_right(&mut self, sides: &mut Sides) -> Result<Flow> {
        while J::RIGHT_ALONE && sides.right.advance()? {
            let flow = self.push(sides.right.key(), None, Some(sides.right.value()))?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The pairs of values of a key that both sides have.
    #[inline]
    fn push_pairs(
        &mut self,
        sides: &mut Sides,
        buffer: &mut ValueBuffer,
        first: &mut Vec<u8>,
    ) -> Result<Flow> {
        let Sides { left, right, .. } = sides;
        if let (Some(lefts), Some(rights)) = (left.values_in_memory(), right.values_in_memory()) {
            return self.push_product(left.key(), lefts, &rights);
        }
        self.stream_pairs(left, right, buffer, first)
    }

    #[inline]
    fn push_product(
        &mut self,
        key: &[u8],
        lefts: GroupValues<'_>,
        rights: &GroupValues<'_>,
    ) -> Result<Flow> {
        for left in lefts {
            for right in rights.clone() {
                let flow = self.push(key, Some(left), Some(right))?;
                if flow.is_break() {
                    return Ok(flow);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn stream_pairs(
        &mut self,
        left: &mut GroupCursor,
        right: &mut GroupCursor,
        buffer: &mut ValueBuffer,
        first: &mut Vec<u8>,
    ) -> Result<Flow> {
        left.advance()?;
        first.clear();
        first.extend_from_slice(left.value());
        if !left.advance()? {
            while right.advance()? {
                let flow = self.push(left.key(), Some(first), Some(right.value()))?;
                if flow.is_break() {
                    return Ok(flow);
                }
            }
            return Ok(ControlFlow::Continue(()));
        }
        buffer.fill(right)?;
        let key = left.key();
        let mut flow = buffer.for_each(|value| self.push(key, Some(first), Some(value)))?;
        while flow.is_continue() {
            let (key, value) = (left.key(), left.value());
            flow = buffer.for_each(|right| self.push(key, Some(value), Some(right)))?;
            if !left.advance()? {
                break;
            }
        }
        Ok(flow)
    }
}
