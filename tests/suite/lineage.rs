//! Long lineages: unions and chains in loops, bags that are persisted in each round, many partitions.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::common::{
    Files, assert_empty, names_in, on_every_executor_and_processes, on_every_executor_with,
};
use holdall::{Bag, Context, Executor, StorageLevel};
use serde::{Deserialize, Deserializer, Serialize};

/// Returns a chain of this many erased operators on the numbers below 10.
fn chain(context: &Context, length: u64) -> Bag<u64> {
    let numbers = context.range_partitioned(0..10, 2).boxed();
    (0..length).fold(numbers, |bag, _| bag.map(|n| n + 1).boxed())
}

#[test]
fn a_bag_is_extended_in_a_loop() {
    const BAGS: u64 = 1_000;
    on_every_executor_and_processes(|context| {
        let one = |n| context.from_vec(vec![n]).boxed();
        let mut behind = one(0);
        let mut before = one(BAGS - 1);
        for n in 1..BAGS {
            behind = behind.clone().union(one(n)).boxed();
            before = one(BAGS - 1 - n).union(before).boxed();
        }
        let expected: Vec<_> = (0..BAGS).collect();
        assert_eq!(behind.partitions(), Some(BAGS as usize));
        assert_eq!(behind.collect().unwrap(), expected);
        assert_eq!(before.collect().unwrap(), expected);
        assert_eq!(before.union(behind).count().unwrap(), 2 * BAGS);
    });
}

#[test]
fn unions_have_any_number_of_partitions() {
    on_every_executor_and_processes(|context| {
        // Empty bags, some with partitions and some without, among others.
        let bag = |n: u64| {
            context
                .range_partitioned(n..n + n % 3, n as usize % 4)
                .boxed()
        };
        let bags = || (0..400).filter(|n| n % 3 == 0 || n % 4 > 0).map(bag);
        let expected: Vec<_> = bags().flat_map(|bag| bag.collect().unwrap()).collect();
        let partitions = bags().filter_map(|bag| bag.partitions()).sum::<usize>();
        let all = holdall::union_all(bags());
        assert_eq!(all.partitions(), Some(partitions));
        assert_eq!(all.collect().unwrap(), expected);
        assert_eq!(all.count().unwrap(), expected.len() as u64);
        // Of unions, of halves and of single bags.
        let (odd, even): (Vec<_>, Vec<_>) = bags().enumerate().partition(|(n, _)| n % 2 == 1);
        let pairs = even
            .into_iter()
            .zip(odd)
            .map(|((_, a), (_, b))| a.union(b).boxed());
        let pairs: Vec<_> = pairs.collect();
        let (first, second) = pairs.split_at(pairs.len() / 2);
        let [first, second] = [first, second].map(|side| holdall::union_all(side.to_vec()));
        let last = bags().count() % 2;
        let rest = holdall::union_all(bags().skip(bags().count() - last));
        assert_eq!(first.union(second).union(rest).collect().unwrap(), expected);
    });
    assert!(holdall::union_all([] as [Bag<u64>; 0]).is_empty().unwrap());
}

#[test]
fn a_union_of_streams_is_in_order() {
    on_every_executor_and_processes(|context| {
        let stream = |n: u64| context.from_iter(n * 100..n * 100 + n % 90).boxed();
        let known = |n: u64| context.range_partitioned(n * 100..n * 100 + 3, 2).boxed();
        let bags = (0..200).map(|n| if n % 2 == 0 { stream(n) } else { known(n) });
        let bags: Vec<_> = bags.collect();
        let expected: Vec<_> = bags.iter().flat_map(|bag| bag.collect().unwrap()).collect();
        let all = holdall::union_all(bags.clone());
        assert_eq!(all.partitions(), None);
        assert_eq!(all.collect().unwrap(), expected);
        assert_eq!(all.repartition(3).count().unwrap(), expected.len() as u64);
        // Unions that cannot be merged, because there is an operator between them.
        let nested = bags
            .into_iter()
            .reduce(|all, bag| all.map(|n| n).union(bag).boxed());
        assert_eq!(nested.unwrap().collect().unwrap(), expected);
    });
}

#[test]
fn a_chain_of_operators_is_as_long_as_a_loop_makes_it() {
    const LENGTH: u64 = 5_000;
    on_every_executor_and_processes(|context| {
        let bag = chain(context, LENGTH);
        assert_eq!(bag.partitions(), Some(2));
        assert_eq!(bag.sum::<u64>().unwrap(), 45 + 10 * LENGTH);
        assert_eq!(bag.explain().to_string().lines().count() as u64, LENGTH + 3);
        assert_eq!(
            bag.explain().lineage_dot().lines().count() as u64,
            2 * LENGTH + 4
        );
        // Actions that need not read the records, and actions that stop early.
        assert_eq!(bag.count().unwrap(), 10);
        assert_eq!(bag.first().unwrap(), Some(LENGTH));
        assert_eq!(bag.clone().map(|n| n % 2).distinct().count().unwrap(), 2);
        let persisted = bag.persist(StorageLevel::default());
        assert_eq!(persisted.count().unwrap(), 10);
        assert_eq!(persisted.count().unwrap(), 10);
    });
}

#[test]
fn a_chain_of_any_kind_of_operator_is_as_long_as_a_loop_makes_it() {
    const LENGTH: usize = 1_500;
    on_every_executor_and_processes(|context| {
        let text = context
            .from_vec(vec!["a b", "c"])
            .flat_map_str(|text, emit| emit(text));
        let text = (0..LENGTH).fold(text.boxed(), |bag, _| {
            bag.filter(|line| !line.is_empty()).boxed()
        });
        assert_eq!(text.collect().unwrap(), ["a b", "c"]);
        assert_eq!(text.words().count().unwrap(), 3);

        let streamed = context.from_iter(0..100_u64).boxed();
        let streamed = (0..LENGTH).fold(streamed, |bag, _| bag.map(|n| n + 1).boxed());
        assert_eq!(streamed.first().unwrap(), Some(LENGTH as u64));
        assert_eq!(streamed.count().unwrap(), 100);

        let whole = context.range_partitioned(0..10, 3).boxed();
        let whole = (0..LENGTH).fold(whole, |bag, round| match round % 3 {
            0 => bag
                .map_partitions(|numbers, emit| numbers.for_each(emit))
                .boxed(),
            1 => bag.coalesce(3).boxed(),
            _ => bag.sample(1.0, 7).boxed(),
        });
        assert_eq!(whole.collect().unwrap(), (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn shuffles_follow_one_another_in_a_loop() {
    const ROUNDS: u64 = 60;
    on_every_executor_and_processes(|context| {
        let pairs = context
            .range_partitioned(0..20, 2)
            .map(|n| (n % 5, n))
            .boxed();
        let bag = (0..ROUNDS).fold(pairs, |bag, _| {
            let rotated = bag.map(|(key, value)| ((key + 1) % 5, value));
            rotated.repartition(2)
        });
        assert_eq!(
            bag.explain().to_string().lines().count() as u64,
            4 * ROUNDS + 4
        );
        let mut sums = bag.sum_by_key().collect().unwrap();
        sums.sort_unstable();
        assert_eq!(sums, [(0, 30), (1, 34), (2, 38), (3, 42), (4, 46)]);
    });
}

#[test]
fn a_lineage_with_many_ways_through_it_is_planned_in_no_time() {
    let context = Context::builder()
        .threads(1)
        .shuffle_partitions(2)
        .build()
        .unwrap();
    let mut pairs = context
        .range(0..4)
        .map(|n| (n, n))
        .group_by_key()
        .map_values(|_| 1_u64)
        .boxed();
    for _ in 0..60 {
        pairs = pairs
            .clone()
            .join(pairs)
            .map_values(|(a, b)| a.min(b))
            .boxed();
    }
    // There are 2^60 paths to the one shuffle, so do not run them.
    assert!(
        pairs
            .explain()
            .to_string()
            .contains("read 1152921504606846976 times")
    );
    assert!(pairs.explain().lineage_dot().len() < 100_000);
}

#[test]
fn a_long_lineage_is_dropped_on_a_small_stack() {
    let context = Context::builder().threads(2).build().unwrap();
    let mut long = chain(&context, 30_000);
    for _ in 0..300 {
        long = long.repartition(2);
    }
    let thread = thread::Builder::new().stack_size(64 << 10);
    let end = move || {
        // Plan and render on this small stack, too.
        assert!(long.explain().to_string().len() > 1 << 20);
        drop(long);
    };
    thread.spawn(end).unwrap().join().unwrap();
}

/// Returns the total length of all files in the directories below `spill`.
fn bytes_in(spill: &Path) -> u64 {
    let length = |file: fs::DirEntry| file.metadata().expect("it is there").len();
    files_in(spill).map(length).sum()
}

fn files_in(spill: &Path) -> impl Iterator<Item = fs::DirEntry> {
    let directories = names_in(spill).into_iter().map(|name| spill.join(name));
    let entries = directories.flat_map(|path| fs::read_dir(path).expect("a directory"));
    let files = entries.map(|entry| entry.expect("a directory"));
    files.filter(|file| file.file_name() != "lock")
}

#[test]
fn of_a_loop_that_persists_each_round_two_rounds_are_kept() {
    static COMPUTED: AtomicU64 = AtomicU64::new(0);
    const RECORDS: u64 = 3_000;
    let spill = Files::new();
    let directory = spill.root().to_owned();
    on_every_executor_with(
        move |builder| builder.spill_directory(&directory).shuffle_partitions(3),
        move |context| {
            for is_wide in [false, true] {
                let start = context.range_partitioned(0..RECORDS, 3).map(|n| (n, 0_u64));
                let mut bag = start.persist(StorageLevel::Disk).boxed();
                assert_eq!(bag.count().unwrap(), RECORDS);
                let one_round = bytes_in(spill.root());
                COMPUTED.store(0, Ordering::Relaxed);
                for round in 1..=8 {
                    let next = bag.map_values(|n| {
                        COMPUTED.fetch_add(1, Ordering::Relaxed);
                        n + 1
                    });
                    let next = if is_wide {
                        next.sum_by_key().boxed()
                    } else {
                        next.boxed()
                    };
                    let next = next.persist(StorageLevel::Disk).boxed();
                    assert_eq!(next.count().unwrap(), RECORDS);
                    bag = next;
                    assert!(bytes_in(spill.root()) <= 3 * one_round, "in round {round}");
                    assert_eq!(COMPUTED.load(Ordering::Relaxed), RECORDS * round);
                }
                let values = bag.clone().map(|(_, rounds)| rounds).distinct();
                assert_eq!(values.collect().unwrap(), [8]);
                assert_eq!(COMPUTED.load(Ordering::Relaxed), RECORDS * 8);
                drop((bag, values));
                assert_empty(spill.root());
            }
        },
    );
}

/// Changes a byte in the middle of each file below `spill`, or, if `is_whole`, all bytes.
fn damage(spill: &Path, is_whole: bool) {
    for file in files_in(spill) {
        let mut bytes = fs::read(file.path()).expect("it is there");
        if is_whole {
            bytes.fill(0xff);
        } else if let Some(byte) = bytes.len().checked_sub(1).map(|end| end / 2) {
            bytes[byte] ^= 0x55;
        }
        fs::write(file.path(), bytes).expect("room for it");
    }
}

/// Returns contexts that spill to `spill`: inline, on threads and, on Linux, in worker processes.
fn contexts_in(spill: &Path) -> Vec<Context> {
    let mut executors = vec![Executor::Inline, Executor::Threads(3)];
    if cfg!(target_os = "linux") {
        executors.push(Executor::Processes(2));
    }
    let context = |executor| {
        let builder = Context::builder().executor(executor).spill_directory(spill);
        builder
            .shuffle_partitions(3)
            .progress(false)
            .build()
            .expect("the settings are right")
    };
    executors.into_iter().map(context).collect()
}

#[test]
fn what_was_released_is_computed_again_when_all_that_was_kept_is_damaged() {
    let spill = Files::new();
    for context in contexts_in(spill.root()) {
        for (is_wide, is_whole) in [(false, false), (false, true), (true, false), (true, true)] {
            let start = context
                .range_partitioned(0..3_000, 3)
                .map(|n| (n % 500, 1_u64));
            let mut bag = start.persist(StorageLevel::Disk).boxed();
            for _ in 0..6 {
                let next = bag.map_values(|n| n * 2);
                let next = if is_wide {
                    next.sum_by_key().boxed()
                } else {
                    next.boxed()
                };
                bag = next.persist(StorageLevel::Disk).boxed();
                assert!(bag.count().unwrap() > 0);
            }
            let mut expected = bag.clone().sum_by_key().collect().unwrap();
            expected.sort_unstable();
            assert_eq!(expected[0], (0, 6 * 64));
            for _ in 0..2 {
                damage(spill.root(), is_whole);
                let mut found = bag.clone().sum_by_key().collect().unwrap();
                found.sort_unstable();
                assert_eq!(found, expected);
            }
            drop(bag);
            assert_empty(spill.root());
        }
    }
}

/// Runs jobs that spill to far more files than this process can open.
fn spills_much(threads: usize) -> holdall::Result<()> {
    let spill = Files::new();
    let builder = Context::builder()
        .threads(threads)
        .memory((threads as u64) << 20);
    let context = builder.spill_directory(spill.root()).build()?;
    const RECORDS: u64 = 20_000;
    let key = |n: u64| format!("{n:0100}");
    let pairs = || {
        context
            .range(0..RECORDS)
            .map(move |n| (key(n * 7919 % RECORDS), n))
    };
    let sum = pairs().reduce_by_key(|a, b| a + b).values().sum::<u64>();
    assert_eq!(sum?, RECORDS * (RECORDS - 1) / 2);
    let sorted = pairs().sort().keys().collect()?;
    assert!(sorted.iter().map(String::as_str).eq((0..RECORDS).map(key)));
    assert_eq!(pairs().join(pairs()).count()?, RECORDS);
    let mut bag = pairs().boxed();
    for _ in 0..8 {
        bag = bag.persist(StorageLevel::Disk).boxed();
    }
    assert_eq!(bag.clone().group_by_key().count()?, RECORDS);
    assert_eq!(bag.count()?, RECORDS);
    drop(bag);
    assert_empty(spill.root());
    Ok(())
}

#[cfg(unix)]
#[test]
fn few_open_files_are_enough() {
    const LIMITED: &str = "HOLDALL_TEST_LIMITED";
    if std::env::var_os(LIMITED).is_some() {
        return spills_much(7).unwrap();
    }
    let this = std::env::current_exe().unwrap();
    let run = std::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -n 40 && exec \"$0\" --exact lineage::few_open_files_are_enough",
        ])
        .arg(this)
        .env(LIMITED, "1")
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stdout)
    );
}

/// A record that counts how often it is decoded.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Counted(u64, Vec<u8>);

static DECODED: AtomicU64 = AtomicU64::new(0);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::Relaxed);
        let (number, bytes) = Deserialize::deserialize(deserializer)?;
        Ok(Self(number, bytes))
    }
}

#[test]
fn few_large_records_are_sorted_without_decoding_them_for_each_partition() {
    const RECORDS: u64 = 12;
    for (threads, memory) in [(1, 1 << 20), (1, 1 << 30), (5, 5 << 20), (5, 1 << 30)] {
        let context = Context::builder().threads(threads).memory(memory);
        let context = context.build().unwrap();
        let numbers = context.range(0..RECORDS);
        let records = numbers.map(|n| Counted(n * 7 % RECORDS, vec![n as u8; 100_000]));
        DECODED.store(0, Ordering::Relaxed);
        let sorted = records.sort_by(|a, b| b.0.cmp(&a.0)).map(|record| record.0);
        assert!(sorted.collect().unwrap().into_iter().eq((0..RECORDS).rev()));
        // Each record is decoded for the check, the sample and the merge, together with the bounds that it is compared
        // with.
        let decoded = DECODED.load(Ordering::Relaxed);
        assert!(decoded <= RECORDS * (3 + 4) * threads as u64, "{decoded}");
    }
}

#[test]
fn many_partitions_are_numbered_and_joined_in_linear_time() {
    const PARTITIONS: usize = 2_000;
    let context = Context::builder().threads(3).shuffle_partitions(PARTITIONS);
    let context = context.build().unwrap();
    let numbers = || context.range_partitioned(0..10_000, PARTITIONS);
    let numbered = numbers().zip_with_index();
    assert!(
        numbered
            .clone()
            .collect()
            .unwrap()
            .iter()
            .all(|(n, index)| n == index)
    );
    let both = numbered
        .join(numbers().map(|n| (n, n)))
        .filter(|(n, (a, b))| n == a && a == b);
    assert_eq!(both.count().unwrap(), 10_000);
}

#[test]
fn persisted_partitions_share_files() {
    let spill = Files::new();
    for context in contexts_in(spill.root()).into_iter().take(2) {
        for persistence in [StorageLevel::Disk, StorageLevel::MemoryThenDisk] {
            let lines = context
                .range_partitioned(0..40_000, 40)
                .map(|n| format!("{n:0100}"));
            let lines = lines.persist(persistence);
            assert_eq!(lines.count().unwrap(), 40_000);
            assert_eq!(
                lines.clone().map(|line| line.len()).sum::<usize>().unwrap(),
                4_000_000
            );
            // At most one file for each thread.
            assert!(files_in(spill.root()).count() <= 3);
            // Actions that read only a part, or stop within a partition, need no more files.
            assert_eq!(lines.first().unwrap(), Some(format!("{:0100}", 0)));
            assert_eq!(
                lines.clone().sort().take(1).unwrap(),
                [format!("{:0100}", 0)]
            );
            drop(lines);
            assert_empty(spill.root());
        }
    }
}

#[test]
fn what_a_source_gives_once_is_kept_as_long_as_a_bag_needs_it() {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let spill = Files::new();
    for context in contexts_in(spill.root()).into_iter().take(2) {
        CALLS.store(0, Ordering::Relaxed);
        // If the source were called again, it would return no records.
        let numbers = context.from_fn(|| 0..1_000 * (1 - CALLS.fetch_add(1, Ordering::Relaxed)));
        let numbers = numbers.persist(StorageLevel::Disk);
        assert_eq!(numbers.count().unwrap(), 1_000);
        let first: Vec<_> = files_in(spill.root()).map(|file| file.path()).collect();
        let mut bag = numbers.map(|n| (n % 10, n)).boxed();
        for _ in 0..4 {
            bag = bag.sum_by_key().persist(StorageLevel::Disk).boxed();
            assert_eq!(bag.count().unwrap(), 10);
        }
        let expected = bag.collect().unwrap();
        // All stored partitions except those of the first bag, from which the others are computed.
        let kept: Vec<_> = files_in(spill.root()).map(|file| file.path()).collect();
        assert!(first.iter().all(|path| kept.contains(path)));
        for path in kept.iter().filter(|path| !first.contains(path)) {
            fs::write(path, "damaged").unwrap();
        }
        assert_eq!(bag.collect().unwrap(), expected);
        assert_eq!(CALLS.load(Ordering::Relaxed), 1);
    }
}
