//! The reduce side of combining in order: merges the values of each key, from the first combine group to the last.

use std::mem;
use std::sync::Arc;

use super::group_outputs::GroupOutputs;
use crate::error::Result;
use crate::id::ShuffleId;
use crate::pipeline::{Key, Owned};
use crate::shuffle::key::entry_value::EntryValue as _;
use crate::shuffle::key::partitioner::{HashPartitioner, HashRank};
use crate::shuffle::read::chunk_set::{ChunkReader, ChunkSet};
use crate::shuffle::read::merger::{Merger, TableSize};
use crate::shuffle::read::range_merge::{self, RangeInput};
use crate::shuffle::table::few_keys::{FewKeys, MAX_FEW};
use crate::shuffle::write::combine::Combine;
use crate::storage::memory::Reservation;
use crate::task::{Flow, MapBlock, MapBlocks, Outputs, Resources};

/// Estimate of the memory that a value owns outside of its slot: `OWNED_BYTES` bytes, and this multiple of its encoded
/// length. Merged values take about as much as those that they are merged from.
const OWNED_OF_ENCODED: usize = 2;
const OWNED_BYTES: usize = 64;

/// Maximum length of the entries of a radix partition that are combined in a list, in bytes. Their memory is not reserved.
const FEW_BYTES: usize = 4 << 10;

/// Map output of combining in order: the entries of all combine groups.
#[derive(Debug)]
pub(crate) struct OrderedOutputs {
    pub(crate) groups: GroupOutputs,
    table_size: TableSize,
}

impl OrderedOutputs {
    /// Creates outputs for `readers` readers of each partition.
    pub(crate) fn new(partitioner: HashPartitioner, readers: usize, resources: &Resources) -> Self {
        Self {
            groups: GroupOutputs::new(partitioner, readers, false, resources),
            table_size: TableSize::default(),
        }
    }

    /// Imports what other processes have exported. The result can be read any number of times.
    pub(crate) fn import(
        partitioner: HashPartitioner,
        blocks: MapBlocks<'_>,
        resources: &Resources,
    ) -> Result<Self> {
        Ok(Self {
            groups: GroupOutputs::import(partitioner, blocks, resources)?,
            table_size: TableSize::default(),
        })
    }

    /// Calls `each` with every key of a partition and its value, in ascending order of (hash, key).
    pub(crate) fn read<C: Combine>(
        &self,
        partition: usize,
        combine: &C,
        resources: &Resources,
        mut each: impl FnMut(Owned<C::Key>, C::Combined) -> Flow,
    ) -> Result<Flow> {
        let mut groups = self.groups.open(partition, resources)?;
        if let Some(entries) = groups.entries()
            && entries.entries() <= MAX_FEW
            && entries.largest_slice_bytes() <= FEW_BYTES
        {
            return read_few(entries, combine, resources, each);
        }
        if let Some(entries) = groups.entries()
            && let Some(room) = room_for_ranges::<C::Combined>(entries, resources)
        {
            let merger = Merger {
                combine: combine.merging(),
                partitioner: self.groups.layout().partitioner,
                resources,
                table_size: &self.table_size,
                room: Some(&room),
            };
            return merger.merge_all::<C::Key>(vec![RangeInput::chunks(Arc::clone(entries))], each);
        }
        while groups.next_group()? {
            let key = C::Key::from_bytes(groups.key())?;
            let mut combined = None;
            while groups.advance()? {
                C::Entry::decode_then(groups.value(), |entry| {
                    let value = combine.combined(entry);
                    match &combined {
                        Some(_) => combine.merge(&mut combined, value),
                        None => combined = Some(value),
                    }
                })?;
            }
            if let Some(combined) = combined
                && each(key, combined).is_break()
            {
                return Ok(Flow::Break(()));
            }
        }
        Ok(Flow::Continue(()))
    }
}

impl Outputs for OrderedOutputs {
    fn export(&self, shuffle: ShuffleId, resources: &Resources) -> Result<Vec<MapBlock>> {
        self.groups.export(shuffle, resources)
    }
}

/// Calls `each` with every key of a few entries and its value, in ascending order of (hash, key).
fn read_few<C: Combine>(
    entries: &Arc<ChunkSet>,
    combine: &C,
    resources: &Resources,
    mut each: impl FnMut(Owned<C::Key>, C::Combined) -> Flow,
) -> Result<Flow> {
    let mut few = FewKeys::new();
    let mut reader = ChunkReader::new(Arc::clone(entries));
    reader.take_to(HashRank(u64::MAX), &resources.stop, |hashed, key, value| {
        let long = &key[..hashed.long_len()];
        let value = C::Entry::decode_then(value, |entry| combine.combined(entry))?;
        let merge = |combined: &mut Option<_>, value| combine.merge(combined, value);
        few.upsert(hashed, long, value, |value| value, merge);
        Ok(())
    })?;
    few.sort();
    let mut flow = Flow::Continue(());
    few.drain(|key, value| -> Result<()> {
        if flow.is_continue() {
            flow = each(C::Key::from_bytes(key)?, value);
        }
        Ok(())
    })?;
    Ok(flow)
}

/// Reserves memory to merge entries range by range, with all values of a range in memory. Then nothing is spilled; a
/// spill would change the grouping of the values. Returns `None` if there is no memory.
fn room_for_ranges<V>(entries: &ChunkSet, resources: &Resources) -> Option<Reservation> {
    let most = entries.largest_slice();
    let owned_bytes = match mem::needs_drop::<V>() {
        true => most * OWNED_BYTES + entries.largest_slice_bytes() * OWNED_OF_ENCODED,
        false => 0,
    };
    let bytes = range_merge::most_bytes::<V>(most) + owned_bytes;
    resources.budget.try_reserve(bytes)
}
