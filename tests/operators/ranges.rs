//! A range of a sorted bag is that of a filter, and partitions outside of it are not read.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdall::{Context, Result, StorageLevel};

use crate::common::{Files, on_every_executor, on_every_executor_and_processes};

/// Numbers with repetitions, in no order.
fn numbers() -> Vec<i64> {
    (0..500).map(|n| n * n % 97).collect()
}

fn assert_range(context: &Context, range: impl RangeBounds<i64> + Clone) -> Result<()> {
    let mut expected = numbers();
    expected.retain(|n| range.contains(n));
    let unsorted = context.from_vec_partitioned(numbers(), 7);
    let filtered = unsorted.clone().filter_range(range.clone());
    assert_eq!(filtered.collect()?, expected);
    expected.sort();
    let sorted = unsorted.shuffle_partitions(9).sort();
    assert_eq!(
        sorted.clone().filter_range(range.clone()).collect()?,
        expected
    );
    let kept = sorted.filter(|n| n % 2 == 0).persist(StorageLevel::Memory);
    let twice = kept.filter_range(range.clone()).filter_range(10..80);
    let mut few = expected.clone();
    few.retain(|n| n % 2 == 0 && (10..80).contains(n));
    assert_eq!(twice.collect()?, few);

    let by_key = context
        .from_vec_partitioned(numbers(), 7)
        .map(|n| (n, n % 3));
    let by_key = by_key.sort_by_key(|(n, _)| *n);
    let values = by_key
        .clone()
        .filter_range_by_key(range.clone(), |(n, _)| *n)
        .keys();
    assert_eq!(values.collect()?, expected);
    let values = by_key
        .with(5)
        .filter_range_by_key(range, |add, (n, _)| n + add - 5);
    assert_eq!(values.keys().collect()?, expected);
    Ok(())
}

#[test]
fn a_range_has_the_records_of_a_filter() {
    on_every_executor_and_processes(|context| {
        let check = || {
            assert_range(context, ..)?;
            assert_range(context, 13..=40)?;
            assert_range(context, 41..)?;
            assert_range(context, ..2)?;
            assert_range(context, 96..96)?;
            assert_range(context, 200..)?;
            assert_range(context, (Bound::Excluded(5), Bound::Excluded(11)))
        };
        check().unwrap();
        let none = context.empty::<i64>();
        assert_eq!(none.clone().sort().filter_range(1..5).count().unwrap(), 0);
        assert_eq!(none.filter_range_by_key(1..5, |n| *n).count().unwrap(), 0);
    });
}

#[test]
fn other_orders_are_not_mistaken_for_the_natural_one() {
    on_every_executor_and_processes(|context| {
        let numbers = context.from_vec_partitioned((0..100).collect(), 3);
        let falling = numbers.sort_by(|a, b| b.cmp(a)).filter_range(10..13);
        assert_eq!(falling.collect().unwrap(), [12, 11, 10]);
        let sorted = context.from_vec(vec![3, 1, 2]).sort().map(|n: i32| -n);
        assert_eq!(sorted.filter_range(-2..).collect().unwrap(), [-1, -2]);
    });
}

#[test]
fn text_has_ranges_too() {
    let files = Files::new();
    let path = files.write("text", "fig\napple\npear\ngrape\n");
    on_every_executor_and_processes(move |context| {
        let lines = context.read_text(&path).unwrap().sort();
        let range = lines.filter_range("b".to_owned().."h".to_owned());
        assert_eq!(range.collect().unwrap(), ["fig", "grape"]);
    });
}

#[test]
fn partitions_outside_of_the_range_are_not_read() {
    on_every_executor(|context| {
        let read = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&read);
        let sorted = context.range(0..10_000).shuffle_partitions(20).sort();
        let sorted = sorted.inspect(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let few = sorted.filter_range(7_000..7_010);
        assert_eq!(few.count().unwrap(), 10);
        let read = read.load(Ordering::Relaxed);
        assert!(read < 2_000, "{read} of 10,000 records were read");
    });
}
