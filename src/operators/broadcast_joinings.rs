//! The rows of joins with a small bag that is sent to every task.

use std::iter;
use std::marker::PhantomData;
use std::mem;
use std::ops::ControlFlow;

use super::records_by_key::{FirstSides, Pairs};
use crate::error::Result;
use crate::pipeline::Data;
use crate::pipeline::Key;
use crate::shuffle::{Encode, FixedMatches, Lookup, Matches};
use crate::storage::codec;
use crate::task::{Flow, STOP_CHECK_RECORDS, Task};

/// Computes the rows for a record of the bag that is not shuffled.
pub(crate) trait BroadcastJoining: Send + Sync + 'static {
    type Key: Data + Eq;
    type Value: 'static;
    type Right: Encode;
    type Out: 'static;

    /// Whether a record without a match has rows.
    const KEEPS_MISSING: bool;

    /// Appends the value of an entry in the form of the table. Returns `false` if it has none.
    fn convert(value: &[u8], bytes: &mut Vec<u8>) -> bool;

    /// Pushes the rows of a record, given the values of its key in the table.
    fn push_fixed(
        record: (Self::Key, Self::Value),
        values: FixedMatches<'_>,
        task: &Task<'_>,
        sink: &mut impl FnMut(Self::Out) -> Flow,
    ) -> Result<Flow>;

    /// Pushes the rows of a record. `buffer` is for the lookup.
    fn push(
        record: (Self::Key, Self::Value),
        buffer: &mut Vec<u8>,
        small: &Lookup,
        task: &Task<'_>,
        sink: &mut impl FnMut(Self::Out) -> Flow,
    ) -> Result<Flow>;
}

/// Computes the right value of a row.
pub(crate) trait Beside<W>: Send + Sync + 'static {
    type Out: 'static;

    /// Whether there is a row if no match was found.
    const KEEPS_MISSING: bool;

    /// Returns the right value if a match was found.
    fn found(value: W) -> Self::Out;

    /// Returns the right value if no match was found; `None` for no row.
    fn missing() -> Option<Self::Out>;
}

/// For `join_broadcast`.
pub(crate) struct Found;

impl<W: 'static> Beside<W> for Found {
    type Out = W;

    const KEEPS_MISSING: bool = false;

    fn found(value: W) -> W {
        value
    }

    fn missing() -> Option<W> {
        None
    }
}

/// For `left_join_broadcast`.
pub(crate) struct FoundOrNot;

impl<W: 'static> Beside<W> for FoundOrNot {
    type Out = Option<W>;

    const KEEPS_MISSING: bool = true;

    fn found(value: W) -> Option<W> {
        Some(value)
    }

    fn missing() -> Option<Option<W>> {
        Some(None)
    }
}

/// Joins that return pairs of values.
pub(crate) struct BroadcastPairs<K, V, W, B>(PhantomData<fn(K, V, W, B)>);

impl<K: Data + Eq, V: Data, W: Data, B: Beside<W>> BroadcastJoining for BroadcastPairs<K, V, W, B> {
    type Key = K;
    type Value = V;
    type Right = Pairs<K, W>;
    type Out = (K, (V, B::Out));

    const KEEPS_MISSING: bool = B::KEEPS_MISSING;

    fn convert(value: &[u8], bytes: &mut Vec<u8>) -> bool {
        let value = codec::decode::<W>(value);
        value.is_ok_and(|value| codec::encode_flat(&value, bytes))
    }

    #[inline(always)]
    fn push_fixed(
        (key, value): (K, V),
        values: FixedMatches<'_>,
        task: &Task<'_>,
        sink: &mut impl FnMut(Self::Out) -> Flow,
    ) -> Result<Flow> {
        let last = Self::push_all_but_last(&key, &value, values, codec::decode_fixed, task, sink)?;
        Ok(Self::push_last(key, value, last, sink))
    }

    #[inline]
    fn push(
        (key, value): (K, V),
        buffer: &mut Vec<u8>,
        small: &Lookup,
        task: &Task<'_>,
        sink: &mut impl FnMut(Self::Out) -> Flow,
    ) -> Result<Flow> {
        let find = |values: Matches<'_>| {
            Self::push_all_but_last(&key, &value, values, codec::decode, task, sink)
        };
        let last = small.find::<K, _>(&key, buffer, find)?;
        let last = last.unwrap_or(Ok(ControlFlow::Continue(None)))?;
        Ok(Self::push_last(key, value, last, sink))
    }
}

impl<K: Data + Eq, V: Data, W: Data, B: Beside<W>> BroadcastPairs<K, V, W, B> {
    /// Pushes the rows of all values but the last, with copies of the key and the value. Returns the last value.
    #[inline(always)]
    fn push_all_but_last<'a>(
        key: &K,
        value: &V,
        mut values: impl Iterator<Item = &'a [u8]>,
        decode: impl Fn(&[u8]) -> Result<W>,
        task: &Task<'_>,
        sink: &mut impl FnMut(<Self as BroadcastJoining>::Out) -> Flow,
    ) -> Result<ControlFlow<(), Option<W>>> {
        let Some(first) = values.next() else {
            return Ok(ControlFlow::Continue(None));
        };
        let last = match values.next() {
            None => first,
            Some(second) => {
                let rows =
                    Self::push_copies(key, value, (first, second), values, &decode, task, sink)?;
                match rows {
                    ControlFlow::Continue(last) => last,
                    ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
                }
            }
        };
        Ok(ControlFlow::Continue(Some(decode(last)?)))
    }

    /// Pushes the row of the last value, or of no value.
    #[inline(always)]
    fn push_last(
        key: K,
        value: V,
        last: ControlFlow<(), Option<W>>,
        sink: &mut impl FnMut(<Self as BroadcastJoining>::Out) -> Flow,
    ) -> Flow {
        match last?.map(B::found).or_else(B::missing) {
            Some(right) => sink((key, (value, right))),
            None => ControlFlow::Continue(()),
        }
    }

    /// Pushes the rows of all matches but the last, with copies of the key and the value. Returns the last match.
    #[inline(never)]
    fn push_copies<'a>(
        key: &K,
        value: &V,
        (first, second): (&'a [u8], &'a [u8]),
        rest: impl Iterator<Item = &'a [u8]>,
        decode: impl Fn(&[u8]) -> Result<W>,
        task: &Task<'_>,
        sink: &mut impl FnMut(<Self as BroadcastJoining>::Out) -> Flow,
    ) -> Result<ControlFlow<(), &'a [u8]>> {
        let mut copies = Vec::new();
        K::append_bytes(key, &mut copies)?;
        let key_len = copies.len();
        codec::encode_into(value, &mut copies)?;
        let mut last = first;
        for (row, next) in iter::once(second).chain(rest).enumerate() {
            // The source checks only between its records, and one of them may have any number of matches.
            if (row + 1).is_multiple_of(STOP_CHECK_RECORDS) && task.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            let key = K::from_bytes(&copies[..key_len])?;
            let value = codec::decode(&copies[key_len..])?;
            let right = B::found(decode(mem::replace(&mut last, next))?);
            if sink((key, (value, right))).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(last))
    }
}

/// Joins that return records of the left bag: those whose key was found or, if `FOUND` is `false`, those whose key was
/// not.
pub(crate) struct BroadcastFilter<K, V, W, const FOUND: bool>(PhantomData<fn(K, V, W)>);

impl<K, V, W, const FOUND: bool> BroadcastJoining for BroadcastFilter<K, V, W, FOUND>
where
    K: Data + Eq,
    V: 'static,
    W: 'static,
{
    type Key = K;
    type Value = V;
    type Right = FirstSides<K, W>;
    type Out = (K, V);

    const KEEPS_MISSING: bool = !FOUND;

    fn convert(_: &[u8], _: &mut Vec<u8>) -> bool {
        true
    }

    #[inline(always)]
    fn push_fixed(
        record: (K, V),
        mut values: FixedMatches<'_>,
        _: &Task<'_>,
        sink: &mut impl FnMut((K, V)) -> Flow,
    ) -> Result<Flow> {
        Ok(if values.next().is_some() == FOUND {
            sink(record)
        } else {
            ControlFlow::Continue(())
        })
    }

    #[inline]
    fn push(
        record: (K, V),
        buffer: &mut Vec<u8>,
        small: &Lookup,
        _: &Task<'_>,
        sink: &mut impl FnMut((K, V)) -> Flow,
    ) -> Result<Flow> {
        let find = |mut values: Matches<'_>| values.next().is_some();
        let found = small.find::<K, _>(&record.0, buffer, find)?;
        Ok(if found.unwrap_or(false) == FOUND {
            sink(record)
        } else {
            ControlFlow::Continue(())
        })
    }
}
