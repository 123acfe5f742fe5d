//! Speed of storage: `cargo test --release storage::measure -- --ignored --nocapture --test-threads 1`.
//!
//! These are tests because storage is not public, and therefore out of reach of `benches/`. They are ignored because
//! they assert nothing.

use std::hint::black_box;
use std::time::Instant;

use itertools::Itertools;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec;
use super::merge::tests::InMemory;
use super::merge::{ByBytes, Merge};
use super::run::{Run, RunFile};
use super::scratch::Scratch;

/// Runs `work` several times, and prints the best time per item, of `count` items.
fn nanoseconds(what: &str, count: usize, mut work: impl FnMut()) {
    let best = (0..5).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    let best = best.fold(f64::INFINITY, f64::min);
    eprintln!("{what:<52} {:>8.2} ns", best * 1e9 / count as f64);
}

fn numbers(count: usize) -> Vec<u64> {
    let mut state = 1_u64;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state ^ (state >> 29)
    };
    (0..count).map(next).collect()
}

fn words(count: usize) -> Vec<(String, u64)> {
    let word = |number: u64| (format!("w{}", number % 1_000_000), number % 100);
    numbers(count).into_iter().map(word).collect()
}

fn codec_of<T: Serialize + DeserializeOwned>(what: &str, records: &[T]) {
    let mut bytes = Vec::new();
    nanoseconds(&format!("encode {what}"), records.len(), || {
        bytes.clear();
        for record in records {
            codec::encode_into(record, &mut bytes).expect("encode");
        }
    });
    nanoseconds(&format!("decode {what}"), records.len(), || {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            black_box(codec::decode_prefix::<T>(&mut rest).expect("decode"));
        }
    });
    eprintln!(
        "{:<52} {:>8.2} bytes",
        "",
        bytes.len() as f64 / records.len() as f64
    );
}

#[test]
#[ignore = "measures"]
fn codec_speed() {
    let numbers = numbers(100_000);
    codec_of(
        "(u64, u64), small",
        &numbers.iter().map(|n| (n % 200, n % 7)).collect::<Vec<_>>(),
    );
    codec_of(
        "(u64, u64), mixed",
        &numbers
            .iter()
            .map(|n| (n % 100_000, n % 300))
            .collect::<Vec<_>>(),
    );
    codec_of(
        "(u64, u64), large",
        &numbers.iter().map(|n| (*n, !n)).collect::<Vec<_>>(),
    );
    codec_of("(String, u64)", &words(100_000));
}

fn run_of(records: &[Vec<u8>], scratch: &Scratch) -> Run {
    let mut file = RunFile::create(scratch, "run").expect("create");
    let mut writer = file.run();
    for record in records {
        writer.append(record).expect("append");
    }
    writer.finish().expect("finish")
}

fn run_speed_of(what: &str, records: &[Vec<u8>]) {
    let directory = tempfile::tempdir().expect("a directory");
    let scratch = Scratch::new(Some(directory.path()), None);
    let megabytes = records.iter().map(|record| record.len() + 4).sum::<usize>() as f64 / 1e6;
    let (mut write, mut read, mut stored) = (f64::INFINITY, f64::INFINITY, 0);
    for _ in 0..5 {
        let start = Instant::now();
        let run = run_of(records, &scratch);
        write = write.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let mut reader = run.reader();
        while let Some(record) = reader.next().expect("read") {
            black_box(record);
        }
        read = read.min(start.elapsed().as_secs_f64());
        stored = run.bytes();
    }
    eprintln!(
        "{what:<40} write {:>6.0} MB/s   read {:>6.0} MB/s   stored {:>3.0} %",
        megabytes / write,
        megabytes / read,
        stored as f64 / megabytes / 1e4
    );
}

#[test]
#[ignore = "measures"]
fn run_speed() {
    let encoded = |(word, count): (String, u64)| {
        let mut bytes = Vec::new();
        codec::encode_into(&(word, count), &mut bytes).expect("encode");
        bytes
    };
    let noise = numbers(4_000_000);
    let noise: Vec<Vec<u8>> = noise
        .chunks(12)
        .map(|n| n.iter().flat_map(|n| n.to_le_bytes()).collect())
        .collect();
    run_speed_of("96 random bytes", &noise);
    let lines = (0..400_000).map(|n| {
        format!(
            "2026-01-01 12:00:{:02} GET /index/{n} 200 {}",
            n % 60,
            n * 7919 % 10_000
        )
    });
    run_speed_of(
        "log lines of 45 bytes",
        &lines.map(String::into_bytes).collect::<Vec<_>>(),
    );
    let mut words: Vec<Vec<u8>> = words(2_000_000).into_iter().map(encoded).collect();
    run_speed_of("words with counts, 9 bytes", &words);
    words.sort_unstable();
    run_speed_of("the same, sorted", &words);
}

#[test]
#[ignore = "measures"]
fn merge_speed() {
    let directory = tempfile::tempdir().expect("a directory");
    let scratch = Scratch::new(Some(directory.path()), None);
    let records: Vec<Vec<u8>> = numbers(1 << 20)
        .iter()
        .map(|n| n.to_be_bytes().to_vec())
        .collect();
    for k in [2, 16, 128] {
        let mut parts = records
            .chunks(records.len() / k)
            .map(<[_]>::to_vec)
            .collect::<Vec<_>>();
        parts.iter_mut().for_each(|part| part.sort_unstable());
        let runs: Vec<Run> = parts.iter().map(|part| run_of(part, &scratch)).collect();
        nanoseconds(&format!("merge, k = {k}, runs"), records.len(), || {
            let mut merge = Merge::by(<[u8]>::cmp, runs.iter().map(Run::reader));
            while let Some(record) = merge.next().expect("merge") {
                black_box(record);
            }
        });
        nanoseconds(
            &format!("merge, k = {k}, runs, ranked"),
            records.len(),
            || {
                let mut merge = Merge::by(ByBytes, runs.iter().map(Run::reader));
                while let Some(record) = merge.next().expect("merge") {
                    black_box(record);
                }
            },
        );
        nanoseconds(&format!("merge, k = {k}, in memory"), records.len(), || {
            let sources = parts
                .iter()
                .map(|part| InMemory::<_, [u8]>::new(part.iter().map(Vec::as_slice)));
            let mut merge = Merge::by(<[u8]>::cmp, sources);
            while let Some(record) = merge.next().expect("merge") {
                black_box(record);
            }
        });
        nanoseconds(
            &format!("merge, k = {k}, in memory, itertools"),
            records.len(),
            || {
                let sources = parts.iter().map(|part| part.iter().map(Vec::as_slice));
                sources.kmerge_by(|a, b| a < b).for_each(|record| {
                    black_box(record);
                });
            },
        );
    }
}
