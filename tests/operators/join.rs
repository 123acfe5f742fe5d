//! Compares the joins with nested loops over plain collections, with enough memory and with too little.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;

use holdall::{Bag, Context, ErrorKind};
use proptest::prelude::*;

use crate::common::{
    Pairs, assert_empty, on_every_executor_and_processes, pairs, spilling_contexts as contexts,
};

/// Rows of a full join.
type Rows = Vec<(u32, (Option<String>, Option<String>))>;

/// Returns pairs of a left and a right side.
fn shapes() -> Vec<(Pairs, Pairs)> {
    vec![
        (Vec::new(), Vec::new()),
        (pairs(100, |n| n), Vec::new()),
        (Vec::new(), pairs(100, |n| n)),
        (pairs(8_000, |n| n), pairs(4_000, |n| n * 3)),
        (pairs(8_000, |n| n % 1200), pairs(2_000, |n| n % 1600)),
        // Almost all records of both sides have the same key.
        (
            pairs(150, |n| if n % 10 == 0 { n } else { 3 }),
            pairs(120, |n| if n % 10 == 1 { n } else { 3 }),
        ),
        (pairs(120, |_| 1), pairs(80, |_| 1)),
        (
            (0..20)
                .map(|n| (n % 3, "y".repeat(n as usize * 4000)))
                .collect(),
            (0..20)
                .map(|n| (n % 4, "z".repeat(n as usize * 4000)))
                .collect(),
        ),
    ]
}

/// Returns the result of a full join, by nested loops: in the order of the left side, and for keys without a left
/// value, in the order of the right side.
fn full(left: &Pairs, right: &Pairs) -> Rows {
    let mut by_key = std::collections::HashMap::<u32, Vec<&String>>::new();
    for (key, value) in right {
        by_key.entry(*key).or_default().push(value);
    }
    let mut rows = Vec::new();
    for (key, value) in left {
        match by_key.get(key) {
            None => rows.push((*key, (Some(value.clone()), None))),
            Some(found) => {
                let found = found.iter().map(|other| (*other).clone());
                rows.extend(found.map(|other| (*key, (Some(value.clone()), Some(other)))));
            }
        }
    }
    let lefts: BTreeSet<_> = left.iter().map(|(key, _)| key).collect();
    let alone = right.iter().filter(|(key, _)| !lefts.contains(key));
    rows.extend(alone.map(|(key, value)| (*key, (None, Some(value.clone())))));
    rows
}

/// Sorts by key only, so that the order of the rows of a key remains visible.
fn by_key<V>(mut rows: Vec<(u32, V)>) -> Vec<(u32, V)> {
    rows.sort_by_key(|(key, _)| *key);
    rows
}

fn check_all_kinds(context: &Context, left: &Pairs, right: &Pairs, partitions: usize) {
    let l = || context.from_vec_partitioned(left.clone(), partitions);
    let r = || context.from_vec_partitioned(right.clone(), partitions + 2);
    let full = by_key(full(left, right));
    assert!(
        by_key(l().full_join(r()).collect().unwrap()) == full,
        "full"
    );
    let rows = by_key(l().join(r()).collect().unwrap());
    assert!(rows == rows_of(&full, |l, r| Some((l?, r?))), "inner");
    let rows = by_key(l().left_join(r()).collect().unwrap());
    assert!(rows == rows_of(&full, |l, r| Some((l?, r))), "left");
    let rows = by_key(l().right_join(r()).collect().unwrap());
    assert!(rows == rows_of(&full, |l, r| Some((l, r?))), "right");
    let (semi, anti) = semi_and_anti(left, right);
    assert!(
        by_key(l().semi_join(r()).collect().unwrap()) == by_key(semi),
        "semi"
    );
    assert!(
        by_key(l().anti_join(r()).collect().unwrap()) == by_key(anti),
        "anti"
    );
}

fn check_broadcasts(context: &Context, left: &Pairs, right: &Pairs, partitions: usize) {
    let l = || context.from_vec_partitioned(left.clone(), partitions);
    let r = || context.from_vec_partitioned(right.clone(), partitions + 2);
    let full = by_key(full(left, right));
    let rows = by_key(l().join_broadcast(r()).collect().unwrap());
    assert!(rows == rows_of(&full, |l, r| Some((l?, r?))), "inner");
    let rows = by_key(l().left_join_broadcast(r()).collect().unwrap());
    assert!(rows == rows_of(&full, |l, r| Some((l?, r))), "left");
    // The order of the left side as a whole is kept.
    let (semi, anti) = semi_and_anti(left, right);
    assert!(
        l().semi_join_broadcast(r()).collect().unwrap() == semi,
        "semi"
    );
    assert!(
        l().anti_join_broadcast(r()).collect().unwrap() == anti,
        "anti"
    );
}

/// Returns the result of another kind of join if that of the full join is `full`.
fn rows_of<V>(
    full: &Rows,
    row: impl Fn(Option<String>, Option<String>) -> Option<V>,
) -> Vec<(u32, V)> {
    let rows = full.iter().cloned();
    rows.filter_map(|(key, (l, r))| Some((key, row(l, r)?)))
        .collect()
}

fn semi_and_anti(left: &Pairs, right: &Pairs) -> (Pairs, Pairs) {
    let rights: BTreeSet<_> = right.iter().map(|(key, _)| *key).collect();
    let left = left.iter().cloned();
    left.partition(|(key, _)| rights.contains(key))
}

#[test]
fn joins_are_those_of_nested_loops() {
    let spill = tempfile::tempdir().unwrap();
    for (left, right) in shapes() {
        for context in contexts(spill.path()) {
            check_all_kinds(&context, &left, &right, 7);
        }
        for threads in [1, 2, 7] {
            let context = Context::builder().threads(threads).build().unwrap();
            check_broadcasts(&context, &left, &right, 7);
        }
    }
    assert_empty(spill.path());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn random_joins_are_those_of_nested_loops(
        left in prop::collection::vec((0..60_u32, ".{0,8}"), 0..200),
        right in prop::collection::vec((0..60_u32, ".{0,8}"), 0..200),
        partitions in 1..9_usize,
        threads in 1..4_usize,
    ) {
        let spill = tempfile::tempdir().unwrap();
        let builder = Context::builder().threads(threads).memory((threads as u64) << 20);
        let context = builder.spill_directory(spill.path()).build().unwrap();
        check_all_kinds(&context, &left, &right, partitions);
        let context = Context::builder().threads(threads).build().unwrap();
        check_broadcasts(&context, &left, &right, partitions);
    }
}

#[test]
fn the_order_is_that_of_the_hash_whatever_spills() {
    let spill = tempfile::tempdir().unwrap();
    let (left, right) = (pairs(8_000, |n| n % 1200), pairs(2_000, |n| n % 1600));
    let (mut all, mut spilled) = (Vec::new(), Vec::new());
    for context in contexts(spill.path()) {
        let l = context.from_vec_partitioned(left.clone(), 20);
        let r = context.from_vec_partitioned(right.clone(), 10);
        all.push(l.join(r).collect().unwrap());
        let stages = context.last_job().unwrap().stages;
        spilled.push(stages.iter().any(|stage| stage.spilled_bytes > 0));
    }
    assert!(all.windows(2).all(|two| two[0] == two[1]));
    assert!(
        spilled.contains(&true) && spilled.contains(&false),
        "{spilled:?}"
    );
    assert_empty(spill.path());
}

/// Both sides have one key so often that neither fits into memory.
#[test]
fn a_heavy_key_on_both_sides_fits() {
    let spill = tempfile::tempdir().unwrap();
    for threads in [1, 2] {
        let builder = Context::builder()
            .threads(threads)
            .memory((threads as u64) << 20);
        let context = builder.spill_directory(spill.path()).build().unwrap();
        let left = context.range_partitioned(0..5, 4).map(|n| (7, n));
        let right = context.range_partitioned(0..100_000, 9).map(|n| (7, n));
        let rows = left.join(right).map(|(_, (l, r))| l * 100_000 + r);
        let mut expected = 0..500_000;
        for row in rows.iter().unwrap() {
            assert_eq!(row.unwrap(), expected.next().unwrap());
        }
        assert!(expected.is_empty());
    }
    assert_empty(spill.path());
}

/// Values of any length, including none.
#[test]
fn keys_with_many_values_on_both_sides_are_those_of_nested_loops() {
    fn check<V, W>(left: impl Fn(u64) -> V, right: impl Fn(u64) -> W)
    where
        V: holdall::Data + Clone + PartialEq + Sync,
        W: holdall::Data + Clone + PartialEq + Sync,
    {
        let spill = tempfile::tempdir().unwrap();
        let key = |n| if n % 3 == 0 { n } else { n % 2 };
        let lefts: Vec<_> = (0..90).map(|n| (key(n), left(n * n * n * n))).collect();
        let rights: Vec<_> = (0..70).map(|n| (key(n), right(n * n * n * n))).collect();
        let mut expected = Vec::new();
        for (key, left) in &lefts {
            let matches = rights.iter().filter(|(other, _)| other == key);
            expected.extend(matches.map(|(_, right)| (*key, (left.clone(), right.clone()))));
        }
        expected.sort_by_key(|(key, _)| *key);
        for context in contexts(spill.path()) {
            let l = context.from_vec_partitioned(lefts.clone(), 5);
            let r = context.from_vec_partitioned(rights.clone(), 4);
            let mut rows = l.clone().join(r.clone()).collect().unwrap();
            let values = l.clone().join_values(r.clone()).collect().unwrap();
            let all = rows.iter().map(|(_, values)| values);
            assert!(all.eq(values.iter()));
            rows.sort_by_key(|(key, _)| *key);
            assert!(rows == expected);
            let full = l.full_join(r).map(|(_, values)| values);
            let full = full.filter_map(|(left, right)| left.zip(right));
            assert!(full.collect().unwrap() == values);
        }
    }
    check(|n| n, |n| n as i32 - 1000);
    check(|n| (n as u8, n as f64 / 7.0), |n| (n > 1000).then_some(n));
    check(|_| (), |_| ());
    check(|n| n.to_string(), |n| "x".repeat(n as usize % 90));
    check(|_| "same".to_owned(), |n| format!("{n:0>100}"));
    check(|n| vec![n; 2], |n| vec![n; n as usize % 4]);
}

/// One key has nine tenths of both sides, which do not fit into memory; one of them exceeds it by far.
#[test]
fn nine_tenths_in_one_key_are_within_the_least_memory_for_every_kind() {
    let spill = tempfile::tempdir().unwrap();
    let builder = Context::builder().threads(2).memory(2 << 20);
    let context = builder.spill_directory(spill.path()).build().unwrap();
    let side = |count: u64, others: u64| {
        let numbers = context.range_partitioned(0..count, 9);
        let key = move |n| if n % 10 == 0 { others + n } else { 7 };
        numbers.map(move |n| (key(n), format!("{n:->60}"))).boxed()
    };
    for (l, r) in [(10, 30_000), (30_000, 10)] {
        let (left, right) = (side(l, 1_000_000), side(r, 2_000_000));
        let pairs = l * r * 81 / 100;
        macro_rules! check {
            ($($method:ident gives $rows:expr;)*) => {$(
                let rows = left.clone().$method(right.clone());
                assert_eq!(rows.count().unwrap(), $rows, stringify!($method));
                let stages = context.last_job().unwrap().stages;
                assert!(stages.iter().any(|stage| stage.spilled_bytes > 0));
            )*};
        }
        check! {
            join gives pairs;
            left_join gives pairs + l / 10;
            right_join gives pairs + r / 10;
            full_join gives pairs + l / 10 + r / 10;
        }
        let rows = left.clone().semi_join(right.clone());
        assert_eq!(rows.count().unwrap(), l * 9 / 10);
        let rows = left.clone().anti_join(right.clone());
        assert_eq!(rows.count().unwrap(), l / 10);
        let groups = left.cogroup(right);
        let sizes = groups.map(|(key, left, right)| (key == 7, left.count(), right.count()));
        let sizes = sizes.filter(|(is_heavy, ..)| *is_heavy).collect().unwrap();
        assert_eq!(sizes, [(true, l as usize * 9 / 10, r as usize * 9 / 10)]);
    }
    assert_empty(spill.path());
}

#[test]
fn sets_are_those_of_plain_collections() {
    let spill = tempfile::tempdir().unwrap();
    let words = |count: u32, step: u32| -> Vec<String> {
        (0..count)
            .map(|n| format!("word {}", n * step % 1000))
            .collect()
    };
    let (left, right) = (words(5000, 3), words(3000, 7)[..140].to_vec());
    let rights: BTreeSet<_> = right.iter().cloned().collect();
    let mut both: Vec<_> = left
        .iter()
        .filter(|word| rights.contains(*word))
        .cloned()
        .collect();
    both.sort();
    both.dedup();
    let mut rest: Vec<_> = left
        .iter()
        .filter(|word| !rights.contains(*word))
        .cloned()
        .collect();
    rest.sort();
    for context in contexts(spill.path()) {
        let l = || context.from_vec_partitioned(left.clone(), 5);
        let r = || context.from_vec_partitioned(right.clone(), 2);
        let mut found = l().intersection(r()).collect().unwrap();
        found.sort();
        assert_eq!(found, both);
        let mut found = l().subtract(r()).collect().unwrap();
        found.sort();
        assert_eq!(found, rest);
        // The same with borrowed text.
        let text = |bag: holdall::Bag<String>| bag.flat_map_str(|word, emit| emit(&word));
        let mut found = text(l().boxed())
            .subtract(text(r().boxed()))
            .collect()
            .unwrap();
        found.sort();
        assert_eq!(found, rest);
    }
    assert_empty(spill.path());
}

#[test]
fn a_bag_joins_with_itself_and_with_a_join() {
    let spill = tempfile::tempdir().unwrap();
    for context in contexts(spill.path()) {
        let numbers = context.range_partitioned(0..3000, 7).map(|n| (n, n * 2));
        let squares = numbers.clone().join(numbers.clone());
        let rows = squares.clone().join(squares.left_join(numbers));
        assert!(
            rows.explain().to_string().contains("join <- stage"),
            "{}",
            rows.explain()
        );
        let mut rows = rows.collect().unwrap();
        rows.sort();
        let row = |n: u64| (n, ((n * 2, n * 2), ((n * 2, n * 2), Some(n * 2))));
        assert_eq!(rows, (0..3000).map(row).collect::<Vec<_>>());
    }
    assert_empty(spill.path());
}

#[test]
fn the_plan_names_both_sides() {
    let context = Context::builder().build().unwrap();
    let left = context.range_partitioned(0..10, 2).map(|n| (n, 'l'));
    let right = context.range_partitioned(0..10, 3).map(|n| (n, 'r'));
    let plan = left.clone().join(right.clone()).explain().to_string();
    assert!(
        plan.contains("  join <- stage 2, <- stage 1 at tests/operators/join.rs"),
        "{plan}"
    );
    // The side that need not be shuffled completely comes last.
    let end =
        "  -> shuffle: by hash of the key, without keys that stage 1 has not, if these are few";
    assert!(plan.contains(&format!("{end}\nstage 3 ")), "{plan}");
    let plan = left.join_broadcast(right).explain().to_string();
    assert!(plan.contains("  -> broadcast\n"), "{plan}");
    assert!(
        plan.contains("  join_broadcast <- stage 1 at tests/operators/join.rs"),
        "{plan}"
    );
    assert!(plan.contains("stage 2 (partitions: 2)"), "{plan}");
}

/// Returns the rows of each kind of join, and the number of records of both sides that were not shuffled.
fn joins(
    context: &Context,
    left: &Bag<(u32, u32)>,
    right: &Bag<(u32, u32)>,
) -> Vec<(&'static str, Vec<String>, u64)> {
    macro_rules! joins {
        ($($method:ident)*) => {
            vec![$({
                let rows = left.clone().$method(right.clone());
                let rows = rows.map(|row| format!("{row:?}")).collect().unwrap();
                let stages = context.last_job().unwrap().stages;
                let dropped = stages.iter().map(|stage| stage.filtered_records).sum();
                (stringify!($method), rows, dropped)
            }),*]
        };
    }
    joins!(join left_join right_join full_join semi_join anti_join intersection subtract)
}

#[test]
fn records_without_a_match_need_not_be_shuffled_and_the_rows_are_the_same() {
    let spill = tempfile::tempdir().unwrap();
    for context in contexts(spill.path()).into_iter().take(3) {
        // Few keys on the side that is shuffled first, and more than the filter records if memory is short.
        for keys in [100, 20_000] {
            let asked = context.range_partitioned(0..keys, 3);
            let asked = asked.map(|n| (n as u32 * 7, n as u32)).boxed();
            let other = context.range_partitioned(0..10_000, 7);
            let other = other.map(|n| (n as u32 * 3 % 9_001, n as u32)).boxed();
            // If one bag is already partitioned by key, no record of the other side is filtered.
            let of_all = joins(&context, &asked.clone().partition_by(5), &other);
            for (found, expected) in joins(&context, &asked, &other).iter().zip(&of_all) {
                assert!(found.1 == expected.1, "{} of {keys}", found.0);
                // Only bags of pairs are partitioned by key.
                let is_of_pairs = !["intersection", "subtract"].contains(&found.0);
                assert!(expected.2 == 0 || !is_of_pairs);
                let drops = ["left_join", "anti_join", "subtract"].contains(&found.0);
                assert!(keys != 100 || found.2 > 9_000 || !drops, "{found:?}");
            }
            let of_all = joins(&context, &other, &asked.clone().partition_by(5));
            for (found, expected) in joins(&context, &other, &asked).iter().zip(&of_all) {
                assert!(found.1 == expected.1, "{} of {keys}", found.0);
                let drops = ["join", "right_join", "semi_join", "intersection"].contains(&found.0);
                assert!(keys != 100 || found.2 > 9_000 || !drops, "{found:?}");
                assert!(found.2 == 0 || found.0 != "full_join");
            }
        }
    }
    assert_empty(spill.path());
}

#[test]
fn a_bag_too_large_to_broadcast_is_refused() {
    let spill = tempfile::tempdir().unwrap();
    let builder = Context::builder().memory(2 << 20).threads(2);
    let context = builder.spill_directory(spill.path()).build().unwrap();
    let numbers = context.range_partitioned(0..300_000, 8).map(|n| (n, n));
    let error = numbers.clone().join_broadcast(numbers).count().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::BroadcastTooLarge { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("without broadcasting"),
        "{error}"
    );
    assert_eq!(error.context().unwrap().operator, Some("join_broadcast"));

    // No broadcast of the user's: the error names what it is.
    let chunks = context.range_partitioned(0..1_000_000, 8).chunks(1 << 20);
    let error = chunks.count().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::BroadcastTooLarge { .. }),
        "{error}"
    );
    let expected = "cannot send a summary of each partition to all tasks in chunks at tests/operators/join.rs:";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_empty(spill.path());
}

/// Numbers of keys and values, most of which are in a table, and whose lookups are in batches.
#[test]
fn broadcasts_of_numbers_are_those_of_nested_loops() {
    let left: Vec<(u64, u32)> = (0..5_000).map(|n| (n * 7 % 900, n as u32)).collect();
    // None to three values for a key; some keys that the left side lacks.
    let right: Vec<(u64, (i64, bool))> = (0..1_200)
        .filter(|n| n % 4 != 0)
        .map(|n| (n % 500 * 2, (n as i64 - 600, n % 3 == 0)))
        .collect();
    let found = |key: u64| right.iter().filter(move |(other, _)| *other == key);
    let rows: Vec<_> = left
        .iter()
        .flat_map(|(key, n)| found(*key).map(move |(_, value)| (*key, (*n, *value))))
        .collect();
    let with_missing: Vec<_> = left
        .iter()
        .flat_map(|(key, n)| {
            let values: Vec<_> = found(*key).map(|(_, value)| Some(*value)).collect();
            let values = if values.is_empty() {
                vec![None]
            } else {
                values
            };
            values.into_iter().map(move |value| (*key, (*n, value)))
        })
        .collect();
    let (semi, anti): (Vec<_>, Vec<_>) =
        (left.iter().copied()).partition(|(key, _)| found(*key).next().is_some());
    on_every_executor_and_processes(move |context| {
        let l = || context.from_vec_partitioned(left.clone(), 5);
        let r = || context.from_vec_partitioned(right.clone(), 3);
        assert_eq!(l().join_broadcast(r()).collect().unwrap(), rows);
        assert_eq!(l().join_broadcast(r()).take(70).unwrap(), rows[..70]);
        let left_joined = l().left_join_broadcast(r()).collect().unwrap();
        assert_eq!(left_joined, with_missing);
        assert_eq!(l().semi_join_broadcast(r()).collect().unwrap(), semi);
        assert_eq!(l().anti_join_broadcast(r()).collect().unwrap(), anti);
        // There is no table of values whose length varies.
        let texts = r().map_values(|(n, _)| n.to_string());
        let texts = l().join_broadcast(texts).values().map(|(_, n)| n);
        let expected: Vec<_> = rows.iter().map(|(_, (_, (n, _)))| n.to_string()).collect();
        assert_eq!(texts.collect().unwrap(), expected);
    });
}

#[test]
fn a_panic_behind_a_join_is_that_closure_s() {
    let spill = tempfile::tempdir().unwrap();
    for context in contexts(spill.path()) {
        let left = context.from_vec_partitioned(pairs(2000, |n| n % 50), 3);
        let right = context.from_vec_partitioned(pairs(50, |n| n), 3);
        for rows in [
            left.clone().join(right.clone()).boxed(),
            left.join_broadcast(right).boxed(),
        ] {
            let rows = rows.map(|(key, _)| assert!(key != 30, "thirty"));
            let error = rows.count().unwrap_err().to_string();
            assert!(
                error.contains("in map at tests/operators/join.rs") && error.contains("thirty"),
                "{error}"
            );
        }
    }
    assert_empty(spill.path());
}
