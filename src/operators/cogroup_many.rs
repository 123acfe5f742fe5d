//! `cogroup3` and `cogroup4`: the values of each key in three or four bags, each as a stream. Wide.
//!
//! Map sides: `records_by_key`, one for each bag. Reduce side: reads all partitions in lockstep, in order, without
//! buffering.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::group_by_key::decode_key;
use super::records_by_key::Pairs;
use super::sides::Side;
use super::values::Values;
use crate::error::{PlaceError as _, Result};
use crate::pipeline::{Data, Pipeline, Record, Ref};
use crate::portable::portable;
use crate::shuffle::GroupCursor;
use crate::task::{Flow, Partition, Site, Task};

/// The groups of one partition of several bags, read in lockstep.
struct Lockstep<const N: usize> {
    cursors: [GroupCursor; N],
    /// Whether each bag has the current key. At first all of them, so that each cursor moves to its first group.
    has_key: [bool; N],
    /// Whether each bag has a current group.
    has_group: [bool; N],
}

impl<const N: usize> Lockstep<N> {
    fn new(cursors: [GroupCursor; N]) -> Self {
        Self {
            cursors: cursors.map(GroupCursor::with_streaks),
            has_key: [true; N],
            has_group: [true; N],
        }
    }

    /// Advances to the next key. Returns the index of a bag that has it.
    fn next(&mut self) -> Result<Option<usize>> {
        let mut least: Option<usize> = None;
        for at in 0..N {
            if self.has_key[at] && self.has_group[at] {
                self.has_group[at] = self.cursors[at].next_group()?;
            }
            self.has_key[at] = false;
            if !self.has_group[at] {
                continue;
            }
            let order = least.map(|least| self.cursors[at].compare(&self.cursors[least]));
            if matches!(order, Some(Ordering::Greater)) {
                continue;
            }
            if !matches!(order, Some(Ordering::Equal)) {
                self.has_key[..at].fill(false);
                least = Some(at);
            }
            self.has_key[at] = true;
        }
        Ok(least)
    }
}

macro_rules! cogroup {
    (
        $(#[$doc:meta])* $record:ident, $groups:ident, $n:literal,
        $($type:ident: $field:ident $has:ident),*
    ) => {
        $(#[$doc])*
        pub struct $record<K, $($type),*> {
            types: PhantomData<fn(K, $($type),*)>,
            _unsized: [u8],
        }

        impl<K, $($type),*> std::fmt::Debug for $record<K, $($type),*> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.types.fmt(f)
            }
        }

        impl<K: 'static, $($type: Data),*> Record for $record<K, $($type),*> {
            type Ref<'a> = (K, $(Values<'a, $type>),*);
            type Peek<'a> = &'a K;
            type Owned = (K, $(Vec<$type>),*);

            const IS_STREAM: bool = true;

            #[inline]
            fn peek<'s>(record: &'s Self::Ref<'_>) -> &'s K {
                &record.0
            }

            #[inline]
            fn peek_owned(owned: &Self::Owned) -> &K {
                &owned.0
            }

            #[inline]
            fn into_owned((key, $($field),*): Self::Ref<'_>) -> Self::Owned {
                (key, $($field.collect()),*)
            }

            #[inline]
            fn lend<R>((key, $($field),*): Self::Owned, f: impl FnOnce(Self::Ref<'_>) -> R) -> R {
                f((key, $(Values::kept($field)),*))
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
        pub(crate) struct $groups<K: Data + Eq, $($type: Data),*> {
            $(pub(crate) $field: Side<Pairs<K, $type>>,)*
            pub(crate) partitions: usize,
            pub(crate) site: Site,
        }

        portable! {
            [K: Data + Eq, $($type: Data),*] $groups<K, $($type),*> {
                site: part, $($field: part,)* partitions: data,
            }
        }

        impl<K: Data + Eq, $($type: Data),*> Pipeline for $groups<K, $($type),*> {
            type Out = $record<K, $($type),*>;

            fn partitions(&self) -> Option<usize> {
                Some(self.partitions)
            }

            fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
            where
                S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow,
            {
                let pushed = self.push_groups(partition.index, task, sink);
                pushed.at(self.site)
            }
        }

        impl<K: Data + Eq, $($type: Data),*> $groups<K, $($type),*> {
            fn push_groups<S>(&self, partition: usize, task: &Task<'_>, sink: &mut S) -> Result<Flow>
            where
                S: for<'a> FnMut(Ref<'a, <Self as Pipeline>::Out>) -> Flow,
            {
                let site = self.site;
                $(
                    let Some($field) = self.$field.open(partition, task, site)? else {
                        return Ok(ControlFlow::Break(()));
                    };
                )*
                let mut groups = Lockstep::<$n>::new([$($field),*]);
                while let Some(at) = groups.next()? {
                    let key = decode_key(groups.cursors[at].key(), task, site)?;
                    let [$($has),*] = groups.has_key;
                    let [$($field),*] = &mut groups.cursors;
                    $(
                        let $field = match $has {
                            true => Values::of_group($field, task, site),
                            false => Values::none(),
                        };
                    )*
                    let flow = sink((key, $($field),*));
                    if flow.is_break() || task.has_failed() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ControlFlow::Continue(()))
            }
        }
    };
}

cogroup!(
    /// A key and its values in three bags: the record type of [`cogroup3`](crate::Bag::cogroup3).
    ///
    /// No value of this type exists, as of [`CoGroup`](crate::CoGroup). Closures receive the key and three streams of
    /// values, or `&K` if they only inspect the record. Methods that keep the record return the key and three vectors.
    CoGroup3, CoGroups3, 3,
    V: first has_first, W: second has_second, X: third has_third
);

cogroup!(
    /// A key and its values in four bags: the record type of [`cogroup4`](crate::Bag::cogroup4).
    ///
    /// No value of this type exists, as of [`CoGroup`](crate::CoGroup). Closures receive the key and four streams of
    /// values, or `&K` if they only inspect the record. Methods that keep the record return the key and four vectors.
    CoGroup4, CoGroups4, 4,
    V: first has_first, W: second has_second, X: third has_third, Y: fourth has_fourth
);
