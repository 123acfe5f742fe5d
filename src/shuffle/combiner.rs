//! The map side of combining in any order: a table for each partition of the next stage, within a memory budget; or,
//! where hardly any key comes twice, the records as they are.
//!
//! ```text
//!  records -> tables ──── many new keys ────> buckets of entries ─┐
//!               ^                                                 │ 16 times as many records later
//!               └──────────────── tried again ────────────────────┘
//! ```

use super::blocks;
use super::buckets::{Buckets, LEAST_PIECE_BYTES};
use super::combine::Combine;
use super::combiner_outputs::{Combined, CombinerOutputs};
use super::entry_batch::EntryBatch;
use super::map_outputs::Order;
use super::partitioner::{HashPartitioner, Position};
use super::probe_batch::{BATCH_KEYS, ProbeBatch};
use super::savings::{FIRST_CHECK_KEYS, Savings};
use super::table::{Probe, Table};
use crate::error::Result;
use crate::pipeline::{Key, Peek, Ref};
use crate::storage::codec;
use crate::storage::memory::Reservation;
use crate::task::Resources;

/// How many records go by before values that have memory of their own are measured for the first time.
const FIRST_MEASURE_RECORDS: usize = BATCH_KEYS;

/// So many times as many records as showed that tables save little are not put into tables, and each time it shows,
/// twice as many: tables that save nothing take several times as long as buckets.
const DIVIDED_FOR_CHECKED: usize = 16;

/// Memory for entries is taken in slabs of this length, or of a part of what a thread may hold.
const SLAB_BYTES: usize = 4 << 20;
const SLABS: usize = 16;

/// A thread with less memory than this has no use for buckets: what is in one of them would not fit when it is read.
const LEAST_BUCKETS_BYTES: usize = SLABS * SLAB_BYTES;

/// A thread may hold so much less than its equal share of the budget, for those that read while it does.
const SHARE_OF_BUDGET: f64 = 0.75;

/// Combines records, and hands over to [`CombinerOutputs`] what came of them.
pub(crate) struct Combiner<'c, C: Combine> {
    // Settings.
    combine: &'c C,
    partitioner: HashPartitioner,
    outputs: &'c CombinerOutputs<C::Combined>,
    resources: &'c Resources,
    most_bytes: usize,

    // What has been combined, and the memory for its slots.
    tables: Vec<Table<C::Combined>>,
    reservation: Reservation,

    // Records whose slots are being fetched, each with its partition.
    batch: ProbeBatch<(usize, C::Value)>,
    key_buffer: Vec<u8>,

    // What is not combined here, and entries on their way there.
    buckets: Buckets,
    entries: EntryBatch,
    /// How many records there are of that, and how many are still to come before tables are tried again.
    divided: usize,
    divide_left: usize,
    divided_for_checked: usize,
    savings: Savings,

    // How many records are in the tables, and what their values hold beside their slots.
    records: usize,
    values_bytes: usize,
    next_measure: usize,
    is_checked: bool,
}

impl<'c, C: Combine> Combiner<'c, C> {
    pub(crate) fn new(
        combine: &'c C,
        partitioner: HashPartitioner,
        outputs: &'c CombinerOutputs<C::Combined>,
        resources: &'c Resources,
    ) -> Self {
        let share = resources.budget.limit_bytes() / resources.threads;
        let most_bytes = (share as f64 * SHARE_OF_BUDGET) as usize;
        let check_keys = match most_bytes >= LEAST_BUCKETS_BYTES {
            true => FIRST_CHECK_KEYS,
            false => usize::MAX,
        };
        Self {
            combine,
            partitioner,
            outputs,
            resources,
            most_bytes,
            tables: empty_tables(partitioner),
            reservation: resources.budget.reservation(),
            batch: ProbeBatch::default(),
            key_buffer: Vec::new(),
            buckets: Buckets::new(partitioner, most_bytes),
            entries: EntryBatch::default(),
            divided: 0,
            divide_left: 0,
            divided_for_checked: DIVIDED_FOR_CHECKED,
            savings: Savings::new(check_keys),
            values_bytes: 0,
            records: 0,
            next_measure: FIRST_MEASURE_RECORDS,
            is_checked: false,
        }
    }

    /// Takes one record in; it may take effect only with the next [`flush`](Self::flush).
    #[inline]
    pub(crate) fn push(&mut self, record: Ref<'_, C::In>) -> Result<()> {
        if self.divide_left > 0 {
            return C::key_value(record, |key, value| self.divide(key, value));
        }
        let is_full = C::key_value(record, |key, value| {
            C::Key::with_bytes(key, &mut self.key_buffer, |key| {
                let position = self.partitioner.position(key);
                let probe = Probe::new(position.place, key);
                self.tables[position.partition].prefetch(&probe);
                self.batch.push(probe, key, (position.partition, value))
            })
        })?;
        if is_full {
            self.flush()?;
        }
        Ok(())
    }

    /// Takes in one record for its bucket.
    #[inline(always)]
    fn divide(&mut self, key: Peek<'_, C::Key>, value: C::Value) -> Result<()> {
        let value = self.combine.create(value);
        if self.entries.push::<C::Key, _>(key, &value)? {
            self.flush_entries()?;
        }
        Ok(())
    }

    /// Puts the entries that wait into their buckets.
    #[inline(never)]
    fn flush_entries(&mut self) -> Result<()> {
        let mut entries = std::mem::take(&mut self.entries);
        self.divided += entries.len();
        self.divide_left = self.divide_left.saturating_sub(entries.len());
        for (key, entry) in entries.entries() {
            let number = self.buckets.number(self.partitioner.position(key));
            if !self.buckets.push(number, entry) {
                self.push_entry(number, entry)?;
            }
        }
        entries.clear();
        self.entries = entries;
        Ok(())
    }

    /// Appends an entry to a bucket that has no room yet.
    #[cold]
    #[inline(never)]
    fn push_entry(&mut self, number: usize, entry: &[u8]) -> Result<()> {
        let head = [self.buckets.slice_bits() as u8];
        while !self.buckets.make_room(number, &head, entry.len()) {
            self.add_slab(entry.len() + head.len())?;
        }
        let _ = self.buckets.push(number, entry);
        Ok(())
    }

    /// Gets memory for entries, if need be by spilling those that are here.
    fn add_slab(&mut self, least_bytes: usize) -> Result<()> {
        let bytes = self.slab_bytes().max(LEAST_PIECE_BYTES).max(least_bytes);
        if let Some(reservation) = self.reserve_slab(bytes)? {
            self.buckets.add_slab(bytes, Some(reservation));
        } else if !self.buckets.is_empty() {
            self.spill()?;
        } else {
            // One entry has to be held, whatever it takes.
            self.buckets.add_slab(bytes, None);
        }
        Ok(())
    }

    fn slab_bytes(&self) -> usize {
        SLAB_BYTES.min(self.most_bytes / SLABS)
    }

    fn reserve_slab(&self, bytes: usize) -> Result<Option<Reservation>> {
        if self.reservation.bytes() + self.buckets.bytes() + bytes > self.most_bytes {
            return Ok(None);
        }
        let mut reservation = self.resources.budget.reservation();
        let is_granted = self.resources.reserve(&mut reservation, bytes, || {
            self.outputs.spill(self.resources)
        })?;
        Ok(is_granted.then_some(reservation))
    }

    /// Goes over to buckets, if there is memory for them.
    #[cold]
    #[inline(never)]
    fn divide_from_now(&mut self) -> Result<()> {
        let slab_bytes = self.slab_bytes();
        let Some(reservation) = self.reserve_slab(slab_bytes)? else {
            return Ok(());
        };
        self.buckets.add_slab(slab_bytes, Some(reservation));
        self.begin_dividing();
        self.pour()
    }

    /// Leaves tables alone for some time.
    fn begin_dividing(&mut self) {
        let checked = self.savings.check_keys();
        self.divide_left = checked.saturating_mul(self.divided_for_checked);
        self.divided_for_checked = self.divided_for_checked.saturating_mul(2);
    }

    /// Whether what is in the tables had better been divided, as far as can be said.
    fn saves_little(&self) -> bool {
        self.savings.check_keys() < usize::MAX && self.keys() * 2 > self.records
    }

    /// Appends what is in the tables to the buckets.
    fn pour(&mut self) -> Result<()> {
        self.check_codec()?;
        let tables = std::mem::replace(&mut self.tables, empty_tables(self.partitioner));
        let mut entry = Vec::new();
        for (partition, table) in tables.into_iter().enumerate() {
            let mut keys = table.into_sorted();
            while let Some(place) = keys.place() {
                let number = self.buckets.number(Position { partition, place });
                entry.clear();
                let encoded = keys.take(|key, value| blocks::push_entry(&mut entry, key, &value));
                encoded.transpose()?;
                if !self.buckets.push(number, &entry) {
                    self.push_entry(number, &entry)?;
                }
            }
        }
        self.reservation.clear();
        self.divided += self.records;
        self.begin_tables();
        Ok(())
    }

    /// Takes in the records that wait.
    #[inline(never)]
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.flush_entries()?;
        let mut batch = std::mem::take(&mut self.batch);
        batch.drain(|probe, long, (partition, mut value)| {
            loop {
                let upserted = self.tables[partition].upsert(
                    probe,
                    long,
                    value,
                    |value| self.combine.create(value),
                    |combined, value| self.combine.add(combined, value),
                );
                match upserted {
                    Ok(()) => break,
                    Err(again) => value = again,
                }
                self.make_room(partition, long)?;
            }
            self.records += 1;
            Ok(())
        })?;
        self.batch = batch;
        if self.divide_left > 0 && self.keys() > 0 {
            // The last of a batch in which there was no room for tables any more.
            return self.pour();
        }
        if self.records >= self.next_measure && std::mem::needs_drop::<C::Combined>() {
            // By the time of the next measure there may be twice as much.
            self.next_measure = self.records * 2;
            self.measure_values(2)?;
        }
        if self.savings.is_time_to_look(self.records)
            && self.savings.are_little(self.records, self.keys())
        {
            self.divide_from_now()?;
        }
        Ok(())
    }

    /// Makes room in a table for one more key, if need be by spilling what is there.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, partition: usize, long: &[u8]) -> Result<()> {
        let table = &self.tables[partition];
        let (before, more) = (table.memory_bytes(), table.room_bytes(long));
        if !self.reserve(more)? {
            let is_empty = self.tables.iter().all(|table| table.len() == 0);
            if !is_empty && !self.buckets.is_empty() && self.saves_little() {
                // It is buckets that have the memory, and they make better use of it.
                self.begin_dividing();
                return self.pour();
            }
            if !is_empty {
                return self.spill();
            }
            // With nothing to spill it is one key that has to be held, whatever it takes: one that is larger than the
            // budget, or the first of a budget that others hold.
            self.tables = empty_tables(self.partitioner);
            self.reservation.clear();
            self.tables[partition].make_room(long);
            return Ok(());
        }
        let table = &mut self.tables[partition];
        table.make_room(long);
        let after = table.memory_bytes();
        self.reservation
            .shrink((before + more).saturating_sub(after));
        Ok(())
    }

    /// Reserves `more` bytes, if this thread may have them; if need be by spilling what tasks before have left.
    fn reserve(&mut self, more: usize) -> Result<bool> {
        if self.reservation.bytes() + more > self.most_bytes {
            return Ok(false);
        }
        let bytes = self.reservation.bytes() + more;
        self.resources.reserve(&mut self.reservation, bytes, || {
            self.outputs.spill(self.resources)
        })
    }

    /// Takes account of what values hold beside their slots, by the length of their encoded form times `growth`. It is
    /// done again when twice as many records have come, so it costs each of them but once or twice, and at the end.
    #[cold]
    fn measure_values(&mut self, growth: usize) -> Result<()> {
        let mut buffer = Vec::new();
        let mut bytes = 0;
        for table in &self.tables {
            for value in table.values() {
                buffer.clear();
                codec::encode_into(value, &mut buffer)?;
                bytes += buffer.len();
            }
        }
        let more = (bytes * growth).saturating_sub(self.values_bytes);
        if self.reserve(more)? {
            self.values_bytes += more;
            Ok(())
        } else {
            self.spill()
        }
    }

    /// Writes what is here to files, and begins anew in the same memory.
    #[cold]
    fn spill(&mut self) -> Result<()> {
        let mut bytes = 0;
        let (outputs, resources) = (self.outputs, self.resources);
        let saves_little = self.saves_little();
        if self.keys() > 0 {
            let tables = std::mem::take(&mut self.tables);
            let mut tables: Vec<_> = tables.into_iter().map(Combined::Table).collect();
            bytes += outputs.write(&mut tables, Order::default(), resources)?;
            self.tables = tables
                .into_iter()
                .filter_map(Combined::into_table)
                .collect();
            self.reservation.shrink(self.values_bytes);
            if saves_little {
                self.begin_dividing();
                self.tables = empty_tables(self.partitioner);
                self.reservation.clear();
            }
        }
        if !self.buckets.is_empty() {
            let mut blocks = self.take_blocks();
            bytes += outputs.write(&mut blocks, Order::default(), resources)?;
        }
        self.count(bytes);
        Ok(())
    }

    fn take_blocks(&mut self) -> Vec<Combined<C::Combined>> {
        let pieces = self.buckets.take().into_iter();
        pieces.map(Combined::Blocks).collect()
    }

    /// Hands over what came together since the last time.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.flush()?;
        self.check_codec()?;
        // Others will hold them, for as long as the stage lasts.
        if self.records > 0 && std::mem::needs_drop::<C::Combined>() {
            self.measure_values(1)?;
        }
        let bytes: usize = self.tables.iter().map(Table::memory_bytes).sum();
        self.count((bytes + self.buckets.bytes()) as u64);
        let tables = std::mem::replace(&mut self.tables, empty_tables(self.partitioner));
        let tables = tables.into_iter().map(Combined::Table).collect();
        let reservation =
            std::mem::replace(&mut self.reservation, self.resources.budget.reservation());
        self.outputs.keep(tables, Order::default(), reservation);
        // Each slab has its own part of the budget.
        let reservation = self.resources.budget.reservation();
        let blocks = self.take_blocks();
        self.outputs.keep(blocks, Order::default(), reservation);
        self.buckets.forget_slabs();
        Ok(())
    }

    /// Tells the job's summary what has come together to be `bytes`, and begins to count anew.
    fn count(&mut self, bytes: u64) {
        let records = self.records + std::mem::take(&mut self.divided);
        self.resources.progress.add_shuffled(records as u64, bytes);
        self.begin_tables();
    }

    /// Begins anew with empty tables.
    fn begin_tables(&mut self) {
        self.records = 0;
        self.values_bytes = 0;
        self.next_measure = FIRST_MEASURE_RECORDS;
        self.savings = Savings::new(self.savings.check_keys());
    }

    fn keys(&self) -> usize {
        self.tables.iter().map(Table::len).sum()
    }

    /// Makes sure, once, that keys and values come back from the codec as they went in: better now than when it is
    /// first needed.
    fn check_codec(&mut self) -> Result<()> {
        if self.is_checked {
            return Ok(());
        }
        let first = self.tables.iter().find_map(|table| {
            table.first(|key, value| {
                C::Key::from_bytes(key)?;
                codec::round_trips(value)
            })
        });
        self.is_checked = first.is_some();
        first.unwrap_or(Ok(()))
    }
}

fn empty_tables<V>(partitioner: HashPartitioner) -> Vec<Table<V>> {
    (0..partitioner.partitions())
        .map(|_| Table::default())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::marker::PhantomData;

    use super::*;
    use crate::storage::memory::MemoryBudget;
    use crate::task::Flow;

    struct Sums(PhantomData<()>);

    crate::portable::portable! {
        [] Sums { 0: part }
    }

    impl Combine for Sums {
        type In = (String, u64);
        type Key = String;
        type Value = u64;
        type Combined = u64;

        const COMMUTES: bool = true;

        fn key_value<R>((key, value): (String, u64), f: impl FnOnce(&String, u64) -> R) -> R {
            f(&key, value)
        }

        fn create(&self, value: u64) -> u64 {
            value
        }

        fn add(&self, sum: u64, value: u64) -> u64 {
            sum + value
        }

        fn merge(&self, sum: u64, later: u64) -> u64 {
            sum + later
        }
    }

    /// Most keys twice, some long ones, and one that comes all the time.
    fn records() -> impl Iterator<Item = (String, u64)> {
        (0..120_000_u64).map(|n| match n % 40 {
            0 => ("often".to_owned(), n),
            1 => ("long ".repeat(30 + n as usize % 7 * 4) + &n.to_string(), n),
            _ => ((n % 60_000).to_string(), n),
        })
    }

    /// The sums in order, with a look at the keys after so many, and how many bytes were spilled.
    fn sums(budget_bytes: usize, check_keys: usize) -> (Vec<(String, u64)>, u64) {
        let resources = Resources {
            budget: MemoryBudget::new(budget_bytes),
            ..Resources::unlimited()
        };
        let (combine, partitioner) = (Sums(PhantomData), HashPartitioner::new(2));
        let outputs = CombinerOutputs::new(2, 1);
        let mut combiner = Combiner::new(&combine, partitioner, &outputs, &resources);
        combiner.savings = Savings::new(check_keys);
        records().for_each(|record| combiner.push(record).unwrap());
        assert_eq!(combiner.divide_left > 0, check_keys < usize::MAX);
        combiner.commit().unwrap();
        drop(combiner);
        let mut all = Vec::new();
        for partition in 0..2 {
            let each = |key, sum| {
                all.push((key, sum));
                Flow::Continue(())
            };
            let flow = outputs.read(partition, &combine, partitioner, &resources, each);
            assert!(flow.unwrap().is_continue());
        }
        assert_eq!(resources.budget.used_bytes(), 0);
        (all, resources.scratch.written_bytes())
    }

    #[test]
    fn sums_are_the_same_whether_keys_are_combined_or_divided() {
        let mut expected = BTreeMap::new();
        records().for_each(|(key, n)| *expected.entry(key).or_insert(0) += n);
        let (combined, _) = sums(1 << 30, usize::MAX);
        assert_eq!(BTreeMap::from_iter(combined.iter().cloned()), expected);
        for (budget_bytes, spills) in [(1 << 30, false), (2 << 20, true), (200 << 10, true)] {
            let (divided, spilled_bytes) = sums(budget_bytes, 500);
            assert!(divided == combined, "{budget_bytes} bytes");
            assert_eq!(spilled_bytes > 0, spills, "{budget_bytes} bytes");
        }
    }

    #[test]
    fn keys_without_room_for_tables_are_divided() {
        let resources = Resources {
            budget: MemoryBudget::new(1 << 20),
            ..Resources::unlimited()
        };
        let (combine, partitioner) = (Sums(PhantomData), HashPartitioner::new(2));
        let outputs = CombinerOutputs::new(2, 1);
        let mut combiner = Combiner::new(&combine, partitioner, &outputs, &resources);
        combiner.savings = Savings::new(500);
        let mut next = 0..;
        let mut push = |combiner: &mut Combiner<'_, Sums>, records| {
            for n in next.by_ref().take(records) {
                combiner.push((n.to_string(), n)).unwrap();
            }
        };
        push(&mut combiner, 600);
        assert!(combiner.divide_left > 0);
        combiner.divide_left = 0;
        let free = (1 << 20) - resources.budget.used_bytes();
        let taken = resources.budget.try_reserve(free);
        assert!(taken.is_some());
        push(&mut combiner, 100);
        assert!(combiner.divide_left > 0 && combiner.keys() == 0);
        assert_eq!(resources.scratch.written_bytes(), 0);
    }
}
