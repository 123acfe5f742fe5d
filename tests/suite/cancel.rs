//! A job whose task has failed, whose result has been dropped, or that has been cancelled, ends promptly, whatever its
//! other tasks are doing, and leaves nothing behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use holdall::{Bag, CancelHandle, Context, Executor, StorageLevel};

use crate::common::{Files, within_the_limit};

const RECORDS: u64 = 100_000;

/// Maximum number of records that a closure may see after the end of its job. A task sees about a thousand, and more if
/// the thread that ends the job is slow.
const MAX_SEEN: usize = RECORDS as usize / 4;

/// Bags whose last stage reads records in different ways.
fn bags(context: &Context) -> Vec<(&'static str, Bag<u64>)> {
    let numbers = || context.range_partitioned(0..RECORDS, 4);
    let pairs = || numbers().map(|n| (n, n));
    let kept = numbers().persist(StorageLevel::MemoryThenDisk);
    assert_eq!(kept.count().expect("nothing fails"), RECORDS);
    vec![
        ("sum_by_key", pairs().sum_by_key().keys().boxed()),
        (
            "reduce_by_key",
            pairs().reduce_by_key(u64::max).keys().boxed(),
        ),
        (
            "group_by_key",
            pairs().group_by_key().map(|(key, _)| key).boxed(),
        ),
        ("join", pairs().join(pairs()).keys().boxed()),
        ("repartition", numbers().repartition(2)),
        ("sort", numbers().sort()),
        ("persist", kept.boxed()),
    ]
}

fn contexts() -> [Context; 2] {
    [1 << 30, 2 << 20].map(|memory| {
        let builder = Context::builder().executor(Executor::Threads(2));
        builder
            .memory(memory)
            .shuffle_partitions(2)
            .build()
            .expect("the settings are right")
    })
}

/// The end of a job, as its closures see it.
#[derive(Default)]
struct End {
    is_near: AtomicBool,
    /// Number of records that closures have seen since the end was near.
    seen: AtomicUsize,
}

impl End {
    fn wait(&self) {
        while !self.is_near.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for the end and counts a record, slowly, so that the job ends before all records have been read.
    fn see(&self) {
        self.wait();
        self.seen.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_micros(100));
    }
}

#[test]
fn a_failure_ends_the_other_tasks() {
    for context in contexts() {
        within_the_limit("a failure", move || {
            for (name, bag) in bags(&context) {
                let end = Arc::new(End::default());
                let inner = Arc::clone(&end);
                let (is_first, other) = (AtomicBool::new(true), AtomicBool::new(false));
                let outcome = bag
                    .try_map(move |n| {
                        if is_first.swap(false, Ordering::SeqCst) {
                            while !other.load(Ordering::SeqCst) {
                                thread::sleep(Duration::from_millis(1));
                            }
                            inner.is_near.store(true, Ordering::SeqCst);
                            return Err("failed");
                        }
                        other.store(true, Ordering::SeqCst);
                        inner.see();
                        Ok(n)
                    })
                    .count();
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains("failed"), "{name}: {error}");
                let seen = end.seen.load(Ordering::SeqCst);
                assert!(seen < MAX_SEEN, "{name}: {seen}");
            }
        });
    }
}

#[test]
fn dropping_the_iterator_ends_the_job() {
    for context in contexts() {
        within_the_limit("a drop", move || {
            for (name, bag) in bags(&context) {
                let end = Arc::new(End::default());
                let inner = Arc::clone(&end);
                let is_first = AtomicBool::new(true);
                let first_only = bag.filter(move |_| {
                    let is_first = is_first.swap(false, Ordering::SeqCst);
                    if !is_first {
                        inner.see();
                    }
                    is_first
                });
                let mut records = first_only.coalesce(1).iter().unwrap();
                assert!(records.next().unwrap().is_ok());
                end.is_near.store(true, Ordering::SeqCst);
                drop(records);
                let seen = end.seen.load(Ordering::SeqCst);
                assert!(seen < MAX_SEEN, "{name}: {seen}");
            }
        });
    }
}

#[test]
fn cancelling_ends_all_tasks_and_leaves_no_files() {
    for memory in [1 << 30, 2 << 20] {
        within_the_limit("a cancelled job", move || {
            let files = Files::new();
            let spill = files.path("spill");
            let builder = Context::builder()
                .executor(Executor::Threads(2))
                .memory(memory);
            let builder = builder.shuffle_partitions(2).spill_directory(&spill);
            let context = builder.build().unwrap();
            for (name, bag) in bags(&context) {
                let cancel = CancelHandle::new();
                let end = Arc::new(End::default());
                let (inner, canceller) = (Arc::clone(&end), cancel.clone());
                let calls = AtomicUsize::new(0);
                let numbers = bag.in_context(&context.with_cancel(&cancel)).map(move |n| {
                    if calls.fetch_add(1, Ordering::SeqCst) == 5000 {
                        canceller.cancel();
                        inner.is_near.store(true, Ordering::SeqCst);
                    }
                    if inner.is_near.load(Ordering::SeqCst) {
                        inner.see();
                    }
                    n
                });
                // In the map side of another shuffle, and while an output is written.
                let outcome = numbers.clone().sort().count();
                assert!(outcome.unwrap_err().is_cancelled(), "{name}");
                let output = files.path("output");
                let outcome = numbers.write_text(&output);
                assert!(outcome.unwrap_err().is_cancelled(), "{name}");
                let seen = end.seen.load(Ordering::SeqCst);
                assert!((1..MAX_SEEN).contains(&seen), "{name}: {seen}");
            }
            let _ = std::fs::remove_dir(&spill); // if it is there, and empty
            assert_eq!(files.names(), [""; 0]);
        });
    }
}

#[test]
fn an_output_that_is_being_written_goes() {
    within_the_limit("a cancelled output", move || {
        let files = Files::new();
        let context = Context::builder()
            .executor(Executor::Threads(2))
            .build()
            .unwrap();
        let cancel = CancelHandle::new();
        let canceller = cancel.clone();
        let numbers = context
            .with_cancel(&cancel)
            .range_partitioned(0..RECORDS, 50);
        let numbers = numbers.inspect(move |n| {
            if *n == RECORDS / 2 {
                canceller.cancel();
            }
        });
        let outcome = numbers.write_text(files.path("a/b/output"));
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(files.names(), [""; 0]);
    });
}

#[test]
fn a_sort_in_memory_is_interrupted() {
    within_the_limit("a cancelled sort", move || {
        for text in [false, true] {
            let context = Context::builder()
                .executor(Executor::Threads(1))
                .build()
                .unwrap();
            let cancel = CancelHandle::new();
            let canceller = cancel.clone();
            let compared = Arc::new(AtomicUsize::new(0));
            let seen = Arc::clone(&compared);
            let numbers = context
                .with_cancel(&cancel)
                .range_partitioned(0..RECORDS, 2);
            let numbers = numbers.map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let compare = move |a: &u64, b: &u64| {
                if seen.fetch_add(1, Ordering::SeqCst) == 1000 {
                    canceller.cancel();
                }
                a.cmp(b)
            };
            let outcome = if text {
                let texts = numbers.map(|n| n.to_string());
                let number = |text: &String| text.parse().unwrap_or(0);
                texts
                    .sort_by(move |a, b| compare(&number(a), &number(b)))
                    .count()
            } else {
                numbers.sort_by(compare).count()
            };
            assert!(outcome.unwrap_err().is_cancelled());
            // The samples are sorted before, and the sort checks each comparison.
            let compared = compared.load(Ordering::SeqCst);
            assert!(compared < 5000, "{compared}");
        }
    });
}
