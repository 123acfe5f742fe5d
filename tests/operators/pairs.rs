//! Methods of pairs and groups, compared with plain iterators on every executor.

use std::collections::{BTreeMap, HashMap, HashSet};

use holdall::{Bag, Context, Data, ErrorKind, Executor};

use crate::common::{
    key_bytes, on_every_executor, on_every_executor_and_processes, on_every_executor_with,
    sort_as_keyed, spilling_contexts,
};

type Pair = (u32, u64);

/// Few keys, among them some with many values; no pairs, and empty partitions.
fn bags(context: &Context) -> Vec<(Bag<Pair>, Vec<Pair>)> {
    let shapes = [(0, 0), (0, 2), (1, 3), (200, 7)];
    let bags = shapes.iter().map(|(len, partitions)| {
        let pairs: Vec<_> = (0..*len).map(|n| ((n * 37 % 11) as u32, n)).collect();
        let bag = context.from_vec_partitioned(pairs.clone(), *partitions);
        (bag.boxed(), pairs)
    });
    bags.collect()
}

#[test]
fn values_are_changed_and_filtered_where_they_are() {
    on_every_executor_and_processes(|context| {
        for (bag, pairs) in bags(context) {
            let all = || pairs.iter().copied();
            let repeated = bag.clone().flat_map_values(|n| vec![n; (n % 4) as usize]);
            let expected = all().flat_map(|(key, n)| vec![(key, n); (n % 4) as usize]);
            assert_eq!(repeated.collect().unwrap(), expected.collect::<Vec<_>>());
            let even = bag.clone().filter_values(|n| n % 2 == 0).collect().unwrap();
            assert_eq!(even, all().filter(|(_, n)| n % 2 == 0).collect::<Vec<_>>());
            let parsed = bag.clone().try_map_values(|n| n.to_string().parse::<u64>());
            assert_eq!(parsed.collect().unwrap(), pairs);
            let swapped = bag.clone().swap().collect().unwrap();
            assert_eq!(swapped, all().map(|(key, n)| (n, key)).collect::<Vec<_>>());
            // With a state.
            let with = || bag.clone().with(3_u64);
            let few = with()
                .filter_values(|least, n| n >= least)
                .collect()
                .unwrap();
            assert_eq!(few, all().filter(|(_, n)| *n >= 3).collect::<Vec<_>>());
            let tripled = with().flat_map_values(|times, n| vec![n; *times as usize]);
            assert_eq!(tripled.count().unwrap(), 3 * pairs.len() as u64);
            let failed =
                with().try_map_values(|most, n| if n < *most { Ok(n) } else { Err("many") });
            assert_eq!(failed.collect().is_err(), pairs.len() > 3);
        }
    });
}

#[test]
fn values_may_change_without_a_shuffle() {
    let context = Context::builder().progress(false).build().unwrap();
    let sums = context.range(0..100).map(|n| (n % 7, n)).sum_by_key();
    let changed = sums
        .flat_map_values(|n| [n, n + 1])
        .filter_values(|n| n % 2 == 0)
        .try_map_values(u32::try_from)
        .try_flat_map_values(|n| Ok::<_, String>([n]))
        .try_filter_values(|n| Ok::<_, String>(*n > 0))
        .count_by_key();
    assert_eq!(changed.explain().stages().len(), 2);
    assert_eq!(changed.values().sum::<u64>().unwrap(), 7);
}

fn groups(pairs: &[Pair]) -> Vec<(u32, Vec<u64>)> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for (key, n) in pairs {
        groups.entry(*key).or_default().push(*n);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    sort_as_keyed(&mut groups, |(key, _)| key_bytes(key));
    groups
}

#[test]
fn records_are_grouped_by_what_a_closure_returns() {
    on_every_executor_and_processes(|context| {
        for (bag, pairs) in bags(context) {
            let values = bag.clone().values();
            let grouped = values.clone().group_by(|n| (n * 37 % 11) as u32);
            assert_eq!(grouped.collect().unwrap(), groups(&pairs));
            let firsts = values.distinct_by_key(|n| (n * 37 % 11) as u32);
            let expected: Vec<_> = groups(&pairs).iter().map(|(_, all)| all[0]).collect();
            assert_eq!(firsts.collect().unwrap(), expected);
            let flat = bag.clone().group_by_key().values();
            let expected: Vec<_> = groups(&pairs)
                .into_iter()
                .flat_map(|(_, all)| all)
                .collect();
            assert_eq!(flat.collect().unwrap(), expected);
        }
        // Records with equal types of key and value: they are not in the partition of what follows.
        let numbers = context.range(0..100).distinct();
        let firsts = numbers.clone().distinct_by_key(|n| n % 10);
        assert_eq!(firsts.clone().distinct().count().unwrap(), 10);
        assert_eq!(firsts.map(|n| (n, ())).count_by_key().count().unwrap(), 10);
        assert_eq!(numbers.group_by(|n| n % 10).count().unwrap(), 10);
    });
}

#[test]
fn lookup_finds_the_values_of_a_key() {
    on_every_executor_and_processes(|context| {
        for (bag, pairs) in bags(context) {
            for partitioned in [bag.clone(), bag.clone().partition_by(5)] {
                for key in 0..12 {
                    let all = pairs.iter().filter(|(of, _)| *of == key);
                    let expected: Vec<_> = all.map(|(_, n)| *n).collect();
                    assert_eq!(partitioned.lookup(&key).unwrap(), expected);
                }
            }
        }
        let long = |n: u64| format!("a key with more than fifteen bytes {}", n % 5);
        let texts = context
            .range(0..20)
            .map(move |n| (if n < 10 { long(n) } else { n.to_string() }, n));
        let texts = texts.boxed();
        assert_eq!(
            texts
                .lookup(&"a key with more than fifteen bytes 3".to_owned())
                .unwrap(),
            [3, 8]
        );
        assert_eq!(texts.lookup(&"13".to_owned()).unwrap(), [13]);
        assert_eq!(
            texts.partition_by(3).lookup(&"13".to_owned()).unwrap(),
            [13]
        );
    });
}

#[test]
fn lookup_reads_the_partition_of_the_key_alone() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static READ: AtomicU64 = AtomicU64::new(0);
    let pairs = holdall::range(0..1000).map(|n| (n, n)).partition_by(10);
    let pairs = pairs.inspect(|_| {
        READ.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(pairs.lookup(&77).unwrap(), [77]);
    assert!((1..200).contains(&READ.load(Ordering::Relaxed)));
}

#[test]
fn a_map_has_the_last_value_of_each_key() {
    on_every_executor_and_processes(|context| {
        for (bag, pairs) in bags(context) {
            let expected: HashMap<_, _> = pairs.into_iter().collect();
            assert_eq!(bag.collect_map().unwrap(), expected);
        }
    });
}

/// Returns the values of a key, in order.
fn of(pairs: &[Pair], key: u32) -> Vec<u64> {
    let values = pairs.iter().filter(|(of, _)| *of == key);
    values.map(|(_, n)| *n).collect()
}

/// Returns the keys of all lists, in the order of keyed bags.
fn keyed(lists: &[&[Pair]]) -> Vec<u32> {
    let pairs = lists.iter().flat_map(|list| list.iter());
    let keys: HashSet<_> = pairs.map(|pair| pair.0).collect();
    let mut keys: Vec<_> = keys.into_iter().collect();
    sort_as_keyed(&mut keys, key_bytes);
    keys
}

#[test]
fn three_and_four_bags_are_grouped_in_lockstep() {
    on_every_executor_and_processes(|context| {
        let bag = |step: u32, len: u32| {
            let pairs: Vec<_> = (0..len).map(|n| (n * step % 23, u64::from(n))).collect();
            (context.from_vec_partitioned(pairs.clone(), 3), pairs)
        };
        for lens in [[0; 4], [40, 0, 30, 7], [5, 90, 60, 0], [50, 50, 50, 50]] {
            let [a, b, c, d] =
                [(2, 0), (3, 1), (5, 2), (7, 3)].map(|(step, at)| bag(step, lens[at]));
            let three = keyed(&[&a.1, &b.1, &c.1]).into_iter();
            let three: Vec<_> = three
                .map(|key| (key, of(&a.1, key), of(&b.1, key), of(&c.1, key)))
                .collect();
            let found = a.0.clone().cogroup3(b.0.clone(), c.0.clone());
            assert_eq!(found.collect().unwrap(), three);
            // One side in place, and values that nobody reads.
            let found =
                a.0.clone()
                    .partition_by(64)
                    .cogroup3(b.0.clone(), c.0.clone());
            let lasts = found
                .boxed()
                .map(|(key, a, _, c)| (key, a.last(), c.last()));
            let expected: Vec<_> = three
                .iter()
                .map(|(key, a, _, c)| (*key, a.last().copied(), c.last().copied()))
                .collect();
            assert_eq!(lasts.collect().unwrap(), expected);
            let four = keyed(&[&a.1, &b.1, &c.1, &d.1]).into_iter();
            let four: Vec<_> = four
                .map(|key| {
                    (
                        key,
                        of(&a.1, key),
                        of(&b.1, key),
                        of(&c.1, key),
                        of(&d.1, key),
                    )
                })
                .collect();
            let found = a.0.cogroup4(b.0.clone(), c.0.clone(), d.0.clone());
            assert_eq!(found.collect().unwrap(), four);
            let two = b.0.cogroup(c.0);
            let sums = two
                .clone()
                .map_values(|b, c| b.sum::<u64>() + c.sum::<u64>());
            let expected: Vec<_> = keyed(&[&b.1, &c.1])
                .into_iter()
                .map(|key| (key, of(&b.1, key).iter().chain(&of(&c.1, key)).sum::<u64>()))
                .collect();
            assert_eq!(sums.collect().unwrap(), expected);
            let keys: Vec<_> = expected.iter().map(|(key, _)| *key).collect();
            assert_eq!(two.keys().collect().unwrap(), keys);
        }
    });
}

#[test]
fn groups_of_three_bags_are_the_same_when_they_spill() {
    let spill = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for context in spilling_contexts(spill.path()) {
        let bag = |step: u64| {
            context
                .range(0..30_000)
                .map(move |n| (n * step % 20_011, n.to_string().repeat(9)))
        };
        let groups = bag(2).cogroup3(bag(3), bag(5));
        let lens = groups.map(|(key, a, b, c)| (key, a.count(), b.last(), c.count()));
        all.push(lens.collect().unwrap());
    }
    assert!(all.iter().all(|groups| *groups == all[0]));
    assert_eq!(
        all[0].iter().map(|(_, a, _, c)| a + c).sum::<usize>(),
        60_000
    );
}

#[test]
fn the_product_of_two_bags_is_that_of_nested_loops() {
    on_every_executor_and_processes(|context| {
        for (left, right) in [(0, 5), (5, 0), (7, 40), (100, 3)] {
            for (of_left, of_right) in [(1, 1), (3, 5), (70, 2)] {
                let lefts = context.range_partitioned(0..left, of_left);
                let rights = context
                    .range_partitioned(0..right, of_right)
                    .map(|n| n.to_string());
                let product = lefts.cartesian(rights);
                let parts = (64_usize.div_ceil(of_left)).min(of_right);
                assert_eq!(product.partitions(), Some(of_left * parts));
                let mut found = product.collect().unwrap();
                let pairs = (0..left).flat_map(|a| (0..right).map(move |b| (a, b.to_string())));
                let expected: Vec<_> = pairs.collect();
                if of_left >= 64 || of_right == 1 {
                    assert_eq!(found, expected);
                }
                found.sort_by(|a, b| {
                    (a.0, a.1.parse::<u64>().unwrap()).cmp(&(b.0, b.1.parse().unwrap()))
                });
                assert_eq!(found, expected);
            }
        }
        // Bags whose numbers of partitions are unknown, and text.
        let words = context
            .from_iter(["a", "b", "c"])
            .flat_map_str(|word, emit| emit(word));
        let product = words.cartesian(context.from_iter(0..200));
        assert_eq!(product.partitions(), None);
        let expected: Vec<_> = ["a", "b", "c"]
            .iter()
            .flat_map(|word| (0..200).map(|n| ((*word).to_owned(), n)))
            .collect();
        assert_eq!(product.collect().unwrap(), expected);
        assert_eq!(product.first().unwrap(), Some(("a".to_owned(), 0)));
        let few = context
            .range_partitioned(0..3, 2)
            .cartesian(context.from_iter(0..200));
        assert_eq!(few.count().unwrap(), 600);
    });
}

#[test]
fn a_product_reads_shuffled_records_once_for_each_part_of_the_other_bag() {
    on_every_executor_with(
        |builder| builder.shuffle_partitions(3),
        |context| {
            let numbers = || context.range_partitioned(0..90_u64, 4);
            let pairs = || numbers().map(|n| (n % 30, n));
            let others = || context.range_partitioned(0..20_u64, 10);
            let counted = pairs().count_by_key();
            assert_eq!(counted.cartesian(others()).count().unwrap(), 30 * 20);
            let reduced = pairs().reduce_by_key(u64::max);
            assert_eq!(reduced.cartesian(others()).count().unwrap(), 30 * 20);
            let grouped = pairs().group_by_key().values();
            assert_eq!(grouped.cartesian(others()).count().unwrap(), 90 * 20);
            let joined = pairs().join(pairs());
            assert_eq!(joined.cartesian(others()).count().unwrap(), 270 * 20);
            assert_eq!(numbers().sort().cartesian(others()).count().unwrap(), 1800);
            let dealt = || numbers().repartition(2);
            assert_eq!(dealt().cartesian(others()).count().unwrap(), 90 * 20);
            let twice = dealt().cartesian(others()).cartesian(others());
            assert_eq!(twice.count().unwrap(), 90 * 20 * 20);
        },
    );
}

#[test]
fn a_product_needs_no_memory_for_either_side() {
    let spill = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for context in spilling_contexts(spill.path()) {
        let texts = context
            .range_partitioned(0..4_000, 4)
            .map(|n| n.to_string().repeat(200));
        let product = context.range_partitioned(0..12, 3).cartesian(texts);
        let lens = product.map(|(n, text)| n * text.len() as u64);
        all.push((lens.count().unwrap(), lens.sum::<u64>().unwrap()));
    }
    assert_eq!(all[0].0, 48_000);
    assert!(all.iter().all(|sums| *sums == all[0]), "{all:?}");
    crate::common::assert_empty(spill.path());
}

#[test]
fn an_error_of_either_side_of_a_product_ends_the_job() {
    on_every_executor(|context| {
        let numbers = || context.range_partitioned(0..100, 5);
        let fails = |n: u64| if n == 77 { Err("no 77") } else { Ok(n) };
        let left = numbers().try_map(fails).cartesian(numbers());
        let right = numbers().cartesian(numbers().try_map(fails));
        for product in [left.boxed(), right.boxed()] {
            let error = product.count().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
        }
    });
}

#[test]
fn a_product_uses_all_partitions_of_a_bag_with_one() {
    let context = Context::builder()
        .executor(Executor::Threads(2))
        .build()
        .unwrap();
    let one = context.range_partitioned(0..10, 1);
    let product = one
        .clone()
        .cartesian(context.range_partitioned(0..1000, 100));
    assert_eq!(product.partitions(), Some(64));
    let product = one
        .cartesian(context.range_partitioned(0..1000, 100))
        .filter(|(a, b)| a == b);
    assert_eq!(product.count().unwrap(), 10);
}

#[test]
fn keys_of_one_byte_are_counted_like_others() {
    fn counts<K: Data + Ord>(context: &Context, key_of: fn(u64) -> K) {
        let mut expected = BTreeMap::new();
        (0..20_000).for_each(|n| *expected.entry(key_bytes(&key_of(n))).or_insert(0) += 1);
        let pairs = context
            .range_partitioned(0..20_000_u64, 9)
            .map(move |n| (key_of(n), n));
        let counts = pairs.clone().count_by_key().collect().unwrap();
        let sums = pairs.clone().sum_by_key().values().sum::<u64>().unwrap();
        assert_eq!(sums, (0..20_000).sum::<u64>());
        assert_eq!(
            pairs.keys().distinct().count().unwrap(),
            expected.len() as u64
        );
        let counts = counts.iter().map(|(key, count)| (key_bytes(key), *count));
        let counts: Vec<(Vec<u8>, u64)> = counts.collect();
        let mut sorted = counts.clone();
        sort_as_keyed(&mut sorted, |(bytes, _)| bytes.clone());
        assert_eq!(counts, sorted);
        assert_eq!(counts.into_iter().collect::<BTreeMap<_, _>>(), expected);
    }
    let spill = tempfile::tempdir().unwrap();
    for context in spilling_contexts(spill.path()) {
        // Only keys of one byte, none, and some among many.
        counts(&context, |n| n % 2 == 0);
        counts(&context, |n| (n % 256) as u8);
        counts(&context, |n| {
            char::from_u32((n * 7 % 300) as u32).unwrap_or('a')
        });
        counts(&context, |n| n * n % 5_000);
        counts(&context, |n| ((n * 31 % 512) as u8 as char).to_string());
    }
}

#[test]
fn values_are_sorted_within_their_key() {
    on_every_executor_and_processes(|context| {
        for (bag, pairs) in bags(context) {
            let mut expected = pairs.clone();
            expected.sort();
            for bag in [bag.clone(), bag.clone().partition_by(3)] {
                let sorted = bag
                    .clone()
                    .sort_values()
                    .map_partitions(|pairs, emit| emit(pairs.collect()));
                let mut found = sorted.collect().unwrap();
                assert!(found.iter().all(|pairs: &Vec<Pair>| pairs.is_sorted()));
                found.sort();
                let mut found = found.concat();
                found.sort();
                assert_eq!(found, expected);
                let falling = bag
                    .with(100_u64)
                    .sort_values_by(|most, a, b| (most - b % 100).cmp(&(most - a % 100)));
                let falling = falling.shuffle_partitions(64).group_by_key();
                let is_sorted = falling.map_values(|values| {
                    let values: Vec<_> = values.map(|n| n % 100).collect();
                    values.is_sorted_by(|a, b| a <= b)
                });
                assert!(is_sorted.all(|(_, is_sorted)| is_sorted).unwrap());
            }
        }
    });
}
