//! Groups are the same in memory and from runs.

mod transfer;

use super::*;
use crate::error::ErrorKind;
use crate::shuffle::{Encode, Grouper, any_key};
use crate::storage::codec::Short;
use crate::storage::memory::MemoryBudget;
use crate::storage::scratch::Scratch;
use crate::task::StopFlag;

struct Numbers;

impl Encode for Numbers {
    type In = (u32, u32);

    fn encode((key, value): (u32, u32), bytes: &mut Vec<u8>) -> Result<usize> {
        bytes.extend_from_slice(&key.to_be_bytes());
        bytes.extend_from_slice(&value.to_be_bytes());
        Ok(4)
    }

    fn encode_short((key, value): &(u32, u32)) -> Option<(Short, Short)> {
        Short::new(&key.to_be_bytes()).zip(Short::new(&value.to_be_bytes()))
    }

    fn check(_: &(u32, u32)) -> Result<usize> {
        Ok(0)
    }
}

/// Like `Numbers`, but with some oversized values: some entries are longer than any chunk.
struct LongNumbers;

impl Encode for LongNumbers {
    type In = (u32, u32);

    fn encode((key, value): (u32, u32), bytes: &mut Vec<u8>) -> Result<usize> {
        let key_len = Numbers::encode((key, value), bytes)?;
        if value.is_multiple_of(1000) {
            bytes.resize(bytes.len() + value as usize * 7 % 70_000, 0);
        }
        Ok(key_len)
    }

    fn encode_short(record: &(u32, u32)) -> Option<(Short, Short)> {
        let is_long = record.1.is_multiple_of(1000);
        Numbers::encode_short(record).filter(|_| !is_long)
    }

    fn check(record: &(u32, u32)) -> Result<usize> {
        Numbers::check(record)
    }
}

const TASKS: u32 = 60;
const IN_TASK: u32 = 3000;

/// Returns the groups of all partitions, read `readers` times, and the number of bytes written to files.
fn groups<E>(memory: usize, readers: usize) -> (Vec<(u32, Vec<u32>)>, u64)
where
    E: Encode<In = (u32, u32)>,
{
    let directory = tempfile::tempdir().unwrap();
    let resources = Resources {
        budget: MemoryBudget::new(memory),
        scratch: Scratch::new(Some(directory.path()), None),
        threads: 2,
        progress: Arc::default(),
        reclaimer: Arc::default(),
        stop: StopFlag::default(),
    };
    let outputs = GroupOutputs::new(HashPartitioner::new(3), readers, false, &resources);
    let mut grouper = Grouper::new(&outputs, &resources);
    // Some tasks are consecutive, as in threads that take several in one batch.
    let stretches = (0..TASKS).step_by(4).rev();
    for task in stretches.flat_map(|first| first..first + 4) {
        grouper.begin_task(task as usize).unwrap();
        for n in task * IN_TASK..(task + 1) * IN_TASK {
            // Every second record has the same key.
            let key = if n % 2 == 0 { 7 } else { n * 31 % 1000 };
            let record = (key, n);
            let pushed = grouper.push::<E>(record, &mut any_key);
            pushed.unwrap();
        }
        grouper.end_task(&mut any_key).unwrap();
    }
    grouper.commit().unwrap();
    let mut all = Vec::new();
    for _ in 0..readers {
        all.clear();
        for partition in 0..3 {
            let mut cursor = outputs.open(partition, &resources).unwrap();
            while cursor.next_group().unwrap() {
                let mut values = Vec::new();
                let key = number(cursor.key());
                while cursor.advance().unwrap() {
                    values.push(number(cursor.value()));
                }
                all.push((key, values));
            }
        }
    }
    let spilled_bytes = resources.scratch.written_bytes();
    // After the last planned read, nothing is left.
    assert_eq!(resources.scratch.used_bytes(), 0);
    assert_eq!(resources.budget.used_bytes(), 0);
    (all, spilled_bytes)
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().unwrap())
}

#[test]
fn groups_are_the_same_in_memory_and_from_many_runs() {
    let (expected, spilled_bytes) = groups::<Numbers>(1 << 30, 1);
    assert_eq!(spilled_bytes, 0);
    let records: usize = expected.iter().map(|(_, values)| values.len()).sum();
    assert_eq!(records as u32, TASKS * IN_TASK);
    assert!(expected.iter().all(|(_, values)| values.is_sorted()));
    for memory in [0, 256 << 10, 2 << 20, 8 << 20] {
        for readers in [1, 2] {
            let (found, spilled_bytes) = groups::<Numbers>(memory, readers);
            assert!(found == expected, "{memory} bytes, {readers} readers");
            assert_eq!(spilled_bytes > 0, memory < 8 << 20, "{memory} bytes");
        }
    }
}

#[test]
fn long_entries_are_in_order_among_short_ones() {
    let (expected, _) = groups::<Numbers>(1 << 30, 1);
    for memory in [1 << 30, 2 << 20] {
        let (found, spilled_bytes) = groups::<LongNumbers>(memory, 1);
        assert!(found == expected, "{memory} bytes");
        assert_eq!(spilled_bytes > 0, memory == 2 << 20);
    }
}

#[test]
fn a_record_whose_memory_comes_from_a_spill_may_be_the_last() {
    let resources = Resources {
        budget: MemoryBudget::new(0),
        ..Resources::unlimited()
    };
    let outputs = GroupOutputs::new(HashPartitioner::new(1), 1, false, &resources);
    let mut grouper = Grouper::new(&outputs, &resources);
    grouper.begin_task(0).unwrap();
    let mut records = 0;
    while resources.scratch.written_bytes() == 0 {
        let record = (records, records);
        grouper.push::<Numbers>(record, &mut any_key).unwrap();
        records += 1;
    }
    grouper.end_task(&mut any_key).unwrap();
    grouper.commit().unwrap();
    let mut cursor = outputs.open(0, &resources).unwrap();
    let mut found = 0;
    while cursor.next_group().unwrap() {
        while cursor.advance().unwrap() {
            found += 1;
        }
    }
    assert_eq!(found, records);
}

#[test]
fn a_stopped_job_merges_no_runs() {
    let resources = Resources {
        budget: MemoryBudget::new(0),
        ..Resources::unlimited()
    };
    let outputs = GroupOutputs::new(HashPartitioner::new(1), 1, false, &resources);
    let mut grouper = Grouper::new(&outputs, &resources);
    grouper.begin_task(0).unwrap();
    for n in 0..TASKS * IN_TASK {
        grouper.push::<Numbers>((n, n), &mut any_key).unwrap();
    }
    grouper.end_task(&mut any_key).unwrap();
    grouper.commit().unwrap();
    assert!(outputs.parts.unordered_runs(0).len() > 8);
    let written_bytes = resources.scratch.written_bytes();
    resources.stop.set();
    let error = outputs.open(0, &resources).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Cancelled));
    assert_eq!(resources.scratch.written_bytes(), written_bytes);
}
