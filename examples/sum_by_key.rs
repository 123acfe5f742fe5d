//! Sums the numbers of each key in files of `key,number` lines.
//!
//! ```text
//! printf 'a,1\nb,2\na,3\n' > /tmp/sums.csv
//! cargo run --release --example sum_by_key -- /tmp/sums.csv
//! ```

#![expect(clippy::print_stdout, reason = "a program")]

mod options;

use std::process::ExitCode;

use options::Options;

const USAGE: &str = "sum_by_key [--executor inline|threads|threads:N|processes:N] [--memory SIZE] [--out DIR] FILE...

Reads lines KEY,NUMBER and prints the number of keys and the sum of all numbers, separated by a tab. With --out, writes
lines KEY,SUM to files in DIR instead. A KEY is any text without a comma; a NUMBER is an integer.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, sum_by_key)
}

fn sum_by_key(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let out = options.value("--out")?;
    let context = options.context()?;
    let paths = options.rest()?;
    if paths.is_empty() {
        return Err("FILE is missing".into());
    }
    let pairs = context.read_text(paths)?.parse_fields::<(String, i64)>(',');
    let sums = pairs.sum_by_key();
    if let Some(directory) = out {
        sums.map(|(key, sum)| format!("{key},{sum}"))
            .write_text(directory)?;
        return Ok(());
    }
    let (keys, total) = sums.aggregate(
        (0_u64, 0_i64),
        |(keys, total), (_, sum)| (keys + 1, total + sum),
        |(keys, total), later| (keys + later.0, total + later.1),
    )?;
    println!("{keys}\t{total}");
    Ok(())
}
