//! Combining by key if the order of the values matters.
//!
//! ```text
//!  records of a group ─> tables ── end of the group, or out of memory ──> entries ─> `grouper` ─> merged in order
//!                    └──────────── mostly distinct keys: bypass ────────────┘
//! ```
//!
//! 1. Map side: tables combine the records of one *combine group*, which is a partition or, of many, several
//!    neighbours. At the end of the group, the tables become entries, which `grouper` partitions and spills like other
//!    records.
//! 2. Reduce side: the values of each key are merged from the first group to the last. Each entry records its group.
//!
//! The grouping of values is visible, for example in the last digits of floating-point sums. It must therefore depend
//! on the groups alone, not on threads or timing. (Exception: if a group's keys exceed the thread's memory, its tables
//! are flushed early.) For the same reason, each group decides separately whether tables pay off.

use super::combine::Combine;
use super::grouper::{Grouper, any_key};
use super::savings;
use crate::error::Result;
use crate::pipeline::{Key, Owned, Peek, Ref};
use crate::shuffle::key::entry_value::EntryValue as _;
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::outputs::group_outputs::GroupOutputs;
use crate::shuffle::table::few_keys::FewKeys;
use crate::shuffle::table::tables::{
    FillsTables, Tables, flush_batch, flush_by_word, push_by_word,
};
use crate::storage::codec::{self, Sampling};
use crate::task::{Flow, Resources};

/// Number of tables; each covers a range of hashes, whatever the number of partitions. Every group visits all tables,
/// so larger values slow down groups with few keys.
const TABLES: usize = 16;

/// Maximum slots per key for tables to be kept for the next group. Sparser tables are freed, because the next group
/// would visit all their slots. Tables with up to `MIN_SLOTS` slots are always kept.
const MAX_SLOTS_OF_KEY: usize = 16;
const MIN_SLOTS: usize = 64 * TABLES;

/// Number of keys in a group's tables at which the first check for savings runs. It doubles with each check. This many
/// keys fit into the CPU cache.
const FIRST_CHECK_KEYS: usize = 1 << 12;

/// Estimated number of distinct keys up to which records stay in the tables. These fit into the CPU cache, so records
/// that find their key there take much less time than entries would, even if few records follow.
const FEW_KEYS: usize = 1 << 15;

/// Number of records that bypass the tables after an unprofitable check: this multiple of the estimated number of
/// distinct keys, but at most `MAX_PASSED_OF_KEY` times the keys in the tables. The group then tries tables of up to
/// twice the size, because keys that recur in a cycle show no repeats before its end.
const PASSED_OF_KEY: usize = 2;
const MAX_PASSED_OF_KEY: usize = 16;

/// Combines the records of one combine group after another.
pub(crate) struct OrderedCombiner<'c, C: Combine> {
    combine: &'c C,
    resources: &'c Resources,
    /// Combined values of the current group, in order of the hash.
    tables: Tables<'c, C>,
    /// Partitions the entries. `has_flushed` is `true` once the tables have been flushed.
    grouper: Grouper<'c>,
    has_flushed: bool,
    /// Number of keys in the tables at which the next check for savings runs.
    check_keys: usize,
    /// Number of records that will still bypass the tables, and number of records of the group that bypass them in
    /// total.
    pass_left: usize,
    passed: usize,
    /// Checks the values that become entries as they are. `combines_all` is `true` once one has changed in the codec.
    sampling: Sampling,
    combines_all: bool,
    key_buffer: Vec<u8>,
}

impl<'c, C: Combine> OrderedCombiner<'c, C> {
    pub(crate) fn new(combine: &'c C, outputs: &'c GroupOutputs, resources: &'c Resources) -> Self {
        Self {
            combine,
            resources,
            tables: Tables::new(combine, HashPartitioner::new(TABLES), resources),
            grouper: Grouper::new(outputs, resources),
            has_flushed: false,
            check_keys: FIRST_CHECK_KEYS,
            pass_left: 0,
            passed: 0,
            sampling: Sampling::default(),
            combines_all: false,
            key_buffer: Vec::new(),
        }
    }

    /// Announces that the next records are those of group `turn`.
    pub(crate) fn begin_group(&mut self, group: usize) -> Result<()> {
        self.check_keys = FIRST_CHECK_KEYS;
        (self.pass_left, self.passed) = (0, 0);
        self.tables.restart_words();
        self.grouper.begin_task(group)
    }

    /// Adds one record. It may stay buffered until the next [`flush`](Self::flush).
    #[inline]
    pub(crate) fn push(&mut self, record: Ref<'_, C::In>) -> Result<()> {
        if self.pass_left > 0 {
            return self.pass(record);
        }
        C::key_value(record, |key, value| self.push_pair(key, value))
    }

    #[inline]
    fn push_pair(&mut self, key: Peek<'_, C::Key>, value: C::Value) -> Result<()> {
        let Some(value) = push_by_word(self, key, value)? else {
            return Ok(());
        };
        if self.tables.push(key, value)? {
            self.flush()?;
        }
        Ok(())
    }

    /// Turns one record into an entry, without combining it.
    #[inline]
    fn pass(&mut self, record: Ref<'_, C::In>) -> Result<()> {
        self.pass_left -= 1;
        C::key_value(record, |key, value| {
            let mut entry = self.entry_of(value);
            // A key in memory is hashed there.
            if !C::Key::is_bytes()
                && let Some(key) = C::Key::short(key)
                && let Some(pushed) = self.grouper.push_short_pair(key, &entry)
            {
                return pushed;
            }
            if entry.is_record() && entry.encode_short().is_none() {
                entry = C::entry(self.combine.combined(entry));
            }
            let push = |key: &[u8]| self.grouper.push_pair(key, &entry);
            C::Key::with_bytes(key, &mut self.key_buffer, push)?
        })
    }

    /// Returns the entry of a record that is not combined. A value that does not survive the codec is combined.
    #[inline(always)]
    fn entry_of(&mut self, value: C::Value) -> C::Entry {
        let entry = self.combine.entry_of(value);
        if !entry.is_record() {
            return entry;
        }
        let checked = self.sampling.check(|| entry.check());
        self.combines_all |= checked.is_err();
        match self.combines_all {
            true => C::entry(self.combine.combined(entry)),
            false => entry,
        }
    }

    /// Combines the buffered records. Call this after the records of a partition.
    #[inline(never)]
    pub(crate) fn flush(&mut self) -> Result<()> {
        flush_batch(self)?;
        if self.tables.keys() >= self.check_keys {
            self.check_savings()?;
        }
        if self.tables.is_time_to_measure() {
            self.measure_values()?;
        }
        Ok(())
    }

    /// Flushes the tables if they combined fewer than a quarter of the records, and bypasses them for a while.
    #[cold]
    fn check_savings(&mut self) -> Result<()> {
        let (keys, records) = (self.tables.keys(), self.tables.records());
        self.check_keys *= 2;
        if keys * 4 <= records * 3 {
            return Ok(());
        }
        // Tables pay off only after about `to_pass` records, when most later records find their key there. If few
        // records follow, filling the tables is wasted work. So bypass that many records first.
        let all_keys = savings::keys_in_all(records, records - keys);
        if all_keys <= FEW_KEYS {
            return Ok(());
        }
        let to_pass = all_keys.saturating_mul(PASSED_OF_KEY);
        let left = to_pass.saturating_sub(self.passed);
        // Flushing the tables does not pay for fewer records than they combined.
        if left < records {
            return Ok(());
        }
        self.pass_left = left.min(keys * MAX_PASSED_OF_KEY);
        self.passed += self.pass_left;
        self.flush_tables()
    }

    /// Turns the values of keys that are words into entries.
    fn push_words(&mut self) -> Result<()> {
        let is_first = !self.has_flushed;
        let (grouper, mut sampling, mut words) = (&mut self.grouper, Sampling::default(), 0);
        let records = self.tables.drain_words(|key, value| {
            words += 1;
            if is_first {
                let bytes = key.word().to_le_bytes();
                let bytes = &bytes[..key.len()];
                sampling.check(|| Ok(C::Key::check_bytes(bytes)? + codec::check(&value)?))?;
            }
            grouper.push_short_key(key, &C::entry(value))
        })?;
        self.has_flushed |= words > 0;
        // `grouper` counts the entries.
        let combined = (records - words) as u64;
        self.resources.progress.add_shuffled(combined, 0);
        Ok(())
    }

    /// Reserves the memory that values hold, if necessary by flushing the tables.
    #[cold]
    fn measure_values(&mut self) -> Result<()> {
        let reclaim = || self.grouper.reclaim();
        if self.tables.measure_values(2, reclaim)? {
            return Ok(());
        }
        self.flush_tables()
    }

    /// Flushes the tables into entries. They keep their memory.
    fn flush_tables(&mut self) -> Result<()> {
        if !self.has_flushed {
            self.has_flushed = self.tables.check_codec()?;
        }
        // `grouper` counts the entries.
        let combined = self.tables.records() - self.tables.keys();
        self.resources.progress.add_shuffled(combined as u64, 0);
        let grouper = &mut self.grouper;
        for table in self.tables.iter_mut() {
            table.drain(|key, value| grouper.push_pair(key, &C::entry(value)))?;
        }
        self.tables.begin_anew();
        Ok(())
    }

    /// Turns the combined records of a small group into entries.
    fn push_few(&mut self, records: usize, few: FewKeys<C::Combined>) -> Result<()> {
        let combined = (records - few.len()) as u64;
        self.resources.progress.add_shuffled(combined, 0);
        let is_first = !std::mem::replace(&mut self.has_flushed, true);
        let (grouper, mut sampling) = (&mut self.grouper, Sampling::default());
        few.drain(|key, value| {
            if is_first {
                sampling.check(|| Ok(C::Key::check_bytes(key)? + codec::check(&value)?))?;
            }
            grouper.push_pair(key, &C::entry(value))
        })
    }

    /// Ends a group. Call this after its last record.
    pub(crate) fn end_group(&mut self) -> Result<()> {
        self.push_words()?;
        if let Some((records, few)) = self.tables.take_few() {
            self.push_few(records, few)?;
            return self.grouper.end_task(&mut any_key);
        }
        self.flush()?;
        let most_slots = MIN_SLOTS.max(self.tables.keys() * MAX_SLOTS_OF_KEY);
        let is_sparse = self.tables.slots() > most_slots;
        self.flush_tables()?;
        if is_sparse {
            self.tables.release();
        }
        self.grouper.end_task(&mut any_key)
    }

    /// Commits the results since the last call, after the last group.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.grouper.commit()
    }

    /// Calls `each` with every key of the only group and its value, in ascending order of (hash, key), if all of them
    /// are still in the tables. Otherwise, returns `None`.
    pub(crate) fn read_tables(
        &mut self,
        each: &mut impl FnMut(Owned<C::Key>, C::Combined) -> Flow,
    ) -> Result<Option<Flow>> {
        flush_by_word(self)?;
        self.flush()?;
        if self.has_flushed {
            return Ok(None);
        }
        self.tables.check_codec()?;
        let mut checks = self.resources.stop.checks();
        for table in self.tables.iter_mut() {
            let mut keys = table.sorted();
            while let Some((key, value)) = keys.take(|key, value| (C::Key::from_bytes(key), value))
            {
                let key = key?;
                checks.count()?;
                if each(key, value).is_break() {
                    return Ok(Some(Flow::Break(())));
                }
            }
        }
        Ok(Some(Flow::Continue(())))
    }
}

impl<'c, C: Combine> FillsTables<'c> for OrderedCombiner<'c, C> {
    type Combine = C;

    #[inline(always)]
    fn tables(&mut self) -> &mut Tables<'c, C> {
        &mut self.tables
    }

    #[cold]
    #[inline(never)]
    fn make_room(&mut self, table: usize, long: &[u8]) -> Result<()> {
        let reclaim = || self.grouper.reclaim();
        if self.tables.make_room(table, long, reclaim)? {
            return Ok(());
        }
        self.flush_tables()
    }

    fn make_room_for_words(&mut self) -> Result<bool> {
        let reclaim = || self.grouper.reclaim();
        self.tables.make_room_for_words(reclaim)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::marker::PhantomData;

    use super::*;
    use crate::shuffle::outputs::ordered_outputs::OrderedOutputs;
    use crate::shuffle::table::accumulator::Accumulator;
    use crate::shuffle::write::combine::combined_entries;
    use crate::storage::memory::MemoryBudget;

    /// Shows how values are grouped: those of one combine group in parentheses, merged groups in brackets.
    struct Shown(PhantomData<()>);

    crate::portable::portable! {
        [] Shown { 0: part }
    }

    impl Combine for Shown {
        type In = (String, u64);
        type Key = String;
        type Value = u64;
        type Combined = String;

        const COMMUTES: bool = false;

        combined_entries!();

        fn key_value<R>((key, value): (String, u64), f: impl FnOnce(&String, u64) -> R) -> R {
            f(&key, value)
        }

        fn create(&self, value: u64) -> String {
            value.to_string()
        }

        fn add(&self, combined: &mut impl Accumulator<String>, value: u64) {
            combined.replace(|combined| format!("({combined} {value})"));
        }

        fn merge(&self, combined: &mut impl Accumulator<String>, later: String) {
            combined.replace(|combined| format!("[{combined} {later}]"));
        }
    }

    const PARTITIONS: usize = 3;

    /// Like `Shown`, for values that own no memory: a number that differs for each grouping.
    struct Mixed(PhantomData<()>);

    crate::portable::portable! {
        [] Mixed { 0: part }
    }

    impl Combine for Mixed {
        type In = (u64, u64);
        type Key = u64;
        type Value = u64;
        type Combined = u64;

        const COMMUTES: bool = false;

        combined_entries!();

        fn key_value<R>((key, value): (u64, u64), f: impl FnOnce(&u64, u64) -> R) -> R {
            f(&key, value)
        }

        fn create(&self, value: u64) -> u64 {
            value
        }

        fn add(&self, combined: &mut impl Accumulator<u64>, value: u64) {
            combined.replace(|combined| combined.wrapping_mul(31).wrapping_add(value));
        }

        fn merge(&self, combined: &mut impl Accumulator<u64>, later: u64) {
            combined.replace(|combined| combined.wrapping_mul(1_000_003).rotate_left(7) ^ later);
        }
    }

    /// One key in every group, some in many groups, twice in each of them, and long ones.
    fn records(group: u64) -> impl Iterator<Item = (String, u64)> {
        (group * 100..(group + 1) * 100).map(move |n| match n % 50 {
            0 => ("often".to_owned(), n),
            1 => ("long ".repeat(30) + &(n % 700).to_string(), n),
            _ => ((n % 50 + group % 90).to_string(), n),
        })
    }

    fn expected<R: Iterator<Item = (String, u64)>>(
        groups: u64,
        records: impl Fn(u64) -> R,
    ) -> BTreeMap<String, String> {
        let combine = Shown(PhantomData);
        let mut all = BTreeMap::<_, Option<String>>::new();
        for group in 0..groups {
            let mut of_group = BTreeMap::new();
            for (key, n) in records(group) {
                match of_group.entry(key).or_insert(None) {
                    combined @ Some(_) => combine.add(combined, n),
                    combined => *combined = Some(combine.create(n)),
                }
            }
            for (key, later) in of_group {
                match all.entry(key).or_insert(None) {
                    combined @ Some(_) => combine.merge(combined, later.unwrap()),
                    combined => *combined = later,
                }
            }
        }
        let combined = |(key, combined): (_, Option<_>)| (key, combined.unwrap());
        all.into_iter().map(combined).collect()
    }

    /// Returns the output of several threads, each of which takes `together` consecutive groups, and the resources that
    /// it used.
    fn combined(
        groups: u64,
        together: u64,
        budget_bytes: usize,
    ) -> (Vec<(String, String)>, Resources) {
        let resources = Resources {
            budget: MemoryBudget::new(budget_bytes),
            threads: 3,
            ..Resources::unlimited()
        };
        (
            combined_of(groups, together, records, &resources),
            resources,
        )
    }

    fn combined_of<R: Iterator<Item = (String, u64)>>(
        groups: u64,
        together: u64,
        records: impl Fn(u64) -> R,
        resources: &Resources,
    ) -> Vec<(String, String)> {
        let threads = resources.threads as u64;
        let combine = Shown(PhantomData);
        let outputs = OrderedOutputs::new(HashPartitioner::new(PARTITIONS), 1, resources);
        let combiner = || OrderedCombiner::new(&combine, &outputs.groups, resources);
        let mut combiners: Vec<_> = (0..threads).map(|_| combiner()).collect();
        for group in 0..groups {
            let combiner = &mut combiners[(group / together % threads) as usize];
            combiner.begin_group(group as usize).unwrap();
            records(group).for_each(|record| combiner.push(record).unwrap());
            combiner.end_group().unwrap();
        }
        for mut combiner in combiners {
            combiner.commit().unwrap();
        }
        let mut all = Vec::new();
        for partition in 0..PARTITIONS {
            let each = |key, value| {
                all.push((key, value));
                Flow::Continue(())
            };
            let flow = outputs.read(partition, &combine, resources, each);
            assert!(flow.unwrap().is_continue());
        }
        assert_eq!(resources.budget.used_bytes(), 0);
        all
    }

    #[test]
    fn records_that_are_passed_come_in_their_order() {
        let of_group = |group: u64| {
            let numbers = group * 200_000..(group + 1) * 200_000;
            numbers.map(|n| match n % 1000 {
                0 => ("often".to_owned(), n),
                _ => (n.to_string(), n),
            })
        };
        let found = combined_of(2, 1, of_group, &Resources::unlimited());
        let together = combined_of(2, 2, of_group, &Resources::unlimited());
        assert!(found == together);
        let found = BTreeMap::from_iter(found);
        assert_eq!(found.len(), 1 + 2 * 200_000 / 1000 * 999);
        let often: Vec<u64> = numbers(&found["often"]);
        assert!(often.iter().copied().eq((0..400_000).step_by(1000)));
        assert!(found["often"].starts_with("[["), "{}", found["often"]);
    }

    #[test]
    fn keys_that_come_in_turn_are_combined_after_all() {
        let keys = FIRST_CHECK_KEYS as u64 * 5 / 4;
        let of_group = |_| (0..30 * keys).map(|n| ((n % keys).to_string(), n));
        for (_, shown) in combined_of(1, 1, of_group, &Resources::unlimited()) {
            let combined = shown.split('(').next_back().unwrap();
            assert_eq!(numbers(&shown).len(), 30);
            assert!(numbers(combined).len() >= 15, "{shown}");
        }
    }

    fn numbers(shown: &str) -> Vec<u64> {
        let digits = shown.split(|c: char| !c.is_ascii_digit());
        let numbers = digits.filter(|digits| !digits.is_empty());
        numbers.map(|digits| digits.parse().unwrap()).collect()
    }

    #[test]
    fn values_are_grouped_by_turn_whatever_spills() {
        let groups = 500;
        let expected = expected(groups, records);
        let (in_memory, resources) = combined(groups, 7, 1 << 30);
        assert_eq!(resources.scratch.written_bytes(), 0);
        assert!(BTreeMap::from_iter(in_memory.iter().cloned()) == expected);
        for (together, budget_bytes) in [(1, 1 << 20), (7, 1 << 20), (500, 512 << 10)] {
            let (spilled, resources) = combined(groups, together, budget_bytes);
            assert!(spilled == in_memory, "{together} at once");
            assert!(resources.scratch.written_bytes() > 0, "{together} at once");
            assert!(resources.budget.peak_bytes() <= budget_bytes);
        }
    }

    #[test]
    fn values_are_grouped_the_same_with_and_without_room_for_ranges() {
        const KEYS: u64 = 30_000;
        let resources = Resources::unlimited();
        let combine = Mixed(PhantomData);
        // Outputs that are read twice: once while other data holds all of the memory.
        let outputs = OrderedOutputs::new(HashPartitioner::new(PARTITIONS), 2, &resources);
        let mut combiner = OrderedCombiner::new(&combine, &outputs.groups, &resources);
        let record = |n: u64| (n * 7919 % KEYS, n);
        for group in 0..3 {
            combiner.begin_group(group).unwrap();
            let numbers = group as u64 * KEYS..(group as u64 + 1) * KEYS;
            numbers.for_each(|n| combiner.push(record(n)).unwrap());
            combiner.end_group().unwrap();
        }
        combiner.commit().unwrap();
        // Each key occurs once in a group.
        let mut expected = BTreeMap::new();
        for (key, n) in (0..3 * KEYS).map(record) {
            let merge = |combined: &mut Option<u64>| combine.merge(combined, n);
            expected.entry(key).and_modify(merge).or_insert(Some(n));
        }
        let budget = &resources.budget;
        for taken in [0, budget.limit_bytes() - budget.used_bytes()] {
            let _taken = budget.try_reserve(taken).unwrap();
            let mut found = BTreeMap::new();
            for partition in 0..PARTITIONS {
                let each = |key, value| {
                    assert_eq!(found.insert(key, Some(value)), None);
                    Flow::Continue(())
                };
                let flow = outputs.read(partition, &combine, &resources, each);
                assert!(flow.unwrap().is_continue());
            }
            assert!(found == expected, "{taken} bytes taken");
        }
    }

    #[test]
    fn small_groups_are_combined_like_large_ones() {
        // Up to the most that are combined in a list, and a few more.
        let of_group = |group: u64| {
            let numbers = group * 100..group * 100 + group % 40;
            numbers.map(|n| match n % 3 {
                0 => ("often".to_owned(), n),
                _ => ("long ".repeat(n as usize % 5) + &(n % 7).to_string(), n),
            })
        };
        for (groups, together) in [(5, 1), (200, 1), (200, 7)] {
            let resources = Resources::unlimited();
            let found = combined_of(groups, together, of_group, &resources);
            assert!(BTreeMap::from_iter(found) == expected(groups, of_group));
        }
    }

    #[test]
    fn a_turn_without_memory_comes_in_its_order() {
        let (found, resources) = combined(100, 1, 0);
        assert!(resources.scratch.written_bytes() > 0);
        let found: BTreeMap<_, Vec<u64>> = found
            .iter()
            .map(|(key, text)| (key.clone(), numbers(text)))
            .collect();
        let mut expected = BTreeMap::<_, Vec<u64>>::new();
        for (key, n) in (0..100).flat_map(records) {
            expected.entry(key).or_default().push(n);
        }
        assert!(found == expected);
    }

    #[test]
    fn many_runs_are_not_merged_again_and_again() {
        let (found, resources) = combined(400, 1, 0);
        let bytes: usize = found.iter().map(|(_, value)| value.len()).sum();
        let written_bytes = resources.scratch.written_bytes() as usize;
        assert!(written_bytes > bytes, "{written_bytes} of {bytes}");
        assert!(written_bytes < 6 * bytes, "{written_bytes} of {bytes}");
    }

    fn values_bytes(tables: &mut Tables<'_, Shown>) -> usize {
        let values = tables.iter_mut().flat_map(|table| table.values());
        values.map(String::len).sum()
    }

    fn reserved_for_values(tables: &Tables<'_, Shown>) -> usize {
        tables.reserved_bytes() - tables.memory_bytes()
    }

    #[test]
    fn values_that_are_larger_than_those_before_are_accounted_for() {
        let resources = Resources::unlimited();
        let combine = Shown(PhantomData);
        let outputs = OrderedOutputs::new(HashPartitioner::new(PARTITIONS), 1, &resources);
        let mut combiner = OrderedCombiner::new(&combine, &outputs.groups, &resources);
        let mut most = 0;
        for (group, repeats) in [(0, 10), (1, 10), (2, 1000), (3, 10)] {
            combiner.begin_group(group).unwrap();
            let records = (0..100 * repeats).map(|n| ((n % 100).to_string(), n));
            records.for_each(|record| combiner.push(record).unwrap());
            combiner.flush().unwrap();
            let bytes = values_bytes(&mut combiner.tables);
            // Slightly more than proportional: later values have more digits.
            assert!(
                2 * reserved_for_values(&combiner.tables) >= bytes,
                "group {group}"
            );
            most = most.max(bytes);
            combiner.end_group().unwrap();
        }
        // Only part of it is kept for the next groups.
        assert!(reserved_for_values(&combiner.tables) < most / 4);
    }

    #[test]
    fn values_that_begin_small_are_measured_again() {
        let resources = Resources::unlimited();
        let combine = Shown(PhantomData);
        let outputs = OrderedOutputs::new(HashPartitioner::new(PARTITIONS), 1, &resources);
        let mut combiner = OrderedCombiner::new(&combine, &outputs.groups, &resources);
        for group in 0..2 {
            combiner.begin_group(group).unwrap();
            for n in 0..10_000 {
                let value = if n < 64 { 0 } else { u64::MAX };
                combiner.push((n.to_string(), value)).unwrap();
            }
            combiner.flush().unwrap();
            let bytes = values_bytes(&mut combiner.tables);
            assert!(
                reserved_for_values(&combiner.tables) >= bytes,
                "group {group}"
            );
            combiner.end_group().unwrap();
        }
    }

    #[test]
    fn tables_of_a_large_turn_are_not_kept_for_small_ones() {
        let resources = Resources::unlimited();
        let combine = Shown(PhantomData);
        let outputs = OrderedOutputs::new(HashPartitioner::new(PARTITIONS), 1, &resources);
        let mut combiner = OrderedCombiner::new(&combine, &outputs.groups, &resources);
        let mut slots = Vec::new();
        for (group, keys) in [(0, 50_000), (1, 40_000), (2, 20), (3, 20)] {
            combiner.begin_group(group).unwrap();
            let records = (0..2 * keys).map(|n| ((n / 2).to_string(), n));
            records.for_each(|record| combiner.push(record).unwrap());
            combiner.end_group().unwrap();
            slots.push(combiner.tables.slots());
        }
        assert!(slots[0] > 50_000 && slots[1] == slots[0]);
        assert!(
            slots[2] == 0 && slots[3] > 0 && slots[3] < 2_000,
            "{slots:?}"
        );
    }
}
