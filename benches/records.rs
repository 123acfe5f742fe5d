//! The cost of a narrow operator in the loop over records.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use holdall::Bag;

const RECORDS: u64 = 4_000_000;

fn main() {
    divan::main();
}

fn numbers() -> Bag<u64> {
    holdall::range(0..RECORDS).boxed()
}

fn bench(bencher: Bencher<'_, '_>, run: impl Fn() -> holdall::Result<u64> + Sync) {
    let bencher = bencher.counter(ItemsCount::new(RECORDS));
    bencher.bench(|| run().expect("a number"));
}

#[divan::bench]
fn fused(bencher: Bencher<'_, '_>) {
    let times = black_box(3);
    let numbers = holdall::range(0..RECORDS);
    let even = numbers.map(move |n| n * times + 1).filter(|n| n % 2 == 0);
    bench(bencher, || even.sum());
}

#[divan::bench]
fn boxed(bencher: Bencher<'_, '_>) {
    let times = black_box(3);
    let even = numbers().map(move |n| n * times + 1).filter(|n| n % 2 == 0);
    bench(bencher, || even.sum());
}

#[divan::bench]
fn that_may_fail(bencher: Bencher<'_, '_>) {
    let least = black_box(0);
    let numbers = holdall::range(0..RECORDS);
    let checked = numbers.try_map(move |n| n.checked_sub(least).ok_or("below the least"));
    bench(bencher, || checked.sum());
}

#[divan::bench]
fn collected(bencher: Bencher<'_, '_>) {
    let numbers = holdall::range(0..RECORDS);
    bench(bencher, || Ok(numbers.collect()?.len() as u64));
}
