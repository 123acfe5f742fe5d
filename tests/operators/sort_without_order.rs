//! Sorts by a comparison that is not a total order: no record is lost, and none is duplicated.

use std::cmp::Ordering;
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use holdall::{Bag, Context, ErrorKind, Executor};
use proptest::prelude::*;

use crate::common::{assert_empty, on_every_executor};

type Compare = fn(u64, u64) -> Ordering;

/// Silences the slice sorts of std, which panic at some comparisons that are not total orders.
fn quiet_sorts() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let message = info.payload_as_str().unwrap_or_default();
            if !message.contains("total order") {
                report(info);
            }
        }));
    });
}

fn floats_with_nan(a: u64, b: u64) -> Ordering {
    let float = |n: u64| {
        if n.is_multiple_of(5) {
            f64::NAN
        } else {
            (n % 1000) as f64
        }
    };
    float(a).partial_cmp(&float(b)).unwrap_or(Ordering::Equal)
}

/// A cyclic comparison: each value is before some other one.
fn in_a_circle(a: u64, b: u64) -> Ordering {
    (a % 3 + 1).rem_euclid(3).cmp(&(b % 3))
}

fn by_hash_of_both(a: u64, b: u64) -> Ordering {
    let hash = (a.wrapping_mul(31) ^ b).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [Ordering::Less, Ordering::Equal, Ordering::Greater][(hash >> 60) as usize % 3]
}

fn never_twice_the_same(a: u64, b: u64) -> Ordering {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    by_hash_of_both(CALLS.fetch_add(1, Relaxed), a ^ b)
}

/// An order, except for one result in some hundreds.
fn seldom_wrong(a: u64, b: u64) -> Ordering {
    match never_twice_the_same(a, b) {
        Ordering::Less if (a ^ b).is_multiple_of(100) => b.cmp(&a),
        _ => a.cmp(&b),
    }
}

const COMPARISONS: [Compare; 5] = [
    floats_with_nan,
    in_a_circle,
    by_hash_of_both,
    never_twice_the_same,
    seldom_wrong,
];

/// Sorts, and asserts that each record occurs as often as before, or that the error names the sort that panicked.
fn keeps_all(bag: &Bag<u64>, compare: Compare, mut expected: Vec<u64>) {
    let sorted = bag.clone().sort_by(move |a, b| compare(*a, *b)).collect();
    match sorted {
        Ok(mut sorted) => {
            sorted.sort_unstable();
            expected.sort_unstable();
            assert!(sorted == expected, "{} of {}", sorted.len(), expected.len());
        }
        Err(error) => {
            let ErrorKind::TaskPanicked {
                context: place,
                message,
                ..
            } = error.kind()
            else {
                panic!("{error}");
            };
            assert!(message.contains("total order"), "{error}");
            assert_eq!(place.operator, Some("sort_by"), "{error}");
            assert!(place.location.is_some(), "{error}");
        }
    }
}

#[test]
fn twelve_floats_with_a_nan_stay_twelve() {
    on_every_executor(|context| {
        let floats: Vec<f64> = vec![
            3.0,
            1.0,
            f64::NAN,
            2.0,
            9.0,
            7.0,
            5.0,
            8.0,
            4.0,
            6.0,
            0.0,
            10.0,
        ];
        for partitions in 1..=12 {
            let bag = context.from_vec_partitioned(floats.clone(), partitions);
            let sorted = bag.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
            let mut sorted = sorted.collect().unwrap();
            sorted.sort_by(f64::total_cmp);
            assert_eq!(sorted[..11], [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10.]);
            assert!(sorted.len() == 12 && sorted[11].is_nan());
        }
    });
}

/// Sorts enough records for a spill, in pieces of which some contain the bounds of several partitions.
#[test]
fn all_that_was_spilled_comes_back() {
    quiet_sorts();
    let directory = tempfile::tempdir().unwrap();
    for partitions in [3, 64] {
        let context = Context::builder()
            .executor(Executor::Threads(2))
            .memory(2 << 20)
            .shuffle_partitions(partitions)
            .spill_directory(directory.path())
            .build()
            .unwrap();
        let records: Vec<u64> = (0..100_000_u64)
            .map(|n| n.wrapping_mul(0x9e37_79b9) >> 7)
            .collect();
        let bag = context.from_vec_partitioned(records.clone(), 20).boxed();
        for compare in COMPARISONS {
            keeps_all(&bag, compare, records.clone());
            assert_empty(directory.path());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_comparison_loses_a_record(
        records in prop::collection::vec(0..1000_u64, 0..200),
        partitions in 1..20_usize,
        ranges in 1..70_usize,
    ) {
        quiet_sorts();
        let context = Context::builder().threads(2).shuffle_partitions(ranges).build().unwrap();
        let bag = context.from_vec_partitioned(records.clone(), partitions).boxed();
        for compare in COMPARISONS {
            keeps_all(&bag, compare, records.clone());
        }
    }
}
