//! Parts of the plain loops: ranges of numbers that rayon's threads take, and hash tables by key.

use std::ops::Range;

use hashbrown::HashMap;
use rayon::prelude::*;

const PARTS: u64 = 64;

/// Divides the numbers below `records` among the threads.
pub(crate) fn parts(records: u64) -> impl ParallelIterator<Item = Range<u64>> {
    let part = move |part| records * part / PARTS..records * (part + 1) / PARTS;
    (0..PARTS).into_par_iter().map(part)
}

/// Folds the records of each part to a value, and merges the values in any order.
pub(crate) fn fold<A: Default + Send>(
    records: u64,
    add: impl Fn(&mut A, u64) + Sync,
    merge: impl Fn(&mut A, A) + Sync,
) -> A {
    let of_part = |numbers: Range<u64>| {
        let mut all = A::default();
        numbers.for_each(|number| add(&mut all, number));
        all
    };
    let merged = |mut a, b| {
        merge(&mut a, b);
        a
    };
    parts(records).map(of_part).reduce(A::default, merged)
}

/// Sums the results of `of`.
pub(crate) fn sum(records: u64, of: impl Fn(u64) -> u64 + Sync) -> f64 {
    fold(records, |sum: &mut u64, n| *sum += of(n), |a, b| *a += b) as f64
}

/// Combines values by key: a table for each thread, of which the smaller ones are merged into the largest.
pub(crate) fn by_key<V: Default + Send>(
    records: u64,
    pair: impl Fn(u64) -> (u64, u64) + Sync,
    add: impl Fn(&mut V, u64) + Sync,
    merge: impl Fn(&mut V, V) + Sync,
) -> HashMap<u64, V> {
    let take = |mut table: HashMap<u64, V>, numbers: Range<u64>| {
        for (key, value) in numbers.map(&pair) {
            add(table.entry(key).or_default(), value);
        }
        table
    };
    let merged = |a: HashMap<u64, V>, b: HashMap<u64, V>| {
        let (mut all, few) = if a.len() < b.len() { (b, a) } else { (a, b) };
        for (key, value) in few {
            merge(all.entry(key).or_default(), value);
        }
        all
    };
    parts(records)
        .fold(HashMap::new, take)
        .reduce(HashMap::new, merged)
}
