//! The same data on one thread and on two, in one partition and in ten thousand. The sides of a join, alone and together.

use std::thread;
use std::time::Duration;

use divan::Bencher;
use holdall::{Context, Result, TextReader};
use holdall_benches::{Text, mixed};

const RECORDS: u64 = 1_000_000;

/// Threads and partitions.
const SHAPES: [(usize, usize); 6] = [(1, 1), (1, 16), (2, 16), (2, 256), (1, 10_000), (2, 10_000)];

fn main() {
    divan::main();
}

fn bench(bencher: Bencher<'_, '_>, threads: usize, run: impl Fn(&Context) -> Result<u64> + Sync) {
    let context = Context::builder().threads(threads).progress(false);
    let context = context.build().expect("a context");
    bencher.bench(|| run(&context).expect("a number"));
}

#[divan::bench(args = SHAPES)]
fn numbers(bencher: Bencher<'_, '_>, (threads, partitions): (usize, usize)) {
    bench(bencher, threads, |context| {
        let numbers = context.range_partitioned(0..10 * RECORDS, partitions);
        numbers.filter(|n| mixed(*n).is_multiple_of(2)).count()
    });
}

#[divan::bench(args = SHAPES)]
fn words_counted(bencher: Bencher<'_, '_>, (threads, partitions): (usize, usize)) {
    let text = Text::of_words(RECORDS, 50_000);
    let partition_bytes = (text.bytes() / partitions).max(1) as u64;
    bench(bencher, threads, |context| {
        let reader = TextReader::new().context(context);
        let lines = reader.partition_bytes(partition_bytes).read(text.path())?;
        lines.words().count_by_value().count()
    });
}

#[divan::bench(args = SHAPES)]
fn summed(bencher: Bencher<'_, '_>, (threads, partitions): (usize, usize)) {
    bench(bencher, threads, |context| {
        let numbers = context.range_partitioned(0..RECORDS, partitions);
        numbers
            .map(|n| (mixed(n) % 100_000, n))
            .sum_by_key()
            .count()
    });
}

#[divan::bench(args = SHAPES)]
fn reduced_in_order(bencher: Bencher<'_, '_>, (threads, partitions): (usize, usize)) {
    bench(bencher, threads, |context| {
        let numbers = context.range_partitioned(0..RECORDS, partitions);
        let pairs = numbers.map(|n| (mixed(n) % 100_000, n));
        pairs.reduce_by_key(u64::min).count()
    });
}

#[divan::bench(args = SHAPES)]
fn grouped(bencher: Bencher<'_, '_>, (threads, partitions): (usize, usize)) {
    bench(bencher, threads, |context| {
        let numbers = context.range_partitioned(0..RECORDS, partitions);
        numbers
            .map(|n| (mixed(n) % 100_000, n))
            .group_by_key()
            .count()
    });
}

#[divan::bench(args = SHAPES)]
fn sorted(bencher: Bencher<'_, '_>, (threads, partitions): (usize, usize)) {
    bench(bencher, threads, |context| {
        let numbers = context.range_partitioned(0..RECORDS, partitions);
        numbers.map(mixed).sort().count()
    });
}

/// Each side has one task, which leaves a core idle. The tasks sleep, so that the times hold on a busy machine. The join
/// takes as long as the slower side, if both run at the same time.
#[divan::bench(args = ["left", "right", "join"], sample_count = 10)]
fn sides_of_a_join(bencher: Bencher<'_, '_>, sides: &str) {
    bench(bencher, 2, |context| {
        let side = |millis| {
            let numbers = context.range_partitioned(0..10, 1);
            numbers.map(move |n| {
                thread::sleep(Duration::from_millis(millis));
                (n, n)
            })
        };
        match sides {
            "left" => side(10).partition_by(64).count(),
            "right" => side(8).partition_by(64).count(),
            _ => side(10).join(side(8)).count(),
        }
    });
}
