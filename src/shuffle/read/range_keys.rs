//! The keys of one range of places, while they come from one source after the other.
//!
//! ```text
//!  entries, to be sorted ──── keys come again ────> table
//!        │                                           │
//!        └───────────── no memory ───────────────────┴────> runs
//! ```

use std::borrow::BorrowMut;
use std::sync::atomic::Ordering;

use super::range_entries::RangeEntries;
use super::range_merge::{Merger, RANGE_BYTES};
use crate::error::Result;
use crate::shuffle::key::blocks;
use crate::shuffle::key::partitioner::Place;
use crate::shuffle::memory::hints::HUGE_PAGE_BYTES;
use crate::shuffle::table::hash_table::{Probe, Sorted, Table};
use crate::shuffle::table::probe_batch::ProbeBatch;
use crate::shuffle::write::combine::Combine;
use crate::storage::memory::Reservation;
use crate::storage::run::{Run, RunFile};
use crate::task::Flow;

/// What the keys of a range may take without asking for it. They may be more than is wanted where sources are in order of few bits.
const FLOOR_BYTES: usize = 4 * RANGE_BYTES;

/// With more entries for each key than this, those of the next ranges are not sorted any more.
const MOST_ENTRIES_OF_KEY: usize = 2;

/// When entries that are to be sorted take so much it is looked whether keys come again, since a table would take far
/// less then; and each time that they take twice as much.
const FIRST_LOOK_BYTES: usize = 64 * RANGE_BYTES;

/// The keys of one range: entries to be sorted, or a table, and in runs what there is no memory for.
pub(crate) struct RangeKeys<'m, C: Combine> {
    merger: &'m Merger<'m, C>,
    /// Whether entries are sorted: as long as few keys come again.
    sorts: bool,
    entries: RangeEntries<C::Combined>,
    /// Entries are looked at when they would take more.
    look_bytes: usize,
    /// What entries hold that are on their way into the table.
    poured_bytes: usize,
    table: Table<C::Combined>,
    /// Whether entries wait in the batch: only while the table is too large for the cache.
    waits: bool,
    batch: ProbeBatch<C::Combined>,
    reservation: Reservation,
    runs: Vec<Run>,
    /// Not where all places are nearly the same, or there is room.
    may_spill: bool,
}

impl<'m, C: Combine> RangeKeys<'m, C> {
    pub(crate) fn new(merger: &'m Merger<'m, C>, may_spill: bool) -> Self {
        let table_bytes = merger.table_bytes.load(Ordering::Relaxed);
        let mut keys = Self {
            may_spill,
            merger,
            sorts: table_bytes == 0,
            entries: RangeEntries::default(),
            look_bytes: FIRST_LOOK_BYTES,
            poured_bytes: 0,
            table: Table::default(),
            waits: false,
            batch: ProbeBatch::default(),
            reservation: merger.resources.budget.reservation(),
            runs: Vec::new(),
        };
        // Made at once, a table of usual length need not grow step by step.
        if table_bytes <= FLOOR_BYTES {
            keys.table.grow_to(table_bytes);
            keys.waits = table_bytes > RANGE_BYTES;
        }
        keys
    }

    /// Notes how large the table has become, if there is one. Only its slots, for these are what is made at once.
    pub(crate) fn note_table(&self) {
        let slots_bytes = self.table.slots_bytes();
        self.merger
            .table_bytes
            .fetch_max(slots_bytes, Ordering::Relaxed);
    }

    /// How values of one key are brought together.
    fn merge(&self) -> impl Fn(C::Combined, C::Combined) -> C::Combined + Copy + use<'m, C> {
        let combine = self.merger.combine;
        |combined, later| combine.merge(combined, later)
    }

    /// Goes over to the table, in later ranges and partitions as well: keys come again. Gives the entries.
    fn stop_sorting(&mut self) -> RangeEntries<C::Combined> {
        self.merger.table_bytes.fetch_max(1, Ordering::Relaxed);
        self.sorts = false;
        std::mem::take(&mut self.entries)
    }

    /// Takes an entry in: a call, which leaves [`put`](Self::put) to be inlined where most entries come from.
    #[inline(never)]
    pub(crate) fn put_one(&mut self, probe: Probe, key: &[u8], value: C::Combined) -> Result<()> {
        self.put(probe, key, value)
    }

    /// Takes an entry in.
    #[inline(always)]
    pub(crate) fn put(&mut self, probe: Probe, key: &[u8], value: C::Combined) -> Result<()> {
        if !self.sorts {
            return self.combine(probe, key, value);
        }
        match self.entries.push(probe.place(), key, value) {
            Ok(()) => Ok(()),
            Err(value) => self.make_room_to_sort(probe.place(), key, value),
        }
    }

    /// Takes one more entry in than there is room for: makes room, if need be by spilling the others, or goes over to the
    /// table.
    ///
    /// Without memory a run of sorted entries is what is spilled, for it is as long as memory allows. A table would have to
    /// grow from nothing while the entries are still there; and slowly, where they are in the order of their places.
    #[cold]
    #[inline(never)]
    fn make_room_to_sort(&mut self, place: Place, key: &[u8], value: C::Combined) -> Result<()> {
        let wanted = self.entries.next_bytes(key.len());
        let is_granted = self.reserve(wanted);
        if !is_granted || wanted > self.look_bytes {
            self.look_bytes = self.look_bytes.max(2 * wanted);
            let keys = self.entries.count_keys();
            if self.entries.len() > MOST_ENTRIES_OF_KEY * keys && self.pour(keys)? {
                return self.combine(Probe::new(place, key), key, value);
            }
        }
        if !is_granted && self.may_spill && self.entries.len() > 0 {
            self.spill()?;
        }
        self.entries.make_room(key.len());
        let _ = self.entries.push(place, key, value);
        Ok(())
    }

    /// Puts the entries, which have so many keys, into a table of the length for these; unless there is no memory for both.
    fn pour(&mut self, keys: usize) -> Result<bool> {
        let table_bytes = Table::<C::Combined>::bytes_for(keys);
        let entries_bytes = self.entries.memory_bytes();
        // Long keys are copied.
        let is_granted = self.reserve(2 * entries_bytes + table_bytes);
        if !is_granted && self.may_spill && table_bytes > FLOOR_BYTES {
            return Ok(false);
        }
        let mut entries = self.stop_sorting();
        self.poured_bytes = if is_granted { entries_bytes } else { 0 };
        self.table.grow_to(table_bytes);
        self.waits = self.table.memory_bytes() > RANGE_BYTES;
        let merge = self.merge();
        let mut outcome = Ok(());
        let _ = entries.drain(merge, |place, key, value| {
            let probe = Probe::new(place, key);
            let put = self.upsert(&probe, &key[..probe.long_len()], value);
            blocks::go_on(put, &mut outcome)
        });
        drop(entries);
        self.poured_bytes = 0;
        let _ = self.reserve(self.table.memory_bytes());
        outcome.map(|()| true)
    }

    /// Whether all that is here may take so many bytes.
    fn reserve(&mut self, bytes: usize) -> bool {
        let bytes = bytes + self.poured_bytes;
        let room_bytes = self.merger.room.map_or(0, Reservation::bytes);
        bytes <= FLOOR_BYTES.max(room_bytes) || self.reservation.try_resize(bytes)
    }

    /// Takes an entry in that is in the table after the next [`flush`](Self::flush), if not at once.
    #[inline(always)]
    fn combine(&mut self, probe: Probe, key: &[u8], value: C::Combined) -> Result<()> {
        if !self.waits {
            return self.upsert(&probe, &key[..probe.long_len()], value);
        }
        if self.batch.push(probe, key, value) {
            self.flush()?;
        }
        Ok(())
    }

    #[inline(never)]
    fn flush(&mut self) -> Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        // All at once, since here nothing else is to be done meanwhile: W4 of `examples/bench.rs` takes 0.985 of the
        // processors' time of one after the other as they come.
        for (probe, _) in batch.probes() {
            self.table.prefetch(probe);
        }
        batch.drain(|probe, long, value| self.upsert(probe, long, value))?;
        self.batch = batch;
        Ok(())
    }

    #[inline(always)]
    fn upsert(&mut self, probe: &Probe, long: &[u8], mut value: C::Combined) -> Result<()> {
        let merge = self.merge();
        while let Err(again) = self.table.upsert(probe, long, value, |value| value, merge) {
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
            // Out of the cache it had better be a huge page: its slots are found faster then, and those of different keys
            // are farther from each other.
            if self.reserve(HUGE_PAGE_BYTES.max(self.table.memory_bytes())) {
                self.table.grow_to(HUGE_PAGE_BYTES);
            }
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let mut file = RunFile::create(&self.merger.resources.scratch, "combine")?;
        let run = match self.sorts {
            true => self.write_entries(&mut file),
            false => blocks::write_table(&mut file, &mut self.table),
        };
        self.runs.push(run?);
        self.entries = RangeEntries::default();
        self.table = Table::default();
        self.waits = false;
        self.reservation.clear();
        Ok(())
    }

    fn write_entries(&mut self, file: &mut RunFile) -> Result<Run> {
        let merge = self.merge();
        blocks::write_sorted(file, |writer| {
            let mut outcome = Ok(());
            let _ = self.entries.drain(merge, |_, key, value| {
                blocks::go_on(writer.append(key, &value), &mut outcome)
            });
            outcome
        })
    }

    /// All that is here, if some of it is in runs.
    pub(crate) fn spilled(&mut self) -> Result<Vec<Run>> {
        self.flush()?;
        if !self.runs.is_empty() && self.table.len() + self.entries.len() > 0 {
            self.spill()?;
        }
        Ok(std::mem::take(&mut self.runs))
    }

    /// Calls `each` with every key and its value, and leaves none.
    pub(crate) fn drain<F>(&mut self, each: &mut F) -> Flow
    where
        F: FnMut(&[u8], C::Combined) -> Flow,
    {
        if !self.sorts {
            return drain(&mut self.table.sorted(), each);
        }
        let entries = self.entries.len();
        let merge = self.merge();
        let (keys, flow) = self.entries.drain(merge, |_, key, value| each(key, value));
        if entries > MOST_ENTRIES_OF_KEY * keys {
            self.stop_sorting();
        }
        flow
    }
}

/// Calls `each` with every key and its value, in order.
pub(crate) fn drain<T, V, F>(keys: &mut Sorted<T, V>, each: &mut F) -> Flow
where
    T: BorrowMut<Table<V>>,
    F: FnMut(&[u8], V) -> Flow,
{
    while let Some(flow) = keys.take(&mut *each) {
        flow?;
    }
    Flow::Continue(())
}
