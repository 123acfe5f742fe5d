//! `group_by_key`: the values of each key as a stream. Wide.
//!
//! Map side: `records_by_key`. Reduce side: reads the entries of a partition in order; a group ends where the key
//! changes.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::records_by_key::Pairs;
use super::sides::Side;
use super::values::Values;
use crate::error::{PlaceError as _, Result};
use crate::pipeline::{Data, Key, Pipeline, Record, Ref, count_erased};
use crate::portable::portable;
use crate::task::{Flow, Partition, Site, Task};

/// A key and its values: the record type of [`group_by_key`](crate::Bag::group_by_key).
///
/// No value of this type exists. A closure that takes the record receives `(K, Values<V>)`. A closure that only
/// inspects it, as in `filter`, receives `&K`. Methods that keep the record, such as `collect`, return `(K, Vec<V>)`.
///
/// # Examples
///
/// ```
/// use holdall::{Bag, Group};
///
/// fn largest(groups: Bag<Group<u64, u64>>) -> Bag<(u64, Option<u64>)> {
///     groups.map(|(key, values)| (key, values.max())).boxed()
/// }
///
/// let groups: Bag<Group<u64, u64>> = holdall::range(0..6).map(|n| (n % 2, n)).group_by_key();
/// let odd = groups.clone().filter(|key| *key == 1);
/// assert_eq!(odd.collect()?, [(1, vec![1, 3, 5])]);
/// assert!(largest(groups).collect()?.contains(&(0, Some(4))));
/// # Ok::<(), holdall::Error>(())
/// ```
pub struct Group<K, V> {
    types: PhantomData<fn(K, V)>,
    _unsized: [u8],
}

impl<K, V> std::fmt::Debug for Group<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.types.fmt(f)
    }
}

impl<K: 'static, V: Data> Record for Group<K, V> {
    type Ref<'a> = (K, Values<'a, V>);
    type Peek<'a> = &'a K;
    type Owned = (K, Vec<V>);

    const IS_STREAM: bool = true;

    #[inline]
    fn peek<'s>((key, _): &'s (K, Values<'_, V>)) -> &'s K {
        key
    }

    #[inline]
    fn peek_owned((key, _): &(K, Vec<V>)) -> &K {
        key
    }

    #[inline]
    fn into_owned((key, values): (K, Values<'_, V>)) -> (K, Vec<V>) {
        (key, values.collect())
    }

    #[inline]
    fn lend<R>((key, values): (K, Vec<V>), f: impl FnOnce((K, Values<'_, V>)) -> R) -> R {
        f((key, Values::kept(values)))
    }

    #[inline]
    fn cross(
        record: (K, Values<'_, V>),
        _: &mut Vec<(K, Vec<V>)>,
        each: &mut dyn for<'a> FnMut((K, Values<'a, V>)) -> Flow,
    ) -> Flow {
        each(record)
    }
}

/// The reduce side.
pub(crate) struct Groups<K: Data + Eq, V: Data> {
    pub(crate) side: Side<Pairs<K, V>>,
    pub(crate) partitions: usize,
    pub(crate) site: Site,
}

portable! {
    [K: Data + Eq, V: Data] Groups<K, V> { site: part, side: part, partitions: data }
}

impl<K: Data + Eq, V: Data> Pipeline for Groups<K, V> {
    type Out = Group<K, V>;

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

impl<K: Data + Eq, V: Data> Groups<K, V> {
    fn push_groups<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, <Self as Pipeline>::Out>) -> Flow,
    {
        let Some(groups) = self.side.open(partition.index, task, self.site)? else {
            return Ok(ControlFlow::Break(()));
        };
        let mut groups = groups.with_streaks();
        while groups.next_group()? {
            let key = decode_key(groups.key(), task, self.site)?;
            let values = Values::of_group(&mut groups, task, self.site);
            let flow = sink((key, values));
            if flow.is_break() || task.has_failed() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Decodes a key from the map side. Decoding may run user code.
#[inline]
pub(super) fn decode_key<K: Data + Eq>(bytes: &[u8], task: &Task<'_>, site: Site) -> Result<K> {
    task.call(&site, || K::from_bytes(bytes))
}
