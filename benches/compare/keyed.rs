//! Operators on pairs.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use holdall::summary::{count, count_distinct_approx, max, mean, min, stats, sum_exact};
use holdall::{Bag, Pipeline};
use holdall_benches::mixed;

use crate::plain;
use crate::timing::{Answer, Comparison};

const RECORDS: u64 = 2_000_000;

/// Few, some and many keys.
const KEYS: [u64; 3] = [100, 10_000, 1_000_000];

fn pair(keys: u64) -> impl Fn(u64) -> (u64, u64) + Copy + Send + Sync + 'static {
    move |n| {
        let mixed = mixed(n);
        (mixed % keys, mixed >> 32)
    }
}

fn pairs(keys: u64) -> Bag<(u64, u64), impl Pipeline<Out = (u64, u64)>> {
    holdall::range(0..RECORDS).map(pair(keys))
}

fn float_pairs(keys: u64) -> Bag<(u64, f64), impl Pipeline<Out = (u64, f64)>> {
    pairs(keys).map_values(|value| value as f64 * 0.37)
}

fn counted<V: 'static>(bag: Bag<(u64, V)>) -> Answer {
    Ok(bag.count()? as f64)
}

/// Statistics per key, against the reduction of the same records.
fn against_reduce(all: &mut Vec<Comparison<'_>>) {
    for keys in KEYS {
        let mut add = |name: &str, ours: fn(u64) -> Answer| {
            let reduce = move || counted(float_pairs(keys).reduce_by_key(|a, b| a + b));
            let name = format!("per_key().{name}, {keys} keys");
            all.push(Comparison::new(
                name,
                move || ours(keys),
                ("reduce_by_key", reduce),
            ));
        };
        add("count()", |keys| {
            counted(float_pairs(keys).per_key().count())
        });
        add("sum()", |keys| counted(float_pairs(keys).per_key().sum()));
        add("mean()", |keys| counted(float_pairs(keys).per_key().mean()));
        add("stats()", |keys| {
            counted(float_pairs(keys).per_key().stats())
        });
        add("first()", |keys| {
            counted(float_pairs(keys).per_key().first())
        });
        add("top_by(3)", |keys| {
            counted(float_pairs(keys).per_key().top_by(3, f64::total_cmp))
        });
        add("summarize(sum_exact())", |keys| {
            counted(float_pairs(keys).per_key().summarize(sum_exact()))
        });
        let mut add = |name: &str, ours: fn(u64) -> Answer| {
            let reduce = move || counted(pairs(keys).reduce_by_key(u64::max));
            let name = format!("per_key().{name}, {keys} keys");
            all.push(Comparison::new(
                name,
                move || ours(keys),
                ("reduce_by_key", reduce),
            ));
        };
        add("min()", |keys| counted(pairs(keys).per_key().min()));
        add("minmax()", |keys| counted(pairs(keys).per_key().minmax()));
        let five = move || {
            let five = (count(), mean(), min(), max(), stats());
            counted(pairs(keys).per_key().summarize(five))
        };
        let one = move || counted(pairs(keys).per_key().summarize(stats()));
        let name = format!("per_key().summarize(five), {keys} keys");
        all.push(Comparison::new(name, five, ("one", one)));
    }
}

/// Adds a comparison with hash tables for each number of keys.
fn by_tables(
    all: &mut Vec<Comparison<'_>>,
    name: &str,
    ours: fn(u64) -> Answer,
    plain: fn(u64) -> Answer,
) {
    for keys in KEYS {
        let plain = ("tables", move || plain(keys));
        all.push(Comparison::new(
            format!("{name}, {keys} keys"),
            move || ours(keys),
            plain,
        ));
    }
}

fn numbers_by_key(all: &mut Vec<Comparison<'_>>) {
    by_tables(
        all,
        "count_by_key",
        |keys| Ok(pairs(keys).count_by_key().values().max()?.unwrap_or(0) as f64),
        |keys| {
            let count = |count: &mut u64, _| *count += 1;
            let counts = plain::by_key(RECORDS, pair(keys), count, |a, b| *a += b);
            Ok(counts.into_values().max().unwrap_or(0) as f64)
        },
    );
    by_tables(
        all,
        "reduce_by_key",
        |keys| Ok(pairs(keys).reduce_by_key(u64::max).values().sum::<u64>()? as f64),
        |keys| {
            let most = |a: &mut u64, b: u64| *a = b.max(*a);
            let most = plain::by_key(RECORDS, pair(keys), most, most);
            Ok(most.into_values().sum::<u64>() as f64)
        },
    );
    by_tables(
        all,
        "distinct_by_key",
        |keys| Ok(pairs(keys).distinct_by_key(|(key, _)| *key).count()? as f64),
        |keys| {
            let first = |first: &mut Option<u64>, value| _ = first.get_or_insert(value);
            let merge = |a: &mut Option<u64>, b: Option<u64>| *a = a.or(b);
            Ok(plain::by_key(RECORDS, pair(keys), first, merge).len() as f64)
        },
    );
}

/// Values that own memory.
fn collections_by_key(all: &mut Vec<Comparison<'_>>) {
    by_tables(
        all,
        "aggregate_by_key to sets",
        |keys| {
            let values = pairs(keys).map_values(|value| value % 20);
            let add = |set: &mut BTreeSet<u64>, value| _ = set.insert(value);
            let sets = values.aggregate_by_key(BTreeSet::new(), add, BTreeSet::extend);
            Ok(sets.map(|(_, set)| set.len() as u64).sum::<u64>()? as f64)
        },
        |keys| {
            let add = |set: &mut BTreeSet<u64>, value| _ = set.insert(value % 20);
            let sets = plain::by_key(RECORDS, pair(keys), add, BTreeSet::extend);
            Ok(sets.into_values().map(|set| set.len()).sum::<usize>() as f64)
        },
    );
    by_tables(
        all,
        "per_key().top(3)",
        |keys| {
            let top = pairs(keys).per_key().top(3);
            Ok(top.map(|(_, top)| top.iter().sum::<u64>()).sum::<u64>()? as f64)
        },
        |keys| {
            let add = |top: &mut Vec<u64>, value| {
                top.push(value);
                top.sort_unstable_by(|a, b| b.cmp(a));
                top.truncate(3);
            };
            let merge = |top: &mut Vec<u64>, other: Vec<u64>| {
                other.into_iter().for_each(|value| add(top, value));
            };
            let top = plain::by_key(RECORDS, pair(keys), add, merge);
            Ok(top.into_values().flatten().sum::<u64>() as f64)
        },
    );
}

fn groups_by_key(all: &mut Vec<Comparison<'_>>) {
    by_tables(
        all,
        "group_by_key",
        |keys| {
            let sums = pairs(keys)
                .group_by_key()
                .map_values(|values| values.sum::<u64>());
            Ok(sums.values().max()?.unwrap_or(0) as f64)
        },
        |keys| {
            let merge = |a: &mut Vec<u64>, mut b: Vec<u64>| a.append(&mut b);
            let groups = plain::by_key(RECORDS, pair(keys), Vec::push, merge);
            let sums = groups
                .into_values()
                .map(|values| values.iter().sum::<u64>());
            Ok(sums.max().unwrap_or(0) as f64)
        },
    );
    by_tables(
        all,
        "count_distinct_approx per key",
        |keys| {
            let pairs = pairs(keys).map(|(key, value)| (key % 10, value));
            let counts = pairs.per_key().summarize(count_distinct_approx(0.01));
            Ok(counts.count()? as f64)
        },
        |keys| {
            let pair = pair(keys);
            let pair = move |n| (pair(n).0 % 10, pair(n).1);
            let add = |set: &mut HashSet<u64>, value| _ = set.insert(value);
            Ok(plain::by_key(RECORDS, pair, add, HashSet::extend).len() as f64)
        },
    );
}

fn joins(all: &mut Vec<Comparison<'_>>) {
    const SIDE: u64 = 300_000;
    let rows = |keys: u64| holdall::range(0..SIDE).map(move |n| (mixed(n) % keys, n));
    let plain_join = |keys: u64, other_keys: u64| {
        let mut right = HashMap::<u64, Vec<u64>>::new();
        for n in 0..SIDE {
            right.entry(mixed(n) % other_keys).or_default().push(n);
        }
        let matches = |n| right.get(&(mixed(n) % keys)).map_or(0, Vec::len) as u64;
        Ok(plain::sum(SIDE, matches))
    };
    all.push(Comparison::new(
        "join, each key once",
        move || Ok(rows(u64::MAX).join(rows(u64::MAX)).count()? as f64),
        ("a table", move || plain_join(u64::MAX, u64::MAX)),
    ));
    all.push(Comparison::new(
        "join_broadcast, 10000 keys",
        move || {
            let small = holdall::range(0..10_000).map(|n| (n, n * 3));
            let rows = pairs(20_000).join_broadcast(small);
            Ok(rows.map(|(_, (v, w))| v % 8 * w).sum::<u64>()? as f64)
        },
        ("a table", || {
            let small: HashMap<u64, u64> = (0..10_000).map(|n| (n, n * 3)).collect();
            let row = |n| {
                let (key, value) = pair(20_000)(n);
                small.get(&key).map_or(0, |w| value % 8 * w)
            };
            Ok(plain::sum(RECORDS, row))
        }),
    ));
    all.push(Comparison::new(
        "cartesian",
        || {
            let squares = holdall::range(0..3_000).cartesian(holdall::range(0..3_000));
            Ok(squares.map(|(a, b)| a * b % 7).sum::<u64>()? as f64)
        },
        ("two loops", || {
            let row = |a: u64| (0..3_000).map(|b| a * b % 7).sum::<u64>();
            Ok(plain::sum(3_000, row))
        }),
    ));
}

pub(crate) fn add_to(all: &mut Vec<Comparison<'_>>) {
    against_reduce(all);
    numbers_by_key(all);
    collections_by_key(all);
    groups_by_key(all);
    joins(all);
}
