//! Records that are sorted, repartitioned, kept, or only passed on.

use std::fmt::{Write as _, from_fn};
use std::fs::File;
use std::io::{BufWriter, Write};

use holdall::{StorageLevel, TextWriter};
use holdall_benches::mixed;
use rayon::prelude::*;

use super::{add, pair, pairs};
use crate::sharded::{on_threads, pieces};
use crate::timing::Comparison;

const RECORDS: u64 = 5_000_000;

fn numbers(records: u64) -> Vec<u64> {
    (0..records).into_par_iter().map(mixed).collect()
}

#[expect(clippy::too_many_lines, reason = "a list of programs")]
fn sorts(all: &mut Vec<Comparison<'_>>) {
    add(
        all,
        "sort of numbers",
        "1.2",
        || {
            let sorted = holdall::range(0..RECORDS).map(mixed).sort();
            sorted.filter(|n| n % 3 == 0).count()
        },
        || {
            let mut numbers = numbers(RECORDS);
            numbers.par_sort_unstable();
            numbers.par_iter().filter(|n| **n % 3 == 0).count() as u64
        },
    );
    add(
        all,
        "sort of pairs",
        "1.2",
        || {
            let sorted = pairs(RECORDS, 1 << 20).sort();
            sorted.filter(|(_, value)| value % 3 == 0).count()
        },
        || {
            let pairs = (0..RECORDS).into_par_iter().map(|n| pair(n, 1 << 20));
            let mut pairs: Vec<(u64, u64)> = pairs.collect();
            pairs.par_sort_unstable();
            let chosen = pairs.par_iter().filter(|(_, value)| value % 3 == 0);
            chosen.count() as u64
        },
    );
    add(
        all,
        "sort of floats",
        "1.2",
        || {
            let floats = holdall::range(0..RECORDS).map(|n| mixed(n) as f64);
            let sorted = floats.sort_by(|a: &f64, b: &f64| b.total_cmp(a));
            sorted.filter(|n| *n > 1e14).count()
        },
        || {
            let floats = (0..RECORDS).into_par_iter().map(|n| mixed(n) as f64);
            let mut floats: Vec<f64> = floats.collect();
            floats.par_sort_unstable_by(|a, b| b.total_cmp(a));
            floats.par_iter().filter(|n| **n > 1e14).count() as u64
        },
    );
    add(
        all,
        "sort of records by a text",
        "1.2",
        || {
            let records = holdall::range(0..RECORDS / 5).map(person);
            let sorted = records.sort_by_key(|person: &Person| person.0.clone());
            sorted.filter(|(_, n)| n % 3 == 0).count()
        },
        || {
            let records = (0..RECORDS / 5).into_par_iter().map(person);
            let mut records: Vec<Person> = records.collect();
            records.par_sort_by(|a, b| a.0.cmp(&b.0));
            records.par_iter().filter(|(_, n)| n % 3 == 0).count() as u64
        },
    );
}

type Person = (String, u64);

fn person(n: u64) -> Person {
    (format!("name{:07}", mixed(n) % 5_000_000), n)
}

#[expect(clippy::too_many_lines, reason = "a list of programs")]
fn passed_on(all: &mut Vec<Comparison<'_>>) {
    add(
        all,
        "a chain of five boxed bags",
        "1.5",
        || {
            let numbers = holdall::range(0..10 * RECORDS).map(|n| n + 1).boxed();
            let numbers = numbers.map(|n| n * 3).boxed().map(|n| n ^ 7).boxed();
            let even = numbers.filter(|n| n % 2 == 0).boxed();
            even.map(|n| n >> 1).boxed().sum()
        },
        || {
            let numbers = (0..10 * RECORDS).into_par_iter();
            let numbers = numbers.map(|n| ((n + 1) * 3) ^ 7);
            numbers.filter(|n| n % 2 == 0).map(|n| n >> 1).sum()
        },
    );
    add(
        all,
        "a union of ten bags",
        "1.5",
        || {
            let bag = |n| holdall::range(n * RECORDS..(n + 1) * RECORDS).boxed();
            let numbers = holdall::union_all((0..10).map(bag));
            numbers.map(mixed).fold(0, |a, b| a ^ b)
        },
        || {
            let numbers = (0..10 * RECORDS).into_par_iter();
            numbers.map(mixed).reduce(|| 0, |a, b| a ^ b)
        },
    );
    add(
        all,
        "repartitioned numbers",
        "1.3",
        || {
            let numbers = holdall::range(0..RECORDS).map(mixed);
            numbers.repartition(16).fold(0, |a, b| a ^ b)
        },
        || {
            let none = || (vec![Vec::new(); 16], 0);
            let parts = on_threads(&pieces(RECORDS), none, |(parts, next), numbers| {
                for n in numbers.clone() {
                    parts[*next % 16].push(mixed(n));
                    *next += 1;
                }
            });
            let indices: Vec<usize> = (0..16).collect();
            let sums = on_threads(&indices, u64::default, |sum, index| {
                for n in parts.iter().flat_map(|(parts, _)| &parts[*index]) {
                    *sum ^= n;
                }
            });
            sums.iter().fold(0, |a, b| a ^ b)
        },
    );
    for (name, level) in [
        ("memory", StorageLevel::Memory),
        ("disk", StorageLevel::Disk),
    ] {
        all.push(Comparison::new(
            format!("wide: numbers kept in {name} (1.3)"),
            move || {
                let numbers = holdall::range(0..RECORDS).map(mixed).persist(level);
                let pass = |divisor| numbers.clone().filter(move |n| n % divisor == 0).count();
                let counts = (2..7).map(pass).sum::<holdall::Result<u64>>();
                Ok(counts? as f64)
            },
            ("threads", || {
                let numbers = numbers(RECORDS);
                let pass = |divisor| numbers.par_iter().filter(|n| *n % divisor == 0).count();
                Ok((2..7).map(pass).sum::<usize>() as f64)
            }),
        ));
    }
}

fn written(all: &mut Vec<Comparison<'_>>) {
    all.push(Comparison::new(
        "wide: formatted lines written (1.2)",
        || {
            let directory = tempfile::tempdir()?;
            let lines = holdall::range(0..RECORDS / 2);
            let lines = lines.map(|n| from_fn(move |f| write!(f, "{n},{}", mixed(n) >> 24)));
            let writer = TextWriter::new().durable(false);
            writer.write(&lines, directory.path().join("out"))?;
            Ok(0.0)
        },
        ("threads", || {
            let directory = tempfile::tempdir()?;
            on_threads(&pieces(RECORDS / 2), String::new, |line, numbers| {
                let path = directory.path().join(numbers.start.to_string());
                let file = File::create(path).expect("a file");
                let mut file = BufWriter::with_capacity(1 << 18, file);
                for n in numbers.clone() {
                    line.clear();
                    let _ = writeln!(line, "{n},{}", mixed(n) >> 24);
                    file.write_all(line.as_bytes()).expect("space");
                }
                file.flush().expect("space");
            });
            Ok(0.0)
        }),
    ));
}

pub(super) fn add_to(all: &mut Vec<Comparison<'_>>) {
    sorts(all);
    passed_on(all);
    written(all);
}
