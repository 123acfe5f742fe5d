//! Values that own memory, groups, counts of few keys, and joins.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::fs;

use hashbrown::DefaultHashBuilder;
use holdall_benches::{Text, mixed};
use rayon::prelude::*;

use super::{add, pair, pairs};
use crate::sharded::{Sharded, on_threads, pieces};
use crate::timing::Comparison;

/// Both programs have the same maps and sets in their values.
type Counts = HashMap<u64, u32, DefaultHashBuilder>;
type Values = HashSet<u64, DefaultHashBuilder>;

const RECORDS: u64 = 5_000_000;

fn count_in(counts: &mut Counts, value: u64) {
    *counts.entry(value % 50).or_default() += 1;
}

fn add_counts(counts: &mut Counts, later: Counts) {
    for (value, count) in later {
        *counts.entry(value).or_default() += count;
    }
}

fn add_text(text: &mut String, n: u64) {
    let _ = write!(text, "v{n},");
}

/// Keeps the three largest values.
fn add_largest(top: &mut [u64; 3], value: u64) {
    if value > top[2] {
        top[2] = value;
        top.sort_unstable_by(|a, b| b.cmp(a));
    }
}

#[expect(clippy::too_many_lines, reason = "a list of programs")]
fn owned_values(all: &mut Vec<Comparison<'_>>) {
    const KEYS: u64 = 10_000;
    add(
        all,
        "a map per key",
        "1.2",
        || {
            let maps = pairs(RECORDS, KEYS);
            let maps = maps.per_key().any_order();
            let maps = maps.aggregate(Counts::default(), count_in, add_counts);
            maps.map(|(_, map)| map.len() as u64 + u64::from(map[&7]))
                .sum()
        },
        || {
            Sharded::combine(
                RECORDS,
                |n| pair(n, KEYS),
                count_in,
                add_counts,
                |_, map: Counts| map.len() as u64 + u64::from(map[&7]),
            )
        },
    );
    add(
        all,
        "a set per key",
        "1.2",
        || {
            let add = |set: &mut Values, value| _ = set.insert(value % 1000);
            let sets =
                pairs(RECORDS, KEYS).aggregate_by_key(Values::default(), add, Values::extend);
            sets.map(|(_, set)| set.len() as u64).sum()
        },
        || {
            Sharded::combine(
                RECORDS,
                |n| pair(n, KEYS),
                |set: &mut Values, value| _ = set.insert(value % 1000),
                Values::extend,
                |_, set| set.len() as u64,
            )
        },
    );
    add(
        all,
        "a text per key",
        "1.2",
        || {
            let texts = holdall::range(0..RECORDS / 2).map(|n| (mixed(n) % KEYS, n));
            let merge = |text: &mut String, later: String| text.push_str(&later);
            let texts = texts.aggregate_by_key(String::new(), add_text, merge);
            texts.map(|(_, text)| text.len() as u64).sum()
        },
        || {
            Sharded::combine(
                RECORDS / 2,
                |n| (mixed(n) % KEYS, n),
                add_text,
                |text: &mut String, later: String| text.push_str(&later),
                |_, text| text.len() as u64,
            )
        },
    );
}

fn largest_values(all: &mut Vec<Comparison<'_>>) {
    const KEYS: u64 = 100_000;
    let plain = || {
        let merge = |top: &mut [u64; 3], later: [u64; 3]| {
            later.iter().for_each(|value| add_largest(top, *value));
        };
        Sharded::combine(
            RECORDS,
            |n| pair(n, KEYS),
            add_largest,
            merge,
            |_, top: [u64; 3]| top.iter().sum(),
        )
    };
    add(
        all,
        "top 3 per key",
        "1.2",
        || {
            let top = pairs(RECORDS, KEYS).per_key().top(3);
            top.map(|(_, top)| top.iter().sum::<u64>()).sum()
        },
        plain,
    );
    add(
        all,
        "top 3 of groups",
        "2",
        || {
            let top = pairs(RECORDS, KEYS).group_by_key().map(|(_, values)| {
                let mut top = [0; 3];
                values.for_each(|value| add_largest(&mut top, value));
                top.iter().sum::<u64>()
            });
            top.sum()
        },
        plain,
    );
    add(
        all,
        "one hot group",
        "2",
        || {
            let hot = |n| if n % 10 == 0 { mixed(n) % 1000 } else { 5 };
            let groups = holdall::range(0..RECORDS).map(move |n| (hot(n), n));
            let sums = groups
                .group_by_key()
                .map(|(key, values)| key.wrapping_mul(values.sum::<u64>()) >> 32);
            sums.sum()
        },
        || {
            Sharded::combine(
                RECORDS,
                |n| (if n % 10 == 0 { mixed(n) % 1000 } else { 5 }, n),
                Vec::push,
                |group: &mut Vec<u64>, later: Vec<u64>| group.extend(later),
                |key, group| key.wrapping_mul(group.iter().sum::<u64>()) >> 32,
            )
        },
    );
}

fn few_keys<'i>(text: &'i Text, all: &mut Vec<Comparison<'i>>) {
    fn count(keys: u64) -> holdall::Result<u64> {
        let numbers = holdall::range(0..3 * RECORDS).map(move |n| mixed(n) % keys);
        let counts = numbers.count_by_value();
        counts.map(|(key, count)| key * count % 1000).sum()
    }
    fn plain(keys: u64) -> u64 {
        Sharded::combine(
            3 * RECORDS,
            |n| (mixed(n) % keys, ()),
            |count: &mut u64, ()| *count += 1,
            |count, more| *count += more,
            |key, count| key * count % 1000,
        )
    }
    add(
        all,
        "counts of 100 keys",
        "1.1",
        || count(100),
        || plain(100),
    );
    let (ours, other) = (|| count(100_000), || plain(100_000));
    add(all, "counts of 100000 keys", "1.1", ours, other);
    all.push(Comparison::new(
        "wide: counts of characters (2)",
        || {
            let chars = holdall::read_text(text.path())?.flat_map_emit(|line: &str, emit| {
                line.chars().for_each(emit);
            });
            let counts = chars.count_by_value();
            Ok(counts
                .map(|(char, count)| u64::from(char) * count)
                .sum::<u64>()? as f64)
        },
        ("threads", || {
            let bytes = fs::read(text.path())?;
            let counts = bytes.par_chunks(1 << 20).map(|bytes| {
                let mut counts = [0_u64; 256];
                bytes
                    .iter()
                    .for_each(|byte| counts[usize::from(*byte)] += 1);
                counts[usize::from(b'\n')] = 0;
                (0..)
                    .zip(counts)
                    .map(|(char, count)| char * count)
                    .sum::<u64>()
            });
            Ok(counts.sum::<u64>() as f64)
        }),
    ));
}

fn joins(all: &mut Vec<Comparison<'_>>) {
    fn skewed(n: u64) -> u64 {
        let part = (mixed(n) >> 8) as f64 / (1_u64 << 40) as f64;
        (part * part * part * 50_000.0) as u64
    }
    const SIDE: u64 = 100_000;
    add(
        all,
        "n:m join with heavy keys",
        "1.5",
        || {
            let left = holdall::range(0..SIDE).map(|n| (format!("user{:08}", skewed(n)), n));
            let right = holdall::range(0..SIDE).map(|n| (format!("user{:08}", skewed(!n)), n));
            let rows = left.join_values(right).map(|(a, b)| a * b % 7);
            rows.sum()
        },
        || {
            let side = |of: fn(u64) -> u64| {
                let rows = (0..SIDE).into_par_iter();
                rows.map(|n| (format!("user{:08}", skewed(of(n))), n))
                    .collect::<Vec<_>>()
            };
            let (left, right) = (side(|n| n), side(|n| !n));
            let mut table = HashMap::<&str, Vec<u64>, DefaultHashBuilder>::default();
            for (key, n) in &right {
                table.entry(key).or_default().push(*n);
            }
            let rows = left.par_iter().map(|(key, a)| {
                let matches = table.get(&**key).map_or(&[][..], |values| values);
                matches.iter().map(|b| a * b % 7).sum::<u64>()
            });
            rows.sum()
        },
    );
    add(
        all,
        "broadcast join",
        "1.3",
        || {
            let small = holdall::range(0..10_000).map(|n| (n, n * 3));
            let rows = pairs(2 * RECORDS, 20_000).join_broadcast(small);
            rows.map(|(_, (a, b))| a % 8 * b).sum()
        },
        || {
            let small: HashMap<u64, u64, DefaultHashBuilder> =
                (0..10_000).map(|n| (n, n * 3)).collect();
            let sums = on_threads(&pieces(2 * RECORDS), u64::default, |sum, numbers| {
                for (key, value) in numbers.clone().map(|n| pair(n, 20_000)) {
                    *sum += small.get(&key).map_or(0, |other| value % 8 * other);
                }
            });
            sums.iter().sum()
        },
    );
}

pub(super) fn add_to<'i>(text: &'i Text, all: &mut Vec<Comparison<'i>>) {
    owned_values(all);
    largest_values(all);
    few_keys(text, all);
    joins(all);
}
