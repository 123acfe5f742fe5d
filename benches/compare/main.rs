//! Compares operators with the plain loops that they replace. Prints the times of both, and their ratios.
//!
//! Arguments select comparisons by a part of their names. `--ours` and `--other` only run one program of each, for a
//! profiler.
//!
//! Each comparison runs in a process of its own. Otherwise, it would depend on the memory that the allocator keeps from
//! those before: a program that finds its pages mapped takes a third of the time of one that does not.

mod jobs;
mod keyed;
mod operators;
mod plain;
mod sharded;
mod timing;
mod wide;

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::process::Command;

use holdall_benches::Text;

/// Number of alternating runs.
const RUNS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let (options, names): (Vec<_>, Vec<_>) =
        env::args().skip(1).partition(|arg| arg.starts_with('-'));
    let has = |option| options.iter().any(|given| given == option);
    let text = Text::of_words(2_000_000, 50_000);
    let mut all = Vec::new();
    operators::add_to(&text, &mut all);
    keyed::add_to(&mut all);
    jobs::add_to(&mut all);
    wide::add_to(&text, &mut all);
    if has("--row") {
        let row: usize = names.concat().parse()?;
        return all[row].measure(RUNS);
    }
    let mut all: Vec<_> = all.into_iter().enumerate().collect();
    all.retain(|(_, one)| names.is_empty() || names.iter().any(|name| one.name().contains(name)));
    for (option, program) in [("--ours", 0), ("--other", 1)] {
        if has(option) {
            for (_, one) in &all {
                black_box(one.run(program)?);
            }
            return Ok(());
        }
    }
    timing::print_header()?;
    if has("--bench") {
        return all.iter().try_for_each(|(row, _)| in_own_process(*row));
    }
    // Without `--bench`, this is a test.
    all.iter().try_for_each(|(_, one)| one.measure(1))
}

fn in_own_process(row: usize) -> Result<(), Box<dyn Error>> {
    let mut process = Command::new(env::current_exe()?);
    let status = process.args(["--row", &row.to_string()]).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("comparison {row}: {status}").into()),
    }
}
