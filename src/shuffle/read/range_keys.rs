//! The keys of one range of hash ranks, while they arrive from one source after another.
//!
//! ```text
//!  entries, to be sorted ────── keys repeat ──────> table
//!        │                                           │
//!        └───────────── no memory ───────────────────┴────> runs
//! ```

use std::borrow::BorrowMut;

use super::merger::{Merger, RANGE_BYTES};
use super::range_entries::RangeEntries;
use crate::error::Result;
use crate::shuffle::key::blocks;
use crate::shuffle::key::entry_value::EntryValue as _;
use crate::shuffle::key::partitioner::HashRank;
use crate::shuffle::memory::hints::HUGE_PAGE_BYTES;
use crate::shuffle::table::hash_table::{HashedKey, SortedKeys, Table};
use crate::shuffle::table::probe_batch::ProbeBatch;
use crate::shuffle::table::slot::Slot;
use crate::shuffle::write::combine::MergeCombined;
use crate::storage::memory::Reservation;
use crate::storage::run::{Run, RunFile};
use crate::task::{Flow, Resources, StopCheck};

/// Memory that a range may use without a reservation, in bytes. It exceeds `RANGE_BYTES` because sources that are
/// ordered by few bits of the hash yield larger ranges.
const FLOOR_BYTES: usize = 4 * RANGE_BYTES;

/// Maximum entries per key for a range to be sorted. If there are more, later ranges use a table.
const MAX_ENTRIES_OF_KEY: usize = 2;

/// Length of the entries, in bytes, at which the first check for repeated keys runs. It doubles with each check. If
/// keys repeat, a table needs far less memory.
const FIRST_LOOK_BYTES: usize = 64 * RANGE_BYTES;

/// The keys of one range: entries to be sorted, or a table. Runs hold the keys that did not fit into memory.
pub(crate) struct RangeKeys<'m, M: MergeCombined> {
    merger: &'m Merger<'m, M>,
    /// `true` while entries are sorted, because few keys repeat.
    sorts: bool,
    entries: RangeEntries<M::Combined>,
    /// Length of the entries, in bytes, at which the next check for repeated keys runs.
    look_bytes: usize,
    /// Memory of the entries that are being moved into the table, in bytes.
    flushed_bytes: usize,
    table: Table<M::Combined>,
    /// `true` if entries are buffered in the batch. They are only if the table is too large for the cache.
    waits: bool,
    batch: ProbeBatch<M::Combined>,
    reservation: Reservation,
    runs: Vec<Run>,
    /// `false` if all hash ranks are almost equal, or if the merger has memory for any range.
    may_spill: bool,
}

impl<'m, M: MergeCombined> RangeKeys<'m, M> {
    pub(crate) fn new(merger: &'m Merger<'m, M>, may_spill: bool) -> Self {
        let table_bytes = merger.table_size.bytes();
        let mut keys = Self {
            may_spill,
            merger,
            sorts: table_bytes == 0,
            entries: RangeEntries::default(),
            look_bytes: FIRST_LOOK_BYTES,
            flushed_bytes: 0,
            table: Table::default(),
            waits: false,
            batch: ProbeBatch::default(),
            reservation: merger.resources.budget.reservation(),
            runs: Vec::new(),
        };
        // Creating a table of the usual size at the start saves growing it step by step.
        if table_bytes <= FLOOR_BYTES {
            keys.table.grow_to(table_bytes);
            keys.waits = table_bytes > RANGE_BYTES;
        }
        keys
    }

    /// Records the size of the table, if there is one. Only its slots count, because only these are created at the
    /// start.
    pub(crate) fn note_table(&self) {
        self.merger.table_size.note(self.table.slots_bytes());
    }

    /// Returns the function that merges a value into an earlier one of the same key.
    fn merge(&self) -> impl Fn(&mut Option<M::Combined>, M::Combined) + Copy + use<'m, M> {
        let combine = self.merger.combine;
        |combined, later| combine.merge(combined, later)
    }

    /// Switches to the table, also for later ranges and partitions, because keys repeat. Returns the entries.
    fn stop_sorting(&mut self) -> RangeEntries<M::Combined> {
        self.merger.table_size.note(1);
        self.sorts = false;
        std::mem::take(&mut self.entries)
    }

    /// Adds an entry. This is a call, so that [`put`](Self::put) can be inlined for the sources of most entries.
    #[inline(never)]
    pub(crate) fn put_one(
        &mut self,
        hashed: HashedKey,
        key: &[u8],
        value: M::Combined,
    ) -> Result<()> {
        self.put(hashed, key, value)
    }

    /// Adds an entry.
    #[inline(always)]
    pub(crate) fn put(&mut self, hashed: HashedKey, key: &[u8], value: M::Combined) -> Result<()> {
        if !self.sorts {
            return self.combine(hashed, key, value);
        }
        match self.entries.push(hashed.rank(), key, value) {
            Ok(()) => Ok(()),
            Err(value) => self.make_room_to_sort(hashed.rank(), key, value),
        }
    }

    /// Adds an entry that is encoded. Its value is not moved if it is merged into that of its key immediately.
    #[inline(always)]
    pub(crate) fn put_encoded(
        &mut self,
        hashed: HashedKey,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        let long = &key[..hashed.long_len()];
        if !self.sorts
            && !self.waits
            && let Some(slot) = self.table.get_mut(&hashed, long)
        {
            let combine = self.merger.combine;
            return M::Entry::decode_then(value, |entry| {
                combine.merge(slot, combine.combined(entry));
            });
        }
        let combine = self.merger.combine;
        let value = M::Entry::decode_then(value, |entry| combine.combined(entry))?;
        self.put(hashed, key, value)
    }

    /// Adds an entry that exceeds the capacity: grows, if necessary by spilling the other entries, or switches to the
    /// table.
    ///
    /// If there is no memory, sorted entries are spilled as a run, because that run is as long as memory allows. A
    /// table would have to grow from empty while the entries still exist. It would also grow slowly if the entries are
    /// in the order of their hash ranks.
    #[cold]
    #[inline(never)]
    fn make_room_to_sort(&mut self, rank: HashRank, key: &[u8], value: M::Combined) -> Result<()> {
        let wanted = self.entries.next_bytes(key.len());
        let is_granted = self.reserve(wanted);
        if !is_granted || wanted > self.look_bytes {
            self.look_bytes = self.look_bytes.max(2 * wanted);
            let keys = self.entries.count_keys();
            if self.entries.len() > MAX_ENTRIES_OF_KEY * keys && self.flush_tables(keys)? {
                return self.combine(HashedKey::new(rank, key), key, value);
            }
        }
        if !is_granted && self.may_spill && self.entries.len() > 0 {
            self.spill()?;
        }
        self.entries.make_room(key.len());
        let _ = self.entries.push(rank, key, value);
        Ok(())
    }

    /// Flushes the entries, which have `keys` keys, into a table of the right size. Returns `false` if there is no
    /// memory for both.
    fn flush_tables(&mut self, keys: usize) -> Result<bool> {
        let table_bytes = Table::<M::Combined>::bytes_for(keys);
        let entries_bytes = self.entries.memory_bytes();
        // Long keys are copied.
        let is_granted = self.reserve(2 * entries_bytes + table_bytes);
        if !is_granted && self.may_spill && table_bytes > FLOOR_BYTES {
            return Ok(false);
        }
        let mut entries = self.stop_sorting();
        self.flushed_bytes = if is_granted { entries_bytes } else { 0 };
        self.table.grow_to(table_bytes);
        self.waits = self.table.memory_bytes() > RANGE_BYTES;
        let merge = self.merge();
        let mut outcome = Ok(());
        let _ = entries.drain(merge, |rank, key, value| {
            let hashed = HashedKey::new(rank, key);
            let put = self.upsert(&hashed, &key[..hashed.long_len()], value);
            blocks::go_on(put, &mut outcome)
        });
        drop(entries);
        self.flushed_bytes = 0;
        let _ = self.reserve(self.table.memory_bytes());
        outcome.map(|()| true)
    }

    /// Reserves `bytes` for the whole range. Returns `false` if the budget refuses.
    fn reserve(&mut self, bytes: usize) -> bool {
        let bytes = bytes + self.flushed_bytes;
        let room_bytes = self.merger.room.map_or(0, Reservation::bytes);
        bytes <= FLOOR_BYTES.max(room_bytes) || self.reservation.try_resize(bytes)
    }

    /// Combines an entry with those in the table. It may stay buffered until the next [`flush`](Self::flush).
    #[inline(always)]
    fn combine(&mut self, hashed: HashedKey, key: &[u8], value: M::Combined) -> Result<()> {
        if !self.waits {
            return self.upsert(&hashed, &key[..hashed.long_len()], value);
        }
        if self.batch.push(hashed, key, value) {
            self.flush()?;
        }
        Ok(())
    }

    #[inline(never)]
    fn flush(&mut self) -> Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        // Prefetch all slots of the batch together, because no other work could overlap with the fetches. W4 of
        // `examples/bench.rs` takes 0.985 of the CPU time that it takes if each slot is prefetched when its key
        // arrives.
        for (hashed, _) in batch.probes() {
            self.table.prefetch(hashed);
        }
        batch.drain(|hashed, long, value| self.upsert(hashed, long, value))?;
        self.batch = batch;
        Ok(())
    }

    #[inline(always)]
    fn upsert(&mut self, hashed: &HashedKey, long: &[u8], mut value: M::Combined) -> Result<()> {
        let combine = self.merger.combine;
        let merge = |slot: &mut Slot<_>, later| combine.merge(slot, later);
        while let Err(again) = self.table.upsert(hashed, long, value, |value| value, merge) {
            value = again;
            self.make_room(long)?;
        }
        Ok(())
    }

    #[cold]
    fn make_room(&mut self, long: &[u8]) -> Result<()> {
        let wanted = self.table.memory_bytes() + self.table.room_bytes(long);
        if !self.reserve(wanted) && self.may_spill && self.table.len() > 0 {
            return self.spill();
        }
        self.table.make_room(long);
        if self.table.memory_bytes() > RANGE_BYTES {
            self.waits = true;
            // Once the table exceeds the cache, a huge page is better: address translation is faster, and the slots of
            // different keys are farther apart.
            if self.reserve(HUGE_PAGE_BYTES.max(self.table.memory_bytes())) {
                self.table.grow_to(HUGE_PAGE_BYTES);
            }
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let Resources { scratch, stop, .. } = self.merger.resources;
        let mut file = RunFile::create(scratch, "combine")?;
        let run = match self.sorts {
            true => self.write_entries(&mut file, stop.checks()),
            false => blocks::write_table(&mut file, &mut self.table, stop),
        };
        self.runs.push(run?);
        self.entries = RangeEntries::default();
        self.table = Table::default();
        self.waits = false;
        self.reservation.clear();
        Ok(())
    }

    fn write_entries(&mut self, file: &mut RunFile, mut checks: StopCheck) -> Result<Run> {
        let merge = self.merge();
        blocks::write_sorted(file, |writer| {
            let mut outcome = Ok(());
            let _ = self.entries.drain(merge, |_, key, value| {
                let written = checks.count().and_then(|()| writer.append(key, &value));
                blocks::go_on(written, &mut outcome)
            });
            outcome
        })
    }

    /// Returns the runs, with the remaining keys in the last of them. If nothing was spilled, returns no runs and keeps
    /// the keys.
    pub(crate) fn spilled(&mut self) -> Result<Vec<Run>> {
        self.flush()?;
        if !self.runs.is_empty() && self.table.len() + self.entries.len() > 0 {
            self.spill()?;
        }
        Ok(std::mem::take(&mut self.runs))
    }

    /// Calls `each` with every key and its value, and removes them.
    pub(crate) fn drain<F>(&mut self, each: &mut F) -> Flow
    where
        F: FnMut(&[u8], M::Combined) -> Flow,
    {
        if !self.sorts {
            return drain(&mut self.table.sorted(), each);
        }
        let entries = self.entries.len();
        let merge = self.merge();
        let (keys, flow) = self.entries.drain(merge, |_, key, value| each(key, value));
        if entries > MAX_ENTRIES_OF_KEY * keys {
            self.stop_sorting();
        }
        flow
    }
}

/// Calls `each` with every key and its value, in order.
pub(crate) fn drain<T, V, F>(keys: &mut SortedKeys<T, V>, each: &mut F) -> Flow
where
    T: BorrowMut<Table<V>>,
    F: FnMut(&[u8], V) -> Flow,
{
    while let Some(flow) = keys.take(&mut *each) {
        flow?;
    }
    Flow::Continue(())
}
