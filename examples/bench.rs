//! Workloads that measure this library against others; see `benches/README.md`.
//!
//! ```text
//! IN=/tmp/text.txt cargo run --release --example bench -- W1
//! ```

#![expect(clippy::print_stdout, reason = "a program")]

use std::env;
use std::error::Error;
use std::num::Wrapping;
use std::time::Instant;

use holdall::{Bag, Context, TextReader, TextWriter};

fn main() -> Result<(), Box<dyn Error>> {
    holdall::init();
    let context = Context::builder().progress(false).build()?;
    let workload = env::args().nth(1).ok_or("which workload?")?;
    match &*workload {
        "version" => println!("{}", env!("CARGO_PKG_VERSION")),
        "W1" => word_count(&context, 20)?,
        "W2" => word_count(&context, 0)?,
        "W3" => sort_lines(&context)?,
        "W4" => sum_by_key(&context)?,
        "W5" => join(&context)?,
        "W6" => numbers(&context)?,
        "W7" => substring_lines(&context)?,
        "W8" => empty_tasks(&context)?,
        _ => return Err(format!("there is no workload {workload}").into()),
    }
    Ok(())
}

fn input() -> Result<String, env::VarError> {
    env::var("IN")
}

fn count_or(default: u64) -> Result<u64, Box<dyn Error>> {
    Ok(match env::var("N") {
        Ok(n) if !n.is_empty() => n.parse()?,
        _ => default,
    })
}

/// Counts words. Prints the most frequent words, then the number of distinct words, the number of all words, and the
/// sum of the squares of the counts.
fn word_count(context: &Context, top: usize) -> Result<(), Box<dyn Error>> {
    let counts: Bag<(String, u64)> = context.read_text(input()?)?.words().count_by_value();
    type Summary = (u64, u64, u64, Vec<(u64, String)>);
    let summary: Summary = counts.with(top).aggregate(
        (0, 0, 0, Vec::new()),
        |&top, (distinct, total, squares, mut first), (word, n)| {
            let is_first = first.len() < top || first.last().is_some_and(|(least, _)| n >= *least);
            if top > 0 && is_first {
                insert(&mut first, (n, word), top);
            }
            (distinct + 1, total + n, squares + n * n, first)
        },
        |&top, (distinct, total, squares, mut first), later| {
            for counted in later.3 {
                insert(&mut first, counted, top);
            }
            (
                distinct + later.0,
                total + later.1,
                squares + later.2,
                first,
            )
        },
    )?;
    let (distinct, total, squares, first) = summary;
    for (n, word) in first {
        println!("{n}\t{word}");
    }
    println!("distinct {distinct} total {total} sumsq {squares}");
    Ok(())
}

/// Inserts `counted` and keeps the `most` greatest counts, in descending order. Words with equal counts are in byte
/// order.
fn insert(first: &mut Vec<(u64, String)>, counted: (u64, String), most: usize) {
    let at = first.partition_point(|(n, word)| (*n, &counted.1) > (counted.0, word));
    first.insert(at, counted);
    first.truncate(most);
}

fn sum_by_key(context: &Context) -> Result<(), Box<dyn Error>> {
    let pairs = context.read_text(input()?)?.parse_fields::<(u64, u64)>(',');
    let (groups, total, check) = pairs.sum_by_key().aggregate(
        (0_u64, 0_u64, 0_u64),
        |(groups, total, check), (key, sum)| {
            let check = check + key % 1009 * (sum % 10007);
            (groups + 1, total + sum, check)
        },
        |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2),
    )?;
    println!("groups {groups} total {total} chk {check}");
    Ok(())
}

fn sort_lines(context: &Context) -> Result<(), Box<dyn Error>> {
    let lines = TextReader::new().context(context).read_bytes(input()?)?;
    // Like the programs that it is compared with, it leaves it to the system when to write to the disk.
    TextWriter::new()
        .overwrite(true)
        .durable(false)
        .write(&lines.sort(), env::var("OUT_DIR")?)?;
    Ok(())
}

fn join(context: &Context) -> Result<(), Box<dyn Error>> {
    let left = context.read_text(input()?)?.parse_fields::<(u64, u64)>(',');
    let right = context
        .read_text(env::var("IN2")?)?
        .parse_fields::<(u64, u64)>(',');
    let (rows, sum) = left.join(right).aggregate(
        (0_u64, 0_u64),
        // A checksum: it may exceed 64 bits.
        |(rows, sum), (_, (left, right))| (rows + 1, sum.wrapping_add(left.wrapping_mul(right))),
        |a, b| (a.0 + b.0, a.1.wrapping_add(b.1)),
    )?;
    println!("rows {rows} sum {sum}");
    Ok(())
}

fn numbers(context: &Context) -> Result<(), Box<dyn Error>> {
    let sum = context
        .range(0..count_or(1_000_000_000)?)
        .map(|x| x * 3 + 1)
        .filter(|x| x % 2 == 0)
        .map(Wrapping)
        .fold(Wrapping(0), |sum, x| sum + x)?;
    println!("sum {sum}");
    Ok(())
}

fn substring_lines(context: &Context) -> Result<(), Box<dyn Error>> {
    let lines = context.read_text(input()?)?;
    let count = lines.containing("struct device").count()?;
    println!("lines {count}");
    Ok(())
}

fn empty_tasks(context: &Context) -> Result<(), Box<dyn Error>> {
    let tasks = count_or(100_000)?;
    context.range_partitioned(0..1, 1).count()?;
    let start = Instant::now();
    let none = context.range_partitioned(0..0, usize::try_from(tasks)?);
    let count = none.map_partitions(|_, emit| emit(())).count()?;
    let elapsed = start.elapsed();
    println!("tasks {count}");
    eprintln!(
        "us_per_task {:.4}",
        elapsed.as_secs_f64() * 1e6 / tasks as f64
    );
    Ok(())
}
