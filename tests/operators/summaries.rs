//! Summaries, statistics and the methods of `per_key`, compared with plain iterators on every executor.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use holdall::summary::{
    aggregate, bottom, bottom_by_key, count, count_distinct, count_distinct_approx, custom, filter,
    first, heavy_hitters, last, max, max_by, max_by_key, mean, min, min_by_key, minmax, minmax_by,
    of, product, quantiles_approx, quantiles_approx_by, stats_of, sum, sum_exact, to_set, to_vec,
    top, top_by, top_by_key,
};
use holdall::{Bag, Context, ErrorKind, Stats, Summary};
use serde::{Deserialize, Serialize};

use crate::common::{
    ON_PURPOSE, key_bytes, on_every_executor, on_every_executor_and_processes, quiet_panics,
    sort_as_keyed,
};

/// Numbers of partitions and lengths, among them no records, and empty partitions.
const SHAPES: [(usize, usize); 5] = [(0, 0), (0, 3), (1, 4), (40, 7), (700, 10)];

/// Few distinct numbers in no order.
fn numbers(len: usize) -> Vec<i64> {
    let number = |n: i64| n * 7919 % 101 - 50;
    (0..len as i64).map(number).collect()
}

fn bags(context: &Context) -> impl Iterator<Item = (Bag<i64>, Vec<i64>)> {
    SHAPES.iter().map(|(len, partitions)| {
        let numbers = numbers(*len);
        let bag = context.from_vec_partitioned(numbers.clone(), *partitions);
        (bag.boxed(), numbers)
    })
}

#[test]
fn summaries_are_the_results_of_iterators() {
    on_every_executor_and_processes(|context| {
        for (bag, numbers) in bags(context) {
            let all = || numbers.iter().copied();
            let results = bag.summarize((count(), sum(), min(), max(), first(), last()));
            assert_eq!(
                results.unwrap(),
                (
                    numbers.len() as u64,
                    all().sum(),
                    all().min(),
                    all().max(),
                    all().next(),
                    all().last()
                )
            );
            let tens = |n: &i64| n / 10;
            let results = bag.summarize((
                minmax(),
                min_by_key(|n: &i64| n / 10),
                max_by_key(|n: &i64| n / 10),
                max_by(|a: &i64, b: &i64| b.cmp(a)),
                minmax_by(|a: &i64, b: &i64| b.cmp(a)),
                to_vec(),
                to_set(),
                count_distinct(),
                filter(|n: &i64| *n > 3, count()),
                of(|n: &i64| n.to_string(), (max(), first())),
                aggregate(
                    0,
                    |sum: &mut i64, n: &i64| *sum += n * n,
                    |sum: &mut i64, n| *sum += n,
                ),
                of(
                    |n: &i64| (n % 3) as f64 / 2.0 + 1.0,
                    (product(), mean(), sum_exact()),
                ),
            ));
            let results = results.unwrap();
            assert_eq!(results.0, all().min().zip(all().max()));
            assert_eq!(results.1, all().min_by_key(tens));
            assert_eq!(results.2, all().max_by_key(tens));
            assert_eq!(results.3, all().min());
            assert_eq!(results.4, all().max().zip(all().min()));
            assert_eq!(results.5, numbers);
            assert_eq!(results.6, all().collect::<BTreeSet<_>>());
            assert_eq!(results.7, results.6.len() as u64);
            assert_eq!(results.8, all().filter(|n| *n > 3).count() as u64);
            let texts = || all().map(|n| n.to_string());
            assert_eq!(results.9, (texts().max(), texts().next()));
            assert_eq!(results.10, all().map(|n| n * n).sum::<i64>());
            let halves = || all().map(|n| (n % 3) as f64 / 2.0 + 1.0);
            let sum = halves().sum::<f64>();
            assert_eq!(results.11.0, halves().product::<f64>());
            assert_eq!(
                results.11.1,
                (!numbers.is_empty()).then(|| sum / numbers.len() as f64)
            );
            assert_eq!(results.11.2, sum);
        }
    });
}

#[test]
fn ranked_summaries_are_those_of_a_stable_sort() {
    on_every_executor_and_processes(|context| {
        for (bag, numbers) in bags(context) {
            let sorted = |by: fn(&i64) -> i64, n: usize| {
                let mut numbers = numbers.clone();
                numbers.sort_by_key(by);
                numbers.truncate(n);
                numbers
            };
            for n in [0, 1, 5, 1000] {
                let found = bag.summarize((
                    top(n),
                    bottom(n),
                    top_by(n, |a: &i64, b: &i64| b.cmp(a)),
                    top_by_key(n, |n: &i64| n.rem_euclid(7)),
                    bottom_by_key(n, |n: &i64| n.rem_euclid(7)),
                ));
                let expected = (
                    sorted(|n| -n, n),
                    sorted(|n| *n, n),
                    sorted(|n| *n, n),
                    sorted(|n| -n.rem_euclid(7), n),
                    sorted(|n| n.rem_euclid(7), n),
                );
                assert_eq!(found.unwrap(), expected);
            }
        }
    });
}

#[test]
fn text_is_summarised_as_slices() {
    on_every_executor_and_processes(|context| {
        let words = ["to", "be", "or", "not", "to", "be"];
        let bag = context.from_vec_partitioned(words.to_vec(), 4);
        let bag = bag.flat_map_str(|word, emit| emit(word));
        let found = bag.summarize((
            minmax(),
            top(2),
            to_set(),
            stats_of(|word: &str| word.len()),
            max_by_key(|word: &str| word.len()),
            last(),
        ));
        let (ends, top, set, lengths, longest, last) = found.unwrap();
        assert_eq!(ends, Some(("be".to_owned(), "to".to_owned())));
        assert_eq!(top, ["to", "to"]);
        assert_eq!(set.len(), 4);
        assert_eq!((lengths.sum(), lengths.max()), (13.0, Some(3.0)));
        assert_eq!(longest.as_deref(), Some("not"));
        assert_eq!(last.as_deref(), Some("be"));
        assert_eq!(bag.count_distinct().unwrap(), 4);
        assert_eq!(bag.stats_of(str::len).unwrap(), lengths);
        assert_eq!(bag.quantiles(&[0.5, 1.0]).unwrap(), ["not", "to"]);
    });
}

/// The number of records, and the position of the last one that is a multiple.
#[derive(Serialize, Deserialize)]
struct LastMultiple {
    of: i64,
}

impl Summary<i64> for LastMultiple {
    type Part = (u64, Option<u64>);
    type Output = Option<u64>;

    fn start(&self) -> Self::Part {
        (0, None)
    }

    fn add(&self, (count, last): &mut Self::Part, number: &i64) {
        if number % self.of == 0 {
            *last = Some(*count);
        }
        *count += 1;
    }

    fn merge(&self, (count, last): &mut Self::Part, later: Self::Part) {
        *last = later.1.map(|later| later + *count).or(*last);
        *count += later.0;
    }

    fn finish(&self, (_, last): Self::Part) -> Option<u64> {
        last
    }
}

#[test]
fn a_summary_of_the_user_sees_the_order_of_the_bag() {
    on_every_executor_and_processes(|context| {
        for (bag, numbers) in bags(context) {
            let multiples = numbers.iter().rposition(|n| n % 7 == 0);
            let found = bag.summarize((custom(LastMultiple { of: 7 }), count()));
            assert_eq!(
                found.unwrap(),
                (multiples.map(|at| at as u64), numbers.len() as u64)
            );
        }
    });
}

#[test]
fn a_panic_in_a_summary_names_the_method() {
    quiet_panics();
    on_every_executor(|context| {
        let bag = context.range_partitioned(0..100, 10);
        let fails = |n: &u64| {
            assert!(*n != 55, "{ON_PURPOSE}");
            *n
        };
        let error = bag.summarize((count(), of(fails, max()))).unwrap_err();
        let place = error.context().unwrap();
        assert!(matches!(error.kind(), ErrorKind::TaskPanicked { .. }));
        assert_eq!(
            (place.operator, place.partition),
            (Some("summarize"), Some(5))
        );
        let keyed = bag.clone().key_by(|n| n % 3).per_key();
        let error = keyed.summarize(of(fails, max())).count().unwrap_err();
        assert_eq!(error.context().unwrap().operator, Some("summarize"));
        let error = bag.stats_of(fails).unwrap_err();
        assert_eq!(error.context().unwrap().operator, Some("stats_of"));
    });
}

#[test]
fn statistics_are_those_of_a_plain_loop() {
    on_every_executor_and_processes(|context| {
        for (bag, numbers) in bags(context) {
            let all = || numbers.iter().copied();
            let len = numbers.len() as f64;
            let mean = all().sum::<i64>() as f64 / len;
            let squares: f64 = all().map(|n| (n as f64 - mean).powi(2)).sum();
            let stats = bag.stats().unwrap();
            assert_eq!(stats.count(), numbers.len() as u64);
            assert_eq!(stats.sum(), all().sum::<i64>() as f64);
            assert_eq!(stats.min(), all().min().map(|n| n as f64));
            assert_eq!(stats.max(), all().max().map(|n| n as f64));
            if numbers.is_empty() {
                assert_eq!((stats.mean(), stats.variance()), (None, None));
                assert_eq!(bag.mean().unwrap(), None);
            } else {
                let is_near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
                assert!(is_near(stats.mean().unwrap(), mean));
                assert!(is_near(stats.variance().unwrap(), squares / len));
                assert_eq!(bag.mean().unwrap(), Some(mean));
            }
            assert_eq!(bag.minmax().unwrap(), all().min().zip(all().max()));
            let signs = bag.clone().map(|n| n.signum() | 1);
            let expected: i64 = all().map(|n| n.signum() | 1).product();
            assert_eq!(signs.product::<i64>().unwrap(), expected);
            let distinct = all().collect::<BTreeSet<_>>();
            assert_eq!(bag.count_distinct().unwrap(), distinct.len() as u64);
        }
    });
}

#[test]
fn histograms_count_each_number_once() {
    on_every_executor_and_processes(|context| {
        let edges = [-20.0, -3.0, 0.0, 10.0];
        for (bag, numbers) in bags(context) {
            let within = |from: i64, to: i64| {
                let numbers = numbers.iter().filter(|n| (from..to).contains(*n));
                numbers.count() as u64
            };
            let histogram = bag.histogram(&edges).unwrap();
            assert_eq!(
                histogram.counts(),
                [within(-20, -3), within(-3, 0), within(0, 11)]
            );
            assert_eq!(histogram.below(), within(i64::MIN, -20));
            assert_eq!(histogram.above(), within(11, i64::MAX));
            for buckets in [1, 3, 100] {
                let even = bag.histogram_even(buckets).unwrap();
                assert_eq!(even.counts().len(), buckets);
                assert_eq!(even.counts().iter().sum::<u64>(), numbers.len() as u64);
                assert!(even.edges().is_sorted());
                if let Some(min) = numbers.iter().min() {
                    assert!(even.edges()[0] <= *min as f64);
                }
            }
        }
        let odd = vec![
            f64::NAN,
            f64::INFINITY,
            1.5,
            f64::NEG_INFINITY,
            1.5,
            f64::NAN,
        ];
        let even = context
            .from_vec_partitioned(odd, 2)
            .histogram_even(2)
            .unwrap();
        assert_eq!(
            (even.edges(), even.counts()),
            (&[1.0, 1.5, 2.0][..], &[0, 2][..])
        );
        assert_eq!((even.below(), even.above(), even.nan()), (1, 1, 2));
        let wide = context.from_vec(vec![f64::MIN, 0.0, f64::MAX]);
        assert_eq!(wide.histogram_even(2).unwrap().counts(), [1, 2]);
    });
}

#[test]
#[should_panic(expected = "edges in ascending order")]
fn edges_ascend() {
    let _ = holdall::range(0..3).histogram(&[1.0, 1.0]);
}

#[test]
#[should_panic(expected = "a fraction from 0 to 1, not 1.5")]
fn quantiles_are_within_the_bag() {
    let _ = holdall::range(0..3).quantiles(&[0.5, 1.5]);
}

#[test]
fn quantiles_are_records_of_the_sorted_bag() {
    on_every_executor_and_processes(|context| {
        let at = [0.5, 0.0, 1.0, 0.25, 0.5, 0.999, 1e-9];
        for (bag, numbers) in bags(context) {
            let mut sorted = numbers;
            sorted.sort_unstable();
            let quantile = |at: &f64| {
                let is_enough = |rank: &usize| (rank + 1) as f64 >= at * sorted.len() as f64;
                sorted[(0..sorted.len()).find(is_enough).unwrap()]
            };
            let expected: Vec<_> = match sorted[..] {
                [] => Vec::new(),
                _ => at.iter().map(quantile).collect(),
            };
            assert_eq!(bag.quantiles(&at).unwrap(), expected);
            let falling = bag.quantiles_by(&[0.0, 1.0], |a, b| b.cmp(a)).unwrap();
            let ends: Vec<_> = sorted
                .last()
                .into_iter()
                .chain(sorted.first())
                .copied()
                .collect();
            assert_eq!(falling, ends);
            let from = bag.clone().with(3_i64);
            let nearest =
                from.quantiles_by(&[0.0], |from, a, b| (a - from).abs().cmp(&(b - from).abs()));
            let expected = sorted.iter().map(|n| (n - 3).abs()).min();
            assert_eq!(nearest.unwrap().first().map(|n| (n - 3).abs()), expected);
            assert_eq!(bag.quantiles(&[]).unwrap(), [0; 0]);
        }
    });
}

#[test]
fn exact_sums_do_not_depend_on_the_partitioning() {
    on_every_executor_and_processes(|context| {
        let numbers: Vec<f64> = (0..3_000_i32)
            .map(|n| f64::from(n * 7919 % 1013 - 500) * 10_f64.powi(n * 31 % 60 - 30) / 3.0)
            .collect();
        let mut sums = BTreeSet::new();
        let mut by_key = BTreeSet::new();
        for partitions in [1, 3, 40] {
            let bag = context.from_vec_partitioned(numbers.clone(), partitions);
            sums.insert(bag.sum_exact().unwrap().to_bits());
            let keyed = bag.key_by(|n| n.to_bits() % 3).per_key().sum_exact();
            let keyed = keyed.map_values(f64::to_bits).collect().unwrap();
            by_key.insert(keyed);
        }
        assert_eq!((sums.len(), by_key.len()), (1, 1));
        let floats = context.from_vec(vec![0.5_f32, 0.25]);
        assert_eq!(floats.sum_exact().unwrap(), 0.75);
        assert_eq!(context.empty::<f64>().sum_exact().unwrap(), 0.0);
    });
}

/// Returns the values of each key in the order of a keyed bag, each converted by `op`.
fn per_key<R>(pairs: &[(u8, i64)], op: impl Fn(&[i64]) -> R) -> Vec<(u8, R)> {
    let mut groups = BTreeMap::<u8, Vec<i64>>::new();
    for (key, value) in pairs {
        groups.entry(*key).or_default().push(*value);
    }
    let mut found: Vec<_> = groups
        .iter()
        .map(|(key, values)| (*key, op(values)))
        .collect();
    sort_as_keyed(&mut found, |(key, _)| key_bytes(key));
    found
}

#[test]
fn the_values_of_each_key_are_summarised_as_a_bag_is() {
    on_every_executor_and_processes(|context| {
        for (bag, numbers) in bags(context) {
            let pairs: Vec<_> = numbers.iter().map(|n| ((n & 7) as u8, *n)).collect();
            let expected = |op: fn(&[i64]) -> i64| per_key(&pairs, op);
            let shuffled = bag.key_by(|n| (n & 7) as u8).boxed();
            // In place, too.
            for bag in [shuffled.clone(), shuffled.partition_by(3)] {
                let values = || bag.clone().per_key();
                let counts = per_key(&pairs, |all| all.len() as u64);
                assert_eq!(values().count().collect().unwrap(), counts);
                assert_eq!(
                    values().sum().collect().unwrap(),
                    expected(|all| all.iter().sum())
                );
                let small = values().fold(0, |a, b| *a ^= b).collect().unwrap();
                assert_eq!(small, expected(|all| all.iter().fold(0, |a, b| a ^ b)));
                let reduced = values().reduce(|a, b| a.max(b)).collect().unwrap();
                assert_eq!(reduced, expected(|all| *all.iter().max().unwrap()));
                let lists = values().aggregate(Vec::new(), Vec::push, Vec::extend);
                assert_eq!(lists.collect().unwrap(), per_key(&pairs, <[_]>::to_vec));
                let ends = per_key(&pairs, |all| {
                    (*all.iter().min().unwrap(), *all.iter().max().unwrap())
                });
                assert_eq!(values().minmax().collect().unwrap(), ends);
                let distinct = |all: &[i64]| all.iter().collect::<BTreeSet<_>>().len() as u64;
                assert_eq!(
                    values().count_distinct().collect().unwrap(),
                    per_key(&pairs, distinct)
                );
                let means = per_key(&pairs, |all| {
                    all.iter().sum::<i64>() as f64 / all.len() as f64
                });
                assert_eq!(values().mean().collect().unwrap(), means);
                let sums = per_key(&pairs, |all| all.iter().sum::<i64>() as f64);
                let stats = values().stats();
                let found = stats.clone().map_values(|stats: Stats| stats.sum());
                assert_eq!(found.collect().unwrap(), sums);
                assert_eq!(
                    values().stats_of(|n| *n).collect().unwrap(),
                    stats.collect().unwrap()
                );
                let sizes = values().histogram(&[-50.0, 0.0, 50.0]);
                let sizes = sizes.map_values(|sizes| sizes.counts().iter().sum::<u64>());
                assert_eq!(sizes.collect().unwrap(), counts);
                let found = values().summarize((count(), to_vec(), top(2), first(), last()));
                let expected = per_key(&pairs, |all| {
                    let mut top = all.to_vec();
                    top.sort_by_key(|n| Reverse(*n));
                    top.truncate(2);
                    let (first, last) = (all.first().copied(), all.last().copied());
                    (all.len() as u64, all.to_vec(), top, first, last)
                });
                assert_eq!(found.collect().unwrap(), expected);
                let four = values().shuffle_partitions(4).sum();
                assert_eq!(four.partitions(), Some(4));
                assert_eq!(four.collect().unwrap(), values().sum().collect().unwrap());
            }
        }
    });
}

/// In each partition, no key repeats, so most records are shuffled before they are combined.
#[test]
fn values_of_many_keys_are_summarised_after_the_shuffle() {
    const KEYS: u32 = 10_000;
    on_every_executor_and_processes(|context| {
        let pairs = context.range_partitioned(0..3 * KEYS, 3);
        let pairs = pairs.map(|n| (n % KEYS, n));
        let values = |key| [key, key + KEYS, key + 2 * KEYS];
        let keys = || (0..KEYS).map(|key| (key, values(key)));

        let stats = pairs.clone().per_key().stats().sort_by_key(|(key, _)| *key);
        let expected = keys().map(|(key, values)| (key, Stats::from_iter(values)));
        assert!(stats.collect().unwrap().into_iter().eq(expected));
        let minmax = pairs.clone().per_key().minmax().sort().collect().unwrap();
        assert!(
            minmax
                .into_iter()
                .eq(keys().map(|(key, [min, _, max])| (key, (min, max))))
        );
        let top = pairs.clone().per_key().top(2).sort().collect().unwrap();
        assert!(
            top.into_iter()
                .eq(keys().map(|(key, [_, b, c])| (key, vec![c, b])))
        );
        let none = pairs.per_key().top(0).values().distinct();
        assert_eq!(none.collect().unwrap(), [Vec::<u32>::new()]);
    });
}

/// A number whose type the codec cannot read back.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Whole(u32),
    Half(f32),
}

#[test]
fn values_that_cannot_be_shuffled_are_summarised_before() {
    on_every_executor_and_processes(|context| {
        let pairs = context.range_partitioned(0..30_000_u32, 3).map(|n| {
            let half = || Untagged::Half(n as f32 / 2.0);
            (
                n % 10_000,
                if n % 2 == 0 {
                    Untagged::Whole(n)
                } else {
                    half()
                },
            )
        });
        let number = |number: &Untagged| match *number {
            Untagged::Whole(n) => f64::from(n),
            Untagged::Half(n) => f64::from(n),
        };
        let stats = pairs
            .per_key()
            .stats_of(number)
            .sort_by_key(|(key, _)| *key);
        for (key, stats) in stats.collect().unwrap() {
            let values = [key, key + 10_000, key + 20_000].map(f64::from);
            let halves = f64::from(1 + key % 2);
            assert_eq!(
                stats,
                Stats::from_iter(values.map(|value| value / halves)),
                "{key}"
            );
        }
    });
}

#[test]
fn the_floats_of_each_key_are_multiplied() {
    on_every_executor_and_processes(|context| {
        let products = context
            .from_vec(vec![('a', 0.5), ('a', 3.0)])
            .per_key()
            .product();
        assert_eq!(products.collect().unwrap(), [('a', 1.5)]);
    });
}

#[test]
fn a_number_of_partitions_counts_for_the_next_shuffle_alone() {
    let context = Context::builder().shuffle_partitions(6).build().unwrap();
    let pairs = context.range(0..100).map(|n| (n % 10, n));
    let told = || pairs.clone().shuffle_partitions(3);
    assert_eq!(told().reduce_by_key(|a, _| a).partitions(), Some(3));
    assert_eq!(told().group_by_key().partitions(), Some(3));
    assert_eq!(told().join(pairs.clone()).partitions(), Some(3));
    assert_eq!(told().cogroup(pairs.clone()).partitions(), Some(3));
    assert_eq!(told().distinct().partitions(), Some(3));
    assert_eq!(told().boxed().values().sort().partitions(), Some(3));
    assert_eq!(told().sort().sort().partitions(), Some(6));
    // Bags that are partitioned already keep their number; in a join, that of the first counts.
    let divided = pairs.clone().partition_by(5);
    assert_eq!(divided.clone().count_by_key().partitions(), Some(5));
    assert_eq!(divided.clone().join(pairs.clone()).partitions(), Some(5));
    assert_eq!(pairs.clone().join(divided.clone()).partitions(), Some(5));
    let other = pairs.clone().partition_by(4);
    assert_eq!(other.clone().join(divided.clone()).partitions(), Some(4));
    assert_eq!(told().join(divided.clone()).partitions(), Some(3));
    let joined = |bag: Bag<(u64, (u64, u64))>| bag.sort().collect().unwrap();
    assert!(joined(other.join(divided)) == joined(pairs.clone().join(pairs)));
}

#[test]
fn sketches_are_the_same_on_every_executor() {
    on_every_executor_and_processes(|context| {
        let numbers = context.range_partitioned(0..60_000, 9);
        let numbers = numbers.map(|n: u64| n.wrapping_mul(n) % 20_011).boxed();
        let distinct = numbers.count_distinct().unwrap() as f64;
        let sketches = (
            count_distinct_approx(0.02),
            of(
                |n: &u64| if n.is_multiple_of(3) { 1 } else { *n },
                heavy_hitters(20),
            ),
            quantiles_approx(&[0.1, 0.5], 0.05),
            quantiles_approx_by(&[0.1], 0.05, |a: &u64, b: &u64| b.cmp(a)),
        );
        let (estimate, frequent, quantiles, falling) = numbers.summarize(sketches).unwrap();
        assert!((estimate as f64 - distinct).abs() < 0.06 * distinct);
        let times = numbers
            .clone()
            .filter(|n| *n == 1 || n.is_multiple_of(3))
            .count()
            .unwrap();
        let (number, bounds) = frequent[0];
        assert!(number == 1 && (bounds.at_least..=bounds.at_most).contains(&times));
        assert!(frequent.len() <= 20 && bounds.at_most - bounds.at_least <= 60_000 / 21);
        assert!(quantiles.error() <= 0.05 && falling.error() <= 0.05);
        let near = |found: u64, expected: f64| (found as f64 - expected).abs() < 0.07 * 20_011.0;
        assert!(near(quantiles.values()[0], 2_001.0) && near(quantiles.values()[1], 10_005.0));
        assert!(near(falling.values()[0], 18_010.0));
        // The values that every executor finds.
        static FOUND: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let found = format!("{estimate} {frequent:?} {quantiles:?} {falling:?}");
        assert_eq!(*FOUND.get_or_init(|| found.clone()), found);
        let keyed = numbers.key_by(|n| n % 2).per_key();
        let keyed = keyed.summarize((count_distinct_approx(0.1), quantiles_approx(&[0.5], 0.1)));
        assert_eq!(keyed.count().unwrap(), 2);
    });
}
