//! The map side of the operators that bring all records of a key together: groups and joins.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::map_side::{MapSide, ShuffleKind};
use crate::error::{PlaceError as _, Result};
use crate::id::ShuffleId;
use crate::pipeline::{Data, Key, Peek, Pipeline};
use crate::portable::portable;
use crate::shuffle::{
    Encode, FilterKeys, Grouper, HashPartitioner, JoinFilter, KeyPosition, KeyedOutputs,
    SharedKeys, import_filter,
};
use crate::storage::codec::{self, Short};
use crate::task::{Flow, Partition, Resources, Site, StageWorker, Task};

/// Part of a shuffle in a join filter: a join may drop records whose key has no match before the shuffle.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum FilterUse {
    None,
    /// Adds the keys to the join filter of the other side.
    Build,
    /// Shuffles only records that pass the join filter built by this shuffle of the other side, if it has one.
    Apply(ShuffleId),
}

/// The map side: it partitions records by key.
pub(crate) struct Grouping<E> {
    pub(crate) partitioner: HashPartitioner,
    /// Whether each task gets all records, which must then fit into memory.
    pub(crate) is_broadcast: bool,
    pub(crate) filter: FilterUse,
    pub(crate) encode: PhantomData<fn(E)>,
}

portable! {
    [E] Grouping<E> { partitioner: data, is_broadcast: data, filter: data, encode: part }
}

impl<P, E> ShuffleKind<P> for Grouping<E>
where
    P: Pipeline,
    E: Encode<In = P::Out>,
{
    type Outputs = KeyedOutputs;

    fn outputs(&self, _: &P, readers: usize, resources: &Resources) -> KeyedOutputs {
        KeyedOutputs::new(self.partitioner, readers, self.is_broadcast, resources)
    }

    fn worker<'s>(
        side: &'s MapSide<P, Self>,
        outputs: &'s KeyedOutputs,
        resources: &'s Resources,
    ) -> Box<dyn StageWorker + 's> {
        Box::new(GroupWorker {
            side,
            outputs,
            grouper: Grouper::new(&outputs.groups, resources),
            keys: FilterKeys::default(),
        })
    }

    fn finish(&self, outputs: &mut KeyedOutputs, resources: &Resources) -> Result<()> {
        if matches!(self.filter, FilterUse::Build) {
            outputs.keys.finish(resources);
        }
        Ok(())
    }

    /// Indexes a broadcast bag now. Once tasks read it, they may hold all the memory that is left.
    fn prepare(&self, outputs: &KeyedOutputs, resources: &Resources) -> Result<()> {
        if self.is_broadcast {
            outputs.lookup(resources)?;
        }
        Ok(())
    }

    fn is_broadcast(&self) -> bool {
        self.is_broadcast
    }
}

struct GroupWorker<'s, P, E> {
    side: &'s MapSide<P, Grouping<E>>,
    outputs: &'s KeyedOutputs,
    grouper: Grouper<'s>,
    keys: FilterKeys,
}

impl<P, E> StageWorker for GroupWorker<'_, P, E>
where
    P: Pipeline,
    E: Encode<In = P::Out>,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let MapSide {
            parent, site, kind, ..
        } = self.side;
        let (here, sent) = match kind.filter {
            FilterUse::Apply(by) => (
                task.map_outputs_here::<KeyedOutputs>(by),
                task.imported_filter(by, |blocks| import_filter(blocks, task.resources())),
            ),
            FilterUse::None | FilterUse::Build => (None, None),
        };
        let by = here.as_ref().map(|here| &here.keys).or(sent.as_deref());
        let mut join_filter = JoinFilter::new(by.and_then(SharedKeys::filter));
        let added = matches!(kind.filter, FilterUse::Build).then_some(&mut self.keys);
        let is_wanted = wanted(added, &mut join_filter, task.resources());
        let grouper = &mut self.grouper;
        let _ = group::<P, E>(&**parent, partition, task, *site, grouper, is_wanted)?;
        task.resources().progress.add_dropped(join_filter.dropped());
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let site = self.side.site;
        let committed = self.grouper.commit();
        committed.at(site)?;
        self.outputs.keys.add(self.keys);
        Ok(())
    }
}

/// Returns the function that notes the position of a key, if `keys` is given, and returns whether the key passes the join
/// filter. Its type does not depend on the records.
fn wanted<'a, 'f>(
    mut keys: Option<&'a mut FilterKeys>,
    join_filter: &'a mut JoinFilter<'f>,
    resources: &'a Resources,
) -> impl FnMut(KeyPosition) -> bool + use<'a, 'f> {
    move |position| {
        if let Some(keys) = &mut keys {
            keys.note(position, resources);
        }
        join_filter.may_match(position)
    }
}

/// Reads the records of a partition of `parent`, and groups those for which `is_wanted` returns `true`.
pub(super) fn group<P, E>(
    parent: &P,
    partition: Partition,
    task: &Task<'_>,
    site: Site,
    grouper: &mut Grouper<'_>,
    mut is_wanted: impl FnMut(KeyPosition) -> bool,
) -> Result<Flow>
where
    P: Pipeline,
    E: Encode<In = P::Out>,
{
    let begun = grouper.begin_task(task.partition());
    begun.at(site)?;
    let flow = parent.run(partition, task, &mut |record| {
        let outcome = task.call(&site, || grouper.push::<E>(record, &mut is_wanted));
        match outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => task.fail_at(site, error),
        }
    })?;
    let ended = grouper.end_task(&mut is_wanted);
    ended.at(site)?;
    Ok(flow)
}

/// Pairs, grouped by their first element.
pub(crate) struct Pairs<K, V>(PhantomData<fn(K, V)>);

impl<K: Data + Eq, V: Data> Encode for Pairs<K, V> {
    type In = (K, V);

    #[inline]
    fn encode((key, value): (K, V), bytes: &mut Vec<u8>) -> Result<usize> {
        let start = bytes.len();
        K::append_bytes(&key, bytes)?;
        let key_len = bytes.len() - start;
        codec::encode_into(&value, bytes)?;
        Ok(key_len)
    }

    #[inline(always)]
    fn encode_short((key, value): &(K, V)) -> Option<(Short, Short)> {
        K::short(key).zip(codec::encode_short(value))
    }

    fn check((key, value): &(K, V)) -> Result<usize> {
        Ok(check_key::<K>(key)? + codec::check(value)?)
    }
}

/// The first elements of pairs; the second elements are not shuffled.
pub(crate) struct FirstSides<K, V>(PhantomData<fn(K, V)>);

impl<K: Data + Eq, V: 'static> Encode for FirstSides<K, V> {
    type In = (K, V);

    #[inline]
    fn encode((key, _): (K, V), bytes: &mut Vec<u8>) -> Result<usize> {
        let start = bytes.len();
        K::append_bytes(&key, bytes)?;
        Ok(bytes.len() - start)
    }

    #[inline(always)]
    fn encode_short((key, _): &(K, V)) -> Option<(Short, Short)> {
        Some((K::short(key)?, Short::default()))
    }

    fn check((key, _): &(K, V)) -> Result<usize> {
        check_key::<K>(key)
    }
}

/// Records that are keys themselves.
pub(crate) struct Keys<T: ?Sized>(PhantomData<fn(&T)>);

impl<T: Key + ?Sized> Encode for Keys<T> {
    type In = T;

    #[inline]
    fn encode(record: T::Ref<'_>, bytes: &mut Vec<u8>) -> Result<usize> {
        let start = bytes.len();
        T::append_bytes(T::peek(&record), bytes)?;
        Ok(bytes.len() - start)
    }

    #[inline(always)]
    fn encode_short(record: &T::Ref<'_>) -> Option<(Short, Short)> {
        Some((T::short(T::peek(record))?, Short::default()))
    }

    fn check(record: &T::Ref<'_>) -> Result<usize> {
        check_key::<T>(T::peek(record))
    }
}

fn check_key<K: Key + ?Sized>(key: Peek<'_, K>) -> Result<usize> {
    let mut bytes = Vec::new();
    K::append_bytes(key, &mut bytes)?;
    K::check_bytes(&bytes)
}
