//! Compares `group_by_key` and `cogroup` with plain collections, with enough memory and with too little.

use std::collections::BTreeMap;

use holdall::{Context, Executor, Group};
use proptest::prelude::*;

use crate::common::{Pairs, assert_empty, pairs, spilling_contexts as contexts};

fn groups(pairs: &Pairs) -> BTreeMap<u32, Vec<String>> {
    let mut groups: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (key, value) in pairs {
        groups.entry(*key).or_default().push(value.clone());
    }
    groups
}

fn shapes() -> Vec<Pairs> {
    vec![
        Vec::new(),
        vec![(7, "x".to_owned())],
        pairs(8_000, |n| n),
        pairs(8_000, |_| 1),
        pairs(8_000, |n| if n % 10 == 0 { n } else { 3 }),
        pairs(8_000, |n| if n / 1000 % 2 == 0 { n } else { 3 }),
        pairs(8_000, |n| n / 100),
        pairs(8_000, |n| n.wrapping_mul(2_654_435_761) % 97),
        // Values longer than a frame and than a chunk.
        (0..60)
            .map(|n| (n % 7, "y".repeat(n as usize * 4000)))
            .collect(),
    ]
}

#[test]
fn groups_are_those_of_a_map() {
    let spill = tempfile::tempdir().unwrap();
    for input in shapes() {
        let expected = groups(&input);
        let mut order: Option<Vec<u32>> = None;
        for context in contexts(spill.path()) {
            let bag = context.from_vec_partitioned(input.clone(), 13);
            let found = bag.group_by_key().collect().unwrap();
            let keys: Vec<u32> = found.iter().map(|(key, _)| *key).collect();
            assert_eq!(order.get_or_insert_with(|| keys.clone()), &keys);
            assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
    }
    assert_empty(spill.path());
}

#[test]
fn groups_of_texts_are_those_of_a_map() {
    let spill = tempfile::tempdir().unwrap();
    let text = |n: u32| format!("{n}{}", "-".repeat(n as usize % 60));
    for input in shapes() {
        let expected: BTreeMap<_, _> = groups(&input)
            .into_iter()
            .map(|(key, values)| (text(key), values))
            .collect();
        for context in contexts(spill.path()) {
            let bag = context.from_vec_partitioned(input.clone(), 13);
            let bag = bag.map(move |(key, value)| (text(key), value));
            let found = bag.group_by_key().collect().unwrap();
            assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
    }
    assert_empty(spill.path());
}

#[test]
fn a_group_may_be_read_value_by_value_and_as_a_whole() {
    let spill = tempfile::tempdir().unwrap();
    let input = pairs(9_000, |n| n % 3);
    let expected = groups(&input);
    for context in contexts(spill.path()) {
        let bag = context.from_vec_partitioned(input.clone(), 4);
        let read = bag.group_by_key().map(|(key, mut values)| {
            let mut all: Vec<_> = values.next().into_iter().collect();
            all.extend(values.by_ref().take(3));
            let all = values.fold(all, |mut all, value| {
                all.push(value);
                all
            });
            (key, all)
        });
        assert_eq!(BTreeMap::from_iter(read.collect().unwrap()), expected);
    }
    assert_empty(spill.path());
}

#[test]
fn what_a_closure_leaves_of_a_group_is_skipped() {
    let spill = tempfile::tempdir().unwrap();
    let input = pairs(5_000, |n| n % 11);
    for context in contexts(spill.path()) {
        let bag = context.from_vec_partitioned(input.clone(), 4);
        let groups: holdall::Bag<Group<u32, String>> = bag.group_by_key().boxed();
        let firsts = groups
            .filter(|key| key % 2 == 0)
            .map(|(key, mut values)| (key, values.next(), values.nth(2)));
        let mut firsts = firsts.collect().unwrap();
        firsts.sort();
        let value = |n: u32| Some(input[n as usize].1.clone());
        let expected = (0..11).step_by(2).map(|k| (k, value(k), value(k + 33)));
        assert_eq!(firsts, expected.collect::<Vec<_>>());
    }
    assert_empty(spill.path());
}

#[test]
fn a_key_of_any_length_streams() {
    let spill = tempfile::tempdir().unwrap();
    for executor in [Executor::Inline, Executor::Threads(2)] {
        let builder = Context::builder().executor(executor).memory(2 << 20);
        let context = builder.spill_directory(spill.path()).build().unwrap();
        let numbers = context.range_partitioned(0..400_000, 50);
        let groups = numbers.map(|n| (u8::from(n % 1000 == 0), n)).group_by_key();
        let checked = groups.map(|(key, values)| {
            let mut last = None;
            let mut count = 0_u64;
            for value in values {
                assert!(last < Some(value), "{last:?} before {value}");
                last = Some(value);
                count += 1;
            }
            (key, count)
        });
        let mut counts = checked.collect().unwrap();
        counts.sort();
        assert_eq!(counts, [(0, 399_600), (1, 400)]);
    }
    assert_empty(spill.path());
}

#[test]
fn two_branches_read_one_shuffle() {
    let spill = tempfile::tempdir().unwrap();
    let input = pairs(10_000, |n| n % 500);
    for context in contexts(spill.path()) {
        let groups = context
            .from_vec_partitioned(input.clone(), 9)
            .group_by_key();
        let sizes = groups.clone().map(|(key, values)| (key, values.count()));
        let firsts = groups.map(|(key, mut values)| (key, usize::from(values.next().is_some())));
        let both = sizes.union(firsts);
        assert!(
            both.explain().to_string().contains("read 2 times"),
            "{}",
            both.explain()
        );
        let mut both = both.collect().unwrap();
        both.sort();
        let expected = (0..500).flat_map(|key| [(key, 1), (key, 20)]);
        assert_eq!(both, expected.collect::<Vec<_>>());
    }
    assert_empty(spill.path());
}

#[test]
fn groups_can_be_gone_through_and_broken_off() {
    let spill = tempfile::tempdir().unwrap();
    let input = pairs(3_000, |n| n % 100);
    for context in contexts(spill.path()) {
        let bag = context
            .from_vec_partitioned(input.clone(), 3)
            .group_by_key();
        let all = bag.collect().unwrap();
        assert_eq!(bag.take(3).unwrap(), all[..3]);
        let one_by_one: holdall::Result<Vec<_>> = bag.iter().unwrap().collect();
        assert_eq!(one_by_one.unwrap(), all);
        assert_eq!(bag.count().unwrap(), 100);
    }
    assert_empty(spill.path());
}

#[test]
fn cogroups_are_those_of_two_maps() {
    let spill = tempfile::tempdir().unwrap();
    let shapes = shapes();
    for (left, right) in shapes.iter().zip(shapes.iter().cycle().skip(3)) {
        let (lefts, rights) = (groups(left), groups(right));
        let keys: std::collections::BTreeSet<_> = lefts.keys().chain(rights.keys()).collect();
        let of = |groups: &BTreeMap<_, _>, key| groups.get(key).cloned().unwrap_or_default();
        let expected: Vec<_> = keys
            .into_iter()
            .map(|key| (*key, of(&lefts, key), of(&rights, key)))
            .collect();
        for context in contexts(spill.path()) {
            let bag = context.from_vec_partitioned(left.clone(), 6);
            let other = context.from_vec_partitioned(right.clone(), 3);
            let mut found = bag.cogroup(other).collect().unwrap();
            found.sort();
            assert!(found == expected);
        }
    }
    assert_empty(spill.path());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn random_groups_are_those_of_a_map(
        input in prop::collection::vec((0..50_u32, ".{0,12}"), 0..800),
        partitions in 1..9_usize,
        threads in 1..4_usize,
    ) {
        let spill = tempfile::tempdir().unwrap();
        let builder = Context::builder().threads(threads).memory((threads as u64) << 20);
        let context = builder.spill_directory(spill.path()).build().unwrap();
        let bag = context.from_vec_partitioned(input.clone(), partitions);
        let found = bag.group_by_key().collect().unwrap();
        prop_assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), groups(&input));
    }
}

/// A number that cannot be encoded if it is 7 or 8, and not decoded if it is 13.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(from = "u32")]
struct Fragile(u32);

impl From<u32> for Fragile {
    fn from(n: u32) -> Self {
        assert!(n != 13, "thirteen cannot be read");
        Self(n)
    }
}

impl serde::Serialize for Fragile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(self.0 != 7, "seven cannot be written");
        if self.0 == 8 {
            return Err(serde::ser::Error::custom("eight is refused"));
        }
        self.0.serialize(serializer)
    }
}

#[test]
fn errors_of_serialisation_name_the_operator() {
    let spill = tempfile::tempdir().unwrap();
    for context in contexts(spill.path()) {
        for (number, message) in [
            (7, "seven cannot be written"),
            (8, "eight is refused"),
            (13, "thirteen cannot be read"),
        ] {
            let input = vec![(1, Fragile(1)), (2, Fragile(number))];
            let values = context.from_vec_partitioned(input, 1).group_by_key();
            let error = values.count_values().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            if number != 8 {
                assert!(
                    error.contains("group_by_key at tests/operators/group.rs"),
                    "{error}"
                );
            }
            let input = vec![(Fragile(1), 1), (Fragile(number), 2)];
            let keys = context.from_vec_partitioned(input, 1).group_by_key();
            let error = keys.count().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
    assert_empty(spill.path());
}

#[test]
fn a_panic_while_values_are_read_is_that_closure_s() {
    let spill = tempfile::tempdir().unwrap();
    for context in contexts(spill.path()) {
        let groups = context
            .from_vec_partitioned(pairs(5000, |n| n % 3), 4)
            .group_by_key();
        let error = groups.map(|(_, values)| {
            for value in values {
                assert!(!value.starts_with("4000"), "no more");
            }
        });
        let error = error.count().unwrap_err().to_string();
        assert!(
            error.contains("in map at tests/operators/group.rs") && error.contains("no more"),
            "{error}"
        );
    }
    assert_empty(spill.path());
}

/// Counts values by reading them.
trait CountValues {
    fn count_values(&self) -> holdall::Result<u64>;
}

impl<V: holdall::Data> CountValues for holdall::Bag<Group<i32, V>> {
    fn count_values(&self) -> holdall::Result<u64> {
        self.clone().map(|(_, values)| values.count() as u64).sum()
    }
}
