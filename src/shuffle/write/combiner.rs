//! The map side of combining in any order. It keeps a table for each partition of the next stage, within a memory
//! budget. If keys are mostly distinct, records bypass the tables.
//!
//! ```text
//!  records -> tables ──── many new keys ────> buckets of entries ─┐
//!               ^                                                 │ 16 times as many records later
//!               └──────────────── tried again ────────────────────┘
//! ```

use super::buckets::{Buckets, MIN_PIECE_BYTES};
use super::combine::Combine;
use super::savings::{FIRST_CHECK_KEYS, Savings};
use crate::error::Result;
use crate::pipeline::{Key as _, Peek, Ref};
use crate::shuffle::key::blocks;
use crate::shuffle::key::entry_batch::EntryBatch;
use crate::shuffle::key::partitioner::{HashPartitioner, KeyPosition};
use crate::shuffle::key::short_entry::ShortEntry;
use crate::shuffle::outputs::combiner_outputs::{CombinerOutputs, MapSideCombined};
use crate::shuffle::outputs::part::PartSeq;
use crate::shuffle::outputs::shuffle_outputs::ShuffleOutputs;
use crate::shuffle::table::tables::{
    FillsTables, Tables, flush_batch, flush_by_byte, flush_by_word, push_by_word,
};
use crate::storage::codec::{self, Short};
use crate::storage::memory::Reservation;
use crate::task::Resources;

/// Number of records that bypass the tables after an unprofitable check, as a multiple of the number of keys at which
/// the check runs. It doubles with each unprofitable check: tables that save nothing take several times as long as
/// buckets.
const DIVIDED_FOR_CHECKED: usize = 16;

/// Maximum length of a slab for entries, in bytes. If a thread may hold little memory, a slab is at most 1/`SLABS` of
/// that memory.
const SLAB_BYTES: usize = 4 << 20;
const SLABS: usize = 16;

/// Minimum memory of a thread for buckets, in bytes. With less, the content of one bucket would not fit into memory
/// when it is read, and would be written and read again.
const MIN_BUCKETS_BYTES: usize = 32 << 20;

/// Combines records, and commits the results to [`CombinerOutputs`].
pub(crate) struct Combiner<'c, C: Combine> {
    // Settings.
    combine: &'c C,
    partitioner: HashPartitioner,
    outputs: &'c ShuffleOutputs<MapSideCombined<C::Combined>>,
    resources: &'c Resources,

    tables: Tables<'c, C>,
    is_checked: bool,

    // Records that bypass the tables, and the batch of entries on their way to the buckets.
    buckets: Buckets,
    entries: EntryBatch,
    /// Number of records that will still bypass the tables before they are tried again.
    divide_left: usize,
    divided_for_checked: usize,
    savings: Savings,

    /// Number of records that the job summary does not include yet, except those in the tables.
    uncounted: usize,
}

impl<'c, C: Combine> Combiner<'c, C> {
    pub(crate) fn new(
        combine: &'c C,
        partitioner: HashPartitioner,
        outputs: &'c CombinerOutputs<C::Combined>,
        resources: &'c Resources,
    ) -> Self {
        let tables = Tables::new(combine, partitioner, resources);
        let most_bytes = tables.most_bytes();
        let check_keys = match most_bytes >= MIN_BUCKETS_BYTES {
            true => FIRST_CHECK_KEYS,
            false => usize::MAX,
        };
        Self {
            combine,
            partitioner,
            outputs: &outputs.parts,
            resources,
            tables,
            is_checked: false,
            buckets: Buckets::new(partitioner, most_bytes),
            entries: EntryBatch::default(),
            divide_left: 0,
            divided_for_checked: DIVIDED_FOR_CHECKED,
            savings: Savings::new(check_keys),
            uncounted: 0,
        }
    }

    /// Adds one record. It may stay buffered until the next [`flush`](Self::flush).
    #[inline(always)]
    pub(crate) fn push(&mut self, record: Ref<'_, C::In>) -> Result<()> {
        C::key_value(record, |key, value| {
            match self.tables.push_by_byte(key, value) {
                Ok(()) => Ok(()),
                Err(value) => self.push_pair(key, value),
            }
        })
    }

    /// Adds one record whose key is not kept apart. This is a call, so that the rest of [`push`](Self::push) can be
    /// inlined into the loop of the user's closure.
    #[inline(never)]
    fn push_pair(&mut self, key: Peek<'_, C::Key>, value: C::Value) -> Result<()> {
        let Some(value) = push_by_word(self, key, value)? else {
            return Ok(());
        };
        if self.divide_left > 0 {
            return self.divide(key, value);
        }
        if self.tables.push(key, value)? {
            self.flush()?;
        }
        Ok(())
    }

    /// Appends one record to its bucket.
    #[inline(never)]
    fn divide(&mut self, key: Peek<'_, C::Key>, value: C::Value) -> Result<()> {
        let value = self.combine.create(value);
        if let Some(value) = codec::encode_short(&value) {
            if C::Key::is_bytes() {
                let is_divided = C::Key::with_bytes(key, &mut Vec::new(), |key| {
                    (key.len() < 0x80).then(|| self.divide_keyed(key, value))
                })?;
                if let Some(divided) = is_divided {
                    return divided;
                }
            } else if let Some(key) = C::Key::short(key) {
                return self.divide_short(key, value);
            }
        }
        if self.entries.push::<C::Key, _>(key, &value)? {
            self.flush_entries()?;
        }
        Ok(())
    }

    /// Appends a short entry to its bucket immediately.
    #[inline(always)]
    fn divide_short(&mut self, key: Short, value: Short) -> Result<()> {
        self.uncounted += 1;
        self.divide_left -= 1;
        let number = self.buckets.number(self.partitioner.short_position(key));
        if self
            .buckets
            .push_short(number, ShortEntry::of_block(key, value))
        {
            return Ok(());
        }
        self.push_short_entry(number, key, value)
    }

    /// Appends a short entry to a bucket that has no capacity left.
    #[cold]
    #[inline(never)]
    fn push_short_entry(&mut self, number: usize, key: Short, value: Short) -> Result<()> {
        let (bytes, len) = ShortEntry::of_block(key, value).bytes();
        self.push_entry(number, &bytes[..len])
    }

    /// Appends an entry whose key is in memory to its bucket immediately.
    #[inline(always)]
    fn divide_keyed(&mut self, key: &[u8], value: Short) -> Result<()> {
        self.uncounted += 1;
        self.divide_left -= 1;
        let number = self.buckets.number(self.partitioner.position(key));
        if self.buckets.push_keyed(number, key, value) {
            return Ok(());
        }
        let word = value.word().to_le_bytes();
        let entry = [&[key.len() as u8], key, &word[..value.len()]].concat();
        self.push_entry(number, &entry)
    }

    /// Appends the buffered entries to their buckets.
    #[inline(never)]
    fn flush_entries(&mut self) -> Result<()> {
        let mut entries = std::mem::take(&mut self.entries);
        self.uncounted += entries.len();
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

    /// Appends an entry to a bucket that has no capacity left.
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

    /// Adds a slab for entries. If there is no memory for one, spills the entries in memory instead.
    fn add_slab(&mut self, least_bytes: usize) -> Result<()> {
        let bytes = self.slab_bytes().max(MIN_PIECE_BYTES).max(least_bytes);
        if let Some(reservation) = self.reserve_slab(bytes)? {
            self.buckets.add_slab(bytes, Some(reservation));
        } else if !self.buckets.is_empty() {
            self.spill()?;
        } else {
            // One entry must be held, even beyond the budget.
            self.buckets.add_slab(bytes, None);
        }
        Ok(())
    }

    fn slab_bytes(&self) -> usize {
        SLAB_BYTES.min(self.tables.most_bytes() / SLABS)
    }

    fn reserve_slab(&self, bytes: usize) -> Result<Option<Reservation>> {
        let held_bytes = self.tables.reserved_bytes() + self.buckets.bytes();
        if held_bytes + bytes > self.tables.most_bytes() {
            return Ok(None);
        }
        let mut reservation = self.resources.budget.reservation();
        let is_granted = self.resources.reserve(&mut reservation, bytes, || {
            self.outputs.reclaim(0, self.resources)
        })?;
        Ok(is_granted.then_some(reservation))
    }

    /// Switches to buckets, if there is memory for them.
    #[cold]
    #[inline(never)]
    fn divide_from_now(&mut self) -> Result<()> {
        let slab_bytes = self.slab_bytes();
        let Some(reservation) = self.reserve_slab(slab_bytes)? else {
            return Ok(());
        };
        self.buckets.add_slab(slab_bytes, Some(reservation));
        self.begin_dividing();
        self.flush_tables()
    }

    /// Starts to bypass the tables, for a limited number of records.
    fn begin_dividing(&mut self) {
        let checked = self.savings.check_keys();
        self.divide_left = checked.saturating_mul(self.divided_for_checked);
        self.divided_for_checked = self.divided_for_checked.saturating_mul(2);
    }

    /// Estimates whether bypassing the tables would have been cheaper for the records in them.
    fn saves_little(&self) -> bool {
        self.savings.check_keys() < usize::MAX && self.tables.keys() * 2 > self.tables.records()
    }

    /// Flushes the tables into the buckets.
    fn flush_tables(&mut self) -> Result<()> {
        self.check_codec()?;
        let mut entry = Vec::new();
        for (partition, table) in self.tables.take_tables().into_iter().enumerate() {
            let mut keys = table.into_sorted();
            while let Some(rank) = keys.rank() {
                let number = self.buckets.number(KeyPosition { partition, rank });
                entry.clear();
                let encoded = keys.take(|key, value| blocks::push_entry(&mut entry, key, &value));
                encoded.transpose()?;
                if !self.buckets.push(number, &entry) {
                    self.push_entry(number, &entry)?;
                }
            }
        }
        self.uncounted += self.tables.records();
        self.tables.release();
        self.forget_savings();
        Ok(())
    }

    /// Combines the buffered records.
    #[inline(never)]
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.entries.len() > 0 {
            self.flush_entries()?;
        }
        flush_batch(self)?;
        if self.divide_left > 0 && self.tables.keys() > 0 {
            // The tables ran out of capacity within this batch; its last records are in them.
            return self.flush_tables();
        }
        if self.tables.is_time_to_measure() {
            self.measure_values(2)?;
        }
        let records = self.tables.records();
        if self.savings.is_time_to_look(records)
            && self.savings.are_little(records, self.tables.keys())
        {
            self.divide_from_now()?;
        }
        Ok(())
    }

    /// Reserves the memory that values hold, if necessary by spilling them.
    #[cold]
    fn measure_values(&mut self, growth: usize) -> Result<()> {
        let reclaim = || self.outputs.reclaim(0, self.resources);
        if self.tables.measure_values(growth, reclaim)? {
            return Ok(());
        }
        self.spill()
    }

    /// Writes tables and buckets to files, and starts again in the same memory.
    #[cold]
    fn spill(&mut self) -> Result<()> {
        let mut bytes = 0;
        let (outputs, resources) = (self.outputs, self.resources);
        let saves_little = self.saves_little();
        if self.tables.keys() > 0 {
            let tables = self.tables.take_tables().into_iter();
            let mut tables: Vec<_> = tables.map(MapSideCombined::Table).collect();
            bytes += outputs.write(&mut tables, PartSeq::default(), resources)?;
            self.uncounted += self.tables.records();
            if saves_little {
                self.begin_dividing();
                self.tables.release();
            } else {
                let emptied = tables.into_iter().filter_map(MapSideCombined::into_table);
                self.tables.put_back(emptied.collect());
            }
            self.forget_savings();
        }
        if !self.buckets.is_empty() {
            let mut blocks = self.take_blocks();
            bytes += outputs.write(&mut blocks, PartSeq::default(), resources)?;
        }
        self.count(bytes);
        Ok(())
    }

    fn take_blocks(&mut self) -> Vec<MapSideCombined<C::Combined>> {
        let pieces = self.buckets.take().into_iter();
        pieces.map(MapSideCombined::Blocks).collect()
    }

    /// Commits the results since the last call.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.flush()?;
        flush_by_byte(self)?;
        flush_by_word(self)?;
        self.check_codec()?;
        // The outputs hold them as long as the stage lasts.
        if self.tables.records() > 0 && self.combine.owns_memory() {
            self.measure_values(1)?;
        }
        let bytes = self.tables.memory_bytes() + self.buckets.bytes();
        if !self.outputs.may_keep(bytes, self.resources)? {
            return self.spill();
        }
        self.uncounted += self.tables.records();
        self.count(bytes as u64);
        self.forget_savings();
        let (tables, reservation) = self.tables.take();
        let tables = tables.into_iter().map(MapSideCombined::Table).collect();
        self.outputs.keep(tables, PartSeq::default(), reservation);
        // Each slab has its own part of the budget.
        let reservation = self.resources.budget.reservation();
        let blocks = self.take_blocks();
        self.outputs.keep(blocks, PartSeq::default(), reservation);
        self.buckets.forget_slabs();
        Ok(())
    }

    /// Adds the records that have left the tables to the job summary, and their total length of `bytes`.
    fn count(&mut self, bytes: u64) {
        let records = std::mem::take(&mut self.uncounted);
        self.resources.progress.add_shuffled(records as u64, bytes);
    }

    /// Restarts the estimate of savings, because the tables are empty.
    fn forget_savings(&mut self) {
        self.savings = Savings::new(self.savings.check_keys());
    }

    /// Checks, once, that keys and values survive the codec unchanged. An error is reported now and not when a spill
    /// first needs the codec.
    fn check_codec(&mut self) -> Result<()> {
        if !self.is_checked {
            self.is_checked = self.tables.check_codec()?;
        }
        Ok(())
    }
}

impl<'c, C: Combine> FillsTables<'c> for Combiner<'c, C> {
    type Combine = C;

    #[inline(always)]
    fn tables(&mut self) -> &mut Tables<'c, C> {
        &mut self.tables
    }

    #[cold]
    #[inline(never)]
    fn make_room(&mut self, partition: usize, long: &[u8]) -> Result<()> {
        let reclaim = || self.outputs.reclaim(0, self.resources);
        if self.tables.make_room(partition, long, reclaim)? {
            return Ok(());
        }
        if !self.buckets.is_empty() && self.saves_little() {
            // The buckets hold the memory, and make better use of it.
            self.begin_dividing();
            return self.flush_tables();
        }
        self.spill()
    }

    fn make_room_for_words(&mut self) -> Result<bool> {
        let reclaim = || self.outputs.reclaim(0, self.resources);
        self.tables.make_room_for_words(reclaim)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::marker::PhantomData;

    use super::*;
    use crate::shuffle::table::accumulator::Accumulator;
    use crate::shuffle::write::combine::combined_entries;
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

        combined_entries!();

        fn key_value<R>((key, value): (String, u64), f: impl FnOnce(&String, u64) -> R) -> R {
            f(&key, value)
        }

        fn create(&self, value: u64) -> u64 {
            value
        }

        fn add(&self, sum: &mut impl Accumulator<u64>, value: u64) {
            *sum.get_mut() += value;
        }

        fn merge(&self, sum: &mut impl Accumulator<u64>, later: u64) {
            *sum.get_mut() += later;
        }
    }

    /// Most keys twice, some long ones, and one that occurs all the time.
    fn records() -> impl Iterator<Item = (String, u64)> {
        (0..120_000_u64).map(|n| match n % 40 {
            0 => ("often".to_owned(), n),
            1 => ("long ".repeat(30 + n as usize % 7 * 4) + &n.to_string(), n),
            _ => ((n % 60_000).to_string(), n),
        })
    }

    /// Returns the sums in order, with a check for savings after `check_keys` keys, and the number of spilled bytes.
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
            let each = |sum| {
                all.push(sum);
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
        assert!(combiner.divide_left > 0 && combiner.tables.keys() == 0);
        assert_eq!(resources.scratch.written_bytes(), 0);
    }
}
