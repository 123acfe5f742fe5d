//! The joins: pairs of values of the same key in two bags. Wide.
//!
//! Map sides: `records_by_key`, twice. Reduce side: merges both partitions, which are in the order of (hash, key).
//!
//! - In general, if both sides have a key more than once, the values of the right side are buffered and those of the
//!   left side are streamed.
//! - If both sides are in memory, nothing is buffered. If the join also drops left values without a match, the left
//!   side is not even grouped: each of its entries is compared with the current key of the right side.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::cogroup::Sides;
use super::sides::Side;
use crate::error::{PlaceError as _, Result};
use crate::pipeline::{Pipeline, Record, Ref, count_erased};
use crate::portable::portable;
use crate::shuffle::{Encode, FixedValues, GroupCursor, GroupValues, SortedGroups, ValueBuffer};
use crate::task::{Flow, Partition, Site, StopCheck, Task};

/// The rows of a join for keys that both sides have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matched {
    /// Each value of the left side with each value of the right side.
    Pairs,
    /// Each value of the left side.
    Left,
    /// The key.
    Once,
    Nothing,
}

/// A kind of join.
pub(crate) trait Joining: Send + Sync + 'static {
    /// The key by which the records of both sides are matched.
    type Key: ?Sized + 'static;
    type Left: Encode;
    type Right: Encode;
    type Out: Record + ?Sized;

    const MATCHED: Matched;
    /// Whether each value of a key that only the left side has results in a row.
    const LEFT_ALONE: bool;
    /// Whether each value of a key that only the right side has results in a row.
    const RIGHT_ALONE: bool;

    /// Whether left records without a match are dropped, so that the join filter may drop them before the shuffle.
    const FILTERS_LEFT: bool = !Self::LEFT_ALONE;
    /// Whether right records without a match are dropped.
    const FILTERS_RIGHT: bool = !Self::RIGHT_ALONE;

    /// Returns a row from the bytes of its key and values. If `FIXED`, the values have the form of `fix_left` and
    /// `fix_right`.
    fn row<'a, const FIXED: bool>(
        key: &'a [u8],
        left: Option<&'a [u8]>,
        right: Option<&'a [u8]>,
    ) -> Result<Ref<'a, Self::Out>>;

    /// Appends a left value in a form that is faster to decode. Only for joins with `Matched::Pairs`.
    fn fix_left(_: &[u8], _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    /// Appends a right value in a form that is faster to decode. Only for joins with `Matched::Pairs`.
    fn fix_right(_: &[u8], _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}

/// Number of left values of a key after which its right values are converted into a form that is faster to decode. With
/// fewer left values, the conversion takes longer than it saves.
const MIN_LEFT_TO_FIX: usize = 4;

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

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow,
    {
        let pushed = self.push_rows(partition, task, sink);
        pushed.at(self.site)
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        count_erased(self, partition, task)
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
            checks: task.resources().stop.checks(),
            left_values: 0,
            fixed_left: Vec::new(),
            fixed_right: FixedValues::new(task.resources()),
            joining: PhantomData,
        };
        if !J::LEFT_ALONE
            && let (Some(left), Some(right)) = (sides.left.in_memory(), sides.right.in_memory())
        {
            return rows.push_in_memory(left, right);
        }
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

/// Pushes the rows of a join to `sink`.
struct Rows<'s, J, S> {
    task: &'s Task<'s>,
    site: Site,
    sink: &'s mut S,
    /// A key has many more rows than records if both sides have it often.
    checks: StopCheck,
    /// Number of left values of the current key so far.
    left_values: usize,
    /// One left value, and the right values of the current key, once it has many left values.
    fixed_left: Vec<u8>,
    fixed_right: FixedValues,
    joining: PhantomData<fn(J)>,
}

/// The right values of a key, in memory.
struct RightValues<'a> {
    /// Usually the only one.
    first: Option<&'a [u8]>,
    more: GroupValues<'a>,
    all: GroupValues<'a>,
}

impl<'a> RightValues<'a> {
    #[inline(always)]
    fn new(all: GroupValues<'a>) -> Self {
        let mut more = all.clone();
        Self {
            first: more.next(),
            more,
            all,
        }
    }
}

impl<J, S> Rows<'_, J, S>
where
    J: Joining,
    S: for<'a> FnMut(Ref<'a, J::Out>) -> Flow,
{
    #[inline(always)]
    fn push(&mut self, key: &[u8], left: Option<&[u8]>, right: Option<&[u8]>) -> Result<Flow> {
        self.checks.count()?;
        // The code that decodes a row may be user code.
        let row = self
            .task
            .call(&self.site, || J::row::<false>(key, left, right));
        Ok((self.sink)(row?))
    }

    /// Pushes the rows of two sides in memory. Only for joins that drop left values without a match: it visits the
    /// groups of the right side and skips all other keys.
    fn push_in_memory(
        &mut self,
        left: &mut SortedGroups,
        right: &mut SortedGroups,
    ) -> Result<Flow> {
        loop {
            let may_match = J::RIGHT_ALONE || right.pass_to_next(left)?;
            if !may_match || !right.next_group()? {
                return Ok(ControlFlow::Continue(()));
            }
            let (key, values) = (right.key(), RightValues::new(right.values()));
            self.begin_key();
            let mut is_alone = true;
            let mut flow = left.for_each_of(right, |left| {
                let is_first = std::mem::replace(&mut is_alone, false);
                match J::MATCHED {
                    Matched::Pairs => self.push_each(key, Some(left), &values),
                    Matched::Left => self.push(key, Some(left), None),
                    Matched::Once if is_first => self.push(key, None, None),
                    Matched::Once | Matched::Nothing => Ok(ControlFlow::Continue(())),
                }
            })?;
            if J::RIGHT_ALONE && is_alone {
                flow = self.push_each(key, None, &values)?;
            }
            if flow.is_break() {
                return Ok(flow);
            }
        }
    }

    #[inline(always)]
    fn begin_key(&mut self) {
        self.left_values = 0;
        self.fixed_right.clear();
    }

    /// Pushes the rows of a left value, or of none, with each of the right values.
    #[inline(always)]
    fn push_each(
        &mut self,
        key: &[u8],
        left: Option<&[u8]>,
        values: &RightValues<'_>,
    ) -> Result<Flow> {
        self.left_values += 1;
        if self.left_values >= MIN_LEFT_TO_FIX
            && let Some(left) = left
            && let Some(flow) = self.push_fixed(key, left, values)?
        {
            return Ok(flow);
        }
        let mut more = values.more.clone();
        let mut right = values.first;
        while right.is_some() {
            let flow = self.push(key, left, right)?;
            if flow.is_break() {
                return Ok(flow);
            }
            right = more.next();
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Pushes the rows of a left value with each of the right values, in the form that is faster to decode. Returns
    /// `None` if the values do not have it.
    #[inline(never)]
    fn push_fixed(
        &mut self,
        key: &[u8],
        left: &[u8],
        values: &RightValues<'_>,
    ) -> Result<Option<Flow>> {
        let Self {
            task,
            site,
            fixed_left,
            fixed_right,
            ..
        } = self;
        if self.left_values == MIN_LEFT_TO_FIX && values.more.len() > 0 {
            task.call(site, || fixed_right.fill(values.all.clone(), J::fix_right))?;
        }
        let Some(rights) = fixed_right.values() else {
            return Ok(None);
        };
        fixed_left.clear();
        task.call(site, || J::fix_left(left, fixed_left))?;
        for right in rights {
            self.checks.count()?;
            let row = task.call(site, || J::row::<true>(key, Some(fixed_left), Some(right)));
            let flow = (self.sink)(row?);
            if flow.is_break() {
                return Ok(Some(flow));
            }
        }
        Ok(Some(ControlFlow::Continue(())))
    }

    /// Pushes the rows of the left values of the current key.
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

    /// Pushes the rows of a key that only the right side has.
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

    /// Pushes the pairs of values of a key that both sides have.
    #[inline]
    fn push_pairs(
        &mut self,
        sides: &mut Sides,
        buffer: &mut ValueBuffer,
        first: &mut Vec<u8>,
    ) -> Result<Flow> {
        let Sides { left, right, .. } = sides;
        if let (Some(lefts), Some(rights)) = (left.values_in_memory(), right.values_in_memory()) {
            let rights = RightValues::new(rights);
            self.begin_key();
            for value in lefts {
                let flow = self.push_each(left.key(), Some(value), &rights)?;
                if flow.is_break() {
                    return Ok(flow);
                }
            }
            return Ok(ControlFlow::Continue(()));
        }
        self.stream_pairs(left, right, buffer, first)
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
