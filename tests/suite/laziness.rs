//! Nothing runs before an action, and an action runs no more than it needs.
// Each `expect` of this lint below is an error if the lint does not fire, that is, if `#[must_use]` is missing.
#![deny(unfulfilled_lint_expectations)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use holdall::{Bag, Context, Pipeline, Result};

use crate::common::{Files, on_every_executor};

/// Returns a source that panics if its records are requested.
fn untouchable(context: &Context) -> Bag<u64, impl Pipeline<Out = u64> + use<>> {
    context.from_fn(|| std::iter::from_fn(|| -> Option<u64> { panic!("the source was touched") }))
}

#[test]
fn no_transformation_touches_the_source() {
    on_every_executor(|context| {
        let bag = || untouchable(context);
        let _ = bag()
            .map(|n| n + 1)
            .filter(|n| *n > 0)
            .filter_map(Some)
            .inspect(|_| ());
        let _ = bag()
            .flat_map(|n| [n; 2])
            .map(|n| vec![n])
            .flatten()
            .boxed();
        let _ = bag().flat_map_str(|n, emit| emit(&n.to_string())).words();
        let _ = bag().map_partitions(|records, emit| records.for_each(emit));
        let _ = bag().map_partitions_with_index(|_, records, emit| records.for_each(emit));
        let _ = bag().try_map(|n| n.to_string().parse::<u64>());
        let _ = bag().try_filter(|n| n.to_string().parse::<u64>().map(|n| n > 0));
        let _ = bag().try_filter_map(|n| n.to_string().parse::<u64>().map(Some));
        let _ = bag().try_flat_map(|n| n.to_string().parse::<u64>().map(Some));
        let _ = bag().with(1).map(|one, n| one + n).union(bag());
        let _ = (bag().zip_with_index(), bag().sample(0.5, 0));
        let pairs = || bag().key_by(|n| n % 2);
        let _ = (
            pairs().keys(),
            pairs().values(),
            pairs().map_values(|n| n + 1),
        );
        let _ = (
            bag().count_by_value(),
            bag().distinct(),
            pairs().count_by_key(),
        );
        let _ = pairs()
            .reduce_by_key(|a, b| a + b)
            .values()
            .count_by_value();
        let _ = pairs().fold_by_key(0, |a, b| *a += b);
        let _ = pairs().aggregate_by_key(0, |a, b| *a += b, |a, b| *a += b);
        let _ = pairs().combine_by_key(|n| n, |a, b| *a += b, |a, b| *a += b);
        let grouped = pairs().group_by_key();
        let _ = (
            grouped.clone(),
            grouped.partitions(),
            grouped.explain(),
            grouped.explain().lineage_dot(),
        );
        let _ = format!("{grouped:?} {:?}", bag().with(1));
    });
}

#[test]
fn no_closure_runs_before_an_action() -> Result<()> {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let called = |n: u64| {
        CALLS.fetch_add(1, Ordering::Relaxed);
        n
    };
    let bag = holdall::range(0..10)
        .map(called)
        .key_by(move |n| called(*n))
        .reduce_by_key(|a, b| a + b);
    let bag = bag.map(move |(_, n)| called(n)).boxed();
    assert_eq!(CALLS.load(Ordering::Relaxed), 0);
    bag.count()?;
    assert_eq!(CALLS.load(Ordering::Relaxed), 30);
    Ok(())
}

#[test]
fn files_are_opened_by_actions() -> Result<()> {
    let files = Files::new();
    let path = files.write("f", "first\n");
    let lines = holdall::read_text(&path)?;
    // The file has the same length, so its current content is read.
    std::fs::write(&path, "later\n").expect("room for a file");
    assert_eq!(lines.collect()?, ["later"]);
    Ok(())
}

/// Returns a bag of 100 partitions of 10 numbers each, and the number of partitions that have been computed.
fn counted(context: &Context) -> (Bag<u64>, Arc<AtomicUsize>) {
    let computed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&computed);
    let numbers = context.range_partitioned(0..1_000, 100).inspect(move |n| {
        if n % 10 == 0 {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (numbers.boxed(), computed)
}

#[test]
fn take_scans_no_more_partitions_than_it_needs() {
    // It computes 1 partition, then 4 more, then 20 more, then 100 more.
    for (n, partitions) in [
        (0, 0),
        (1, 1),
        (10, 1),
        (11, 5),
        (50, 5),
        (51, 25),
        (251, 100),
        (2_000, 100),
    ] {
        on_every_executor(move |context| {
            let (bag, computed) = counted(context);
            let taken = bag.take(n).expect("no error");
            assert!(taken.into_iter().eq(0..(n as u64).min(1_000)));
            assert_eq!(
                computed.load(Ordering::Relaxed),
                partitions,
                "for {n} records"
            );
        });
    }
}

#[test]
fn first_and_is_empty_look_at_one_partition_if_it_has_a_record() {
    on_every_executor(|context| {
        let (bag, computed) = counted(context);
        assert_eq!(bag.first().expect("no error"), Some(0));
        assert!(!bag.is_empty().expect("no error"));
        assert_eq!(computed.swap(0, Ordering::Relaxed), 2);
        let none = bag.filter(|n| *n > 2_000);
        assert!(none.is_empty().expect("no error"));
        assert_eq!(none.first().expect("no error"), None);
        assert_eq!(computed.load(Ordering::Relaxed), 200);
    });
}

#[test]
fn a_partition_is_left_as_soon_as_enough_is_found() {
    on_every_executor(|context| {
        let seen = Arc::new(AtomicUsize::new(0));
        let see = Arc::clone(&seen);
        let numbers = context
            .range_partitioned(0..1_000_000, 1)
            .inspect(move |_| {
                see.fetch_add(1, Ordering::Relaxed);
            });
        assert_eq!(numbers.take(3).expect("no error"), [0, 1, 2]);
        assert_eq!(seen.swap(0, Ordering::Relaxed), 3);
        let words = numbers.flat_map_str(|n, emit| (0..5).for_each(|_| emit(&n.to_string())));
        assert_eq!(
            words.take(7).expect("no error"),
            ["0", "0", "0", "0", "0", "1", "1"]
        );
        assert_eq!(seen.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_search_looks_no_further_than_it_needs() {
    on_every_executor(|context| {
        let (bag, computed) = counted(context);
        // The number is in the third partition: `find` computes 1 partition, then 4 more.
        assert_eq!(bag.find(|n| *n > 24).expect("no error"), Some(25));
        assert!((3..=5).contains(&computed.swap(0, Ordering::Relaxed)));
        assert!(bag.any(|n| n == 3).expect("no error"));
        assert!(!bag.all(|n| n != 3).expect("no error"));
        assert_eq!(computed.swap(0, Ordering::Relaxed), 2);
        assert!(!bag.any(|n| n == 3_000).expect("no error"));
        assert!(bag.all(|n| n < 1_000).expect("no error"));
        assert_eq!(bag.find(|n| *n == 3_000).expect("no error"), None);
        assert_eq!(computed.load(Ordering::Relaxed), 300);
    });
}

#[test]
fn iter_stops_the_work_when_it_is_dropped() {
    on_every_executor(|context| {
        let alive = Arc::new(AtomicBool::new(true));
        let seen = Arc::new(AtomicUsize::new(0));
        let (is_alive, see) = (Arc::clone(&alive), Arc::clone(&seen));
        let numbers = context.from_iter(0_u64..).map(move |n| {
            assert!(is_alive.load(Ordering::SeqCst), "the iterator was dropped");
            see.fetch_add(1, Ordering::SeqCst);
            n
        });
        let mut iter = numbers.iter().expect("no error");
        assert_eq!(iter.next().transpose().expect("no error"), Some(0));
        drop(iter);
        alive.store(false, Ordering::SeqCst);
        // The count no longer changes, because nothing runs. A task that still ran would process 2 million records.
        let after = seen.load(Ordering::SeqCst);
        assert!(after < 2_000_000, "{after} records for one");
        assert_eq!(context.range(0..10).count().expect("no error"), 10);
        assert_eq!(seen.load(Ordering::SeqCst), after);
    });
}

#[test]
fn work_that_is_shared_by_clones_is_done_by_each_action() {
    on_every_executor(|context| {
        let (bag, computed) = counted(context);
        let (one, other) = (bag.clone(), bag);
        assert_eq!(
            one.count().expect("no error"),
            other.count().expect("no error")
        );
        assert_eq!(computed.load(Ordering::Relaxed), 200);
    });
}

#[expect(unused_must_use, reason = "this is what is tested")]
fn a_bag_that_is_not_used() {
    holdall::range(0..10);
}

#[expect(unused_must_use, reason = "this is what is tested")]
fn a_transformation_that_is_not_used() {
    holdall::range(0..10).map(|n| n + 1);
}

#[expect(unused_must_use, reason = "this is what is tested")]
fn a_keyed_bag_that_is_not_used() {
    holdall::range(0..10).count_by_value();
}

#[expect(unused_must_use, reason = "this is what is tested")]
fn a_state_that_is_not_used() {
    holdall::range(0..10).with(1);
}

#[expect(unused_must_use, reason = "this is what is tested")]
fn a_context_that_is_not_built() {
    Context::builder().threads(2);
}

#[expect(unused_must_use, reason = "this is what is tested")]
fn a_reader_that_reads_nothing() {
    holdall::TextReader::new().delimiter(";");
}

#[expect(unused_must_use, reason = "this is what is tested")]
fn a_writer_that_writes_nothing() {
    holdall::TextWriter::new().overwrite(true);
}

#[test]
fn what_is_not_used_is_warned_of_and_does_nothing() {
    a_bag_that_is_not_used();
    a_transformation_that_is_not_used();
    a_keyed_bag_that_is_not_used();
    a_state_that_is_not_used();
    a_context_that_is_not_built();
    a_reader_that_reads_nothing();
    a_writer_that_writes_nothing();
}
