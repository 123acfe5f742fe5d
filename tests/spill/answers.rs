//! The answers are the same with any budget.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdall::{Bag, Context, Data, ErrorKind, Result, StorageLevel};
use serde::Serialize;

use super::common::{Files, key_bytes, sort_as_keyed};
use super::{EXECUTORS, MIN_THREAD_BYTES, Spills, on_every_budget, tight};

type Pair = (String, u64);

/// Number of partitions of the input.
const PARTITIONS: usize = 40;

/// Returns a key of about 2,400 bytes. 2,000 of them exceed twice the minimum memory of 2 threads.
fn key(n: usize) -> String {
    format!("{n}{}", "-".repeat(2_380 + n % 40))
}

fn pairs(keys: impl Iterator<Item = usize>) -> Vec<Pair> {
    keys.zip(0..).map(|(n, value)| (key(n), value)).collect()
}

/// Returns pairs in which most keys occur once, and some two or three times, far apart.
fn some_pairs() -> Vec<Pair> {
    pairs((0..2_600).map(|n| n * 3 % 2_000))
}

/// Returns pairs of which nine in ten have the same key.
fn skewed_pairs() -> Vec<Pair> {
    pairs((0..20_000).map(|n| if n % 10 == 3 { n } else { 0 }))
}

/// Groups pairs like a keyed bag: the values of each key in the order of the bag, and the keys in the order of keyed
/// bags.
fn grouped<K: Serialize + Clone + Eq + std::hash::Hash + 'static, V: Clone>(
    pairs: &[(K, V)],
) -> Vec<(K, Vec<V>)> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, value) in pairs {
        groups.entry(key.clone()).or_default().push(value.clone());
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    sort_as_keyed(&mut groups, |(key, _)| key_bytes(key));
    groups
}

fn each_group<K, V, R>(groups: &[(K, Vec<V>)], f: impl Fn(&[V]) -> R) -> Vec<(K, R)>
where
    K: Clone,
{
    let each = groups.iter().map(|(key, values)| (key.clone(), f(values)));
    each.collect()
}

/// Asserts that `compute` returns `expected` for a bag of `records`, with any budget.
#[track_caller]
fn gives<T, R, F>(spills: Spills, records: Vec<T>, expected: Vec<R>, compute: F)
where
    T: Clone + Send + Sync + 'static,
    R: PartialEq + Debug + Send + Sync + 'static,
    F: Fn(Bag<T>) -> Result<Vec<R>> + Send + Sync + 'static,
{
    let (records, expected, compute) = (Arc::new(records), Arc::new(expected), Arc::new(compute));
    on_every_budget(spills, move |context| {
        let all = Arc::clone(&records);
        let indices = context.from_vec_partitioned((0..all.len()).collect(), PARTITIONS);
        let bag = indices.map(move |index| all[index].clone()).boxed();
        let found = compute(bag).expect("nothing fails");
        assert_eq!(found.len(), expected.len(), "another number of records");
        let different = found.iter().zip(&*expected).find(|(a, b)| a != b);
        assert!(different.is_none(), "{different:?}");
    });
}

#[test]
fn records_are_counted() {
    let keys: Vec<String> = some_pairs().into_iter().map(|(key, _)| key).collect();
    let ones: Vec<_> = keys.iter().map(|key| (key.clone(), 1_u64)).collect();
    let counts = each_group(&grouped(&ones), |ones| ones.len() as u64);
    let distinct = counts.iter().map(|(key, _)| key.clone()).collect();
    let (whole, kept) = (keys.clone(), counts.clone());
    gives(Spills::WhenTight, whole, kept, |bag| {
        bag.count_by_value().collect()
    });
    gives(Spills::WhenTight, keys.clone(), distinct, |bag| {
        bag.distinct().collect()
    });
    // If the key is text, its bytes are those of the text alone, so the order differs.
    let mut counts = counts;
    sort_as_keyed(&mut counts, |(key, _)| key.clone().into_bytes());
    gives(Spills::WhenTight, keys, counts, |bag| {
        let texts = bag.flat_map_str(|text, emit| emit(&text));
        texts.count_by_value().collect()
    });
}

#[test]
fn values_are_counted_and_summed_by_key() {
    let pairs = some_pairs();
    let groups = grouped(&pairs);
    let counts = each_group(&groups, |values| values.len() as u64);
    gives(Spills::WhenTight, pairs.clone(), counts, |bag| {
        bag.count_by_key().collect()
    });
    let sums = each_group(&groups, |values| values.iter().sum::<u64>());
    gives(Spills::WhenTight, pairs, sums, |bag| {
        bag.sum_by_key().collect()
    });
}

/// Concatenation is associative but not commutative, so it reveals the order of the values.
#[test]
fn values_are_reduced_and_folded_in_order() {
    let pairs = some_pairs();
    let groups = grouped(&pairs);
    let texts: Vec<_> = pairs
        .iter()
        .map(|(key, n)| (key.clone(), format!("{n},")))
        .collect();
    let concatenated = each_group(&grouped(&texts), <[String]>::concat);
    let (once, twice) = (concatenated.clone(), texts.clone());
    gives(Spills::WhenTight, texts, once, |bag| {
        bag.reduce_by_key(|a, b| a + &b).collect()
    });
    gives(Spills::WhenTight, twice, concatenated, |bag| {
        bag.fold_by_key(String::new(), |a, b| a.push_str(&b))
            .collect()
    });
    gives(Spills::WhenTight, pairs.clone(), groups.clone(), |bag| {
        bag.aggregate_by_key(Vec::new(), Vec::push, Vec::extend)
            .collect()
    });
    let reversed = each_group(&groups, |values| {
        values.iter().rev().copied().collect::<Vec<_>>()
    });
    gives(Spills::WhenTight, pairs, reversed, |bag| {
        let add = |all: &mut Vec<u64>, n| all.insert(0, n);
        let merge = |all: &mut Vec<u64>, later: Vec<u64>| *all = [&later[..], all].concat();
        bag.combine_by_key(|n| vec![n], add, merge).collect()
    });
}

#[test]
fn values_are_combined_in_any_order() {
    let pairs = some_pairs();
    let groups = grouped(&pairs);
    let sums = each_group(&groups, |values| values.iter().sum::<u64>());
    gives(Spills::WhenTight, pairs.clone(), sums, |bag| {
        bag.per_key().any_order().reduce(|a, b| a + b).collect()
    });
    let sets = each_group(&groups, |values| {
        values.iter().copied().collect::<BTreeSet<_>>()
    });
    gives(Spills::WhenTight, pairs, sets, |bag| {
        let add = |set: &mut BTreeSet<u64>, n| _ = set.insert(n);
        let values = bag.per_key().any_order();
        values
            .aggregate(BTreeSet::new(), add, BTreeSet::extend)
            .collect()
    });
}

/// The values of 1,000 numbers own 3 MB.
#[test]
fn collections_are_combined_by_number() {
    let pairs: Vec<(u64, u64)> = (0..300_000)
        .map(|n| (n * 7 % 1_000, u64::MAX - n % 250_000))
        .collect();
    let groups = grouped(&pairs);
    let sets = each_group(&groups, |values| {
        values.iter().copied().collect::<BTreeSet<_>>()
    });
    gives(Spills::WhenTight, pairs.clone(), groups, |bag| {
        bag.aggregate_by_key(Vec::new(), Vec::push, Vec::extend)
            .collect()
    });
    gives(Spills::WhenTight, pairs, sets, |bag| {
        let add = |set: &mut BTreeSet<u64>, n| _ = set.insert(n);
        let values = bag.per_key().any_order();
        values
            .aggregate(BTreeSet::new(), add, BTreeSet::extend)
            .collect()
    });
}

#[test]
fn the_greatest_values_of_each_key_are_kept() {
    let pairs = some_pairs();
    let top = each_group(&grouped(&pairs), |values| {
        let mut values = values.to_vec();
        values.sort_by(|a, b| b.cmp(a));
        values.truncate(2);
        values
    });
    gives(Spills::WhenTight, pairs, top, |bag| {
        bag.per_key().top(2).collect()
    });
}

/// Divides records into the partitions of the input.
fn input_partitions<T: Clone>(records: &[T]) -> Vec<Vec<T>> {
    let at = |i: usize| records.len() * i / PARTITIONS;
    let partition = |i| records[at(i)..at(i + 1)].to_vec();
    (0..PARTITIONS).map(partition).collect()
}

/// Returns the result that `repartition(to)` promises, with the partition of each record.
fn dealt<T: Clone>(records: &[T], to: usize) -> Vec<(usize, T)> {
    let mut new = vec![Vec::new(); to];
    for (task, partition) in input_partitions(records).into_iter().enumerate() {
        for (position, record) in partition.into_iter().enumerate() {
            let index = (task + position) % to;
            new[index].push((index, record));
        }
    }
    new.concat()
}

/// Returns the result that `partition_by(to)` promises, with the partition of each pair.
fn placed(records: &[Pair], to: usize) -> Vec<(usize, Pair)> {
    let mut new = vec![Vec::new(); to];
    for pair in records {
        let hash = super::common::hash(&key_bytes(&pair.0));
        let index = ((u128::from(hash) * to as u128) >> 64) as usize;
        new[index].push((index, pair.clone()));
    }
    new.concat()
}

fn with_partition<T: Data>(bag: Bag<T>) -> Result<Vec<(usize, T)>> {
    bag.map_partitions_with_index(|index, records, emit| {
        records.for_each(|record| emit((index, record)));
    })
    .collect()
}

#[test]
fn records_go_where_they_should() {
    for pairs in [some_pairs(), pairs((0..2_600).map(|_| 0))] {
        for to in [1, 300] {
            let (dealt, placed) = (dealt(&pairs, to), placed(&pairs, to));
            gives(Spills::WhenTight, pairs.clone(), dealt, move |bag| {
                with_partition(bag.repartition(to))
            });
            gives(Spills::WhenTight, pairs.clone(), placed, move |bag| {
                with_partition(bag.partition_by(to))
            });
        }
    }
}

#[test]
fn one_key_may_hold_nearly_all() {
    let pairs = skewed_pairs();
    let groups = grouped(&pairs);
    let sums = each_group(&groups, |values| values.iter().sum::<u64>());
    gives(Spills::WhenTight, pairs.clone(), sums, |bag| {
        bag.sum_by_key().collect()
    });
    let lasts = each_group(&groups, |values| values[values.len() - 1]);
    gives(Spills::WhenTight, pairs, lasts, |bag| {
        bag.reduce_by_key(|_, last| last).collect()
    });
}

#[test]
fn all_keys_may_be_equal() {
    let pairs = pairs((0..2_600).map(|_| 3));
    let groups = grouped(&pairs);
    let sums = each_group(&groups, |values| values.iter().sum::<u64>());
    gives(Spills::Perhaps, pairs.clone(), sums, |bag| {
        bag.sum_by_key().collect()
    });
    gives(Spills::Perhaps, pairs, groups, |bag| {
        let merge = |all: Vec<u64>, later: Vec<u64>| [all, later].concat();
        let lists = bag.map_values(|n| vec![n]);
        lists.reduce_by_key(merge).collect()
    });
}

#[test]
fn all_keys_may_be_different() {
    let pairs = pairs(0..2_600);
    let groups = grouped(&pairs);
    let firsts = each_group(&groups, |values| values[0]);
    let again = firsts.clone();
    gives(Spills::WhenTight, pairs.clone(), firsts, |bag| {
        bag.sum_by_key().collect()
    });
    gives(Spills::WhenTight, pairs, again, |bag| {
        bag.reduce_by_key(|a, _| a).collect()
    });
}

/// Short keys are stored in the slots of tables.
#[test]
fn keys_may_be_short() {
    let pairs: Vec<_> = (0..60_000_u64).map(|n| (n * 7 % 55_000, n)).collect();
    let sums = each_group(&grouped(&pairs), |values| values.iter().sum::<u64>());
    gives(Spills::WhenTight, pairs, sums, |bag| {
        bag.sum_by_key().collect()
    });
}

/// A frame has 64 KiB, and the budget of a thread is less than 1 MiB.
#[test]
fn keys_and_values_may_be_longer_than_a_frame() {
    let long = |n: usize| {
        let bytes = if n % 50 == 7 {
            5 << 18
        } else {
            60_000 + n * 80
        };
        char::from(b'a' + (n % 26) as u8).to_string().repeat(bytes) + &n.to_string()
    };
    let keys: Vec<_> = (0..80_usize).map(|n| (long(n % 60), n as u64)).collect();
    let sums = each_group(&grouped(&keys), |values| values.iter().sum::<u64>());
    gives(Spills::WhenTight, keys.clone(), sums, |bag| {
        bag.sum_by_key().collect()
    });
    gives(Spills::WhenTight, keys.clone(), placed(&keys, 3), |bag| {
        with_partition(bag.partition_by(3))
    });
    let values: Vec<_> = (0..80_usize).map(|n| (n % 60, long(n))).collect();
    let joined = each_group(&grouped(&values), <[String]>::concat);
    gives(Spills::WhenTight, values.clone(), joined, |bag| {
        bag.reduce_by_key(|a, b| a + &b).collect()
    });
    gives(
        Spills::WhenTight,
        values.clone(),
        dealt(&values, 3),
        |bag| with_partition(bag.repartition(3)),
    );
}

#[test]
fn a_shuffle_of_nothing_gives_nothing() {
    let none = || Vec::<Pair>::new();
    gives(Spills::Perhaps, none(), none(), |bag| {
        bag.sum_by_key().collect()
    });
    gives(Spills::Perhaps, none(), none(), |bag| {
        bag.repartition(3).collect()
    });
    on_every_budget(Spills::Perhaps, move |context| {
        let nowhere = context.from_vec_partitioned(none(), 0).boxed();
        assert_eq!(nowhere.partitions(), Some(0));
        assert!(nowhere.clone().sum_by_key().is_empty().unwrap());
        assert!(nowhere.clone().distinct().is_empty().unwrap());
        assert_eq!(nowhere.clone().repartition(3).collect().unwrap(), none());
        assert_eq!(nowhere.partition_by(3).collect().unwrap(), none());
    });
}

#[test]
fn two_branches_read_one_shuffle() {
    let pairs = some_pairs();
    let sums = each_group(&grouped(&pairs), |values| values.iter().sum::<u64>());
    let doubled = sums.iter().map(|(key, sum)| (key.clone(), sum * 2));
    let both = sums.iter().cloned().chain(doubled).collect();
    gives(Spills::Always, pairs.clone(), both, |bag| {
        let sums = bag.sum_by_key();
        let doubled = sums.clone().map_values(|sum| sum * 2);
        sums.union(doubled).collect()
    });
    let dealt: Vec<_> = dealt(&pairs, 4).into_iter().map(|(_, pair)| pair).collect();
    let both = [dealt.clone(), dealt].concat();
    gives(Spills::Always, pairs, both, |bag| {
        let dealt = bag.repartition(4);
        dealt.clone().union(dealt).collect()
    });
}

#[test]
fn a_shuffle_follows_a_shuffle() {
    let pairs = some_pairs();
    let counts = each_group(&grouped(&pairs), |values| values.len() as u64);
    let swapped: Vec<_> = counts.into_iter().map(|(key, n)| (n, key)).collect();
    let expected = each_group(&grouped(&swapped), <[String]>::concat);
    gives(Spills::WhenTight, pairs, expected, |bag| {
        let counts = bag.count_by_key().map(|(key, n)| (n, key));
        counts
            .partition_by(3)
            .fold_by_key(String::new(), |a, b| a.push_str(&b))
            .collect()
    });
}

/// Returns a bag of the numbers for each kind of stage at which a shuffle can begin.
fn one_of_each_kind(numbers: &Bag<u64>) -> Vec<(&'static str, Bag<u64>)> {
    let numbers = || numbers.clone();
    let pairs = || numbers().map(|n| (n, n));
    let persisted = numbers().distinct().persist(StorageLevel::Disk);
    vec![
        ("combine", numbers().distinct()),
        ("group", pairs().group_by_key().map(|(key, _)| key).boxed()),
        ("join", pairs().join(pairs()).keys().boxed()),
        ("sort", numbers().sort()),
        (
            "sort by hash",
            pairs()
                .repartition_and_sort_within_partitions(3)
                .keys()
                .boxed(),
        ),
        ("repartition", numbers().repartition(2)),
        ("partition", pairs().partition_by(2).keys().boxed()),
        ("broadcast", pairs().join_broadcast(pairs()).keys().boxed()),
        ("persist", persisted.boxed()),
    ]
}

#[test]
fn too_small_a_budget_is_refused_before_anything_runs() {
    for (executor, threads) in EXECUTORS {
        let files = Files::new();
        let least = MIN_THREAD_BYTES * threads;
        let context = |bytes: usize| -> Context {
            let builder = tight(executor, files.root()).memory(bytes as u64);
            builder.build().expect("the settings are right")
        };
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let numbers = context(least - 1).range(0..100).inspect(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let numbers = numbers.boxed();
        for (kind, bag) in one_of_each_kind(&numbers) {
            for error in [bag.count().unwrap_err(), bag.iter().map(drop).unwrap_err()] {
                match error.kind() {
                    ErrorKind::BudgetTooSmall {
                        needed_bytes,
                        budget_bytes,
                        ..
                    } => assert_eq!((*needed_bytes, *budget_bytes), (least, least - 1), "{kind}"),
                    other => panic!("expected too small a budget for {kind}, got {other}"),
                }
                let expected = format!(
                    "the memory budget of {} bytes is too small: this job needs {least} bytes, 1 MiB for each thread; ",
                    least - 1
                );
                assert!(error.to_string().starts_with(&expected), "{error}");
            }
        }
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        // A job without a shuffle needs no memory.
        assert_eq!(numbers.count().unwrap(), 100);
        for (kind, bag) in one_of_each_kind(&context(least).range(0..100).boxed()) {
            assert_eq!(bag.count().unwrap(), 100, "{kind}");
        }
    }
}

#[test]
fn what_is_persisted_needs_no_memory() {
    let all = [
        StorageLevel::Memory,
        StorageLevel::MemoryThenDisk,
        StorageLevel::Disk,
    ];
    for (executor, _) in EXECUTORS {
        for persistence in all {
            let files = Files::new();
            let context = tight(executor, files.root()).memory(1).build().unwrap();
            let kept = context.range_partitioned(0..50_000, 3).persist(persistence);
            for _ in 0..2 {
                assert_eq!(kept.sum::<u64>().unwrap(), 1_249_975_000);
            }
            drop(kept);
            assert!(files.names().is_empty());
        }
    }
}
