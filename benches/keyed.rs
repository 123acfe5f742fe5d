//! Combining, grouping, joining and sorting by key, with all data in memory.

use divan::Bencher;
use divan::counter::ItemsCount;
use holdall::{Bag, Pipeline, Result};
use holdall_benches::{Text, mixed};

const RECORDS: u64 = 500_000;

/// Mostly distinct keys, and a few keys that repeat all the time.
const DIFFERENT: [u64; 2] = [u64::MAX, 1000];

fn main() {
    divan::main();
}

fn pairs(different: u64) -> Bag<(u64, u64), impl Pipeline<Out = (u64, u64)>> {
    holdall::range(0..RECORDS).map(move |n| (mixed(n) % different, n))
}

fn bench(bencher: Bencher<'_, '_>, run: impl Fn() -> Result<u64> + Sync) {
    let bencher = bencher.counter(ItemsCount::new(RECORDS));
    bencher.bench(|| run().expect("a number"));
}

#[divan::bench]
fn words_counted(bencher: Bencher<'_, '_>) {
    let text = Text::of_words(RECORDS, 50_000);
    let lines = holdall::read_text(text.path()).expect("a text");
    let counts = lines.words().count_by_value();
    bench(bencher, || counts.count());
}

#[divan::bench(args = DIFFERENT)]
fn summed(bencher: Bencher<'_, '_>, different: u64) {
    let sums = pairs(different).sum_by_key();
    bench(bencher, || sums.count());
}

#[divan::bench(args = DIFFERENT)]
fn reduced_in_order(bencher: Bencher<'_, '_>, different: u64) {
    let least = pairs(different).reduce_by_key(u64::min);
    bench(bencher, || least.count());
}

#[divan::bench(args = DIFFERENT)]
fn grouped(bencher: Bencher<'_, '_>, different: u64) {
    let sizes = pairs(different).group_by_key();
    let sizes = sizes.map_values(|values| values.count() as u64);
    let sizes = sizes.values();
    bench(bencher, || sizes.sum());
}

#[divan::bench]
fn joined(bencher: Bencher<'_, '_>) {
    let rows = pairs(RECORDS).join(pairs(RECORDS));
    bench(bencher, || rows.count());
}

#[divan::bench]
fn sorted(bencher: Bencher<'_, '_>) {
    let numbers = holdall::range(0..RECORDS).map(mixed).sort();
    bench(bencher, || numbers.count());
}

#[divan::bench]
fn sorted_text(bencher: Bencher<'_, '_>) {
    let text = Text::of_words(RECORDS, u64::MAX);
    let words = holdall::read_text(text.path()).expect("a text").words();
    let words = words.sort();
    bench(bencher, || words.count());
}
