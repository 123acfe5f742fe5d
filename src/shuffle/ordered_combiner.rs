//! Combining where the order matters: on the map side tables of one task, and what came of them as entries that are
//! grouped; on the reduce side the groups merged.
//!
//! ```text
//!  records of a task ─> tables ── end of the task, or no more room ──> entries ─> `grouper` ─> groups ─> merged
//!                   │        └─ of small tasks ─> `value_lists` ───────┤
//!                   └───────── where hardly any key comes twice ───────┘
//! ```
//!
//! In which groups the values of a key are combined shows, for one, in the last digits of floating-point sums. So it
//! depends on nothing but the tasks: what a task has of a key is combined in its tables, and what the tasks have, of
//! which each entry says whose it is, is merged from the first to the last. Whether tables save anything is asked of
//! each task anew, so that it depends on nothing else either.

use std::mem;

use super::combine::Combine;
use super::group_outputs::GroupOutputs;
use super::grouper::Grouper;
use super::partitioner::HashPartitioner;
use super::tables::Tables;
use super::value_lists::ValueLists;
use crate::error::Result;
use crate::pipeline::{Key, Owned, Ref};
use crate::storage::codec;
use crate::task::{Flow, Resources};

/// Tables of a task, each for a range of hashes, whatever partitions there are. Each task goes through all of them, so
/// with more of them tasks of few keys would take longer.
const TABLES: usize = 16;

/// Tables with so many more slots than a task had keys are not kept for the next one, which would go through them.
const MOST_SLOTS_OF_KEY: usize = 16;
const LEAST_SLOTS: usize = 64 * TABLES;

/// When the tables of a task have so many keys it is looked at for the first time whether they save anything, and then
/// each time that there are twice as many. So many still are in the processor's cache.
const FIRST_CHECK_KEYS: usize = 1 << 14;

/// After tables that saved little so many times as many records go by without. Then they are tried again, and may become
/// twice as large, since keys may come in turn.
const PASSED_FOR_CHECKED: usize = 4;

/// Combines the records of one task after the other.
pub(crate) struct OrderedCombiner<'c, C: Combine> {
    combine: &'c C,
    resources: &'c Resources,
    /// What of the task at hand has been combined, in order of the hash.
    tables: Tables<'c, C>,
    /// What of this task and of those just before has not become entries yet.
    lists: ValueLists<'c>,
    /// Where entries go, and whether any have.
    grouper: Grouper<'c>,
    has_poured: bool,
    /// With so many keys in the tables it is looked at whether they save anything.
    check_keys: usize,
    /// How many records are still to go by without them.
    pass_left: usize,
    key_buffer: Vec<u8>,
}

impl<'c, C: Combine> OrderedCombiner<'c, C> {
    pub(crate) fn new(combine: &'c C, outputs: &'c GroupOutputs, resources: &'c Resources) -> Self {
        Self {
            combine,
            resources,
            tables: Tables::new(combine, HashPartitioner::new(TABLES), resources),
            lists: ValueLists::new(resources),
            grouper: Grouper::new(outputs, resources),
            has_poured: false,
            check_keys: first_check_keys::<C::Combined>(),
            pass_left: 0,
            key_buffer: Vec::new(),
        }
    }

    /// Says that the records to come are those of `task`.
    pub(crate) fn begin_task(&mut self, task: usize) -> Result<()> {
        self.check_keys = first_check_keys::<C::Combined>();
        self.pass_left = 0;
        if !self.grouper.is_followed_by(task) {
            self.lists.pour(&mut self.grouper)?;
        }
        self.grouper.begin_task(task)
    }

    /// Takes one record in; it may take effect only with the end of the task.
    #[inline]
    pub(crate) fn push(&mut self, record: Ref<'_, C::In>) -> Result<()> {
        if self.pass_left > 0 {
            return self.pass(record);
        }
        if self.tables.push(record)? {
            self.flush()?;
        }
        Ok(())
    }

    /// Makes an entry of one record.
    #[inline]
    fn pass(&mut self, record: Ref<'_, C::In>) -> Result<()> {
        self.pass_left -= 1;
        C::key_value(record, |key, value| {
            let (value, grouper) = (self.combine.create(value), &mut self.grouper);
            let push = |key: &[u8]| grouper.push_pair(key, &value);
            C::Key::with_bytes(key, &mut self.key_buffer, push)?
        })
    }

    /// Takes in the records that wait.
    #[inline(never)]
    fn flush(&mut self) -> Result<()> {
        let mut batch = self.tables.waiting();
        batch.drain(|probe, long, (table, mut value)| {
            while let Err(again) = self.tables.take_in(table, probe, long, value) {
                value = again;
                self.make_room(table, long)?;
            }
            Ok(())
        })?;
        self.tables.wait_in(batch);
        if self.tables.keys() >= self.check_keys {
            self.check_savings()?;
        }
        if self.tables.is_time_to_measure() {
            self.measure_values()?;
        }
        Ok(())
    }

    /// Empties tables in which not even every fourth record was combined, and goes on without.
    #[cold]
    fn check_savings(&mut self) -> Result<()> {
        if self.tables.keys() * 4 > self.tables.records() * 3 {
            self.pass_left = self.check_keys * PASSED_FOR_CHECKED;
            // With so many keys also what is in lists, so that what is passed comes behind it.
            self.pour()?;
        }
        self.check_keys *= 2;
        Ok(())
    }

    /// Makes room in a table for one more key, if need be by emptying all of them.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, table: usize, long: &[u8]) -> Result<()> {
        let give_way = || self.grouper.give_way();
        if self.tables.make_room(table, long, give_way)? {
            return Ok(());
        }
        self.pour()
    }

    /// Takes account of what values hold, if need be by emptying the tables.
    #[cold]
    fn measure_values(&mut self) -> Result<()> {
        let give_way = || self.grouper.give_way();
        if self.tables.measure_values(2, give_way)? {
            return Ok(());
        }
        self.pour()
    }

    /// Hands on what is in the tables. They keep their memory.
    fn pour(&mut self) -> Result<()> {
        if !self.has_poured {
            self.has_poured = self.tables.check_codec()?;
        }
        // The entries are counted where they go.
        let combined = self.tables.records() - self.tables.keys();
        self.resources.progress.add_shuffled(combined as u64, 0);
        let Self { lists, grouper, .. } = self;
        let are_listed = lists.want(self.tables.keys());
        if !are_listed {
            lists.pour(grouper)?;
        }
        for table in self.tables.iter_mut() {
            table.drain(|probe, key, value| match are_listed {
                true => lists.push(&probe, key, &value, grouper),
                false => grouper.push_pair(key, &value),
            })?;
        }
        self.tables.begin_anew();
        Ok(())
    }

    /// To be called after the records of a task.
    pub(crate) fn end_task(&mut self) -> Result<()> {
        self.flush()?;
        let most_slots = LEAST_SLOTS.max(self.tables.keys() * MOST_SLOTS_OF_KEY);
        let is_sparse = self.tables.slots() > most_slots;
        self.pour()?;
        if is_sparse {
            self.tables.release();
        }
        self.grouper.end_task(|_| true)
    }

    /// Hands over what came since the last time, after the last task.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.lists.pour(&mut self.grouper)?;
        self.grouper.commit()
    }

    /// The keys of the only task, if all of them are in the tables still: calls `each` with every key and its value,
    /// in ascending order of (hash, key). `None` if they are not.
    pub(crate) fn read_tables(
        &mut self,
        each: &mut impl FnMut(Owned<C::Key>, C::Combined) -> Flow,
    ) -> Result<Option<Flow>> {
        self.flush()?;
        if self.has_poured {
            return Ok(None);
        }
        self.tables.check_codec()?;
        for table in self.tables.iter_mut() {
            let mut keys = table.sorted();
            while let Some(key) = keys.take(|key, value| Ok((C::Key::from_bytes(key)?, value))) {
                let (key, value) = key?;
                if each(key, value).is_break() {
                    return Ok(Some(Flow::Break(())));
                }
            }
        }
        Ok(Some(Flow::Continue(())))
    }
}

/// Values with memory of their own make tables dear: where no key comes twice, an entry takes half of the time. Others
/// take as long either way, so that combining even a few of them pays.
fn first_check_keys<V>() -> usize {
    match mem::needs_drop::<V>() {
        true => FIRST_CHECK_KEYS,
        false => usize::MAX,
    }
}

/// Calls `each` with every key of a partition and its value, in ascending order of (hash, key).
pub(crate) fn merge_groups<C: Combine>(
    outputs: &GroupOutputs,
    partition: usize,
    combine: &C,
    resources: &Resources,
    mut each: impl FnMut(Owned<C::Key>, C::Combined) -> Flow,
) -> Result<Flow> {
    let mut groups = outputs.open(partition, resources)?;
    while groups.next_group()? {
        let key = C::Key::from_bytes(groups.key())?;
        let mut combined = None;
        while groups.advance()? {
            let mut values = groups.value();
            loop {
                let value = codec::decode_prefix(&mut values)?;
                combined = Some(match combined {
                    Some(combined) => combine.merge(combined, value),
                    None => value,
                });
                // Values of no bytes are all the same, and one of them is as good as many.
                if values.is_empty() {
                    break;
                }
            }
        }
        if let Some(combined) = combined
            && each(key, combined).is_break()
        {
            return Ok(Flow::Break(()));
        }
    }
    Ok(Flow::Continue(()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::marker::PhantomData;

    use super::*;
    use crate::storage::memory::MemoryBudget;

    /// Shows how values are grouped: those of a task in parentheses, what tasks have in brackets.
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

        fn key_value<R>((key, value): (String, u64), f: impl FnOnce(&String, u64) -> R) -> R {
            f(&key, value)
        }

        fn create(&self, value: u64) -> String {
            value.to_string()
        }

        fn add(&self, combined: String, value: u64) -> String {
            format!("({combined} {value})")
        }

        fn merge(&self, combined: String, later: String) -> String {
            format!("[{combined} {later}]")
        }
    }

    const PARTITIONS: usize = 3;

    /// One key of every task, some of many tasks, twice in each of them, and long ones.
    fn records(task: u64) -> impl Iterator<Item = (String, u64)> {
        (task * 100..(task + 1) * 100).map(move |n| match n % 50 {
            0 => ("often".to_owned(), n),
            1 => ("long ".repeat(30) + &(n % 700).to_string(), n),
            _ => ((n % 50 + task % 90).to_string(), n),
        })
    }

    fn expected(tasks: u64) -> BTreeMap<String, String> {
        let combine = Shown(PhantomData);
        let mut all = BTreeMap::<_, String>::new();
        for task in 0..tasks {
            let mut of_task = BTreeMap::new();
            for (key, n) in records(task) {
                let combined = match of_task.remove(&key) {
                    Some(combined) => combine.add(combined, n),
                    None => combine.create(n),
                };
                of_task.insert(key, combined);
            }
            for (key, later) in of_task {
                let combined = match all.remove(&key) {
                    Some(combined) => combine.merge(combined, later),
                    None => later,
                };
                all.insert(key, combined);
            }
        }
        all
    }

    /// What is combined by several threads, each of which takes so many tasks at once; the resources it took.
    fn combined(
        tasks: u64,
        at_once: u64,
        budget_bytes: usize,
    ) -> (Vec<(String, String)>, Resources) {
        let resources = Resources {
            budget: MemoryBudget::new(budget_bytes),
            threads: 3,
            ..Resources::unlimited()
        };
        (combined_of(tasks, at_once, records, &resources), resources)
    }

    fn combined_of<R: Iterator<Item = (String, u64)>>(
        tasks: u64,
        at_once: u64,
        records: impl Fn(u64) -> R,
        resources: &Resources,
    ) -> Vec<(String, String)> {
        let threads = resources.threads as u64;
        let combine = Shown(PhantomData);
        let outputs = GroupOutputs::new(HashPartitioner::new(PARTITIONS), 1, false);
        let combiner = || OrderedCombiner::new(&combine, &outputs, resources);
        let mut combiners: Vec<_> = (0..threads).map(|_| combiner()).collect();
        for task in 0..tasks {
            let combiner = &mut combiners[(task / at_once % threads) as usize];
            combiner.begin_task(task as usize).unwrap();
            records(task).for_each(|record| combiner.push(record).unwrap());
            combiner.end_task().unwrap();
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
            let flow = merge_groups(&outputs, partition, &combine, resources, each);
            assert!(flow.unwrap().is_continue());
        }
        assert_eq!(resources.budget.used_bytes(), 0);
        all
    }

    #[test]
    fn records_that_are_passed_come_in_their_order() {
        let of_task = |task: u64| {
            let numbers = task * 200_000..(task + 1) * 200_000;
            numbers.map(|n| match n % 1000 {
                0 => ("often".to_owned(), n),
                _ => (n.to_string(), n),
            })
        };
        let found = combined_of(2, 1, of_task, &Resources::unlimited());
        let at_once = combined_of(2, 2, of_task, &Resources::unlimited());
        assert!(found == at_once);
        let found = BTreeMap::from_iter(found);
        assert_eq!(found.len(), 1 + 2 * 200_000 / 1000 * 999);
        let often: Vec<u64> = numbers(&found["often"]);
        assert!(often.iter().copied().eq((0..400_000).step_by(1000)));
        assert!(found["often"].starts_with("[["), "{}", found["often"]);
    }

    #[test]
    fn keys_that_come_in_turn_are_combined_after_all() {
        let keys = FIRST_CHECK_KEYS as u64 * 5 / 4;
        let of_task = |_| (0..10 * keys).map(|n| ((n % keys).to_string(), n));
        for (_, shown) in combined_of(1, 1, of_task, &Resources::unlimited()) {
            let combined = shown.split('(').next_back().unwrap();
            assert_eq!(numbers(&shown).len(), 10);
            assert!(numbers(combined).len() >= 5, "{shown}");
        }
    }

    fn numbers(shown: &str) -> Vec<u64> {
        let digits = shown.split(|c: char| !c.is_ascii_digit());
        let numbers = digits.filter(|digits| !digits.is_empty());
        numbers.map(|digits| digits.parse().unwrap()).collect()
    }

    #[test]
    fn values_are_grouped_by_task_whatever_spills() {
        let tasks = 500;
        let expected = expected(tasks);
        let (in_memory, resources) = combined(tasks, 7, 1 << 30);
        assert_eq!(resources.scratch.written_bytes(), 0);
        assert!(BTreeMap::from_iter(in_memory.iter().cloned()) == expected);
        for (at_once, budget_bytes) in [(1, 1 << 20), (7, 1 << 20), (500, 512 << 10)] {
            let (spilled, resources) = combined(tasks, at_once, budget_bytes);
            assert!(spilled == in_memory, "{at_once} at once");
            assert!(resources.scratch.written_bytes() > 0, "{at_once} at once");
            assert!(resources.budget.peak_bytes() <= budget_bytes);
        }
    }

    #[test]
    fn a_task_without_memory_comes_in_its_order() {
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

    #[test]
    fn tasks_with_the_same_keys_leave_one_entry_of_each() {
        let of_task = |task: u64| {
            let numbers = task * 100..(task + 1) * 100;
            numbers.map(|n| ("long ".repeat(30) + &(n % 10).to_string(), n))
        };
        let resources = || Resources {
            threads: 3,
            ..Resources::unlimited()
        };
        let (alone, together) = (resources(), resources());
        let found = combined_of(300, 300, of_task, &together);
        assert!(found == combined_of(300, 1, of_task, &alone));
        for resources in [&alone, &together] {
            assert_eq!(resources.progress.shuffled_records(), 300 * 100);
        }
        let bytes = |resources: &Resources| resources.progress.shuffled_bytes() as usize;
        let values_bytes: usize = found.iter().map(|(_, value)| value.len()).sum();
        assert!(bytes(&together) < values_bytes + 10 * 200);
        assert!(bytes(&alone) > values_bytes + 10 * 200 * 100);
    }

    #[test]
    fn tasks_of_other_keys_leave_entries_at_once() {
        let resources = Resources::unlimited();
        let combine = Shown(PhantomData);
        let outputs = GroupOutputs::new(HashPartitioner::new(PARTITIONS), 1, false);
        let mut combiner = OrderedCombiner::new(&combine, &outputs, &resources);
        let mut are_listed = Vec::new();
        for task in 0..20 {
            combiner.begin_task(task).unwrap();
            let records = (0..1000).map(|n| ((task * 1000 + n).to_string(), n as u64));
            records.for_each(|record| combiner.push(record).unwrap());
            combiner.end_task().unwrap();
            are_listed.push(combiner.lists.want(1));
        }
        assert!(
            are_listed[..2] == [true; 2] && are_listed[3..] == [false; 17],
            "{are_listed:?}"
        );
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
        let outputs = GroupOutputs::new(HashPartitioner::new(PARTITIONS), 1, false);
        let mut combiner = OrderedCombiner::new(&combine, &outputs, &resources);
        let mut most = 0;
        for (task, repeats) in [(0, 10), (1, 10), (2, 1000), (3, 10)] {
            combiner.begin_task(task).unwrap();
            let records = (0..100 * repeats).map(|n| ((n % 100).to_string(), n));
            records.for_each(|record| combiner.push(record).unwrap());
            combiner.flush().unwrap();
            let bytes = values_bytes(&mut combiner.tables);
            // A little more than in proportion: later values have more digits.
            assert!(
                2 * reserved_for_values(&combiner.tables) >= bytes,
                "task {task}"
            );
            most = most.max(bytes);
            combiner.end_task().unwrap();
        }
        // Not all of it is kept for tasks to come.
        assert!(reserved_for_values(&combiner.tables) < most / 4);
    }

    #[test]
    fn values_that_begin_small_are_measured_again() {
        let resources = Resources::unlimited();
        let combine = Shown(PhantomData);
        let outputs = GroupOutputs::new(HashPartitioner::new(PARTITIONS), 1, false);
        let mut combiner = OrderedCombiner::new(&combine, &outputs, &resources);
        for task in 0..2 {
            combiner.begin_task(task).unwrap();
            for n in 0..10_000 {
                let value = if n < 64 { 0 } else { u64::MAX };
                combiner.push((n.to_string(), value)).unwrap();
            }
            combiner.flush().unwrap();
            let bytes = values_bytes(&mut combiner.tables);
            assert!(
                reserved_for_values(&combiner.tables) >= bytes,
                "task {task}"
            );
            combiner.end_task().unwrap();
        }
    }

    #[test]
    fn tables_of_a_large_task_are_not_kept_for_small_ones() {
        let resources = Resources::unlimited();
        let combine = Shown(PhantomData);
        let outputs = GroupOutputs::new(HashPartitioner::new(PARTITIONS), 1, false);
        let mut combiner = OrderedCombiner::new(&combine, &outputs, &resources);
        let mut slots = Vec::new();
        for (task, keys) in [(0, 50_000), (1, 40_000), (2, 10), (3, 10)] {
            combiner.begin_task(task).unwrap();
            let records = (0..2 * keys).map(|n| ((n / 2).to_string(), n));
            records.for_each(|record| combiner.push(record).unwrap());
            combiner.end_task().unwrap();
            slots.push(combiner.tables.slots());
        }
        assert!(slots[0] > 50_000 && slots[1] == slots[0]);
        assert!(
            slots[2] == 0 && slots[3] > 0 && slots[3] < 2_000,
            "{slots:?}"
        );
    }
}
