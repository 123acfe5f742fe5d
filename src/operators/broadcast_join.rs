//! `join_broadcast` and related joins with a small bag that is sent to every task.
//!
//! Map side of the small bag: `records_by_key` with one partition, which must fit into memory. The other bag is not
//! shuffled: each of its records looks up its key, and partitions and order are unchanged.

use std::iter;
use std::marker::PhantomData;
use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::records_by_key::{FirstSides, Pairs};
use crate::error::Result;
use crate::id::ShuffleId;
use crate::pipeline::{Data, Key, Pipeline, count_erased};
use crate::portable::{Portable, portable};
use crate::shuffle::{Encode, KeyedOutputs, Lookup, Matches};
use crate::storage::codec;
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

/// Computes the rows for a record of the bag that is not shuffled.
pub(crate) trait BroadcastJoining: Send + Sync + 'static {
    type Key: Data + Eq;
    type Value: 'static;
    type Right: Encode;
    type Out: 'static;

    /// Pushes the rows of one record. `buffer` is for the lookup.
    fn push(
        record: (Self::Key, Self::Value),
        buffer: &mut Vec<u8>,
        small: &Lookup,
        sink: &mut impl FnMut(Self::Out) -> Flow,
    ) -> Result<Flow>;
}

pub(crate) struct BroadcastJoined<P, J> {
    pub(crate) parent: Arc<P>,
    pub(crate) small: ShuffleId,
    pub(crate) site: Site,
    pub(crate) joining: PhantomData<fn(J)>,
}

portable! {
    [P: Portable, J] BroadcastJoined<P, J> { parent: part, site: part, small: data, joining: part }
}

impl<P, J> Pipeline for BroadcastJoined<P, J>
where
    P: Pipeline<Out = (J::Key, J::Value)>,
    J: BroadcastJoining,
{
    type Out = J::Out;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(J::Out) -> Flow,
    {
        let outputs = task.map_outputs(self.small, |blocks| {
            KeyedOutputs::import_broadcast(blocks, task.resources())
        })?;
        let small = outputs
            .lookup(task.resources())
            .map_err(|error| error.at(self.site))?;
        let mut buffer = Vec::new();
        self.parent.run(partition, task, &mut |record| {
            // The code that encodes and decodes keys and values may be user code.
            let outcome = task.call(&self.site, || J::push(record, &mut buffer, &small, sink));
            outcome.unwrap_or_else(|error| task.fail_at(self.site, error))
        })
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        count_erased(self, partition, task)
    }
}

/// Computes the right value of a row.
pub(crate) trait Beside<W>: Send + Sync + 'static {
    type Out: 'static;

    /// Returns the right value if a match was found.
    fn found(value: W) -> Self::Out;

    /// Returns the right value if no match was found; `None` for no row.
    fn missing() -> Option<Self::Out>;
}

/// For `join_broadcast`.
pub(crate) struct Found;

impl<W: 'static> Beside<W> for Found {
    type Out = W;

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

    #[inline]
    fn push(
        (key, value): (K, V),
        buffer: &mut Vec<u8>,
        small: &Lookup,
        sink: &mut impl FnMut(Self::Out) -> Flow,
    ) -> Result<Flow> {
        let found = small.find::<K, _>(
            &key,
            buffer,
            |mut values| -> Result<ControlFlow<(), Option<W>>> {
                let Some(first) = values.next() else {
                    return Ok(ControlFlow::Continue(None));
                };
                let last = match values.next() {
                    None => first,
                    Some(second) => {
                        let rows = Self::push_copies(&key, &value, (first, second), values, sink)?;
                        match rows {
                            ControlFlow::Continue(last) => last,
                            ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
                        }
                    }
                };
                Ok(ControlFlow::Continue(Some(codec::decode(last)?)))
            },
        )?;
        let found = found.unwrap_or(Ok(ControlFlow::Continue(None)))?;
        let right = found.map_continue(|found| found.map(B::found).or_else(B::missing));
        match right {
            ControlFlow::Continue(Some(right)) => Ok(sink((key, (value, right)))),
            ControlFlow::Continue(None) => Ok(ControlFlow::Continue(())),
            ControlFlow::Break(()) => Ok(ControlFlow::Break(())),
        }
    }
}

impl<K: Data + Eq, V: Data, W: Data, B: Beside<W>> BroadcastPairs<K, V, W, B> {
    /// Pushes the rows of all matches but the last, with copies of the key and the value. Returns the last match.
    #[inline(never)]
    fn push_copies<'a>(
        key: &K,
        value: &V,
        (first, second): (&'a [u8], &'a [u8]),
        rest: Matches<'a>,
        sink: &mut impl FnMut(<Self as BroadcastJoining>::Out) -> Flow,
    ) -> Result<ControlFlow<(), &'a [u8]>> {
        let mut copies = Vec::new();
        K::append_bytes(key, &mut copies)?;
        let key_len = copies.len();
        codec::encode_into(value, &mut copies)?;
        let mut last = first;
        for next in iter::once(second).chain(rest) {
            let key = K::from_bytes(&copies[..key_len])?;
            let value = codec::decode(&copies[key_len..])?;
            let right = B::found(codec::decode(mem::replace(&mut last, next))?);
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

    #[inline]
    fn push(
        record: (K, V),
        buffer: &mut Vec<u8>,
        small: &Lookup,
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
