//! A job whose task has failed, or whose result has been dropped, ends promptly, whatever its other tasks are reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use holdall::{Bag, Context, Executor, StorageLevel};

use crate::common::within_the_limit;

const RECORDS: u64 = 100_000;

/// Maximum number of records that a closure may see after the end of its job. A task sees about a thousand, and more if
/// the thread that ends the job is slow.
const MAX_SEEN: usize = RECORDS as usize / 4;

/// Bags whose last stage reads records in different ways.
fn bags(context: &Context) -> Vec<(&'static str, Bag<u64>)> {
    let numbers = || context.range_partitioned(0..RECORDS, 4);
    let pairs = || numbers().map(|n| (n, n));
    let kept = numbers().persist(StorageLevel::MemoryThenDisk);
    assert_eq!(kept.count().unwrap(), RECORDS);
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
            .unwrap()
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
