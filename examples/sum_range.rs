//! Sums numbers that the tasks generate.
//!
//! ```text
//! cargo run --release --example sum_range -- 1000000000
//! ```

#![expect(clippy::print_stdout, reason = "a program")]

mod options;

use std::num::Wrapping;
use std::process::ExitCode;

use options::Options;

const USAGE: &str = "sum_range [--executor inline|threads|threads:N|processes:N] N

Computes x * 3 + 1 for each x from 0 to N - 1. Prints the wrapping sum of the results that are even.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, sum_range)
}

fn sum_range(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let context = options.context()?;
    let words = options.rest()?;
    let [n] = &words[..] else {
        return Err("exactly one N is needed".into());
    };
    let sum = context
        .range(0..n.parse::<u64>()?)
        .map(|x| x.wrapping_mul(3).wrapping_add(1))
        .filter(|x| x % 2 == 0)
        .map(Wrapping)
        .fold(Wrapping(0), |sum, x| sum + x)?;
    println!("{sum}");
    Ok(())
}
