//! Error messages, as users read them. Also checks that the library still works after an error.

use std::cmp::Ordering;
use std::error::Error as _;
use std::fmt;
use std::num::ParseIntError;
use std::panic::panic_any;
use std::path::Path;
use std::process::Command;

use holdall::{Bag, Context, Error, ErrorKind, Executor, InvalidUtf8, Result, TextReader};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::common::{
    Files, ON_PURPOSE, on_every_executor, on_every_executor_and_processes, quiet_panics,
};

/// Returns `OPERATOR at FILE:LINE:COLUMN` of the first call of `operator` in this file from `line` on.
fn at(operator: &str, line: u32) -> String {
    let calls = [format!(".{operator}("), format!(".{operator}::<")];
    let lines = (1..).zip(include_str!("errors.rs").lines());
    for (number, text) in lines.skip(line as usize - 1).take(8) {
        if let Some(column) = calls.iter().find_map(|call| text.find(call)) {
            return format!("{operator} at {}:{number}:{}", file!(), column + 2);
        }
    }
    panic!("{operator} is not called at line {line}")
}

/// A closure that panics if it is called with 55.
fn boom(n: u64) -> u64 {
    assert!(n != 55, "{ON_PURPOSE} with {n}");
    n
}

fn parsed(n: u64) -> std::result::Result<u64, ParseIntError> {
    if n == 55 { "x55".parse() } else { Ok(n) }
}

fn parse(text: &str) -> std::result::Result<u64, ParseIntError> {
    parsed(text.parse()?)
}

/// Returns 100 numbers in 10 partitions. 55 is in partition 5.
fn numbers(context: &Context) -> Bag<u64> {
    context.range_partitioned(0..100, 10).boxed()
}

/// Checks the whole error of each of the bags. The operator that is called after the line must cause it.
fn check_panics(cases: Vec<(&str, u32, Bag<u64>)>) {
    for (operator, line, bag) in cases {
        let error = bag.count().expect_err("its closure panics");
        let place = at(operator, line);
        let expected =
            format!("a closure panicked in {place} (stage 1, partition 5): on purpose with 55");
        assert_eq!(error.to_string(), expected);
        assert!(
            matches!(error.kind(), ErrorKind::TaskPanicked { message, .. } if message == "on purpose with 55")
        );
        let place = error.context().expect("a closure has a place");
        assert_eq!(
            (place.operator, place.stage, place.partition),
            (Some(operator), Some(1), Some(5))
        );
        let location = place.location.expect("a closure has a line");
        assert_eq!(at(operator, line), format!("{operator} at {location}"));
        assert!(!error.is_io() && error.source().is_none());
    }
}

#[test]
fn a_panic_in_an_operator_names_it() {
    quiet_panics();
    on_every_executor(|context| {
        let bag = || numbers(context);
        check_panics(vec![
            ("map", line!(), bag().map(boom).boxed()),
            ("filter", line!(), bag().filter(|n| boom(*n) > 1).boxed()),
            (
                "filter_map",
                line!(),
                bag().filter_map(|n| Some(boom(n))).boxed(),
            ),
            ("flat_map", line!(), bag().flat_map(|n| [boom(n)]).boxed()),
            (
                "flat_map",
                line!(),
                bag().flat_map(|n| (n..=n).map(boom)).boxed(),
            ),
            (
                "flatten",
                line!(),
                bag().map(|n| (n..=n).map(boom)).flatten().boxed(),
            ),
            ("inspect", line!(), bag().inspect(|n| _ = boom(*n)).boxed()),
            ("key_by", line!(), bag().key_by(|n| boom(*n)).keys().boxed()),
            (
                "map_values",
                line!(),
                bag().key_by(|n| *n).map_values(boom).values().boxed(),
            ),
            (
                "try_map",
                line!(),
                bag().try_map(|n| parsed(boom(n))).boxed(),
            ),
            (
                "try_filter",
                line!(),
                bag().try_filter(|n| parsed(boom(*n)).map(|_| true)).boxed(),
            ),
            (
                "try_flat_map",
                line!(),
                bag().try_flat_map(|n| parsed(boom(n)).map(Some)).boxed(),
            ),
            (
                "try_filter_map",
                line!(),
                bag().try_filter_map(|n| parsed(boom(n)).map(Some)).boxed(),
            ),
        ]);
    });
}

#[test]
fn a_panic_in_an_operator_with_a_state_names_it() {
    quiet_panics();
    on_every_executor(|context| {
        let bag = || numbers(context);
        check_panics(vec![
            ("map", line!(), bag().with(1).map(|_, n| boom(n)).boxed()),
            (
                "filter",
                line!(),
                bag().with(1).filter(|_, n| boom(*n) > 1).boxed(),
            ),
            (
                "flat_map",
                line!(),
                bag().with(1).flat_map(|_, n| Some(boom(n))).boxed(),
            ),
            (
                "filter_map",
                line!(),
                bag().with(1).filter_map(|_, n| Some(boom(n))).boxed(),
            ),
            (
                "inspect",
                line!(),
                bag().with(1).inspect(|_, n| _ = boom(*n)).boxed(),
            ),
            (
                "try_map",
                line!(),
                bag().with(1).try_map(|_, n| parsed(boom(n))).boxed(),
            ),
        ]);
    });
}

#[test]
fn a_panic_in_a_closure_that_emits_names_it() {
    quiet_panics();
    on_every_executor(|context| {
        let words = |bag: Bag<str>| bag.map(|word| word.parse::<u64>().unwrap()).boxed();
        let cut = |n: u64, emit: &mut dyn FnMut(&str)| emit(&boom(n).to_string());
        let bag = || numbers(context);
        let cases = [
            (
                "flat_map_str",
                line!(),
                words(bag().flat_map_str(move |n, emit| cut(n, emit)).boxed()),
            ),
            (
                "flat_map_str",
                line!(),
                words(bag().with(1).flat_map_str(move |_, n, e| cut(n, e)).boxed()),
            ),
            (
                "map_partitions",
                line!(),
                bag()
                    .map_partitions(|all, e| all.for_each(|n| e(boom(n))))
                    .boxed(),
            ),
            (
                "map_partitions_with_index",
                line!(),
                bag()
                    .map_partitions_with_index(|i, _, e| e(boom(50 + i as u64)))
                    .boxed(),
            ),
        ];
        for (operator, line, bag) in cases {
            let error = bag.count().unwrap_err().to_string();
            let place = at(operator, line);
            assert_eq!(
                error,
                format!("a closure panicked in {place} (stage 1, partition 5): on purpose with 55")
            );
        }
    });
}

/// Checks that the error of a closure has its operator and its line, and is the one that the closure returned.
fn check_failure(error: Error, operator: &str, line: u32) {
    let place = at(operator, line);
    let expected = format!(
        "a closure failed in {place} (stage 1, partition 5): invalid digit found in string"
    );
    assert_eq!(error.to_string(), expected);
    let cause = error.source().expect("a cause");
    assert!(cause.is::<ParseIntError>());
    assert!(
        matches!(error.into_kind(), ErrorKind::Closure { source, .. } if source.is::<ParseIntError>())
    );
}

#[test]
fn a_failing_closure_names_itself_and_keeps_its_error() {
    on_every_executor(|context| {
        let bag = || numbers(context);
        let cases: Vec<(_, _, Bag<u64>)> = vec![
            ("try_map", line!(), bag().try_map(parsed).boxed()),
            (
                "try_filter",
                line!(),
                bag().try_filter(|n| parsed(*n).map(|n| n > 0)).boxed(),
            ),
            (
                "try_filter_map",
                line!(),
                bag().try_filter_map(|n| parsed(n).map(Some)).boxed(),
            ),
            (
                "try_flat_map",
                line!(),
                bag().try_flat_map(|n| parsed(n).map(|n| [n])).boxed(),
            ),
            (
                "try_map",
                line!(),
                bag().with(1).try_map(|_, n| parsed(n)).boxed(),
            ),
            (
                "try_filter",
                line!(),
                bag()
                    .with(1)
                    .try_filter(|k, n| parsed(*n).map(|n| n > *k))
                    .boxed(),
            ),
        ];
        for (operator, line, bag) in cases {
            check_failure(bag.count().unwrap_err(), operator, line);
        }
        let (line, outcome) = (line!(), bag().try_for_each(|n| parsed(n).map(drop)));
        check_failure(outcome.unwrap_err(), "try_for_each", line);
    });
}

#[test]
fn a_failing_closure_of_keys_texts_and_partitions_names_itself() {
    on_every_executor(|context| {
        let bag = || numbers(context);
        let texts = || bag().map(|n| n.to_string());
        let words = |bag: Bag<str>| bag.map(|word| word.len() as u64).boxed();
        let cases: Vec<(_, _, Bag<u64>)> = vec![
            (
                "try_key_by",
                line!(),
                bag().try_key_by(|n| parsed(*n)).values().boxed(),
            ),
            (
                "try_map_str",
                line!(),
                words(
                    texts()
                        .try_map_str(|text| parse(text).map(|_| text))
                        .boxed(),
                ),
            ),
            (
                "try_filter_map_str",
                line!(),
                words(
                    texts()
                        .try_filter_map_str(|text| parse(text).map(|_| Some(text)))
                        .boxed(),
                ),
            ),
            (
                "try_zip_partitions",
                line!(),
                bag()
                    .try_zip_partitions(bag(), |left, _, emit| {
                        left.collect()
                            .into_iter()
                            .try_for_each(|n| parsed(n).map(&mut *emit))
                    })
                    .boxed(),
            ),
        ];
        for (operator, line, bag) in cases {
            check_failure(bag.count().unwrap_err(), operator, line);
        }
    });
}

/// A number whose comparison panics if it is 55.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Incomparable(u64);

impl PartialOrd for Incomparable {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Incomparable {
    fn cmp(&self, other: &Self) -> Ordering {
        boom(self.0).cmp(&boom(other.0))
    }
}

#[test]
fn a_panic_in_an_action_names_it() {
    quiet_panics();
    on_every_executor(|context| {
        let bag = || numbers(context);
        let ranked = || bag().map(Incomparable);
        fn failed<R>(outcome: Result<R>) -> Error {
            outcome.err().expect("it panicked")
        }
        let add = |a: u64, b: u64| a + boom(b);
        let cases = [
            ("for_each", line!(), failed(bag().for_each(|n| _ = boom(n)))),
            (
                "try_for_each",
                line!(),
                failed(bag().try_for_each(|n| parsed(boom(n)).map(drop))),
            ),
            ("reduce", line!(), failed(bag().reduce(add))),
            ("fold", line!(), failed(bag().fold(0, add))),
            (
                "aggregate",
                line!(),
                failed(bag().aggregate(0, add, |a, b| a + b)),
            ),
            ("min", line!(), failed(ranked().min())),
            ("max", line!(), failed(ranked().max())),
            ("top", line!(), failed(ranked().top(3))),
            ("bottom", line!(), failed(ranked().bottom(3))),
            (
                "top_by",
                line!(),
                failed(bag().top_by(3, |a, b| boom(*a).cmp(&boom(*b)))),
            ),
            (
                "top_by_key",
                line!(),
                failed(bag().top_by_key(3, |n| boom(*n))),
            ),
            (
                "bottom_by_key",
                line!(),
                failed(bag().bottom_by_key(3, |n| boom(*n))),
            ),
        ];
        for (operator, line, error) in cases {
            let place = at(operator, line);
            let expected =
                format!("a closure panicked in {place} (stage 1, partition 5): on purpose with 55");
            assert_eq!(error.to_string(), expected);
        }
    });
}

/// A sum whose computation fails if 55 is part of it.
#[derive(Serialize, Deserialize)]
struct Total(u64);

impl std::iter::Sum<u64> for Total {
    fn sum<I: Iterator<Item = u64>>(numbers: I) -> Self {
        Self(numbers.map(boom).sum())
    }
}

impl std::iter::Sum for Total {
    fn sum<I: Iterator<Item = Self>>(totals: I) -> Self {
        Self(totals.map(|total| total.0).sum())
    }
}

#[test]
fn a_panic_in_a_sum_names_it() {
    quiet_panics();
    on_every_executor(|context| {
        let (line, sum) = (line!(), numbers(context).sum::<Total>());
        let place = at("sum", line);
        let expected =
            format!("a closure panicked in {place} (stage 1, partition 5): on purpose with 55");
        assert_eq!(sum.map(|total| total.0).unwrap_err().to_string(), expected);
    });
}

#[test]
fn a_panic_where_partitions_come_together_belongs_to_none() {
    quiet_panics();
    on_every_executor(|context| {
        let bag = || numbers(context);
        let merge = |_, _| panic!("{ON_PURPOSE}");
        let (line, error) = (
            line!(),
            bag().aggregate(0, |a, b| a + b, merge).unwrap_err(),
        );
        assert_eq!(
            error.to_string(),
            format!(
                "a closure panicked in {} (stage 1): on purpose",
                at("aggregate", line)
            )
        );
    });
}

// Keyed closures.

#[test]
fn a_panic_in_a_keyed_closure_names_it() {
    quiet_panics();
    on_every_executor(|context| {
        // Each partition has each key twice, so that values are combined on the map side.
        let bag = || numbers(context).key_by(|n| n % 5);
        let add = |a: u64, b: u64| a + boom(b);
        let add_to = |a: &mut u64, b: u64| *a += boom(b);
        let sum = |a: &mut u64, b: u64| *a += b;
        let cases: Vec<(_, _, Bag<_>)> = vec![
            ("reduce_by_key", line!(), bag().reduce_by_key(add)),
            ("fold_by_key", line!(), bag().fold_by_key(0, add_to)),
            (
                "aggregate_by_key",
                line!(),
                bag().aggregate_by_key(0, add_to, sum),
            ),
            (
                "combine_by_key",
                line!(),
                bag().combine_by_key(|n| boom(n + 5), sum, sum),
            ),
            (
                "combine_by_key",
                line!(),
                bag().combine_by_key(|n| n, add_to, sum),
            ),
        ];
        for (operator, line, bag) in cases {
            // The value is either the first of its key in the partition, or is added to it.
            if let Err(error) = bag.count() {
                let place = at(operator, line);
                let expected = format!(
                    "a closure panicked in {place} (stage 1, partition 5): on purpose with 55"
                );
                assert_eq!(error.to_string(), expected);
            } else {
                panic!("{operator} did not panic");
            }
        }
    });
}

/// Adds numbers. Fails for 55.
fn add(a: u64, b: u64) -> std::result::Result<u64, ParseIntError> {
    parsed(b).map(|b| a + b)
}

/// Adds numbers of one partition, but not of several.
fn add_few(a: u64, b: u64) -> std::result::Result<u64, ParseIntError> {
    if a + b > 500 { parsed(55) } else { Ok(a + b) }
}

/// Bags of pairs whose operators fail at their lines, in their stages if these are given.
type KeyedCases = Vec<(&'static str, u32, Option<usize>, Bag<(u64, u64)>)>;

fn check_keyed_failures(context: &Context, cases: KeyedCases) {
    for (operator, line, stage, bag) in cases {
        let outcome = bag.filter(|(_, n)| *n > 0).collect();
        let error = outcome.expect_err("a closure fails");
        let (place, message) = (at(operator, line), error.to_string());
        let start = format!("a closure failed in {place} (stage ");
        assert!(message.starts_with(&start), "{message}");
        assert!(
            message.ends_with("): invalid digit found in string"),
            "{message}"
        );
        let found = error.context().expect("a place").stage;
        assert!(stage.is_none_or(|stage| found == Some(stage)), "{message}");
        assert!(
            matches!(error.kind(), ErrorKind::Closure { .. }),
            "{error:?}"
        );
        let source = error.source().expect("a cause");
        let is_remote = format!("{context:?}").contains("Processes");
        assert!(source.is::<ParseIntError>() || is_remote, "{source:?}");
    }
}

#[test]
fn an_error_of_a_keyed_closure_ends_the_job() {
    on_every_executor_and_processes(|context| {
        let bag = || numbers(context).key_by(|n| n % 5);
        let placed = || bag().partition_by(4);
        let add_to = |a: &mut u64, b| add(*a, b).map(|sum| *a = sum);
        let add_up = |a: &mut u64, b| {
            *a += b;
            Ok(())
        };
        let add_few_to = |a: &mut u64, b| add_few(*a, b).map(|sum| *a = sum);
        let cases = vec![
            (
                "try_reduce_by_key",
                line!(),
                Some(1),
                bag().try_reduce_by_key(add),
            ),
            (
                "try_fold_by_key",
                line!(),
                Some(1),
                bag().try_fold_by_key(0, add_to),
            ),
            (
                "try_reduce_by_key",
                line!(),
                Some(2),
                bag().try_reduce_by_key(add_few),
            ),
            (
                "try_fold_by_key",
                line!(),
                Some(2),
                bag().try_fold_by_key(0, add_few_to),
            ),
            (
                "try_aggregate_by_key",
                line!(),
                Some(2),
                bag().try_aggregate_by_key(0, add_up, add_few_to),
            ),
            (
                "try_combine_by_key",
                line!(),
                Some(1),
                bag().try_combine_by_key(|_| parsed(55), add_to, add_to),
            ),
            (
                "try_reduce_by_key",
                line!(),
                Some(2),
                placed().try_reduce_by_key(add_few),
            ),
        ];
        check_keyed_failures(context, cases);
    });
}

#[test]
fn an_error_of_a_closure_in_any_order_or_of_a_running_fold_ends_the_job() {
    on_every_executor_and_processes(|context| {
        let bag = || numbers(context).key_by(|n| n % 5);
        let placed = || bag().partition_by(4);
        let cases = vec![
            (
                "try_reduce",
                line!(),
                None,
                bag().per_key().any_order().try_reduce(add_few),
            ),
            (
                "try_reduce",
                line!(),
                Some(2),
                placed().per_key().any_order().try_reduce(add),
            ),
            // The running fold of each partition fails, then that of all partitions.
            (
                "try_running_fold",
                line!(),
                Some(1),
                numbers(context)
                    .try_running_fold(0, add, add)
                    .map(|sum| (0, sum))
                    .boxed(),
            ),
            (
                "try_running_fold",
                line!(),
                Some(2),
                numbers(context)
                    .try_running_fold(0, |a, b| Ok(a + b), add_few)
                    .map(|sum| (0, sum))
                    .boxed(),
            ),
        ];
        check_keyed_failures(context, cases);
        // Nothing is left of the errors.
        let sums = bag().try_reduce_by_key(|a, b| Ok::<_, String>(a + b));
        assert_eq!(
            sums.collect().unwrap(),
            bag().reduce_by_key(|a, b| a + b).collect().unwrap()
        );
    });
}

#[test]
fn an_error_of_a_keyed_closure_ends_a_job_that_spills_or_never_ends() {
    let context = Context::builder()
        .threads(1)
        .memory("1MiB")
        .build()
        .unwrap();
    // Each key twice, in different halves.
    let pairs = || {
        context
            .range_partitioned(0..400_000_u64, 8)
            .map(|n| (n % 200_000, n))
    };
    let add = |a: u64, b: u64| {
        if a % 200_000 == 777 {
            parsed(55)
        } else {
            Ok(a + b)
        }
    };
    let error = pairs().try_reduce_by_key(add).count().unwrap_err();
    assert!(error.source().unwrap().is::<ParseIntError>(), "{error}");
    assert!(context.last_job().unwrap().stages[0].spilled_bytes > 0);
    let error = pairs()
        .per_key()
        .any_order()
        .try_reduce(add)
        .count()
        .unwrap_err();
    assert!(error.source().unwrap().is::<ParseIntError>(), "{error}");
    let first = |_: &mut u64, n| parsed(n).map(drop);
    let error = pairs()
        .try_aggregate_by_key(0, first, |_, _| Ok(()))
        .count()
        .unwrap_err();
    assert!(error.source().unwrap().is::<ParseIntError>(), "{error}");

    let sum = |a: u64, b: u64| Ok::<_, ParseIntError>(a + b);
    let expected = pairs().reduce_by_key(|a, b| a + b).collect().unwrap();
    assert_eq!(pairs().try_reduce_by_key(sum).collect().unwrap(), expected);
    assert_eq!(
        pairs()
            .per_key()
            .any_order()
            .try_reduce(sum)
            .collect()
            .unwrap(),
        expected
    );

    let endless = || context.range_partitioned(0..u64::MAX, 1).key_by(|n| n % 5);
    assert!(endless().try_reduce_by_key(add_few).count().is_err());
    assert!(
        endless()
            .per_key()
            .any_order()
            .try_reduce(add_few)
            .count()
            .is_err()
    );
}

#[test]
fn a_panic_on_the_reduce_side_names_the_keyed_method_and_its_stage() {
    quiet_panics();
    on_every_executor(|context| {
        let merge = |_: &mut u64, _| panic!("{ON_PURPOSE}");
        // One key, so it is known which partition it is in.
        let keyed = numbers(context).key_by(|_| ());
        let line = line!();
        let bag = keyed.aggregate_by_key(0, |a, b| *a += b, merge);
        let error = bag.map(|(_, n)| n).filter(|n| *n > 0).count().unwrap_err();
        let partition = error.context().unwrap().partition.unwrap();
        let place = at("aggregate_by_key", line);
        let expected =
            format!("a closure panicked in {place} (stage 2, partition {partition}): on purpose");
        assert_eq!(error.to_string(), expected);
        // A later operator of the same stage names itself.
        let counts = numbers(context).map(|n| n % 10).count_by_value();
        let (line, bag) = (line!(), counts.map(|(n, _)| boom(n + 50)));
        let error = bag.count().unwrap_err();
        assert_eq!(error.context().unwrap().stage, Some(2));
        assert!(error.to_string().contains(&at("map", line)), "{error}");
    });
}

/// A key that cannot be written or read if it is 55.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Odd<const READS: bool>(u64);

impl<const READS: bool> Serialize for Odd<READS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let n = if READS { self.0 } else { boom(self.0) };
        n.serialize(serializer)
    }
}

impl<'de, const READS: bool> Deserialize<'de> for Odd<READS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let n = u64::deserialize(deserializer)?;
        Ok(Self(if READS { boom(n) } else { n }))
    }
}

#[test]
fn a_panic_in_writing_or_reading_a_key_names_the_keyed_method() {
    quiet_panics();
    on_every_executor(|context| {
        let (line, written) = (line!(), numbers(context).map(Odd::<false>).count_by_value());
        let error = written.count().unwrap_err().to_string();
        let place = at("count_by_value", line);
        assert_eq!(
            error,
            format!("a closure panicked in {place} (stage 1, partition 5): on purpose with 55")
        );

        let (line, read) = (line!(), numbers(context).map(Odd::<true>).distinct());
        let error = read.count().unwrap_err();
        assert_eq!(error.context().unwrap().stage, Some(2));
        assert!(
            error
                .to_string()
                .starts_with(&format!("a closure panicked in {} ", at("distinct", line))),
            "{error}"
        );
    });
}

/// A key that the codec does not support.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gappy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gap: Option<u64>,
    rest: u64,
}

#[test]
fn a_key_that_cannot_be_carried_is_refused_by_type() {
    on_every_executor(|context| {
        let gappy = numbers(context).map(|rest| Gappy { gap: None, rest });
        let (line, counts) = (line!(), gappy.count_by_value());
        let error = counts.count().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Codec { .. }));
        let error = error.to_string();
        let start = format!(
            "cannot serialise records of type suite::errors::Gappy in {} (stage 1, partition ",
            at("count_by_value", line)
        );
        assert!(error.starts_with(&start), "{error}");
        assert!(error.ends_with(
            "field `gap` is skipped (skip_serializing_if), so the next field would be read in its place"
        ));
    });
}

/// A dynamic value, like those of JSON libraries: its type depends on the data that is decoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Number(u64),
    Text(String),
}

/// Returns sorted bags with each kind of records that cannot be decoded.
fn sorted(context: &Context) -> Vec<(&'static str, u32, Bag<()>)> {
    let values = || numbers(context).map(Value::Number);
    let pairs = || numbers(context).map(|n| (n, Value::Number(n)));
    vec![
        ("sort", line!(), values().sort().map(|_| ()).boxed()),
        (
            "sort_by",
            line!(),
            values().sort_by(Value::cmp).map(|_| ()).boxed(),
        ),
        (
            "sort_by_key",
            line!(),
            pairs().sort_by_key(|pair| pair.0).map(|_| ()).boxed(),
        ),
        (
            "sort_by_cached_key",
            line!(),
            numbers(context)
                .sort_by_cached_key(|n| Value::Number(*n))
                .map(|_| ())
                .boxed(),
        ),
        (
            "merge_sorted",
            line!(),
            values().merge_sorted(values()).map(|_| ()).boxed(),
        ),
        (
            "repartition_and_sort_within_partitions",
            line!(),
            pairs()
                .repartition_and_sort_within_partitions(5)
                .map(|_| ())
                .boxed(),
        ),
    ]
}

/// Returns bags like [`sorted`], with other methods, and a persisted one.
fn gathered(context: &Context) -> Vec<(&'static str, u32, Bag<()>)> {
    let values = || numbers(context).map(Value::Number);
    let pairs = || numbers(context).map(|n| (n, Value::Number(n)));
    vec![
        (
            "repartition",
            line!(),
            values().repartition(3).map(|_| ()).boxed(),
        ),
        (
            "partition_by",
            line!(),
            pairs().partition_by(5).map(|_| ()).boxed(),
        ),
        ("distinct", line!(), values().distinct().map(|_| ()).boxed()),
        (
            "reduce_by_key",
            line!(),
            pairs().reduce_by_key(Value::max).map(|_| ()).boxed(),
        ),
        (
            "group_by_key",
            line!(),
            pairs().group_by_key().map(|_| ()).boxed(),
        ),
        (
            "cogroup",
            line!(),
            pairs().cogroup(pairs()).map(|_| ()).boxed(),
        ),
        ("join", line!(), pairs().join(pairs()).map(|_| ()).boxed()),
        (
            "join_broadcast",
            line!(),
            pairs().join_broadcast(pairs()).map(|_| ()).boxed(),
        ),
        (
            "persist",
            line!(),
            values()
                .persist(holdall::StorageLevel::Disk)
                .map(|_| ())
                .boxed(),
        ),
    ]
}

#[test]
fn a_record_that_cannot_be_read_back_is_refused_by_method_and_told_what_to_do() {
    on_every_executor(|context| {
        for (operator, line, bag) in sorted(context).into_iter().chain(gathered(context)) {
            let error = bag.count().expect_err(operator);
            assert!(matches!(error.kind(), ErrorKind::Codec { .. }), "{error}");
            let place = error.context().expect("a place");
            // The sides of a cogroup may run at the same time.
            let stage = place.stage.expect("a stage");
            let stages = if operator == "cogroup" { 1..=2 } else { 1..=1 };
            assert!(stages.contains(&stage), "{error}");
            assert_eq!(place.operator, Some(operator), "{error}");
            let error = error.to_string();
            assert!(
                error.contains(&format!(" in {} (stage {stage}", at(operator, line))),
                "{error}"
            );
            assert!(error.contains("`serde_json::Value`"), "{error}");
            assert!(
                error.ends_with("keep the JSON text, or use a struct of the fields you need"),
                "{error}"
            );
        }
    });
}

/// A record that cannot be written if it is 55.
#[derive(Clone, Deserialize)]
struct Unsendable(u64);

impl Serialize for Unsendable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        boom(self.0).serialize(serializer)
    }
}

#[test]
fn what_is_written_for_several_partitions_names_none_of_them() {
    quiet_panics();
    on_every_executor_and_processes(|context| {
        for (partitions, place) in [(25, "stage 1, partition 1"), (1_000, "stage 1")] {
            let numbers = context.range_partitioned(0..1_000, partitions);
            let pairs = numbers.map(|n| (n, Unsendable(n)));
            let (line, reduced) = (line!(), pairs.reduce_by_key(|a, _| a));
            let expected = format!(
                "a closure panicked in {} ({place}): on purpose with 55",
                at("reduce_by_key", line)
            );
            assert_eq!(reduced.count().unwrap_err().to_string(), expected);
        }
    });
}

/// A record that is written as a map of unknown length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Inner {
    number: u64,
}

#[test]
fn a_flattened_record_is_refused_by_method_and_told_what_to_do() {
    on_every_executor(|context| {
        let flat = numbers(context).map(|number| Flat {
            inner: Inner { number },
        });
        let (line, sorted) = (line!(), flat.sort());
        let error = sorted.count().unwrap_err().to_string();
        assert!(error.contains(&at("sort", line)), "{error}");
        assert!(
            error.contains("`#[serde(flatten)]`; keep the text, or use a struct"),
            "{error}"
        );
    });
}

/// A record that cannot be decoded if it is 55. Only the first record of a task is checked in advance, so this one
/// fails later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Late(u64);

impl<'de> Deserialize<'de> for Late {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        match u64::deserialize(from)? {
            55 => Err(serde::de::Error::custom("55 cannot be read back")),
            n => Ok(Self(n)),
        }
    }
}

#[test]
fn a_record_that_the_other_side_of_a_shuffle_cannot_read_is_an_error_of_the_method() {
    on_every_executor(|context| {
        let late = || numbers(context).map(Late);
        let pairs = || numbers(context).map(|n| (n, Late(n)));
        let cases = [
            ("sort", line!(), late().sort().map(|_| ()).boxed()),
            (
                "repartition",
                line!(),
                late().repartition(3).map(|_| ()).boxed(),
            ),
            ("distinct", line!(), late().distinct().map(|_| ()).boxed()),
            (
                "group_by_key",
                line!(),
                pairs()
                    .group_by_key()
                    .map(|(_, values)| values.for_each(drop))
                    .boxed(),
            ),
            ("join", line!(), pairs().join(pairs()).map(|_| ()).boxed()),
        ];
        for (operator, line, bag) in cases {
            let error = bag.count().expect_err(operator).to_string();
            assert!(
                error.contains(&format!(" in {} (stage ", at(operator, line))),
                "{error}"
            );
            assert!(error.ends_with(": 55 cannot be read back"), "{error}");
        }
    });
}

// Sources.

#[test]
fn a_panic_in_the_iterator_of_a_source_names_the_source() {
    quiet_panics();
    on_every_executor(|context| {
        let (line, bag) = (line!(), context.from_iter((0..1_000).map(boom)));
        let place = at("from_iter", line);
        let expected = format!("a closure panicked in {place} (stage 1): on purpose with 55");
        assert_eq!(bag.count().unwrap_err().to_string(), expected);
        assert_eq!(
            bag.iter().unwrap().last().unwrap().unwrap_err().to_string(),
            expected
        );
        assert_eq!(bag.distinct().count().unwrap_err().to_string(), expected);

        let make = || -> Vec<u64> { panic!("{ON_PURPOSE}") };
        let (line, bag) = (line!(), context.from_fn(make));
        let both = context.range(0..10).union(bag);
        let expected = format!(
            "a closure panicked in {} (stage 1): on purpose",
            at("from_fn", line)
        );
        assert_eq!(both.count().unwrap_err().to_string(), expected);
        assert_eq!(both.take(3).unwrap(), [0, 1, 2]);
    });
}

#[test]
fn an_error_of_a_source_comes_after_those_of_earlier_tasks() {
    quiet_panics();
    on_every_executor(|context| {
        // The second partition begins after 64 records.
        let numbers = context.from_iter((0..1_000).inspect(|n| assert!(*n < 64, "{ON_PURPOSE}")));
        let slow = numbers.try_map(|n: u64| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            if n == 50 { Err("50") } else { Ok(n) }
        });
        for error in [
            slow.count().unwrap_err(),
            slow.distinct().count().unwrap_err(),
        ] {
            assert!(error.to_string().ends_with(": 50"), "{error}");
        }
    });
}

#[test]
fn a_panic_without_a_text_is_told_as_such() {
    quiet_panics();
    on_every_executor(|context| {
        let (line, bag) = (line!(), context.range(0..1).inspect(|_| panic_any(42)));
        let expected = format!(
            "a closure panicked in {} (stage 1, partition 0): a panic without a message",
            at("inspect", line)
        );
        assert_eq!(bag.count().unwrap_err().to_string(), expected);
    });
}

// Text.

fn is_bad(line: &str) -> bool {
    assert!(line != "bad panic", "{ON_PURPOSE}");
    line == "bad"
}

#[test]
fn an_error_in_a_closure_over_lines_names_file_and_byte() {
    quiet_panics();
    on_every_executor(|context| {
        let files = Files::new();
        let good = files.write("a", "x\n".repeat(100));
        let bad = files.write("b", "first\r\nsécond\nbad panic\nlast\n");
        let lines = context.read_text([&good, &bad]).unwrap();
        let expected = |place: String| {
            let path = bad.display();
            format!(
                "a closure panicked in {place} (stage 1, partition 0, {path} line 3 byte 15): on purpose"
            )
        };
        let (line, filtered) = (line!(), lines.clone().filter(is_bad));
        let error = filtered.count().unwrap_err();
        assert_eq!(error.to_string(), expected(at("filter", line)));
        let place = error.context().unwrap();
        assert_eq!(
            (place.path.as_deref(), place.offset),
            (Some(&*bad), Some(15))
        );

        // Later in the chain, the error still names the line that the record came from.
        let words = lines
            .clone()
            .map(|line| line.replace('x', "bad"))
            .flat_map(|line| [line.clone(), line]);
        let (line, filtered) = (line!(), words.filter(|line| is_bad(line)));
        assert_eq!(
            filtered.count().unwrap_err().to_string(),
            expected(at("filter", line))
        );
        let (line, outcome) = (line!(), lines.clone().for_each(|line| _ = is_bad(line)));
        assert_eq!(
            outcome.unwrap_err().to_string(),
            expected(at("for_each", line))
        );
        let parts = lines.clone();
        let (line, bag) = (
            line!(),
            parts.map_partitions(|all, e| all.for_each(|l| e(is_bad(l)))),
        );
        assert_eq!(
            bag.count().unwrap_err().to_string(),
            expected(at("map_partitions", line))
        );

        let (line, tried) = (
            line!(),
            lines.try_map(|l| if l == "bad panic" { Err("bad") } else { Ok(1) }),
        );
        let failed = expected(at("try_map", line))
            .replace("panicked", "failed")
            .replace("on purpose", "bad");
        assert_eq!(tried.count().unwrap_err().to_string(), failed);
    });
}

#[test]
fn bytes_are_placed_in_decompressed_text_and_in_any_partition() {
    quiet_panics();
    on_every_executor(|context| {
        let files = Files::new();
        let text = "0123456\n".repeat(20) + "bad panic\n" + &"0123456\n".repeat(20);
        let zipped = files.write_gzip("zipped", &[text.as_bytes()]);
        let plain = files.write("plain", &text);
        for path in [zipped, plain] {
            let reader = TextReader::new().context(context).partition_bytes(50);
            let error = reader
                .clone()
                .read(&path)
                .unwrap()
                .map(is_bad)
                .count()
                .unwrap_err();
            let place = error.context().unwrap();
            assert_eq!(
                (place.path.as_deref(), place.offset),
                (Some(&*path), Some(160))
            );
            let matches = reader.clone().read(&path).unwrap().containing("a");
            let error = matches.map(is_bad).count().unwrap_err();
            assert_eq!(error.context().unwrap().offset, Some(160));
            let matches = reader.read_bytes(&path).unwrap().containing("panic");
            let error = matches.for_each(|_| panic!("{ON_PURPOSE}")).unwrap_err();
            assert_eq!(error.context().unwrap().offset, Some(160));
        }
    });
}

#[test]
fn where_lines_are_not_what_fails_no_line_is_named() {
    quiet_panics();
    on_every_executor(|context| {
        let files = Files::new();
        let path = files.write("f", "one\ntwo\nbad\nfour\n".repeat(50));
        let lines = context.read_text(&path).unwrap();
        let boom = |word: &str| assert!(word != "bad", "{ON_PURPOSE}");
        // Words are slices of whole blocks, so the file is known, but not the line.
        let error = lines.clone().words().for_each(boom).unwrap_err();
        let place = error.context().unwrap();
        assert_eq!((place.path.as_deref(), place.offset), (Some(&*path), None));
        // After a shuffle, neither is known.
        let error = lines
            .distinct()
            .for_each(move |line| boom(&line))
            .unwrap_err();
        let place = error.context().unwrap();
        assert_eq!((place.path.as_deref(), place.offset), (None, None));
    });
}

#[test]
fn what_is_wrong_with_inputs_is_said() {
    let files = Files::new();
    let path = |name: &str| files.path(name).display().to_string();
    let line = line!() + 1;
    let error = |inputs: &str| holdall::read_text(path(inputs)).unwrap_err();
    std::fs::create_dir(files.path("empty")).unwrap();
    for name in ["missing", "*.txt", "empty"] {
        let missing = error(name);
        assert!(matches!(missing.kind(), ErrorKind::NoInput { .. }));
        let place = missing.context().unwrap();
        assert_eq!(place.location.map(|at| at.line()), Some(line));
        let expected = format!("no input file at {}{place}", path(name));
        assert_eq!(missing.to_string(), expected);
    }
    let missing = holdall::read_files(path("missing")).err().unwrap();
    assert_eq!(missing.context().unwrap().operator, Some("read_files"));
    let invalid = error("a/**b");
    assert!(matches!(invalid.kind(), ErrorKind::InvalidPattern { .. }));
    let expected = format!("invalid file name pattern {}: ", path("a/**b"));
    assert!(invalid.to_string().starts_with(&expected), "{invalid}");
    let below_file = files.write("file", "").join("below");
    let error = holdall::read_text(&below_file).unwrap_err();
    let place = error.context().unwrap();
    assert_eq!(place.operator, Some("read_text"));
    assert_eq!(
        error.to_string(),
        format!(
            "cannot open {}{place}: Not a directory (os error 20)",
            below_file.display()
        )
    );
    assert!(error.is_io() && error.source().is_some());
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    on_every_executor(|context| {
        let files = Files::new();
        let check = |name: &str, content: &[u8], expected: &str| {
            let path = files.write(name, content);
            let reader = TextReader::new().context(context).max_line_bytes(20);
            let (line, lines) = (line!(), reader.read(&path).unwrap());
            let at = at("read", line).replacen("read", "read_text", 1);
            let place = format!(" in {at} (stage 1, partition 0)");
            let expected = expected.replace("PATH", &path.display().to_string());
            let expected = expected.replace("PLACE", &place);
            // The error is the same if the lines are read one by one, and if they are shuffled.
            let last = lines.iter().unwrap().last().unwrap();
            for error in [
                lines.count().unwrap_err(),
                last.unwrap_err(),
                lines.clone().count_by_value().first().unwrap_err(),
                lines.words().write_text(files.path("out")).unwrap_err(),
            ] {
                assert_eq!(error.to_string(), expected);
            }
        };
        check(
            "text",
            b"good\nb\xffd\n",
            "PATH: invalid UTF-8 at byte 6PLACE",
        );
        check(
            "long",
            b"short\n012345678901234567890\n",
            "PATH: the line at byte 6 is longer than the limit of 20 bytesPLACE",
        );
        check(
            "7z",
            b"7z\xbc\xaf\x27\x1c\0\x04",
            "PATH: cannot read 7z filesPLACE; extract their content first",
        );
        check(
            "utf16",
            b"\xff\xfea\0\n\0",
            "PATH: cannot read UTF-16 files as textPLACE; convert it to UTF-8, or read its bytes with `read_bytes`",
        );
        let zipped = crate::common::gzip(b"some text here", flate2::Compression::fast());
        check(
            "cut",
            &zipped[..zipped.len() - 1],
            "cannot read PATHPLACE: the gzip data is cut short, after 14 bytes of text",
        );
    });
}

#[test]
fn a_file_that_is_gone_is_named() {
    on_every_executor(|context| {
        let files = Files::new();
        let paths = ["a", "b", "c"].map(|name| files.write(name, "text\n"));
        let (line, lines) = (line!(), context.read_text(&paths).unwrap());
        std::fs::remove_file(&paths[1]).unwrap();
        let error = lines.count().unwrap_err();
        let expected = format!(
            "cannot open {} in {} (stage 1, partition 0): No such file or directory (os error 2)",
            paths[1].display(),
            at("read_text", line)
        );
        assert_eq!(error.to_string(), expected);
        assert!(error.is_io());
        assert!(
            matches!(error.kind(), ErrorKind::Io { operation: "open", path, .. } if *path == paths[1])
        );
    });
}

// Output.

/// A record that cannot be formatted if it is 55.
#[derive(Clone)]
struct Unwritable(u64);

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        boom(self.0).fmt(f)
    }
}

#[test]
fn what_is_wrong_with_an_output_is_said() {
    quiet_panics();
    on_every_executor(|context| {
        let files = Files::new();
        let out = files.path("out");
        let (line, outcome) = (line!(), numbers(context).map(Unwritable).write_text(&out));
        let expected = format!(
            "a closure panicked in {} (stage 1, partition 5): on purpose with 55",
            at("write_text", line)
        );
        assert_eq!(outcome.unwrap_err().to_string(), expected);
        files.write("out/part-00000", "");
        let error = numbers(context).write_text(&out).unwrap_err();
        let place = error.context().unwrap();
        assert_eq!(place.location.unwrap().file(), file!());
        assert_eq!(
            error.to_string(),
            format!(
                "cannot write to {}{place}: it already exists; choose another path, or replace it with `overwrite(true)` of the writer",
                out.display()
            )
        );
        let error = numbers(context)
            .write_text("/proc/no such place/out")
            .unwrap_err();
        assert!(error.is_io(), "{error}");
        assert!(
            error
                .to_string()
                .starts_with("cannot create /proc/no such place/out at "),
            "{error}"
        );
    });
}

// Settings.

const EXECUTORS: &str = if cfg!(target_os = "linux") {
    "inline, threads, threads:N with N from 1 to 1024, processes, processes:N with N of 1 or more, or scheme://address"
} else {
    "inline, threads, threads:N with N from 1 to 1024, or scheme://address; processes need Linux"
};

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let error = |text: &str| text.parse::<Executor>().unwrap_err().to_string();
    for text in [
        "thread",
        "threads:0",
        "threads:",
        "threads:-1",
        "inline:1",
        "processes:0",
        "processes:",
        "",
    ] {
        let expected = format!("executor: cannot use {text:?}, expected {EXECUTORS}");
        assert_eq!(error(text), expected);
    }
    let files = Files::new();
    let path = files.write("f", "text\n");
    let error = |reader: TextReader| reader.read(&path).unwrap_err().to_string();
    let reader = TextReader::new;
    assert_eq!(
        error(reader().delimiter("")),
        r#"delimiter: cannot use "", expected at least one byte"#
    );
    assert_eq!(
        error(reader().delimiter(b"\xff")),
        r#"delimiter: cannot use "\\xff", expected UTF-8, or a reader of bytes"#
    );
    assert_eq!(
        error(reader().max_line_bytes(3)),
        r#"max_line_bytes: cannot use "3", expected at least 4"#
    );
    assert_eq!(
        error(reader().partition_bytes(0)),
        r#"partition_bytes: cannot use "0", expected at least 1"#
    );
    let size = "expected a number of bytes such as 1000, 512MiB, 2G or 1.5GB";
    let refused = |setting: &str| format!(r#"{setting}: cannot use "much", {size}"#);
    for (setting, reader) in [
        ("max_line_bytes", reader().max_line_bytes("much")),
        ("partition_bytes", reader().partition_bytes("much")),
    ] {
        assert_eq!(error(reader), refused(setting));
    }
    let builder = Context::builder;
    for (setting, builder) in [
        ("memory", builder().memory("much")),
        ("disk_quota", builder().disk_quota("much")),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), refused(setting));
    }
    // Of several calls the last one counts.
    assert!(builder().memory("much").memory("2MiB").build().is_ok());
    let zero = Context::builder()
        .executor(Executor::Threads(0))
        .build()
        .unwrap_err();
    assert_eq!(
        zero.to_string(),
        format!(r#"executor: cannot use "threads:0", expected {EXECUTORS}"#)
    );
}

/// Run by the test below, in a process with invalid settings in its environment.
#[test]
#[ignore = "needs an environment of its own"]
fn in_a_wrong_environment() {
    let expected = r#"HOLDALL_THREADS: cannot use "many", expected a number from 1 to 1024"#;
    assert_eq!(
        Context::builder().build().unwrap_err().to_string(),
        expected
    );
    // The functions at the root return no error. The actions do, each time.
    let bag = holdall::range(0..10).map(|n| n % 2).count_by_value();
    for _ in 0..2 {
        assert_eq!(bag.count().unwrap_err().to_string(), expected);
        assert_eq!(bag.iter().unwrap_err().to_string(), expected);
    }
}

#[test]
fn an_environment_that_cannot_be_understood_is_said() {
    let itself = std::env::current_exe().unwrap();
    let test = ["--ignored", "--exact", "errors::in_a_wrong_environment"];
    let run = |threads| {
        Command::new(&itself)
            .args(test)
            .env("HOLDALL_THREADS", threads)
            .output()
            .unwrap()
    };
    let output = run("many");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stdout}"
    );
    assert!(!run("2").status.success());
}

// A job within a job.

/// Returns the error of an action that is called where no action may run.
fn nested(context: &Context) -> Error {
    context.range(0..10).count().expect_err("it ran")
}

#[test]
fn an_action_inside_of_a_closure_is_refused() {
    on_every_executor(|context| {
        const MESSAGE: &str = "cannot run an action inside a closure of a running job; \
                               run it before the job, and pass its result to the closure";
        let inner = context.clone();
        let messages = context.range(0..3).map(move |_| nested(&inner).to_string());
        assert_eq!(messages.collect().unwrap(), [MESSAGE; 3]);
        let inner = context.clone();
        let messages = context
            .range_partitioned(0..3, 3)
            .map(move |_| nested(&inner).to_string());
        assert!(
            messages
                .iter()
                .unwrap()
                .all(|message| message.unwrap() == MESSAGE)
        );
        // Every method that runs a closure refuses an action in it.
        let check = |context: &Context| {
            let error = nested(context);
            assert!(matches!(error.kind(), ErrorKind::NestedJob));
            assert!(context.range(0..3).iter().is_err());
        };
        let inner = context.clone();
        let numbers = context.from_fn(move || {
            check(&inner);
            0..100
        });
        let inner = context.clone();
        let keyed = numbers.key_by(|n| n % 3).reduce_by_key(move |a, b| {
            check(&inner);
            a + b
        });
        let inner = context.clone();
        let sum = keyed.values().reduce(move |a, b| {
            check(&inner);
            a + b
        });
        assert_eq!(sum.unwrap(), Some(4950));
    });
}

#[test]
fn a_nested_job_that_is_not_looked_at_ends_the_outer_one() {
    on_every_executor(|context| {
        let inner = context.clone();
        let (line, bag) = (
            line!(),
            context
                .range(0..3)
                .try_map(move |n| inner.range(0..n).count()),
        );
        let error = bag.count().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("a closure failed in {}", at("try_map", line))),
            "{error}"
        );
        let source = error.source().unwrap().downcast_ref::<Error>().unwrap();
        assert!(matches!(source.kind(), ErrorKind::NestedJob));
    });
}

#[test]
fn actions_can_run_side_by_side() {
    on_every_executor(|context| {
        std::thread::scope(|scope| {
            for n in 1..5 {
                scope.spawn(move || {
                    let counts = context.range(0..1_000).map(move |k| k % n).count_by_value();
                    assert_eq!(counts.count().unwrap(), n);
                });
            }
        });
    });
}

// After the error.

#[test]
fn the_first_error_stops_what_would_never_end() {
    quiet_panics();
    on_every_executor(|context| {
        let endless = context.from_iter(0_u64..);
        assert!(endless.clone().map(boom).count().is_err());
        assert!(
            endless
                .clone()
                .try_for_each(|n| parsed(n).map(drop))
                .is_err()
        );
        assert!(
            endless
                .clone()
                .key_by(|n| boom(*n) % 7)
                .count_by_key()
                .count()
                .is_err()
        );
        assert!(
            endless
                .clone()
                .union(endless.clone())
                .map(boom)
                .sum::<u64>()
                .is_err()
        );
        // 2^64 numbers in 64 partitions. The job must not wait for them, either.
        let vast = context.range_partitioned(0..u64::MAX, 64);
        assert!(vast.map(|n| boom(n % 1_000)).count().is_err());
    });
}

#[test]
fn after_an_error_the_context_goes_on() {
    quiet_panics();
    on_every_executor(|context| {
        for _ in 0..20 {
            assert!(numbers(context).map(boom).count().is_err());
            assert!(
                numbers(context)
                    .map(boom)
                    .distinct()
                    .iter()
                    .unwrap()
                    .any(|item| item.is_err())
            );
            assert_eq!(numbers(context).distinct().count().unwrap(), 100);
        }
        // The bag that failed can be run again. Whether it fails again depends on its closures.
        let files = Files::new();
        let path = files.write("f", b"b\xffd\n");
        let lines = context.read_text(&path).unwrap();
        assert!(lines.count().is_err());
        files.write("f", b"fine");
        assert_eq!(lines.collect().unwrap(), ["fine"]);
    });
}

#[test]
fn an_error_says_nothing_of_how_it_is_made() {
    let error = |path: &Path| {
        TextReader::new()
            .invalid_utf8(InvalidUtf8::Fail)
            .read(path)
            .unwrap_err()
    };
    let error = error(Path::new("/no/such/file"));
    assert_eq!(size_of_val(&error), size_of::<usize>());
    assert_eq!(error.to_string(), error.kind().to_string());
    fn travels<E: std::error::Error + Send + Sync + 'static>(_: &E) {}
    travels(&error);
}
