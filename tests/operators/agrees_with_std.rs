//! Compares each method with the plain iterator or collection of the same meaning, over random data and partitionings.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::num::ParseIntError;
use std::sync::{Arc, Mutex};

use holdall::{Bag, Context, Data, Pipeline, Result, TextReader};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::common::{
    Files, concatenation, key_bytes, on_every_executor_and_processes, on_every_executor_with,
    sort_as_keyed,
};

/// Number of cases of each property on each executor.
const CASES: u32 = 3;

/// Sources and partitionings of a bag.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// In this number of partitions; in none if there are no records.
    Vec(usize),
    /// In partitions whose number is unknown.
    Iter,
    /// The first percentage of the records in the given number of partitions, the rest from an iterator.
    VecAndIter(usize, usize),
    /// Like `VecAndIter`, but in reverse order, as a `Bag<T>`.
    BoxedIterAndVec(usize, usize),
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        (0..6_usize).prop_map(Shape::Vec),
        (50..300_usize).prop_map(Shape::Vec),
        Just(Shape::Iter),
        (0..=100_usize, 0..6_usize).prop_map(|(percent, n)| Shape::VecAndIter(percent, n)),
        (0..=100_usize, 0..6_usize).prop_map(|(percent, n)| Shape::BoxedIterAndVec(percent, n)),
    ]
}

/// Returns the records in the given number of partitions, or in none.
fn from_vec<T>(
    context: &Context,
    records: &[T],
    partitions: usize,
) -> Bag<T, impl Pipeline<Out = T> + use<T>>
where
    T: Data + Clone + Sync,
{
    let partitions = if records.is_empty() {
        partitions
    } else {
        partitions.max(1)
    };
    context.from_vec_partitioned(records.to_vec(), partitions)
}

fn cut<T>(records: &[T], percent: usize) -> (&[T], &[T]) {
    records.split_at(records.len() * percent / 100)
}

/// Calls a generic `check` with the bag of `records` in `shape`, and with `records`. The bag with both kinds of source is of
/// its own type, all others are a `Bag<T>`: each further type takes long to compile.
macro_rules! check_both_types {
    ($check:ident, $context:expr, $shape:expr, $records:expr) => {{
        let (context, records) = ($context, &$records[..]);
        match $shape {
            Shape::VecAndIter(percent, partitions) => {
                let (start, end) = cut(records, percent);
                let end = context.from_iter(end.to_vec());
                $check(&from_vec(context, start, partitions).union(end), records)
            }
            shape => $check(&boxed(context, shape, records), records),
        }
    }};
}

/// Like `check_both_types`, but in a sample, each bag is a `Bag<T>`.
macro_rules! check_shaped {
    ($check:ident, $context:expr, $shape:expr, $records:expr) => {
        if cfg!(sampled) {
            $check(&boxed($context, $shape, &$records), &$records)
        } else {
            check_both_types!($check, $context, $shape, $records)
        }
    };
}

/// Returns the bag of `records` in `shape`, as a `Bag<T>`.
fn boxed<T>(context: &Context, shape: Shape, records: &[T]) -> Bag<T>
where
    T: Data + Clone + Sync,
{
    match shape {
        Shape::Vec(partitions) => from_vec(context, records, partitions).boxed(),
        Shape::Iter => context.from_iter(records.to_vec()).boxed(),
        Shape::VecAndIter(percent, partitions) => {
            let (start, end) = cut(records, percent);
            let end = context.from_iter(end.to_vec());
            from_vec(context, start, partitions).union(end).boxed()
        }
        Shape::BoxedIterAndVec(percent, partitions) => {
            let (start, end) = cut(records, percent);
            let end = from_vec(context, end, partitions).boxed();
            context.from_iter(start.to_vec()).boxed().union(end).boxed()
        }
    }
}

/// Asserts `property` for random values, on every executor, with few and with many partitions after a shuffle.
fn holds<S>(
    values: impl Fn() -> S + Send + Sync + Clone + 'static,
    property: impl Fn(&Context, S::Value) -> Result<()> + Send + Sync + Clone + 'static,
) where
    S: Strategy,
{
    for shuffle_partitions in [3, 64] {
        let (values, property) = (values.clone(), property.clone());
        on_every_executor_with(
            move |builder| builder.shuffle_partitions(shuffle_partitions),
            move |context| {
                let mut runner = TestRunner::new(Config {
                    cases: CASES,
                    failure_persistence: None,
                    ..Config::default()
                });
                let outcome = runner.run(&values(), |value| {
                    property(context, value).map_err(|error| TestCaseError::fail(error.to_string()))
                });
                if let Err(failure) = outcome {
                    panic!("{failure}");
                }
            },
        );
    }
}

/// Mostly few distinct numbers, so that keys repeat.
fn numbers() -> impl Strategy<Value = Vec<i64>> {
    prop_oneof![
        vec(-9..9_i64, 0..400),
        vec(any::<i64>().prop_map(|n| n >> 8), 0..40)
    ]
}

fn words() -> impl Strategy<Value = Vec<String>> {
    vec("[a-cé]{0,3}|[a-z ]{10,20}", 0..200)
}

fn tuples() -> impl Strategy<Value = Vec<(u8, String)>> {
    vec((0..5_u8, "[xy]{0,2}"), 0..200)
}

// Narrow methods.

fn maps_and_filters<P: Pipeline<Out = i64>>(bag: &Bag<i64, P>, records: &[i64]) -> Result<()> {
    let all = || records.iter().copied();
    let bag = || bag.clone();
    assert_eq!(
        bag().map(|n| n * 2).collect()?,
        all().map(|n| n * 2).collect::<Vec<_>>()
    );
    assert_eq!(
        bag().filter(|n| n % 3 == 0).collect()?,
        all().filter(|n| n % 3 == 0).collect::<Vec<_>>()
    );
    let small = |n: i64| u8::try_from(n).ok();
    assert_eq!(
        bag().filter_map(small).collect()?,
        all().filter_map(small).collect::<Vec<_>>()
    );
    let copies = |n: i64| vec![n; n.rem_euclid(4) as usize];
    assert_eq!(
        bag().flat_map(copies).collect()?,
        all().flat_map(copies).collect::<Vec<_>>()
    );
    assert_eq!(
        bag().map(copies).flatten().collect()?,
        all().map(copies).collect::<Vec<_>>().concat()
    );
    let pieces = bag().flat_map_str(|n, emit| n.to_string().split('1').for_each(emit));
    let expected = all().flat_map(|n| {
        let text = n.to_string();
        text.split('1').map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(pieces.collect()?, expected.collect::<Vec<_>>());
    assert_eq!(
        pieces.boxed().collect()?.concat(),
        all()
            .map(|n| n.to_string().replace('1', ""))
            .collect::<String>()
    );
    Ok(())
}

fn positions<P: Pipeline<Out = i64>>(bag: &Bag<i64, P>, records: &[i64]) -> Result<()> {
    let indexed: Vec<_> = records.iter().copied().zip(0_u64..).collect();
    let bag = || bag.clone();
    assert_eq!(bag().zip_with_index().collect()?, indexed);
    // Before a shuffle, after one, and twice.
    let again = bag().zip_with_index().zip_with_index();
    let sorted = again
        .sort_by_key(|record| Reverse(record.1))
        .zip_with_index();
    let back = sorted.map(|(((n, _), _), index)| (n, index)).collect()?;
    let reversed = records.iter().rev().copied();
    assert_eq!(back, reversed.zip(0..).collect::<Vec<_>>());

    assert_eq!(bag().sample(1.0, 3).collect()?, records);
    assert_eq!(bag().sample(0.0, 3).count()?, 0);
    let sample = bag().zip_with_index().sample(0.4, 3);
    let chosen = sample.collect()?;
    assert_eq!(sample.collect()?, chosen);
    assert!(chosen.is_sorted_by_key(|(_, index)| *index));
    assert!(chosen.iter().all(|record| indexed.contains(record)));
    // The choice does not depend on the steps before and after it, if the partitions are the same.
    let doubled = bag().map(|n| 2 * n).sample(0.4, 3).collect()?;
    assert_eq!(
        doubled,
        chosen.iter().map(|(n, _)| 2 * n).collect::<Vec<_>>()
    );
    Ok(())
}

fn looks_and_pairs<P: Pipeline<Out = i64>>(bag: &Bag<i64, P>, records: &[i64]) -> Result<()> {
    let all = || records.iter().copied();
    let bag = || bag.clone();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = Arc::clone(&seen);
    let inspected = bag().inspect(move |n| see.lock().expect("no panic").push(*n));
    assert_eq!(inspected.collect()?, records);
    let mut seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    let mut expected = records.to_vec();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);

    let pairs = || bag().key_by(|n| n % 5);
    assert_eq!(
        pairs().collect()?,
        all().map(|n| (n % 5, n)).collect::<Vec<_>>()
    );
    assert_eq!(
        pairs().keys().collect()?,
        all().map(|n| n % 5).collect::<Vec<_>>()
    );
    assert_eq!(pairs().values().collect()?, records);
    assert_eq!(
        pairs().map_values(|n| n + 1).collect()?,
        all().map(|n| (n % 5, n + 1)).collect::<Vec<_>>()
    );
    let twice = bag().union(bag().map(|n| -n).boxed());
    assert_eq!(
        twice.collect()?,
        all().chain(all().map(|n| -n)).collect::<Vec<_>>()
    );
    let twice = bag().boxed().union(bag());
    assert_eq!(twice.collect()?, [records, records].concat());
    assert_eq!(twice.partitions(), bag().partitions().map(|n| 2 * n));
    Ok(())
}

fn whole_partitions<P: Pipeline<Out = i64>>(bag: &Bag<i64, P>, records: &[i64]) -> Result<()> {
    let bag = || bag.clone();
    // Each partition as a vector: together they contain the records.
    let partitions = bag().map_partitions(|records, emit| {
        let mut all = Vec::new();
        records.for_each(|n| all.push(n));
        emit(all);
    });
    let partitions = partitions.collect()?;
    assert_eq!(partitions.concat(), records);
    if let Some(expected) = bag().partitions() {
        assert_eq!(partitions.len(), expected);
    }
    let indices = bag().map_partitions_with_index(|index, _, emit| emit(index));
    assert_eq!(
        indices.collect()?,
        (0..partitions.len()).collect::<Vec<_>>()
    );
    // A closure that breaks receives no further records.
    let firsts = bag().map_partitions(|records, emit| {
        records.try_for_each(|n| {
            emit(n);
            std::ops::ControlFlow::Break(())
        });
    });
    let expected: Vec<_> = partitions
        .iter()
        .filter_map(|p| p.first().copied())
        .collect();
    assert_eq!(firsts.collect()?, expected);
    assert_eq!(firsts.first()?, expected.first().copied());
    let counted = bag()
        .with(100)
        .map_partitions_with_index(|start, index, records, emit| {
            let mut count = *start;
            records.for_each(|_| count += 1);
            emit((index, count));
        });
    let expected: Vec<_> = partitions
        .iter()
        .map(|p| 100 + p.len())
        .enumerate()
        .collect();
    assert_eq!(counted.collect()?, expected);
    Ok(())
}

fn fallible_closures<P: Pipeline<Out = i64>>(bag: &Bag<i64, P>, records: &[i64]) -> Result<()> {
    let all = || records.iter().copied();
    let bag = || bag.clone();
    let parsed = |n: i64| n.to_string().parse::<i64>();
    assert_eq!(bag().try_map(parsed).collect()?, records);
    let odd = |n: &i64| Ok::<_, ParseIntError>(n % 2 != 0);
    assert_eq!(
        bag().try_filter(odd).collect()?,
        all().filter(|n| n % 2 != 0).collect::<Vec<_>>()
    );
    let halved = |n: i64| Ok::<_, ParseIntError>((n % 2 == 0).then_some(n / 2));
    assert_eq!(
        bag().try_filter_map(halved).collect()?,
        all()
            .filter(|n| n % 2 == 0)
            .map(|n| n / 2)
            .collect::<Vec<_>>()
    );
    let doubled = move |n: i64| parsed(n).map(|n| [n, n]);
    assert_eq!(
        bag().try_flat_map(doubled).collect()?,
        all().flat_map(|n| [n, n]).collect::<Vec<_>>()
    );
    bag().try_for_each(move |n| parsed(n).map(drop))?;

    // If the closure fails, `try_map` promises an error, but not that it is the first in the order of the bag.
    let fails = |n: i64| if n == 0 { Err("zero") } else { Ok(n) };
    let outcome = bag().try_map(fails).collect();
    assert_eq!(outcome.is_err(), records.contains(&0));
    Ok(())
}

fn named_state<P: Pipeline<Out = i64>>(bag: &Bag<i64, P>, records: &[i64]) -> Result<()> {
    let all = || records.iter().copied();
    let with = || bag.clone().with(3_i64);
    assert_eq!(
        with().map(|k, n| n * k).collect()?,
        all().map(|n| n * 3).collect::<Vec<_>>()
    );
    assert_eq!(
        with().filter(|k, n| n > k).collect()?,
        all().filter(|n| *n > 3).collect::<Vec<_>>()
    );
    assert_eq!(
        with()
            .filter_map(|k, n| n.checked_rem(*k).filter(|n| *n > 0))
            .collect()?,
        all().map(|n| n % 3).filter(|n| *n > 0).collect::<Vec<_>>()
    );
    assert_eq!(
        with().flat_map(|k, n| vec![n; *k as usize]).collect()?,
        all().flat_map(|n| [n; 3]).collect::<Vec<_>>()
    );
    assert_eq!(
        with()
            .flat_map_str(|k, n, emit| emit(&format!("{k}{n}")))
            .collect()?,
        all().map(|n| format!("3{n}")).collect::<Vec<_>>()
    );
    let sum = Arc::new(Mutex::new(0));
    let add = Arc::clone(&sum);
    let inspected = with().inspect(move |k, n| *add.lock().expect("no panic") += k * (n % 7));
    assert_eq!(inspected.collect()?, records);
    assert_eq!(
        *sum.lock().expect("no panic"),
        all().map(|n| 3 * (n % 7)).sum::<i64>()
    );
    assert_eq!(
        with()
            .try_map(|k, n| n.checked_mul(*k).ok_or("overflow"))
            .collect()?,
        all().map(|n| n * 3).collect::<Vec<_>>()
    );
    assert_eq!(
        with()
            .try_filter(|k, n| Ok::<_, ParseIntError>(n >= k))
            .collect()?,
        all().filter(|n| *n >= 3).collect::<Vec<_>>()
    );
    Ok(())
}

#[test]
fn narrow_methods_are_those_of_iterators() {
    holds(
        || (shapes(), numbers()),
        |context, (shape, records)| {
            check_shaped!(maps_and_filters, context, shape, records)?;
            check_both_types!(looks_and_pairs, context, shape, records)?;
            check_shaped!(positions, context, shape, records)?;
            check_shaped!(whole_partitions, context, shape, records)
        },
    );
}

#[test]
fn fallible_and_stateful_methods_are_those_of_iterators() {
    holds(
        || (shapes(), numbers()),
        |context, (shape, records)| {
            check_shaped!(fallible_closures, context, shape, records)?;
            check_shaped!(named_state, context, shape, records)
        },
    );
}

// Actions.

fn takes<T, P>(bag: &Bag<T, P>, records: &[T]) -> Result<()>
where
    T: Data + Clone + Debug + PartialEq + Sync,
    P: Pipeline<Out = T>,
{
    assert_eq!(bag.collect()?, records);
    assert_eq!(bag.iter()?.collect::<Result<Vec<_>>>()?, records);
    assert_eq!(bag.count()?, records.len() as u64);
    assert_eq!(bag.is_empty()?, records.is_empty());
    assert_eq!(bag.first()?, records.first().cloned());
    for n in [
        0,
        1,
        2,
        records.len() / 2,
        records.len(),
        records.len() + 1,
        usize::MAX,
    ] {
        assert_eq!(bag.take(n)?, records[..n.min(records.len())]);
        assert_eq!(
            bag.iter()?.take(n.min(500)).collect::<Result<Vec<_>>>()?,
            records[..n.min(500).min(records.len())]
        );
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = Arc::clone(&seen);
    bag.for_each(move |record| see.lock().expect("no panic").push(record))?;
    let seen = seen.lock().expect("no panic");
    assert_eq!(seen.len(), records.len());
    assert!(records.iter().all(|record| seen.contains(record)));
    Ok(())
}

fn ranks<T, P>(bag: &Bag<T, P>, records: &[T]) -> Result<()>
where
    T: Data + Clone + Debug + Ord + Sync,
    P: Pipeline<Out = T>,
{
    assert_eq!(bag.min()?, records.iter().min().cloned());
    assert_eq!(bag.max()?, records.iter().max().cloned());
    assert_eq!(bag.min_by(|a, b| b.cmp(a))?, bag.max()?);
    assert_eq!(bag.max_by(|a, b| b.cmp(a))?, bag.min()?);
    assert_eq!(bag.min_by_key(|record| record.clone())?, bag.min()?);
    assert_eq!(bag.max_by_key(|record| record.clone())?, bag.max()?);
    let mut ascending = records.to_vec();
    ascending.sort();
    let descending: Vec<_> = ascending.iter().rev().cloned().collect();
    for n in [0, 1, 3, records.len(), records.len() + 1, usize::MAX] {
        let first = n.min(records.len());
        assert_eq!(bag.bottom(n)?, ascending[..first]);
        assert_eq!(bag.top(n)?, descending[..first]);
        assert_eq!(
            bag.bottom_by_key(n, |record| record.clone())?,
            ascending[..first]
        );
        assert_eq!(
            bag.top_by_key(n, |record| record.clone())?,
            descending[..first]
        );
        assert_eq!(
            bag.top_by_key(n, |record| Reverse(record.clone()))?,
            ascending[..first]
        );
        assert_eq!(bag.top_by(n, |a, b| a.cmp(b))?, descending[..first]);
    }
    Ok(())
}

fn folds<P: Pipeline<Out = i64>>(bag: &Bag<i64, P>, records: &[i64]) -> Result<()> {
    let all = || records.iter().copied();
    assert_eq!(bag.sum::<i64>()?, all().sum::<i64>());
    assert_eq!(
        bag.reduce(|a, b| a.wrapping_mul(31).wrapping_add(b))
            .map(|n| n.is_some())?,
        !records.is_empty()
    );
    assert_eq!(
        bag.reduce(i64::wrapping_add)?,
        all().reduce(i64::wrapping_add)
    );
    assert_eq!(bag.fold(0, |a, b| a ^ b)?, all().fold(0, |a, b| a ^ b));
    // Among equal records, the first or the last one.
    let remainder = |n: &i64| n.rem_euclid(3);
    assert_eq!(bag.min_by_key(remainder)?, all().min_by_key(remainder));
    assert_eq!(bag.max_by_key(remainder)?, all().max_by_key(remainder));
    let compare = move |a: &i64, b: &i64| remainder(a).cmp(&remainder(b));
    assert_eq!(bag.min_by(compare)?, all().min_by(compare));
    assert_eq!(bag.max_by(compare)?, all().max_by(compare));
    for divisor in [2, 7, 100] {
        let is_multiple = move |n: &i64| *n % divisor == 0;
        assert_eq!(bag.find(is_multiple)?, all().find(is_multiple));
        assert_eq!(
            bag.any(move |n| is_multiple(&n))?,
            all().any(|n| is_multiple(&n))
        );
        assert_eq!(
            bag.all(move |n| !is_multiple(&n))?,
            all().all(|n| !is_multiple(&n))
        );
    }
    let text = bag.aggregate(
        String::new(),
        |text, n| text + &n.to_string() + ",",
        |text, later| text + &later,
    )?;
    assert_eq!(text, all().map(|n| format!("{n},")).collect::<String>());
    // Among equal records, the first ones come first, as in a stable sort.
    let mut by_remainder = records.to_vec();
    by_remainder.sort_by_key(|n| n.rem_euclid(3));
    by_remainder.truncate(5);
    assert_eq!(bag.bottom_by_key(5, |n| n.rem_euclid(3))?, by_remainder);
    let mut by_remainder = records.to_vec();
    by_remainder.sort_by_key(|n| Reverse(n.rem_euclid(3)));
    by_remainder.truncate(5);
    assert_eq!(bag.top_by_key(5, |n| n.rem_euclid(3))?, by_remainder);
    assert_eq!(
        bag.top_by(5, |a, b| a.rem_euclid(3).cmp(&b.rem_euclid(3)))?,
        by_remainder
    );

    let files = Files::new();
    let out = files.path("out");
    bag.write_text(&out)?;
    assert_eq!(
        concatenation(&out),
        all().map(|n| format!("{n}\n")).collect::<String>()
    );
    Ok(())
}

#[test]
fn actions_are_those_of_iterators() {
    holds(
        || (shapes(), numbers()),
        |context, (shape, records)| {
            check_both_types!(takes, context, shape, records)?;
            check_shaped!(ranks, context, shape, records)?;
            check_shaped!(folds, context, shape, records)
        },
    );
}

#[test]
fn actions_are_those_of_iterators_for_other_types() {
    holds(
        || (shapes(), words(), tuples()),
        |context, (shape, words, tuples)| {
            let bag = boxed(context, shape, &words);
            takes(&bag, &words)?;
            ranks(&bag, &words)?;
            assert_eq!(
                bag.reduce(|a, b| a + "|" + &b)?,
                (!words.is_empty()).then(|| words.join("|"))
            );
            assert_eq!(bag.fold(String::new(), |a, b| a + &b)?, words.concat());
            let bag = boxed(context, shape, &tuples);
            takes(&bag, &tuples)?;
            if cfg!(sampled) {
                return Ok(());
            }
            ranks(&bag, &tuples)
        },
    );
}

// Keyed methods.

/// Returns pairs in the order of a keyed bag whose keys are of a sized type.
fn keyed<K: Data + Eq, V>(pairs: BTreeMap<K, V>) -> Vec<(K, V)> {
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    sort_as_keyed(&mut pairs, |(key, _)| key_bytes(key));
    pairs
}

fn groups<K: Ord + Clone, V: Clone>(pairs: &[(K, V)]) -> BTreeMap<K, Vec<V>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for (key, value) in pairs.iter().cloned() {
        groups.entry(key).or_default().push(value);
    }
    groups
}

fn map_values<K: Ord, V, U>(groups: BTreeMap<K, V>, op: impl Fn(V) -> U) -> BTreeMap<K, U> {
    let mut mapped = BTreeMap::new();
    // `collect` would sort them, which is compiled for each closure.
    for (key, values) in groups {
        mapped.insert(key, op(values));
    }
    mapped
}

fn by_value<T, P>(bag: &Bag<T, P>, records: &[T]) -> Result<()>
where
    T: Data + Clone + Debug + Ord + Sync,
    P: Pipeline<Out = T>,
{
    let pairs: Vec<_> = records.iter().map(|record| (record.clone(), ())).collect();
    let counts = keyed(map_values(groups(&pairs), |all| all.len() as u64));
    assert_eq!(bag.clone().count_by_value().collect()?, counts);
    let distinct: Vec<_> = counts.into_iter().map(|(record, _)| record).collect();
    assert_eq!(bag.clone().distinct().collect()?, distinct);
    // A keyed bag can be shuffled again.
    assert_eq!(
        bag.clone().distinct().count_by_value().count()?,
        distinct.len() as u64
    );
    Ok(())
}

fn by_key<K, P>(bag: &Bag<(K, String), P>, pairs: &[(K, String)]) -> Result<()>
where
    K: Data + Clone + Debug + Ord + Sync,
    P: Pipeline<Out = (K, String)>,
{
    let bag = || bag.clone();
    let groups = || groups(pairs);
    let concat = |values: Vec<String>| values.concat();
    assert_eq!(
        bag().count_by_key().collect()?,
        keyed(map_values(groups(), |values| values.len() as u64))
    );
    assert_eq!(bag().group_by_key().collect()?, keyed(groups()));
    // Merges that do not commute show that the order of the bag is kept.
    assert_eq!(
        bag().reduce_by_key(|a, b| a + &b).collect()?,
        keyed(map_values(groups(), concat))
    );
    let folded = bag().fold_by_key(String::new(), |a, b| a.push_str(&b));
    assert_eq!(folded.collect()?, keyed(map_values(groups(), concat)));
    let aggregated = bag().aggregate_by_key(
        Vec::new(),
        |lengths, text| lengths.push(text.len()),
        Vec::extend,
    );
    let lengths = |values: Vec<String>| values.iter().map(String::len).collect::<Vec<_>>();
    assert_eq!(aggregated.collect()?, keyed(map_values(groups(), lengths)));
    let combined = bag().combine_by_key(
        |first| (first.clone(), first),
        |ends, last| ends.1 = last,
        |ends, (_, last)| ends.1 = last,
    );
    let ends = |values: Vec<String>| (values[0].clone(), values[values.len() - 1].clone());
    assert_eq!(combined.collect()?, keyed(map_values(groups(), ends)));
    assert_eq!(
        combined
            .map_values(|(first, _)| first.len())
            .values()
            .sum::<usize>()?,
        groups()
            .values()
            .map(|values| values[0].len())
            .sum::<usize>()
    );
    Ok(())
}

#[test]
fn keyed_methods_are_those_of_maps() {
    holds(
        || (shapes(), numbers(), tuples()),
        |context, (shape, numbers, tuples)| {
            check_shaped!(by_value, context, shape, numbers)?;
            check_shaped!(by_key, context, shape, tuples)
        },
    );
}

#[test]
fn keyed_methods_are_those_of_maps_for_other_keys() {
    holds(
        || {
            (
                shapes(),
                words(),
                tuples(),
                vec(any::<Option<(i8, char)>>(), 0..60),
            )
        },
        |context, (shape, words, tuples, odd)| {
            by_value(&boxed(context, shape, &words), &words)?;
            by_value(&boxed(context, shape, &tuples), &tuples)?;
            by_value(&boxed(context, shape, &odd), &odd)?;
            let pairs: Vec<_> = words
                .iter()
                .map(|word| (word.clone(), word.repeat(2)))
                .collect();
            by_key(&boxed(context, shape, &pairs), &pairs)?;
            if cfg!(sampled) {
                return Ok(());
            }
            let pairs: Vec<_> = tuples
                .iter()
                .map(|pair| (pair.clone(), pair.1.clone()))
                .collect();
            by_key(&boxed(context, shape, &pairs), &pairs)
        },
    );
}

/// The methods of `per_key`. Equal lengths show that the values of a key keep their order.
fn per_key(bag: &Bag<(u8, String)>, pairs: &[(u8, String)]) -> Result<()> {
    let per_key = || bag.clone().per_key();
    let check = |found: Bag<(u8, String)>, choose: fn(Vec<String>) -> Option<String>| {
        let expected = map_values(groups(pairs), |all| choose(all).expect("a value"));
        assert_eq!(found.collect()?, keyed(expected));
        Ok::<(), holdall::Error>(())
    };
    let by_len = |a: &String, b: &String| a.len().cmp(&b.len());
    check(per_key().first(), |all| all.into_iter().next())?;
    check(per_key().last(), |all| all.into_iter().last())?;
    check(per_key().min(), |all| all.into_iter().min())?;
    check(per_key().max(), |all| all.into_iter().max())?;
    let min = |all: Vec<String>| all.into_iter().min_by_key(String::len);
    check(per_key().min_by_key(String::len), min)?;
    check(per_key().min_by(by_len), min)?;
    let max = |all: Vec<String>| all.into_iter().max_by_key(String::len);
    check(per_key().max_by_key(String::len), max)?;
    check(per_key().max_by(by_len), max)?;
    for n in [0, 1, 2, 7, usize::MAX] {
        let check = |found: Bag<(u8, Vec<String>)>, sort: fn(&mut Vec<String>)| {
            let expected = map_values(groups(pairs), |mut all| {
                sort(&mut all);
                all.truncate(n);
                all
            });
            assert_eq!(found.collect()?, keyed(expected), "{n}");
            Ok::<(), holdall::Error>(())
        };
        check(per_key().bottom(n), |all| all.sort())?;
        check(per_key().top(n), |all| all.sort_by(|a, b| b.cmp(a)))?;
        let bottom = |all: &mut Vec<String>| all.sort_by_key(String::len);
        check(per_key().bottom_by_key(n, String::len), bottom)?;
        check(per_key().bottom_by(n, by_len), bottom)?;
        let top = |all: &mut Vec<String>| all.sort_by_key(|value| Reverse(value.len()));
        check(per_key().top_by_key(n, String::len), top)?;
        check(per_key().top_by(n, by_len), top)?;
    }
    Ok(())
}

/// The methods of `per_key` for numbers: equal ones cannot be distinguished, unless a closure ignores a part of them.
fn numbers_per_key(bag: &Bag<(u8, String)>, pairs: &[(u8, String)]) -> Result<()> {
    let per_key = || bag.clone().map_values(|text| text.len()).per_key();
    let lengths = || map_values(groups(pairs), |all| all.iter().map(String::len).collect());
    let extremes = |choose: fn(Vec<usize>) -> Option<usize>| {
        keyed(map_values(lengths(), |all| choose(all).expect("a value")))
    };
    let min = extremes(|all| all.into_iter().min());
    assert_eq!(per_key().min().collect()?, min);
    let max = extremes(|all| all.into_iter().max());
    assert_eq!(per_key().max().collect()?, max);
    for n in [0, 1, 2, 4, 5, usize::MAX] {
        let check = |found: Bag<(u8, Vec<usize>)>, sort: fn(&mut Vec<usize>)| {
            let expected = map_values(lengths(), |mut all: Vec<usize>| {
                sort(&mut all);
                all.truncate(n);
                all
            });
            assert_eq!(found.collect()?, keyed(expected), "{n}");
            Ok::<(), holdall::Error>(())
        };
        check(per_key().bottom(n), |all| all.sort_unstable())?;
        check(per_key().top(n), |all| all.sort_by(|a, b| b.cmp(a)))?;
        let bottom = |all: &mut Vec<usize>| all.sort_by_key(|len| len % 2);
        check(per_key().bottom_by_key(n, |len| len % 2), bottom)?;
    }
    Ok(())
}

/// Combining in any order gives the results of combining in the order of the bag, if closures are commutative.
fn in_any_order(bag: &Bag<(u8, String)>, pairs: &[(u8, String)]) -> Result<()> {
    let values = || bag.clone().per_key().any_order();
    let min = |a: String, b: String| a.min(b);
    let expected = map_values(groups(pairs), |all| {
        all.into_iter().reduce(min).expect("a value")
    });
    assert_eq!(values().reduce(min).collect()?, keyed(expected));

    let longest = |longest: &mut usize, len: usize| *longest = len.max(*longest);
    let lengths = bag.clone().map_values(|text| text.len());
    let found = lengths.per_key().any_order().fold(0, longest);
    let expected = map_values(groups(pairs), |all| {
        all.iter().map(String::len).max().unwrap_or(0)
    });
    assert_eq!(found.collect()?, keyed(expected));

    let add = |set: &mut BTreeSet<String>, value| _ = set.insert(value);
    let sets = values().aggregate(BTreeSet::new(), add, BTreeSet::extend);
    let expected = map_values(groups(pairs), |all| {
        all.into_iter().collect::<BTreeSet<_>>()
    });
    assert_eq!(sets.collect()?, keyed(expected));
    Ok(())
}

#[test]
fn values_per_key_are_chosen_as_those_of_a_vector() {
    holds(
        || (shapes(), vec((0..4_u8, "[ab]{0,3}"), 0..100)),
        |context, (shape, pairs)| {
            let bag = boxed(context, shape, &pairs);
            per_key(&bag, &pairs)?;
            numbers_per_key(&bag, &pairs)?;
            in_any_order(&bag, &pairs)?;
            // In place, where all values of a key are in one partition.
            let divided = bag.partition_by(3).boxed();
            per_key(&divided, &pairs)?;
            numbers_per_key(&divided, &pairs)?;
            in_any_order(&divided, &pairs)
        },
    );
}

// Text: borrowed records.

/// Tests the methods of a bag of `str`, whose closures receive slices.
fn text<P: Pipeline<Out = str>>(bag: &Bag<str, P>, lines: &[String]) -> Result<()> {
    let all = || lines.iter().map(String::as_str);
    let bag = || bag.clone();
    assert_eq!(bag().collect()?, lines);
    assert_eq!(bag().iter()?.collect::<Result<Vec<_>>>()?, lines);
    assert_eq!(bag().count()?, lines.len() as u64);
    assert_eq!(bag().first()?, lines.first().cloned());
    assert_eq!(bag().take(3)?, lines[..lines.len().min(3)]);
    assert_eq!(
        bag().map(str::len).collect()?,
        all().map(str::len).collect::<Vec<_>>()
    );
    assert_eq!(
        bag().filter(|line| line.contains('a')).collect()?,
        all().filter(|line| line.contains('a')).collect::<Vec<_>>()
    );
    assert_eq!(bag().map(str::to_owned).boxed().collect()?, lines);
    assert_eq!(
        bag()
            .inspect(|line| assert!(!line.contains('\n')))
            .collect()?,
        lines
    );
    assert_eq!(
        bag().key_by(|line| line.len()).collect()?,
        all()
            .map(|line| (line.len(), line.to_owned()))
            .collect::<Vec<_>>()
    );
    let indexed = all().map(str::to_owned).zip(0..).collect::<Vec<_>>();
    assert_eq!(bag().zip_with_index().collect()?, indexed);
    let is_long = |line: &str| line.len() > 2;
    assert_eq!(
        bag().find(is_long)?.as_deref(),
        all().find(|line| is_long(line))
    );
    assert_eq!(bag().any(is_long)?, all().any(is_long));
    assert_eq!(bag().all(is_long)?, all().all(is_long));
    assert_eq!(
        bag().max_by_key(|line| line.len())?.as_deref(),
        all().max_by_key(|line| line.len())
    );
    assert_eq!(bag().min()?.as_deref(), all().min());
    assert_eq!(bag().max()?.as_deref(), all().max());
    let mut longest: Vec<_> = all().collect();
    longest.sort_by_key(|line| Reverse(line.len()));
    longest.truncate(4);
    assert_eq!(bag().top_by_key(4, |line| line.len())?, longest);
    assert_eq!(bag().top_by(4, |a, b| a.len().cmp(&b.len()))?, longest);
    assert_eq!(bag().fold(String::new(), |a, b| a + &b)?, lines.concat());
    assert_eq!(
        bag().aggregate(0, |n, line| n + line.len(), |a, b| a + b)?,
        lines.concat().len()
    );
    assert_eq!(bag().union(bag().boxed()).count()?, 2 * lines.len() as u64);
    let parts = bag().map_partitions(|lines, emit| lines.for_each(|line| emit(line.len())));
    assert_eq!(parts.sum::<usize>()?, lines.concat().len());
    Ok(())
}

/// Tests the keyed methods of a bag of `str`, whose keys are the bytes of the text.
fn text_by_value<P: Pipeline<Out = str>>(bag: &Bag<str, P>, lines: &[String]) -> Result<()> {
    let count = |words: Vec<&str>| {
        let pairs: Vec<_> = words
            .into_iter()
            .map(|word| (word.to_owned(), ()))
            .collect();
        let counts = map_values(groups(&pairs), |all| all.len() as u64);
        let mut counts: Vec<_> = counts.into_iter().collect();
        sort_as_keyed(&mut counts, |(word, _)| word.clone().into_bytes());
        counts
    };
    let bag = || bag.clone();
    let counts = count(lines.iter().map(String::as_str).collect());
    assert_eq!(bag().count_by_value().collect()?, counts);
    let distinct: Vec<_> = counts.into_iter().map(|(line, _)| line).collect();
    assert_eq!(bag().distinct().collect()?, distinct);

    let white_space = [' ', '\t', '\n', '\x0b', '\x0c', '\r'];
    let words = lines.iter().flat_map(|line| line.split(white_space));
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    assert_eq!(bag().words().collect()?, words);
    assert_eq!(
        bag().words().boxed().count_by_value().collect()?,
        count(words.clone())
    );
    assert_eq!(bag().words().count_by_value().collect()?, count(words));
    let split = bag().flat_map_str(|line, emit| line.split_whitespace().for_each(emit));
    let expected: Vec<_> = lines
        .iter()
        .flat_map(|line| line.split_whitespace())
        .collect();
    assert_eq!(split.collect()?, expected);
    Ok(())
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    vec("[ab \u{a0}é\t\x0b\r]{0,12}x|[a-z ]{0,90}", 0..30)
}

#[test]
fn text_from_memory_is_a_bag_of_slices() {
    holds(
        || (shapes(), lines()),
        |context, (shape, lines)| {
            let bag = boxed(context, shape, &lines).flat_map_str(|line, emit| emit(&line));
            // The bag of files is of a type of its own, too.
            if cfg!(not(sampled)) {
                text(&bag, &lines)?;
                text_by_value(&bag, &lines)?;
            }
            let bag = bag.boxed();
            text(&bag, &lines)?;
            text_by_value(&bag, &lines)
        },
    );
}

#[test]
fn text_from_files_is_a_bag_of_slices() {
    holds(
        || (lines(), lines(), 10..500_u64),
        |context, (first, second, partition_bytes)| {
            let files = Files::new();
            let lines = [first.clone(), second.clone()].concat();
            let ended = |lines: &[String]| {
                lines
                    .iter()
                    .map(|line| format!("{line}\n"))
                    .collect::<String>()
            };
            let paths = [
                files.write("a", ended(&first)),
                files.write("b", ended(&second)),
            ];
            let reader = TextReader::new()
                .context(context)
                .partition_bytes(partition_bytes);
            let bag = reader.clone().read(&paths)?;
            text(&bag, &lines)?;
            text_by_value(&bag, &lines)?;
            assert_eq!(context.read_text(&paths)?.collect()?, lines);
            let bytes = reader.read_bytes(&paths)?;
            let expected: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
            assert_eq!(bytes.collect()?, expected);
            let counts = bytes
                .count_by_value()
                .map(|(line, n)| (String::from_utf8(line), n));
            let counts = counts.try_map(|(line, n)| line.map(|line| (line, n)));
            assert_eq!(counts.collect()?, bag.count_by_value().collect()?);
            Ok(())
        },
    );
}

// Sources.

#[test]
fn sources_are_what_they_are_given() {
    holds(
        || {
            (
                0..2_000_u64,
                0..500_u64,
                1..70_usize,
                vec(any::<u16>(), 0..300),
            )
        },
        |context, (start, len, partitions, records)| {
            let numbers = || start..start + len;
            assert_eq!(
                context.range(numbers()).collect()?,
                numbers().collect::<Vec<_>>()
            );
            let range = context.range_partitioned(numbers(), partitions);
            assert_eq!(range.collect()?, numbers().collect::<Vec<_>>());
            assert_eq!(range.partitions(), Some(partitions));
            assert_eq!(context.from_vec(records.clone()).collect()?, records);
            let bag = context.from_vec_partitioned(records.clone(), partitions);
            assert_eq!(bag.partitions(), Some(partitions));
            let sizes = bag.map_partitions(|records, emit| {
                let mut size = 0;
                records.for_each(|_| size += 1);
                emit(size);
            });
            let sizes = sizes.collect()?;
            assert_eq!(sizes.iter().sum::<usize>(), records.len());
            let (least, most) = (sizes.iter().min(), sizes.iter().max());
            assert!(
                most <= least.map(|n| n + 1).as_ref(),
                "{sizes:?} are not nearly equal"
            );
            assert_eq!(context.from_iter(records.clone()).collect()?, records);
            let again = records.clone();
            let bag = context.from_fn(move || again.clone().into_iter().map(u32::from));
            assert_eq!(
                bag.collect()?,
                records.iter().map(|n| u32::from(*n)).collect::<Vec<_>>()
            );
            assert_eq!(bag.count()?, records.len() as u64);
            assert_eq!(context.empty::<String>().collect()?, Vec::<String>::new());
            Ok(())
        },
    );
}

/// That a range of any type is its iterator, also at the ends of the type and in more parts than it has numbers.
#[test]
fn ranges_of_any_integer_are_those_of_std() {
    macro_rules! check {
        ($context:ident: $($number:ident)*) => {$(
            let (min, max) = ($number::MIN, $number::MAX);
            for partitions in [1, 3, 10] {
                let all = |bag: Bag<$number>| bag.collect().expect("no error");
                let inclusive = |numbers| all($context.range_partitioned(numbers, partitions).boxed());
                assert_eq!(inclusive(max - 4..=max), (max - 4..=max).collect::<Vec<_>>());
                assert_eq!(inclusive(min..=min + 4), (min..=min + 4).collect::<Vec<_>>());
                assert_eq!(inclusive(max..=max), [max]);
                let (five, three) = (5, 3);
                assert!(inclusive(five..=three).is_empty());
                let half_open = |numbers| all($context.range_partitioned(numbers, partitions).boxed());
                assert_eq!(half_open(max - 4..max), (max - 4..max).collect::<Vec<_>>());
                assert!(half_open(min..min).is_empty());
            }
            let whole = $context.range(min..=max);
            assert_eq!(whole.first().expect("no error"), Some(min));
        )*};
    }
    on_every_executor_and_processes(|context| {
        check!(context: u8 u64 i64);
        if cfg!(not(sampled)) {
            check!(context: u16 u32 usize i8 i16 i32 isize);
        }
        let most = u128::MAX;
        assert_eq!(
            context.range(most - 2..=most).collect().expect("no error"),
            [most - 2, most - 1, most]
        );
        assert_eq!(
            context
                .range(i128::MIN..i128::MAX)
                .first()
                .expect("no error"),
            Some(i128::MIN)
        );
        assert_eq!(
            context
                .range(-128..=127_i8)
                .map(i32::from)
                .sum::<i32>()
                .expect("no error"),
            -128
        );
    });
}

#[test]
fn sources_of_the_default_context_are_the_same() -> Result<()> {
    assert_eq!(holdall::range(3..6).collect()?, [3, 4, 5]);
    assert_eq!(holdall::range_partitioned(3..=5, 2).collect()?, [3, 4, 5]);
    assert_eq!(holdall::from_vec(vec!['a', 'b']).collect()?, ['a', 'b']);
    let halves = holdall::from_vec_partitioned(vec!['a', 'b'], 2);
    assert_eq!(
        (halves.partitions(), halves.collect()?),
        (Some(2), vec!['a', 'b'])
    );
    assert_eq!(
        holdall::from_iter("xyz".bytes().collect::<Vec<_>>()).collect()?,
        b"xyz"
    );
    assert_eq!(holdall::from_fn(|| 0..3).collect()?, [0, 1, 2]);
    assert_eq!(holdall::empty::<u8>().partitions(), Some(0));
    let files = Files::new();
    assert_eq!(
        holdall::read_text(files.write("f", "one\ntwo"))?.collect()?,
        ["one", "two"]
    );
    Ok(())
}
