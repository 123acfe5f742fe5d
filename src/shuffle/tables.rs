//! The tables of a thread, in which records are combined by key within a memory budget.
//!
//! There is one for each partition: they grow one by one, so that little memory is needed twice.

use super::combine::Combine;
use super::partitioner::HashPartitioner;
use super::probe_batch::{BATCH_KEYS, ProbeBatch};
use super::table::{Probe, Table};
use crate::error::Result;
use crate::pipeline::{Key, Ref};
use crate::storage::codec::{self, Short};
use crate::storage::memory::Reservation;
use crate::task::Resources;

/// How many records go by before values that have memory of their own are measured for the first time.
const FIRST_MEASURE_RECORDS: usize = BATCH_KEYS;

/// So much of what was reserved for values is kept for those that come when tables are empty, or such a part of what a
/// thread may hold.
const MOST_KEPT_BYTES: usize = 64 << 10;
const KEPT_OF_MOST: usize = 16;

/// Values are measured again when there are so many times as many records at the latest: later ones may be larger.
const MOST_GROWTH: usize = 32;

/// A thread may hold so much less than its equal share of the budget, for those that read while it does.
const SHARE_OF_BUDGET: f64 = 0.75;

/// Records whose slots are being fetched, each with its partition.
pub(super) type Waiting<C> = ProbeBatch<(usize, <C as Combine>::Value)>;

pub(super) struct Tables<'c, C: Combine> {
    combine: &'c C,
    partitioner: HashPartitioner,
    resources: &'c Resources,
    most_bytes: usize,

    // What has been combined, and the memory for it.
    tables: Vec<Table<C::Combined>>,
    reservation: Reservation,

    waiting: Waiting<C>,
    key_buffer: Vec<u8>,

    // How many records are in the tables, and what is reserved for what their values hold beside their slots.
    records: usize,
    values_bytes: usize,
    next_measure: usize,
}

impl<'c, C: Combine> Tables<'c, C> {
    pub(super) fn new(
        combine: &'c C,
        partitioner: HashPartitioner,
        resources: &'c Resources,
    ) -> Self {
        Self {
            combine,
            partitioner,
            resources,
            most_bytes: (resources.share_bytes() as f64 * SHARE_OF_BUDGET) as usize,
            tables: empty(partitioner),
            reservation: resources.budget.reservation(),
            waiting: ProbeBatch::default(),
            key_buffer: Vec::new(),
            records: 0,
            values_bytes: 0,
            next_measure: FIRST_MEASURE_RECORDS,
        }
    }

    /// What the thread may hold.
    pub(super) fn most_bytes(&self) -> usize {
        self.most_bytes
    }

    /// What these tables hold of that.
    pub(super) fn reserved_bytes(&self) -> usize {
        self.reservation.bytes()
    }

    /// What keys and slots take.
    pub(super) fn memory_bytes(&self) -> usize {
        self.tables.iter().map(Table::memory_bytes).sum()
    }

    pub(super) fn slots(&self) -> usize {
        self.tables.iter().map(Table::slots).sum()
    }

    pub(super) fn keys(&self) -> usize {
        self.tables.iter().map(Table::len).sum()
    }

    /// How many records are in the tables.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// Has one more record wait for its slot; true if no more should.
    #[inline(always)]
    pub(super) fn push(&mut self, record: Ref<'_, C::In>) -> Result<bool> {
        let Self {
            tables, waiting, ..
        } = self;
        let mut wait = |partition: usize, probe: Probe, key: &[u8], value| {
            tables[partition].prefetch(&probe);
            waiting.push(probe, key, (partition, value))
        };
        C::key_value(record, |key, value| {
            // What is in memory is hashed there.
            if !C::Key::is_bytes()
                && let Some(key) = C::Key::short(key)
            {
                let (partition, probe) = Probe::of(self.partitioner, Some(key), &[]);
                return Ok(wait(partition, probe, &[], value));
            }
            C::Key::with_bytes(key, &mut self.key_buffer, |key| {
                let (partition, probe) = Probe::of(self.partitioner, Short::new(key), key);
                wait(partition, probe, key, value)
            })
        })
    }

    /// The records that wait, to be [taken in](Self::take_in) by `flush`, which [gives](Self::wait_in) the empty batch
    /// back.
    pub(super) fn waiting(&mut self) -> Waiting<C> {
        std::mem::take(&mut self.waiting)
    }

    pub(super) fn wait_in(&mut self, empty: Waiting<C>) {
        self.waiting = empty;
    }

    /// Takes in a record of a partition. Where [room](Self::make_room) must be made first, its value comes back.
    #[inline(always)]
    pub(super) fn take_in(
        &mut self,
        partition: usize,
        probe: &Probe,
        long: &[u8],
        value: C::Value,
    ) -> Result<(), C::Value> {
        self.tables[partition].upsert(
            probe,
            long,
            value,
            |value| self.combine.create(value),
            |combined, value| self.combine.add(combined, value),
        )?;
        self.records += 1;
        Ok(())
    }

    /// Makes room in a table for one more key, if need be by having others `give_way`; false if the tables must be
    /// emptied for it.
    #[cold]
    #[inline(never)]
    pub(super) fn make_room(
        &mut self,
        partition: usize,
        long: &[u8],
        give_way: impl FnOnce() -> Result<()>,
    ) -> Result<bool> {
        let table = &self.tables[partition];
        let (before, more) = (table.memory_bytes(), table.room_bytes(long));
        if self.reserve(more, give_way)? {
            let table = &mut self.tables[partition];
            let has_room = table.try_make_room(long);
            let after = table.memory_bytes();
            self.reservation
                .shrink((before + more).saturating_sub(after));
            if has_room {
                return Ok(true);
            }
        }
        if self.keys() > 0 {
            return Ok(false);
        }
        // With nothing to give away it is one key that has to be held, whatever it takes: one that is larger than the
        // budget, or the first of a budget that others hold.
        self.release();
        self.tables[partition].make_room(long);
        Ok(true)
    }

    /// Reserves `more` bytes, if these tables may have them.
    fn reserve(&mut self, more: usize, give_way: impl FnOnce() -> Result<()>) -> Result<bool> {
        let bytes = self.reservation.bytes() + more;
        if bytes > self.most_bytes {
            return Ok(false);
        }
        self.resources
            .reserve(&mut self.reservation, bytes, give_way)
    }

    /// Whether so many records have come that [values must be measured](Self::measure_values).
    #[inline]
    pub(super) fn is_time_to_measure(&self) -> bool {
        std::mem::needs_drop::<C::Combined>() && self.records >= self.next_measure
    }

    /// Takes account of what values hold beside their slots, by the length of their encoded form times `growth`; false
    /// if the tables must be emptied for it.
    ///
    /// The next time is when there may be as much as is reserved then. With twice of what they take each of them is
    /// measured but once or twice, and those of short turns that are alike only at the beginning of each.
    #[cold]
    pub(super) fn measure_values(
        &mut self,
        growth: usize,
        give_way: impl FnOnce() -> Result<()>,
    ) -> Result<bool> {
        let mut buffer = Vec::new();
        let mut bytes = 0;
        for value in self.tables.iter().flat_map(Table::values) {
            buffer.clear();
            codec::encode_into(value, &mut buffer)?;
            bytes += buffer.len();
        }
        let more = (bytes * growth).saturating_sub(self.values_bytes);
        let is_granted = self.reserve(more, give_way)?;
        if is_granted {
            self.values_bytes += more;
        }
        let times = (self.values_bytes / bytes.max(1)).clamp(2, MOST_GROWTH);
        self.next_measure = self.records.saturating_mul(times);
        Ok(is_granted)
    }

    /// Makes sure that keys and values come back from the codec as they went in; false if there are none.
    pub(super) fn check_codec(&self) -> Result<bool> {
        let first = self.tables.iter().find_map(|table| {
            table.first(|key, value| {
                C::Key::from_bytes(key)?;
                codec::round_trips(value)
            })
        });
        first.map_or(Ok(false), |checked| checked.map(|()| true))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Table<C::Combined>> {
        self.tables.iter_mut()
    }

    /// Takes the tables, while what they take stays reserved.
    pub(super) fn take_tables(&mut self) -> Vec<Table<C::Combined>> {
        std::mem::replace(&mut self.tables, empty(self.partitioner))
    }

    /// Brings back tables that were taken, and are empty now.
    pub(super) fn put_back(&mut self, tables: Vec<Table<C::Combined>>) {
        self.tables = tables;
        self.begin_anew();
    }

    /// Takes the tables and what is reserved for them.
    pub(super) fn take(&mut self) -> (Vec<Table<C::Combined>>, Reservation) {
        let reservation = self.reservation.take();
        let tables = self.take_tables();
        self.values_bytes = 0;
        self.begin_anew();
        (tables, reservation)
    }

    /// Lets go of tables that are empty or have been taken, and of what is reserved for them.
    pub(super) fn release(&mut self) {
        self.tables = empty(self.partitioner);
        self.reservation.clear();
        self.values_bytes = 0;
        self.begin_anew();
    }

    /// Begins anew with tables that are empty. They keep their memory, and some of what was reserved for values.
    pub(super) fn begin_anew(&mut self) {
        let most_kept = MOST_KEPT_BYTES.min(self.most_bytes / KEPT_OF_MOST);
        let kept = self.values_bytes.min(most_kept);
        self.reservation.shrink(self.values_bytes - kept);
        self.values_bytes = kept;
        self.records = 0;
        self.next_measure = FIRST_MEASURE_RECORDS;
    }
}

fn empty<V>(partitioner: HashPartitioner) -> Vec<Table<V>> {
    (0..partitioner.partitions())
        .map(|_| Table::default())
        .collect()
}
