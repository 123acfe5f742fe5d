//! Records between stages: encoding and decoding, writing and reading files, merging runs.

use divan::Bencher;
use divan::counter::ItemsCount;
use holdall::{Bag, Boxed, Context, Data, Result, StorageLevel};
use holdall_benches::mixed;

const RECORDS: u64 = 500_000;

/// Memory for all records, and for almost none.
const MEMORY: [&str; 2] = ["1GiB", "4MiB"];

fn main() {
    divan::main();
}

fn context(memory: &str) -> Context {
    let context = Context::builder().threads(2).memory(memory);
    context.progress(false).build().expect("a context")
}

fn bench(bencher: Bencher<'_, '_>, run: impl Fn() -> Result<u64> + Sync) {
    let bencher = bencher.counter(ItemsCount::new(RECORDS));
    bencher.bench(|| run().expect("a number"));
}

/// Encodes each record once and decodes it once. With enough memory this measures the codec, otherwise writing and
/// reading a spill.
fn persisted<T: Data>(bencher: Bencher<'_, '_>, records: Bag<T, Boxed<T>>) {
    bench(bencher, || {
        records
            .clone()
            .persist(StorageLevel::MemoryThenDisk)
            .count()
    });
}

#[divan::bench(args = MEMORY)]
fn persisted_numbers(bencher: Bencher<'_, '_>, memory: &str) {
    let numbers = context(memory).range(0..RECORDS).map(|n| (mixed(n), n));
    persisted(bencher, numbers.boxed());
}

#[divan::bench(args = MEMORY)]
fn persisted_text(bencher: Bencher<'_, '_>, memory: &str) {
    let text = |n| format!("2026-01-01 12:00 GET /index/{} 200", mixed(n) % 10_000);
    persisted(bencher, context(memory).range(0..RECORDS).map(text).boxed());
}

/// With little memory, this merges runs in files.
#[divan::bench(args = MEMORY)]
fn merged(bencher: Bencher<'_, '_>, memory: &str) {
    let sorted = context(memory).range(0..RECORDS).map(mixed).sort();
    bench(bencher, || sorted.count());
}

#[divan::bench(args = MEMORY)]
fn summed(bencher: Bencher<'_, '_>, memory: &str) {
    let pairs = context(memory).range(0..RECORDS).map(|n| (mixed(n), n));
    let sums = pairs.sum_by_key();
    bench(bencher, || sums.count());
}

#[divan::bench(args = MEMORY)]
fn grouped(bencher: Bencher<'_, '_>, memory: &str) {
    let pairs = context(memory).range(0..RECORDS).map(|n| (mixed(n), n));
    let groups = pairs.group_by_key();
    bench(bencher, || groups.count());
}
