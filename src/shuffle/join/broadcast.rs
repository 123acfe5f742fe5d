//! A broadcast bag: all of its entries in memory, indexed once for all readers.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::lookup::Lookup;
use crate::error::Result;
use crate::shuffle::key::entry::{self, EntrySeq};
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::key::slices::slice_of;
use crate::shuffle::memory::slab::SlabSpan;
use crate::shuffle::outputs::group_outputs::GroupOutputs;
use crate::shuffle::outputs::group_spill;
use crate::shuffle::outputs::part::PartSeq;
use crate::shuffle::outputs::segment::{CHUNK_BYTES, Chunk, MAX_CHUNK_BYTES, Segment};
use crate::shuffle::outputs::shuffle_outputs::too_large;
use crate::shuffle::read::chunk_set::INDEX_BYTES;
use crate::shuffle::read::group_stream::{EntrySource, RunSource, merge_of};
use crate::storage::memory::Reservation;
use crate::task::{MapBlocks, Resources};

/// Index of the only partition of a broadcast bag, once the first reader has requested it.
#[derive(Debug, Default)]
pub(crate) struct Broadcast(Mutex<Option<Arc<Lookup>>>);

impl Broadcast {
    /// Returns the entries of `groups`, indexed by key.
    pub(crate) fn lookup(
        &self,
        groups: &GroupOutputs,
        resources: &Resources,
    ) -> Result<Arc<Lookup>> {
        // A panic while the lock is held leaves it without an index.
        let mut lookup = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = &*lookup {
            return Ok(Arc::clone(lookup));
        }
        let entries = match groups.take_sorted(0, resources)? {
            None => None,
            Some(sorted) => {
                let bytes = sorted.entries() * INDEX_BYTES;
                let mut reservation = resources.budget.reservation();
                if !resources.reserve(&mut reservation, bytes, || Ok(()))? {
                    return Err(too_large(resources));
                }
                let index = sorted.index(reservation, &resources.stop)?;
                Some((sorted, index))
            }
        };
        let made = Arc::new(Lookup::new(entries, groups.layout().partitioner));
        Ok(Arc::clone(lookup.insert(made)))
    }
}

/// Reads what other processes have exported of a broadcast bag into memory.
pub(crate) fn load(blocks: MapBlocks<'_>, resources: &Resources) -> Result<GroupOutputs> {
    let partitioner = HashPartitioner::new(1);
    let imported = GroupOutputs::import(partitioner, blocks, resources)?;
    let mut runs = imported.parts.unordered_runs(0);
    let groups = GroupOutputs::new(partitioner, usize::MAX, true, resources);
    let mut for_merging = group_spill::merge_down(&mut runs, partitioner, resources)?;
    let sources = runs
        .iter()
        .map(|run| EntrySource::Run(RunSource::new(run, partitioner)));
    let mut merge = merge_of(sources);
    let mut chunk = Chunk::empty();
    let mut bytes = Vec::new();
    let mut key_value = Vec::new();
    let mut checks = resources.stop.checks();
    while let Some(entry) = merge.next()? {
        checks.count()?;
        let slice = slice_of(entry.rank(), groups.layout().slice_bits);
        if bytes.len() >= MAX_CHUNK_BYTES || chunk.slice != slice {
            let next = Chunk {
                slice,
                // The entries arrive in order and must keep it.
                order: EntrySeq {
                    task: 0,
                    chunk: chunk.order.chunk + 1,
                },
                ..Chunk::empty()
            };
            let chunk = mem::replace(&mut chunk, next);
            keep(&groups, chunk, &bytes, &mut for_merging, resources)?;
            bytes.clear();
        }
        key_value.clear();
        key_value.extend_from_slice(entry.key());
        key_value.extend_from_slice(entry.value());
        entry::push(&mut bytes, entry.key().len(), &key_value);
        chunk.entries += 1;
    }
    keep(&groups, chunk, &bytes, &mut for_merging, resources)?;
    Ok(groups)
}

/// Keeps `chunk`, with these bytes as its entries. If the budget refuses, the readers of the runs exceed it: they can do
/// with little memory, but the bag must stay.
fn keep(
    groups: &GroupOutputs,
    mut chunk: Chunk,
    bytes: &[u8],
    for_merging: &mut Reservation,
    resources: &Resources,
) -> Result<()> {
    if chunk.entries == 0 {
        return Ok(());
    }
    groups.parts.may_keep(bytes.len(), resources)?;
    let mut reserve = |bytes| {
        let mut reservation = resources.budget.reservation();
        let release = || {
            for_merging.clear();
            Ok(())
        };
        match resources.reserve(&mut reservation, bytes, release)? {
            true => Ok(reservation),
            false => Err(too_large(resources)),
        }
    };
    let mut reserved = reserve(bytes.len())?;
    let list = reserve(CHUNK_BYTES)?;
    reserved.trim();
    chunk.bytes = SlabSpan::copy(bytes, Some(reserved));
    let segment = Segment::new(vec![chunk]);
    groups.parts.keep(vec![segment], PartSeq::default(), list);
    Ok(())
}
