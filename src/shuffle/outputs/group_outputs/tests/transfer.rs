//! Groups are the same after they have been sent to another process.

use std::ops::Range;

use super::super::*;
use crate::pipeline::Key;
use crate::shuffle::{Encode, Grouper, KeyedOutputs, any_key};
use crate::storage::codec::Short;
use crate::storage::memory::MemoryBudget;
use crate::storage::run::READER_BYTES;
use crate::storage::scratch::Scratch;
use crate::task::MapOutput;

const TASKS: u64 = 20;
const IN_TASK: u64 = 1000;

struct Numbers;

impl Encode for Numbers {
    type In = (u64, u64);

    fn encode((key, value): (u64, u64), bytes: &mut Vec<u8>) -> Result<usize> {
        let start = bytes.len();
        u64::append_bytes(&key, bytes)?;
        let key_len = bytes.len() - start;
        bytes.extend_from_slice(&value.to_be_bytes());
        Ok(key_len)
    }

    fn encode_short((key, value): &(u64, u64)) -> Option<(Short, Short)> {
        u64::short(key).zip(Short::new(&value.to_be_bytes()))
    }

    fn check(_: &(u64, u64)) -> Result<usize> {
        Ok(0)
    }
}

fn resources(scratch: Scratch, memory: usize) -> Resources {
    Resources {
        budget: MemoryBudget::new(memory),
        scratch,
        ..Resources::unlimited()
    }
}

/// Returns the output of a few tasks. Every second record has the same key.
fn group(
    tasks: impl Iterator<Item = u64>,
    partitioner: HashPartitioner,
    in_memory: bool,
    resources: &Resources,
) -> GroupOutputs {
    let outputs = GroupOutputs::new(partitioner, 1, in_memory, resources);
    let mut grouper = Grouper::new(&outputs, resources);
    for task in tasks {
        grouper.begin_task(task as usize).unwrap();
        for n in task * IN_TASK..(task + 1) * IN_TASK {
            let key = if n % 2 == 0 { 7 } else { n * 31 % 700 };
            let pushed = grouper.push::<Numbers>((key, n), &mut any_key);
            pushed.unwrap();
        }
        grouper.end_task(&mut any_key).unwrap();
    }
    grouper.commit().unwrap();
    outputs
}

/// Returns the blocks that two workers leave in the directory of `driver`, the later tasks first.
fn exported(
    driver: &Scratch,
    partitioner: HashPartitioner,
    in_memory: bool,
    memory: usize,
) -> Vec<MapOutput> {
    let tasks = [TASKS / 3..TASKS, 0..TASKS / 3];
    exported_by(tasks, driver, partitioner, in_memory, memory)
}

/// Returns the blocks that workers with these tasks leave in the directory of `driver`.
fn exported_by(
    tasks_of_workers: impl IntoIterator<Item = Range<u64>>,
    driver: &Scratch,
    partitioner: HashPartitioner,
    in_memory: bool,
    memory: usize,
) -> Vec<MapOutput> {
    let directory = driver.path().unwrap();
    let mut blocks = Vec::new();
    for (worker, tasks) in tasks_of_workers.into_iter().enumerate() {
        let scratch = Scratch::within(directory.clone(), format!("{worker}-"), None);
        let resources = resources(scratch, memory);
        let outputs = group(tasks, partitioner, in_memory, &resources);
        let exported = outputs.export(ShuffleId::next(), &resources);
        blocks.extend(MapOutput::group(exported.unwrap()).unwrap());
        drop(outputs);
        assert_eq!(resources.budget.used_bytes(), 0);
    }
    blocks
}

/// Returns the groups of all partitions, in order.
fn groups(outputs: &GroupOutputs, resources: &Resources) -> Result<Vec<(Vec<u8>, Vec<u64>)>> {
    let mut all = Vec::new();
    for partition in 0..outputs.layout().partitioner.partitions() {
        let mut cursor = outputs.open(partition, resources)?;
        while cursor.next_group()? {
            let mut values = Vec::new();
            while cursor.advance()? {
                values.push(u64::from_be_bytes(cursor.value().try_into().unwrap()));
            }
            all.push((cursor.key().to_vec(), values));
        }
    }
    Ok(all)
}

#[test]
fn groups_that_were_exported_are_read_as_they_were() {
    let partitioner = HashPartitioner::new(3);
    let here = Resources::unlimited();
    let expected = groups(&group(0..TASKS, partitioner, false, &here), &here).unwrap();
    assert!(expected.iter().all(|(_, values)| values.is_sorted()));
    for memory in [0, 1 << 30] {
        let spill = tempfile::tempdir().unwrap();
        let driver = Scratch::new(Some(spill.path()), None);
        let blocks = exported(&driver, partitioner, false, memory);
        let files = MapOutput::adopt(&blocks, &driver).unwrap();
        let directory = driver.path().unwrap();
        for reader in 3..5 {
            let scratch = Scratch::within(directory.clone(), format!("{reader}-"), None);
            let there = resources(scratch, memory);
            let outputs = GroupOutputs::import(partitioner, (&blocks[..]).into(), &there).unwrap();
            for _ in 0..2 {
                assert!(groups(&outputs, &there).unwrap() == expected, "{memory}");
            }
        }
        drop(files);
        let left = std::fs::read_dir(&directory).unwrap().count();
        assert_eq!(left, 1, "the lock");
    }
}

#[test]
fn a_bag_to_be_broadcast_is_looked_up_as_if_it_had_stayed() {
    let one = HashPartitioner::new(1);
    let here = Resources::unlimited();
    let values = |outputs: &KeyedOutputs, resources: &Resources, key: u64| {
        let lookup = outputs.lookup(resources).unwrap();
        let found = lookup.find::<u64, _>(&key, &mut Vec::new(), |values| {
            values.map(<[u8]>::to_vec).collect::<Vec<_>>()
        });
        found.unwrap().unwrap_or_default()
    };
    let expected = KeyedOutputs::from(group(0..TASKS, one, true, &here));
    let spill = tempfile::tempdir().unwrap();
    let driver = Scratch::new(Some(spill.path()), None);
    let blocks = exported(&driver, one, true, 1 << 30);
    let _files = MapOutput::adopt(&blocks, &driver).unwrap();
    let there = resources(driver.clone(), 1 << 30);
    let outputs = KeyedOutputs::import_broadcast((&blocks[..]).into(), &there).unwrap();
    for key in 0..701 {
        assert_eq!(values(&outputs, &there, key), values(&expected, &here, key));
    }
    drop(outputs);
    assert_eq!(there.budget.used_bytes(), 0);

    let little = resources(driver.clone(), 64 << 10);
    let error = KeyedOutputs::import_broadcast((&blocks[..]).into(), &little).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot send the small bag to all tasks"),
        "{error}"
    );
}

/// The readers of its runs could take the whole budget.
#[test]
fn a_broadcast_bag_of_many_workers_fits_into_little_memory() {
    let one = HashPartitioner::new(1);
    let spill = tempfile::tempdir().unwrap();
    let driver = Scratch::new(Some(spill.path()), None);
    let tasks = (0..8).map(|task| task..task + 1);
    let blocks = exported_by(tasks, &driver, one, true, 1 << 30);
    let _files = MapOutput::adopt(&blocks, &driver).unwrap();
    let there = resources(driver.clone(), 8 * READER_BYTES);
    let outputs = KeyedOutputs::import_broadcast((&blocks[..]).into(), &there).unwrap();
    outputs.lookup(&there).unwrap();
    assert!(there.budget.used_bytes() <= there.budget.limit_bytes());
}

#[test]
fn indexing_and_loading_a_broadcast_bag_stop() {
    let one = HashPartitioner::new(1);
    let here = Resources::unlimited();
    let outputs = KeyedOutputs::from(group(0..TASKS, one, true, &here));
    here.stop.set();
    assert!(outputs.lookup(&here).unwrap_err().is_cancelled());
    let spill = tempfile::tempdir().unwrap();
    let driver = Scratch::new(Some(spill.path()), None);
    let blocks = exported(&driver, one, true, 1 << 30);
    let _files = MapOutput::adopt(&blocks, &driver).unwrap();
    let there = resources(driver.clone(), 1 << 30);
    there.stop.set();
    let loaded = KeyedOutputs::import_broadcast((&blocks[..]).into(), &there);
    assert!(loaded.unwrap_err().is_cancelled());
}

#[test]
fn damage_of_a_block_is_found_and_named() {
    let partitioner = HashPartitioner::new(2);
    let spill = tempfile::tempdir().unwrap();
    let driver = Scratch::new(Some(spill.path()), None);
    let blocks = exported(&driver, partitioner, false, 1 << 30);
    let _files = MapOutput::adopt(&blocks, &driver).unwrap();
    let there = resources(driver.clone(), 1 << 30);
    let read = || {
        let outputs = GroupOutputs::import(partitioner, (&blocks[..]).into(), &there).unwrap();
        groups(&outputs, &there)
    };
    let path = &blocks[1].file.clone().unwrap();
    let whole = std::fs::read(path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [Some(&flipped[..]), Some(&whole[..whole.len() - 1]), None] {
        match damaged {
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
        let error = read().unwrap_err();
        assert!(error.is_damage(), "{error}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
    }
    std::fs::write(path, whole).unwrap();
    read().unwrap();
}
