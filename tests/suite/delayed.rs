//! Delayed values: calls of functions, results of bags, and how they need each other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use holdall::summary::{count, filter};
use holdall::{
    Context, Delayed, ErrorKind, Executor, StorageLevel, call, compute, delayed, gather,
    try_delayed, value,
};
use serde::{Deserialize, Serialize};

use crate::common::{
    large_graph, on_every_executor, on_every_executor_and_processes, quiet_panics,
};

fn inc(x: i64) -> i64 {
    x + 1
}

fn add(x: i64, y: i64) -> i64 {
    x + y
}

fn total(numbers: &[i64]) -> i64 {
    numbers.iter().sum()
}

fn words(text: &str, repeat: &usize) -> Vec<String> {
    text.repeat(*repeat).split(' ').map(str::to_owned).collect()
}

#[test]
fn calls_have_the_values_of_their_functions() {
    on_every_executor_and_processes(|context| {
        let (a, x) = (value(1_i64), value(10_i64));
        let b = delayed(inc)(a.clone());
        let y = delayed(inc)(x);
        let z = delayed(add)(b.clone(), y.clone());
        assert_eq!(context.compute(&z).unwrap(), 13);
        let all = gather([a, b.clone(), y]);
        let sum = delayed(total)(all.clone());
        let (b, sum, all, z) = context.compute((b, &sum, all, vec![&z, &z])).unwrap();
        assert_eq!((b, sum, all, z), (2, 14, vec![1, 2, 11], vec![13, 13]));

        let words = delayed(words)(value("a bag ".to_owned()), value(3));
        let count = words.map(Vec::len);
        let line = call(
            |words: &[String], end: &i64| words.join("-") + &end.to_string(),
            (words, 7),
        );
        assert_eq!(context.compute([line]).unwrap(), ["a-bag-a-bag-a-bag-7"]);
        assert_eq!(context.compute(count).unwrap(), 7);
        let nothing = context.compute(gather(Vec::<Delayed<i64>>::new())).unwrap();
        assert!(nothing.is_empty());
        assert!(
            context
                .compute(Vec::<Delayed<i64>>::new())
                .unwrap()
                .is_empty()
        );
    });
}

#[test]
fn what_several_values_need_is_computed_once() {
    static LOADS: AtomicUsize = AtomicUsize::new(0);
    fn load(n: i64) -> Vec<i64> {
        LOADS.fetch_add(1, Ordering::Relaxed);
        (0..n).collect()
    }
    for executor in [Executor::Inline, Executor::Threads(3)] {
        LOADS.store(0, Ordering::Relaxed);
        let context = Context::builder().executor(executor).build().unwrap();
        let loaded = delayed(load)(value(10));
        let sum = delayed(total)(loaded.clone());
        let max = loaded.map(|numbers: &Vec<i64>| numbers.iter().copied().max());
        let (sum, max, loaded) = context.compute((sum, max, loaded)).unwrap();
        assert_eq!((sum, max, loaded.len()), (45, Some(9), 10));
        assert_eq!(LOADS.load(Ordering::Relaxed), 1, "{executor:?}");
        assert_eq!(context.last_job().unwrap().stages.len(), 1);
    }
}

#[test]
fn deep_and_wide_values_need_no_stack() {
    let context = Context::builder().threads(2).build().unwrap();
    let inc = delayed(inc);
    let mut deep = value(0_i64);
    let mut steps = Vec::new();
    let tasks = large_graph() as i64;
    for n in 0..tasks {
        deep = inc(deep);
        if n % 3 == 0 {
            steps.push(deep.clone());
        }
    }
    let wide = delayed(total)(gather((0..10_000).map(|n| inc(value(n)))));
    let (deep, wide) = context.compute((deep, wide)).unwrap();
    assert_eq!((deep, wide), (tasks, (1..=10_000).sum()));
    let last = context.compute(&steps[steps.len() - 1]).unwrap();
    assert_eq!(last, tasks - (tasks - 1) % 3);
}

#[test]
fn errors_name_the_line_and_captures_are_refused() {
    quiet_panics();
    on_every_executor_and_processes(|context| {
        let parse = try_delayed(|text: &String| text.parse::<i64>());
        let line = line!() - 1;
        assert_eq!(context.compute(parse(value("7".to_owned()))).unwrap(), 7);
        let failing = delayed(inc)(parse(value("x".to_owned())));
        let error = context.compute(failing).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
        let place = error.context().unwrap();
        assert_eq!(
            (place.operator, place.stage),
            (Some("try_delayed"), Some(1))
        );
        assert_eq!(
            (place.location.unwrap().line(), place.partition),
            (line, None)
        );

        let nested = try_delayed(|| holdall::range(0..3_u64).delayed().sum().compute());
        let error = context.compute(nested()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("inside a closure of a running job"),
            "{error}"
        );
    });
    let offset = std::env::args().count() as i64;
    let captures = delayed(move |x: i64| x + offset);
    on_every_executor(move |context| {
        assert_eq!(context.compute(captures(value(1))).unwrap(), 1 + offset);
    });
    if cfg!(target_os = "linux") {
        let context = Context::builder()
            .executor(Executor::Processes(1))
            .build()
            .unwrap();
        let captures = delayed(move |x: i64| x + offset);
        let error = context.compute(captures(value(1))).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::CapturingClosure { .. }),
            "{error}"
        );
    }
}

#[test]
fn results_of_one_bag_are_computed_in_one_pass() {
    static RECORDS: AtomicUsize = AtomicUsize::new(0);
    fn counted(n: u64) -> u64 {
        RECORDS.fetch_add(1, Ordering::Relaxed);
        n * 7 % 101
    }
    on_every_executor_and_processes(|context| {
        let numbers = context.range_partitioned(0..1_000, 9).map(counted);
        let (lazy, clone) = (numbers.delayed(), numbers.clone().delayed());
        let even = clone.summarize(filter(|n: &u64| n.is_multiple_of(2), count()));
        RECORDS.store(0, Ordering::Relaxed);
        let got = compute((
            (lazy.count(), clone.sum(), lazy.mean(), lazy.stats()),
            (lazy.min(), lazy.max(), lazy.first(), lazy.last()),
            (
                lazy.top(2),
                lazy.bottom(2),
                lazy.count_distinct(),
                lazy.collect(),
            ),
            even,
        ));
        let (numbers_of, extremes, lists, evens) = got.unwrap();
        let records = RECORDS.load(Ordering::Relaxed);
        assert!(records == 1_000 || records == 0, "{records} records"); // or in workers
        assert_eq!(context.last_job().unwrap().stages.len(), 1);
        let all = numbers.collect().unwrap();
        let sum: u64 = all.iter().sum();
        assert_eq!((numbers_of.0, numbers_of.1), (1_000, sum));
        assert_eq!(numbers_of.2, Some(sum as f64 / 1_000.0));
        assert_eq!(numbers_of.3.max(), Some(100.0));
        assert_eq!(extremes, (Some(0), Some(100), Some(all[0]), Some(all[999])));
        assert_eq!(
            (lists.0, lists.1, lists.2),
            (vec![100, 100], vec![0, 0], 101)
        );
        assert_eq!(lists.3, all);
        assert_eq!(
            evens,
            all.iter().filter(|n| n.is_multiple_of(2)).count() as u64
        );
    });
}

#[test]
fn results_of_several_bags_share_a_shuffle() {
    on_every_executor_and_processes(|context| {
        let counts = context
            .range(0..1_000)
            .map(|n| (n % 13, 1_u64))
            .sum_by_key();
        let counts = counts.boxed();
        let (large, keys) = (
            counts.clone().filter(|(_, count)| *count > 76),
            counts.clone().map(|(key, _)| key),
        );
        let (large, sum, all) = compute((
            large.delayed().count(),
            keys.delayed().sum(),
            counts.delayed().count(),
        ))
        .unwrap();
        assert_eq!((large, sum, all), (12, (0..13).sum(), 13));
        // One map stage, and the stage of the results.
        assert_eq!(context.last_job().unwrap().stages.len(), 2);
        let empty = context.range(0..0).delayed();
        assert_eq!(
            compute((empty.count(), empty.max(), empty.collect())).unwrap(),
            (0, None, vec![])
        );
    });
}

#[test]
fn delayed_values_are_states_of_bags() {
    on_every_executor_and_processes(|context| {
        let numbers = context.range(1..101);
        let greatest = numbers.delayed().max();
        let scaled = numbers.clone().with_delayed(&greatest);
        let scaled = scaled.map(|max, n| n as f64 / max.unwrap() as f64);
        // An action, two lazy ones, and one on a bag with another state.
        assert_eq!(scaled.max_by(f64::total_cmp).unwrap(), Some(1.0));
        let (mean, stats) = compute((scaled.delayed().mean(), scaled.delayed().stats())).unwrap();
        assert_eq!((mean, stats.count()), (Some(0.505), 100));
        let both = numbers.clone().with_delayed(&greatest).with(1_000_u64);
        let both = both.map(|(max, more), n| max.unwrap() + more + n).first();
        assert_eq!(both.unwrap(), Some(1_101));

        // Through a shuffle, three times, and through calls of functions.
        let mut value = value(1_u64);
        for round in 0..3_u64 {
            let bag = numbers
                .clone()
                .with_delayed(&value)
                .map(|value, n| (n % 10, n * value));
            let sums = bag
                .sum_by_key()
                .map(|(_, sum)| sum)
                .persist(StorageLevel::default());
            let greatest = sums.delayed().max();
            value = call(
                |max: Option<u64>, round: u64| max.unwrap() % 97 + round,
                (greatest, round),
            );
        }
        let mut expected = 1;
        for round in 0..3 {
            let sums = (0..10).map(|key| {
                (1..101)
                    .filter(|n| n % 10 == key)
                    .map(|n| n * expected)
                    .sum::<u64>()
            });
            expected = sums.max().unwrap() % 97 + round;
        }
        let (value, one) = compute((&value, numbers.delayed().min())).unwrap();
        assert_eq!((value, one), (expected, Some(1)));
        // A fold, a sort and a join with a state that is not known yet.
        let folded = numbers
            .clone()
            .with_delayed(&greatest)
            .fold(0, |max, sum, n| (sum + n) % max.unwrap());
        assert_eq!(folded.unwrap(), 50);
        let nearest = numbers
            .with_delayed(&greatest)
            .sort_by(|max, a, b| (max.unwrap() - a).cmp(&(max.unwrap() - b)));
        assert_eq!(nearest.take(2).unwrap(), [100, 99]);
    });
}

#[test]
fn what_a_job_needs_is_computed_once_and_in_its_context() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    static READ: AtomicUsize = AtomicUsize::new(0);

    on_every_executor(|context| {
        CALLS.store(0, Ordering::SeqCst);
        READ.store(0, Ordering::SeqCst);
        let three = delayed(|n: u64| {
            CALLS.fetch_add(1, Ordering::SeqCst);
            n
        })(value(3));
        let numbers = context.range(0..10).with_delayed(&three);
        let numbers = numbers.map(|three, n| {
            READ.fetch_add(1, Ordering::SeqCst);
            n + three
        });
        // The bag of both results needs a value that the bag itself needs, too.
        let (min, max) = (numbers.delayed().min(), numbers.delayed().max());
        let sums = numbers.with_delayed(&min).map(|min, n| n + min.unwrap());
        let sums = sums.with_delayed(&max).map(|max, n| n + max.unwrap());
        assert_eq!(sums.sum::<u64>().unwrap(), 75 + 30 + 120);
        assert_eq!(CALLS.load(Ordering::SeqCst), 1);
        assert_eq!(READ.load(Ordering::SeqCst), 20);

        // Limits of the context of the job hold, too, while it waits for other bags.
        let endless = context.from_iter(0_u64..).delayed().max();
        let bag = context.range(0..10).with_delayed(&endless);
        let bag = bag.map(|max, n| n + max.unwrap());
        let error = bag.timeout(Duration::from_millis(20)).count().unwrap_err();
        let is_late = matches!(error.kind(), ErrorKind::DeadlineExceeded { .. });
        assert!(is_late, "{error}");
    });
}

#[test]
fn partitions_are_delayed_values_and_back() {
    on_every_executor_and_processes(|context| {
        let bag = context.range_partitioned(0..100, 7).map(|n| n * 2);
        let parts = bag.to_delayed().unwrap();
        assert_eq!(parts.len(), 7);
        let reversed = parts
            .iter()
            .rev()
            .map(|part| part.map(|part: &Vec<u64>| part.iter().rev().copied().collect::<Vec<_>>()));
        let back = context.from_delayed(reversed);
        assert_eq!(back.partitions(), Some(7));
        let expected: Vec<u64> = (0..100).rev().map(|n| n * 2).collect();
        assert_eq!(back.collect().unwrap(), expected);
        assert_eq!(back.map(|n| (n % 3, n)).sum_by_key().count().unwrap(), 3);
        let last = context.compute(&parts[6]).unwrap();
        assert_eq!(last, bag.select_partitions([6]).collect().unwrap());
        assert_eq!(
            context
                .from_delayed(Vec::<Delayed<Vec<u8>>>::new())
                .count()
                .unwrap(),
            0
        );
        assert!(context.from_iter(0..9).to_delayed().is_none());
    });
}

/// A record that counts how many there are.
#[derive(Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
struct Counted(u64);

static COUNTED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

impl From<u64> for Counted {
    fn from(n: u64) -> Self {
        MOST.fetch_max(COUNTED.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        Self(n)
    }
}

impl From<Counted> for u64 {
    fn from(counted: Counted) -> Self {
        counted.0
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.into()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        COUNTED.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn a_partition_of_delayed_values_is_computed_by_its_task() {
    static LOADS: AtomicUsize = AtomicUsize::new(0);
    let load = |n: &u64| {
        LOADS.fetch_add(1, Ordering::SeqCst);
        (0..1_000)
            .map(|record| Counted::from(n + record))
            .collect::<Vec<_>>()
    };
    let context = Context::builder().threads(1).build().unwrap();
    let bag = context.from_delayed((0..20).map(|n| delayed(load)(value(n))));
    for round in 1..3 {
        let sum = bag.clone().map(|counted| counted.0).sum::<u64>();
        assert_eq!(sum.unwrap(), 1_000 * 190 + 20 * 499_500);
        assert_eq!(LOADS.load(Ordering::SeqCst), 20 * round);
    }
    assert!(MOST.load(Ordering::SeqCst) < 2_000);
    assert_eq!(bag.take(1).unwrap().len(), 1);
    assert_eq!(LOADS.load(Ordering::SeqCst), 41);
}

#[test]
fn what_several_partitions_need_is_computed_once() {
    static CALLS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
    fn counted(place: usize, value: u64) -> u64 {
        CALLS[place].fetch_add(1, Ordering::SeqCst);
        value
    }
    let base = delayed(|n: &u64| counted(0, *n))(value(3));
    // Only the first partition needs the base itself.
    let double = delayed(|base: &u64| counted(1, 2 * base))(base.clone());
    let parts = move |bag_sum: Delayed<u64>| {
        let part = |a: &u64, b: &u64, sum: &u64| vec![counted(2, *a), *b, *sum];
        let first = delayed(part)(base.clone(), double.clone(), bag_sum.clone());
        let second = delayed(part)(value(1), double.clone(), bag_sum);
        [first.clone(), second, first, value(vec![9])]
    };
    let expected = [3, 6, 45, 1, 6, 45, 3, 6, 45, 9];
    on_every_executor_and_processes(move |context| {
        let sum = context.range(0..10).delayed().sum();
        let bag = context.from_delayed(parts(sum));
        CALLS
            .iter()
            .for_each(|calls| calls.store(0, Ordering::SeqCst));
        assert_eq!(bag.collect().unwrap(), expected);
        assert_eq!(bag.collect().unwrap(), expected);
        let calls = || CALLS.each_ref().map(|calls| calls.load(Ordering::SeqCst));
        if !format!("{context:?}").contains("Processes") {
            // The first partition is also the third, so it is computed before. The second is computed twice.
            assert_eq!(calls(), [1, 1, 1 + 2]);
        }
    });
}

#[test]
fn errors_of_partitions_of_delayed_values_name_their_line() {
    quiet_panics();
    on_every_executor_and_processes(|context| {
        let fails = delayed(|n: &u64| -> Vec<u64> { panic!("on purpose {n}") });
        let line = line!() - 1;
        let error = context.from_delayed([fails(value(7)).named("seven")]);
        let error = error.count().unwrap_err();
        let place = error.context().unwrap();
        assert_eq!(place.location.unwrap().line(), line, "{error}");
        assert_eq!(place.key.as_deref(), Some("seven"), "{error}");
        assert!(error.to_string().contains("on purpose 7"), "{error}");
    });
    let captured = std::env::args().count() as u64;
    let captures = delayed(move |n: &u64| vec![*n, captured]);
    let context = Context::builder().executor(Executor::Processes(2)).build();
    let bag = context.unwrap().from_delayed([captures(value(7))]);
    let error = bag.count().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::CapturingClosure { .. }),
        "{error}"
    );
}
