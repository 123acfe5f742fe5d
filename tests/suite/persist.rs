//! `persist`: computed once, stored within the budget, deleted with the bag.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::common::{Files, assert_empty, names_in, on_every_executor, on_every_executor_with};
use holdall::{Context, StorageLevel, TextReader};

const ALL: [StorageLevel; 3] = [
    StorageLevel::Memory,
    StorageLevel::MemoryThenDisk,
    StorageLevel::Disk,
];

/// Returns a closure, and the number of its calls.
fn counting() -> (Arc<AtomicU64>, impl Fn(u64) -> (u64, String) + Clone) {
    let calls = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&calls);
    let op = move |n: u64| {
        count.fetch_add(1, Ordering::Relaxed);
        (n % 10, format!("record {n}"))
    };
    (calls, op)
}

#[test]
fn what_is_persisted_is_computed_once() {
    on_every_executor(|context| {
        for level in ALL {
            let (calls, op) = counting();
            let plain: Vec<_> = (0..500).map(op.clone()).collect();
            calls.store(0, Ordering::Relaxed);
            let bag = context.range(0..500).map(op).persist(level);
            assert_eq!(calls.load(Ordering::Relaxed), 0, "nothing runs before");
            assert_eq!(bag.collect().unwrap(), plain);
            assert_eq!(bag.collect().unwrap(), plain);
            assert_eq!(bag.clone().count_by_key().count().unwrap(), 10);
            assert_eq!(bag.clone().union(bag).count().unwrap(), 1000);
            assert_eq!(calls.load(Ordering::Relaxed), 500);
        }
    });
}

#[test]
fn text_and_bytes_are_persisted_and_divided_as_they_are() {
    on_every_executor(|context| {
        let texts: Vec<String> = (0..3_000).map(|n| "é".repeat(n % 40)).collect();
        for level in ALL {
            let calls = Arc::new(AtomicU64::new(0));
            let call = Arc::clone(&calls);
            let records = context.from_vec(texts.clone());
            let words = records.flat_map_str(|text, emit| emit(&text));
            let words = words.inspect(move |_| _ = call.fetch_add(1, Ordering::Relaxed));
            let words = words.persist(level).boxed();
            let lengths = words.clone().map(str::len).sum::<usize>().unwrap();
            assert_eq!(lengths, texts.iter().map(String::len).sum::<usize>());
            assert_eq!(words.collect().unwrap(), texts);
            let both = words
                .clone()
                .filter(|word| word.is_empty())
                .union(words.clone());
            assert_eq!(both.count().unwrap(), 3_000 + 75);
            assert_eq!(calls.load(Ordering::Relaxed), 3_000);

            let divided = words.clone().repartition(7).collect().unwrap();
            let owned = words.map(str::to_owned).repartition(7).persist(level);
            assert_eq!(owned.collect().unwrap(), divided);
            assert_eq!(owned.collect().unwrap(), divided);
        }
    });
    let files = Files::new();
    let path = files.write("bytes", b"\xff\n\n\xfe");
    let lines = TextReader::new().read_bytes(path).unwrap();
    let lines = lines.persist(StorageLevel::Disk).repartition(1);
    assert_eq!(lines.collect().unwrap(), [&b"\xff"[..], b"", b"\xfe"]);
}

#[test]
fn partitions_of_unknown_number_are_kept_too() {
    on_every_executor(|context| {
        for level in ALL {
            let (calls, op) = counting();
            let bag = context.from_iter(0..5000).map(op).persist(level);
            let first = bag.collect().unwrap();
            assert_eq!(bag.collect().unwrap(), first);
            assert_eq!(calls.load(Ordering::Relaxed), 5000);
        }
    });
}

#[test]
fn stages_before_it_do_not_run_again() {
    on_every_executor(|context| {
        let (calls, op) = counting();
        let counts = context.range(0..500).map(op).count_by_key();
        let counts = counts.persist(StorageLevel::Memory);
        let first = counts.collect().unwrap();
        assert_eq!(counts.collect().unwrap(), first);
        assert_eq!(calls.load(Ordering::Relaxed), 500);
        assert_eq!(context.last_job().unwrap().stages.len(), 1);
        assert!(!counts.explain().to_string().contains("range"));
    });
}

#[test]
fn a_partition_that_was_broken_off_is_not_kept() {
    on_every_executor(|context| {
        let bag = context
            .range_partitioned(0..100, 1)
            .persist(StorageLevel::Memory);
        assert_eq!(bag.take(3).unwrap(), [0, 1, 2]);
        assert_eq!(bag.count().unwrap(), 100);
    });
}

#[test]
fn partitions_that_exceed_the_budget_go_to_disk_or_are_recomputed() {
    let files = Arc::new(Files::new());
    on_every_executor_with(
        {
            let files = Arc::clone(&files);
            move |builder| {
                let directory = files.path("spill");
                std::fs::create_dir_all(&directory).unwrap();
                builder.memory(8 << 20).spill_directory(directory)
            }
        },
        move |context| {
            let long = |n: u64| (n, "x".repeat(2000));
            for level in ALL {
                let bag = context.range(0..8000).map(long).persist(level);
                assert_eq!(bag.count().unwrap(), 8000);
                assert_eq!(bag.clone().keys().sum::<u64>().unwrap(), 7999 * 4000);
                // Other jobs get memory, although the bag alone could fill the budget.
                let others = context.range(0..30_000).map(|n| n % 20_000);
                assert_eq!(others.count_by_value().count().unwrap(), 20_000);
                assert_eq!(bag.clone().keys().max().unwrap(), Some(7999));
                drop(bag);
                assert_empty(&files.path("spill"));
            }
        },
    );
}

#[test]
fn what_is_unpersisted_is_computed_again() {
    on_every_executor(|context| {
        for level in ALL {
            let (calls, op) = counting();
            let bag = context.range(0..500).map(op).persist(level).boxed();
            assert_eq!(bag.clone().keys().count().unwrap(), 500);
            let derived = bag.clone().filter(|(key, _)| *key == 3);
            assert!(!derived.unpersist() && !context.range(0..3).unpersist());
            assert_eq!(derived.count().unwrap(), 50);
            assert_eq!(calls.load(Ordering::Relaxed), 500);
            assert!(bag.unpersist());
            assert!(bag.explain().to_string().contains("range"));
            for times in 2..4 {
                assert_eq!(derived.count().unwrap(), 50);
                assert_eq!(calls.load(Ordering::Relaxed), 500 * times);
            }
            assert!(bag.unpersist(), "again");
        }
    });
}

/// Returns the number of files with stored records.
fn stored(files: &Files) -> usize {
    let names = files.names().into_iter();
    let inner = names.flat_map(|name| names_in(&files.path(&name)));
    inner.filter(|name| name != "lock").count()
}

#[test]
fn a_bag_is_unpersisted_while_jobs_read_it() {
    let files = Arc::new(Files::new());
    on_every_executor_with(
        {
            let files = Arc::clone(&files);
            move |builder| builder.spill_directory(files.root())
        },
        move |context| {
            let (calls, op) = counting();
            let bag = context.from_iter(0..50_000).map(op);
            let bag = bag.persist(StorageLevel::Disk);
            assert_eq!(bag.count().unwrap(), 50_000);
            let mut records = bag.iter().unwrap();
            assert_eq!(records.next().unwrap().unwrap().0, 0);
            assert!(bag.unpersist());
            assert_eq!(records.map(Result::unwrap).count(), 49_999);
            assert_eq!(calls.load(Ordering::Relaxed), 50_000);
            // The threads of the iterator may still be ending.
            let ending = || (0..1_000).take_while(|_| stored(&files) > 0);
            ending().for_each(|_| std::thread::sleep(Duration::from_millis(10)));
            assert_eq!(stored(&files), 0);
            assert_eq!(bag.count().unwrap(), 50_000);
            assert_eq!(calls.load(Ordering::Relaxed), 100_000);
            assert_eq!(stored(&files), 0);
            drop(bag);
            assert_empty(files.root());
        },
    );
}

#[test]
fn an_error_keeps_nothing_that_is_wrong() {
    let context = Context::builder().progress(false).build().unwrap();
    let fails = Arc::new(AtomicU64::new(1));
    let bag = context
        .range(0..1000)
        .try_map({
            let fails = Arc::clone(&fails);
            move |n| match n {
                777 if fails.load(Ordering::Relaxed) == 1 => Err("not now"),
                _ => Ok(n),
            }
        })
        .persist(StorageLevel::default());
    assert!(bag.count().is_err());
    fails.store(0, Ordering::Relaxed);
    assert_eq!(bag.count().unwrap(), 1000);
}
