//! From the bytes of files to lines, words and fields.

use std::error::Error;

use divan::Bencher;
use divan::counter::BytesCount;
use holdall::{Bag, Pipeline, ReadText, TextReader};
use holdall_benches::Text;

fn main() {
    divan::main();
}

/// Measures `run` on the lines of a text.
fn bench<P: Pipeline<Out = str>>(
    bencher: Bencher<'_, '_>,
    chain: impl Fn(Bag<str, ReadText<str>>) -> Bag<str, P>,
    run: impl Fn(&Bag<str, P>) -> holdall::Result<u64> + Sync,
) {
    let text = Text::of_words(1_000_000, 20_000);
    let lines = chain(holdall::read_text(text.path()).expect("a text"));
    let bencher = bencher.counter(BytesCount::new(text.bytes()));
    bencher.bench(|| run(&lines).expect("lines"));
}

fn length_of_all<P: Pipeline<Out = str>>(records: &Bag<str, P>) -> holdall::Result<u64> {
    records.aggregate(0, |sum, record| sum + record.len() as u64, |a, b| a + b)
}

#[divan::bench]
fn lines_counted(bencher: Bencher<'_, '_>) {
    bench(bencher, |lines| lines, Bag::count);
}

#[divan::bench]
fn lines(bencher: Bencher<'_, '_>) {
    bench(bencher, |lines| lines, length_of_all);
}

#[divan::bench]
fn lines_of_bytes(bencher: Bencher<'_, '_>) {
    let text = Text::of_words(1_000_000, 20_000);
    let lines = TextReader::new().read_bytes(text.path()).expect("a text");
    let lengths = lines.map(|line| line.len() as u64);
    let bencher = bencher.counter(BytesCount::new(text.bytes()));
    bencher.bench(|| lengths.sum::<u64>().expect("lines"));
}

#[divan::bench]
fn lines_with_a_word(bencher: Bencher<'_, '_>) {
    let has_word = |line: &str| line.contains("w19999 ");
    bench(bencher, |lines| lines.filter(has_word), Bag::count);
}

#[divan::bench]
fn lines_containing_a_word(bencher: Bencher<'_, '_>) {
    bench(bencher, |lines| lines.containing("w19999 "), Bag::count);
}

#[divan::bench]
fn words(bencher: Bencher<'_, '_>) {
    bench(bencher, |lines| lines.words(), length_of_all);
}

/// Measures `sum` on lines of two numbers.
fn bench_pairs(
    bencher: Bencher<'_, '_>,
    sum: impl Fn(Bag<str, ReadText<str>>) -> holdall::Result<u64> + Sync,
) {
    let text = Text::of_pairs(500_000);
    let bencher = bencher.counter(BytesCount::new(text.bytes()));
    bencher.bench(|| sum(holdall::read_text(text.path()).expect("a text")).expect("pairs"));
}

#[divan::bench]
fn pairs_split_and_parsed(bencher: Bencher<'_, '_>) {
    bench_pairs(bencher, |lines| {
        let pairs = lines.try_map(|line| {
            let (key, value) = line.split_once(',').ok_or("a line without a comma")?;
            Ok::<(u64, u64), Box<dyn Error + Send + Sync>>((key.parse()?, value.parse()?))
        });
        pairs.map(|(key, value)| key ^ value).sum()
    });
}

#[divan::bench]
fn pairs_of_fields(bencher: Bencher<'_, '_>) {
    bench_pairs(bencher, |lines| {
        let pairs = lines.parse_fields::<(u64, u64)>(',');
        pairs.map(|(key, value)| key ^ value).sum()
    });
}
