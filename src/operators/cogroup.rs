//! `cogroup`: the values of each key in two bags, as two streams. Wide.
//!
//! Map sides: `records_by_key`, twice. Reduce side: reads both partitions in lockstep, in order, without buffering.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::group_by_key::decode_key;
use super::records_by_key::Pairs;
use super::sides::Side;
use super::values::Values;
use crate::error::{PlaceError as _, Result};
use crate::pipeline::{Data, Pipeline, Record, Ref, count_erased};
use crate::portable::portable;
use crate::shuffle::{Encode, GroupCursor};
use crate::task::{Flow, Partition, Site, Task};

/// A key and its values in two bags: the record type of [`cogroup`](crate::Bag::cogroup).
///
/// No value of this type exists. A closure that takes the record receives `(K, Values<V>, Values<W>)`. A closure that
/// only inspects it, as in `filter`, receives `&K`. Methods that keep the record, such as `collect`, return
/// `(K, Vec<V>, Vec<W>)`.
///
/// # Examples
///
/// ```
/// use holdall::{Bag, CoGroup};
///
/// let left = holdall::from_vec(vec![(1, 'a'), (1, 'b')]);
/// let right = holdall::from_vec(vec![(1, "x".to_owned())]);
/// let groups: Bag<CoGroup<i32, char, String>> = left.cogroup(right);
/// assert_eq!(groups.collect()?, [(1, vec!['a', 'b'], vec!["x".to_owned()])]);
/// # Ok::<(), holdall::Error>(())
/// ```
pub struct CoGroup<K, V, W> {
    types: PhantomData<fn(K, V, W)>,
    _unsized: [u8],
}

impl<K, V, W> std::fmt::Debug for CoGroup<K, V, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.types.fmt(f)
    }
}

impl<K: 'static, V: Data, W: Data> Record for CoGroup<K, V, W> {
    type Ref<'a> = (K, Values<'a, V>, Values<'a, W>);
    type Peek<'a> = &'a K;
    type Owned = (K, Vec<V>, Vec<W>);

    const IS_STREAM: bool = true;

    #[inline]
    fn peek<'s>((key, ..): &'s Self::Ref<'_>) -> &'s K {
        key
    }

    #[inline]
    fn peek_owned((key, ..): &Self::Owned) -> &K {
        key
    }

    #[inline]
    fn into_owned((key, left, right): Self::Ref<'_>) -> Self::Owned {
        (key, left.collect(), right.collect())
    }

    #[inline]
    fn lend<R>((key, left, right): Self::Owned, f: impl FnOnce(Self::Ref<'_>) -> R) -> R {
        f((key, Values::kept(left), Values::kept(right)))
    }

    #[inline]
    fn cross(
        record: Self::Ref<'_>,
        _: &mut Vec<Self::Owned>,
        each: &mut dyn for<'a> FnMut(Self::Ref<'a>) -> Flow,
    ) -> Flow {
        each(record)
    }
}

/// The reduce side.
pub(crate) struct CoGroups<K: Data + Eq, V: Data, W: Data> {
    pub(crate) left: Side<Pairs<K, V>>,
    pub(crate) right: Side<Pairs<K, W>>,
    pub(crate) partitions: usize,
    pub(crate) site: Site,
}

portable! {
    [K: Data + Eq, V: Data, W: Data] CoGroups<K, V, W> {
        site: part, left: part, right: part, partitions: data,
    }
}

impl<K: Data + Eq, V: Data, W: Data> Pipeline for CoGroups<K, V, W> {
    type Out = CoGroup<K, V, W>;

    fn partitions(&self) -> Option<usize> {
        Some(self.partitions)
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow,
    {
        let pushed = self.push_groups(partition, task, sink);
        pushed.at(self.site)
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        count_erased(self, partition, task)
    }
}

impl<K: Data + Eq, V: Data, W: Data> CoGroups<K, V, W> {
    fn push_groups<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, <Self as Pipeline>::Out>) -> Flow,
    {
        let site = self.site;
        let sides = Sides::open(&self.left, &self.right, partition.index, task, site)?;
        let Some(sides) = sides else {
            return Ok(ControlFlow::Break(()));
        };
        let mut sides = sides.with_streaks();
        while let Some(order) = sides.next()? {
            let Sides { left, right, .. } = &mut sides;
            let key = match order {
                Ordering::Greater => right.key(),
                Ordering::Less | Ordering::Equal => left.key(),
            };
            let key = decode_key(key, task, site)?;
            let left = match order {
                Ordering::Greater => Values::none(),
                Ordering::Less | Ordering::Equal => Values::of_group(left, task, site),
            };
            let right = match order {
                Ordering::Less => Values::none(),
                Ordering::Greater | Ordering::Equal => Values::of_group(right, task, site),
            };
            let flow = sink((key, left, right));
            if flow.is_break() || task.has_failed() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The groups of two partitions, read in lockstep.
pub(super) struct Sides {
    pub(super) left: GroupCursor,
    pub(super) right: GroupCursor,
    /// Whether each side has a current group; `None` before the first call of `next`.
    has: Option<(bool, bool)>,
    /// Result of the last comparison: which sides have the current key.
    last: Ordering,
    /// Whether keys that only the left side has are needed, and those that only the right side has.
    is_wanted_alone: (bool, bool),
}

impl Sides {
    /// Opens both sides. Returns `None` if the job has ended.
    pub(super) fn open<L: Encode, R: Encode>(
        left: &Side<L>,
        right: &Side<R>,
        partition: usize,
        task: &Task<'_>,
        site: Site,
    ) -> Result<Option<Self>> {
        let Some(left) = left.open(partition, task, site)? else {
            return Ok(None);
        };
        let Some(right) = right.open(partition, task, site)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            left,
            right,
            has: None,
            last: Ordering::Equal,
            is_wanted_alone: (true, true),
        }))
    }

    /// Reads both sides [with streaks](GroupCursor::with_streaks).
    fn with_streaks(self) -> Self {
        Self {
            left: self.left.with_streaks(),
            right: self.right.with_streaks(),
            ..self
        }
    }

    /// Sets whether `next` must stop at keys that only the left side has, and at those that only the right side has.
    pub(super) fn wanted_alone(self, left: bool, right: bool) -> Self {
        Self {
            is_wanted_alone: (left, right),
            ..self
        }
    }

    /// Advances to the next key. Returns `Less` if only the left side has it, `Greater` if only the right side has it,
    /// and `Equal` if both do. May skip keys that are not [needed](Self::wanted_alone).
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Ordering>> {
        let (mut has_left, mut has_right) = self.has.unwrap_or((true, true));
        let (is_left_wanted, is_right_wanted) = self.is_wanted_alone;
        if self.last.is_ge() && has_right {
            if self.last.is_gt() && !is_right_wanted {
                self.right.pass(&self.left);
            }
            has_right = self.right.next_group()?;
        }
        if self.last.is_le() && has_left {
            if has_right && !is_left_wanted {
                self.left.pass(&self.right);
            }
            has_left = self.left.next_group()?;
        }
        self.has = Some((has_left, has_right));
        self.last = match (has_left, has_right) {
            (true, true) => self.left.compare(&self.right),
            (true, false) if is_left_wanted => Ordering::Less,
            (false, true) if is_right_wanted => Ordering::Greater,
            _ => return Ok(None),
        };
        Ok(Some(self.last))
    }
}
