//! Operators on single records, positions, statistics, samples and text.

use std::hint::black_box;
use std::path::PathBuf;

use hashbrown::HashSet;
use holdall::summary::{count, max, mean, min, stats};
use holdall::{Bag, Pipeline};
use holdall_benches::{Text, mixed};
use rayon::prelude::*;

use crate::plain;
use crate::timing::Comparison;

const RECORDS: u64 = 4_000_000;

fn numbers() -> Bag<u64, impl Pipeline<Out = u64>> {
    holdall::range(0..RECORDS).map(mixed)
}

fn floats() -> Bag<f64, impl Pipeline<Out = f64>> {
    numbers().map(float)
}

fn float(number: u64) -> f64 {
    (number >> 32) as f64 * 0.37
}

fn plain_sum(of: impl Fn(u64) -> u64 + Sync) -> f64 {
    plain::sum(RECORDS, |n| of(mixed(n)))
}

fn statistics(all: &mut Vec<Comparison<'_>>) {
    let plain_mean = || {
        let add = |(count, sum): &mut (u64, f64), n| {
            (*count, *sum) = (*count + 1, *sum + float(mixed(n)))
        };
        let (count, sum) = plain::fold(RECORDS, add, |a, b| *a = (a.0 + b.0, a.1 + b.1));
        Ok(sum / count as f64)
    };
    all.push(Comparison::new(
        "mean",
        || Ok(floats().mean()?.unwrap_or(0.0)),
        ("a loop", plain_mean),
    ));
    all.push(Comparison::new(
        "stats",
        || Ok(floats().stats()?.max().unwrap_or(0.0)),
        ("four sums", || {
            let add = |(count, sum, squares, most): &mut (u64, f64, f64, f64), n| {
                let number = float(mixed(n));
                *count += 1;
                *sum += number;
                *squares += number * number;
                *most = most.max(number);
            };
            let merge = |a: &mut (u64, f64, f64, f64), b: (u64, f64, f64, f64)| {
                *a = (a.0 + b.0, a.1 + b.1, a.2 + b.2, a.3.max(b.3));
            };
            let (count, sum, squares, most) = plain::fold(RECORDS, add, merge);
            black_box((count, sum, squares));
            Ok(most)
        }),
    ));
    all.push(Comparison::new(
        "summarize(five)",
        || {
            Ok(numbers()
                .summarize((count(), mean(), min(), max(), stats()))?
                .0 as f64)
        },
        ("stats", || Ok(numbers().stats()?.count() as f64)),
    ));
}

fn distributions(all: &mut Vec<Comparison<'_>>) {
    all.push(Comparison::new(
        "histogram",
        || {
            let edges: Vec<f64> = (0..=20).map(|edge| f64::from(edge) * 1e8).collect();
            Ok(floats().histogram(&edges)?.counts()[3] as f64)
        },
        ("a loop", || {
            let edges: Vec<f64> = (0..=20).map(|edge| f64::from(edge) * 1e8).collect();
            let add = |counts: &mut [u64; 22], n| {
                counts[edges.partition_point(|edge| *edge <= float(mixed(n)))] += 1;
            };
            let merge =
                |a: &mut [u64; 22], b: [u64; 22]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            Ok(plain::fold(RECORDS, add, merge)[4] as f64)
        }),
    ));
    all.push(Comparison::new(
        "quantiles",
        || Ok(numbers().quantiles(&[0.5])?[0] as f64),
        ("a sort", || {
            let mut numbers: Vec<u64> = (0..RECORDS).into_par_iter().map(mixed).collect();
            numbers.par_sort_unstable();
            Ok(numbers[(numbers.len() - 1) / 2] as f64)
        }),
    ));
    all.push(Comparison::new(
        "count_distinct",
        || Ok(numbers().map(|n| n % 1_000_000).count_distinct()? as f64),
        ("sets", || {
            let add = |set: &mut HashSet<u64>, n| _ = set.insert(mixed(n) % 1_000_000);
            Ok(plain::fold(RECORDS, add, HashSet::extend).len() as f64)
        }),
    ));
}

fn positions(all: &mut Vec<Comparison<'_>>) {
    all.push(Comparison::new(
        "limit(half)",
        || Ok(numbers().limit(RECORDS / 2).map(|n| n % 8).sum::<u64>()? as f64),
        ("a loop", || {
            Ok((0..RECORDS / 2).map(|n| mixed(n) % 8).sum::<u64>() as f64)
        }),
    ));
    all.push(Comparison::new(
        "zip",
        || {
            Ok(numbers()
                .zip(numbers())
                .map(|(a, b)| (a ^ b) + 1)
                .sum::<u64>()? as f64)
        },
        ("a loop", || {
            let pairs = (0..RECORDS).map(mixed).zip((0..RECORDS).map(mixed));
            Ok(pairs.map(|(a, b)| black_box(a ^ b) + 1).sum::<u64>() as f64)
        }),
    ));
    all.push(Comparison::new(
        "windows(2)",
        || {
            Ok(numbers()
                .windows(2)
                .filter(|pair| pair[0] < pair[1])
                .count()? as f64)
        },
        ("a loop", || {
            let numbers: Vec<u64> = (0..RECORDS).map(mixed).collect();
            Ok(numbers.windows(2).filter(|pair| pair[0] < pair[1]).count() as f64)
        }),
    ));
}

fn neighbours(all: &mut Vec<Comparison<'_>>) {
    all.push(Comparison::new(
        "chunks(100)",
        || {
            Ok(numbers()
                .chunks(100)
                .map(|chunk| chunk[0] % 8)
                .sum::<u64>()? as f64)
        },
        ("a loop", || {
            let numbers: Vec<u64> = (0..RECORDS).map(mixed).collect();
            Ok(numbers.chunks(100).map(|chunk| chunk[0] % 8).sum::<u64>() as f64)
        }),
    ));
    all.push(Comparison::new(
        "dedup",
        || Ok(numbers().map(|n| n % 2).dedup().count()? as f64),
        ("a loop", || {
            let mut numbers: Vec<u64> = (0..RECORDS).map(|n| mixed(n) % 2).collect();
            numbers.dedup();
            Ok(numbers.len() as f64)
        }),
    ));
    all.push(Comparison::new(
        "running_reduce",
        || {
            let sums = numbers().running_reduce(u64::wrapping_add);
            Ok(sums.map(|sum| sum % 8).sum::<u64>()? as f64)
        },
        ("a loop", || {
            let sums = (0..RECORDS).map(mixed).scan(0_u64, |sum, n| {
                *sum = sum.wrapping_add(n);
                Some(*sum)
            });
            Ok(sums.map(|sum| sum % 8).sum::<u64>() as f64)
        }),
    ));
}

fn records(all: &mut Vec<Comparison<'_>>) {
    all.push(Comparison::new(
        "flat_map_emit",
        || {
            let twice = numbers().flat_map_emit(|n, emit| {
                emit(n % 8);
                emit(n % 16);
            });
            Ok(twice.sum::<u64>()? as f64)
        },
        ("a loop", || Ok(plain_sum(|n| n % 8 + n % 16))),
    ));
    all.push(Comparison::new(
        "map_init",
        || {
            let init = || String::with_capacity(8);
            let lengths = numbers().map_init(init, |text, n| {
                text.clear();
                text.push(if n % 3 == 0 { 'a' } else { 'ä' });
                text.len() as u64
            });
            Ok(lengths.sum::<u64>()? as f64)
        },
        ("a loop", || {
            Ok(plain_sum(|n| if black_box(n % 3) == 0 { 1 } else { 2 }))
        }),
    ));
}

fn chains(all: &mut Vec<Comparison<'_>>) {
    all.push(Comparison::new(
        "boxed, five times",
        || {
            let numbers = numbers()
                .boxed()
                .map(|n| n >> 1)
                .boxed()
                .map(|n| n * 3)
                .boxed();
            let numbers = numbers
                .filter(|n| n % 2 == 0)
                .boxed()
                .map(|n| n ^ 7)
                .boxed();
            Ok(numbers.map(|n| n % 8).sum::<u64>()? as f64)
        },
        ("a loop", || {
            Ok(plain_sum(|n| {
                let n = (n >> 1) * 3;
                if n % 2 == 0 { (n ^ 7) % 8 } else { 0 }
            }))
        }),
    ));
    all.push(Comparison::new(
        "union_all of ten",
        || {
            let parts =
                (0..10).map(|part| holdall::range(part * RECORDS / 10..(part + 1) * RECORDS / 10));
            let all = holdall::union_all(parts);
            Ok(all.map(|n| mixed(n) % 8).sum::<u64>()? as f64)
        },
        ("a loop", || Ok(plain_sum(|n| n % 8))),
    ));
}

fn orders(all: &mut Vec<Comparison<'_>>) {
    all.push(Comparison::new(
        "sort of numbers",
        || Ok(numbers().sort().take(1)?[0] as f64),
        ("rayon", || {
            let mut numbers: Vec<u64> = (0..RECORDS).into_par_iter().map(mixed).collect();
            numbers.par_sort_unstable();
            Ok(numbers[0] as f64)
        }),
    ));
    all.push(Comparison::new(
        "permute",
        || Ok(numbers().permute(7).count()? as f64),
        ("a shuffle", || {
            let mut numbers: Vec<u64> = (0..RECORDS).map(mixed).collect();
            for at in (1..numbers.len()).rev() {
                numbers.swap(at, (mixed(at as u64) % (at as u64 + 1)) as usize);
            }
            Ok(black_box(numbers).len() as f64)
        }),
    ));
    all.push(Comparison::new(
        "take_sample(1000)",
        || Ok(numbers().take_sample(1000, 7)?.len() as f64),
        ("a reservoir", || {
            let mut reservoir: Vec<u64> = (0..1000).map(mixed).collect();
            for n in 1000..RECORDS {
                let at = (mixed(!n) % (n + 1)) as usize;
                if at < reservoir.len() {
                    reservoir[at] = mixed(n);
                }
            }
            Ok(black_box(reservoir).len() as f64)
        }),
    ));
}

/// Operators on text, against loops over the lines of a file in memory.
fn text<'i>(text: &'i Text, all: &mut Vec<Comparison<'i>>) {
    let path = move || -> PathBuf { text.path() };
    let plain = move |of_line: fn(&str) -> usize| -> Result<f64, Box<dyn std::error::Error>> {
        let text = std::fs::read_to_string(path())?;
        Ok(text.par_lines().map(of_line).sum::<usize>() as f64)
    };
    let mut add = |name: &str,
                   ours: fn(Bag<str, holdall::ReadText<str>>) -> holdall::Result<u64>,
                   of_line| {
        let ours = move || Ok(ours(holdall::read_text(path())?)? as f64);
        all.push(Comparison::new(
            name,
            ours,
            ("a loop", move || plain(of_line)),
        ));
    };
    add(
        "split",
        |lines| lines.split(" ").filter(|word| word.len() > 5).count(),
        |line| line.split(' ').filter(|word| word.len() > 5).count(),
    );
    add(
        "field",
        |lines| lines.field(3, " ").map(|word| word.len() as u64).sum(),
        |line| line.split(' ').nth(3).map_or(0, str::len),
    );
    add(
        "to_lowercase",
        |lines| {
            lines
                .to_lowercase()
                .filter(|line| line.ends_with('7'))
                .count()
        },
        |line| usize::from(line.to_lowercase().ends_with('7')),
    );
    add(
        "try_map",
        |lines| lines.try_map(|line| line[1..2].parse::<u64>()).sum(),
        |line| line[1..2].parse().unwrap_or(0),
    );
    all.push(Comparison::new(
        "write_to",
        move || Ok(holdall::read_text(path())?.write_to(std::io::sink())?.bytes as f64),
        ("a loop", move || {
            use std::io::Write;
            let text = std::fs::read_to_string(path())?;
            let mut bytes = 0;
            let mut output = std::io::BufWriter::new(std::io::sink());
            for line in text.lines() {
                writeln!(output, "{line}")?;
                bytes += line.len() + 1;
            }
            Ok(bytes as f64)
        }),
    ));
}

pub(crate) fn add_to<'i>(input: &'i Text, all: &mut Vec<Comparison<'i>>) {
    statistics(all);
    distributions(all);
    positions(all);
    neighbours(all);
    records(all);
    chains(all);
    orders(all);
    text(input, all);
}
