//! Compares operators with the plain loops that they replace. Prints the times of both, and their ratios.
//!
//! Arguments select comparisons by a part of their names. `--ours` and `--other` only run one program of each, for a
//! profiler.

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
    all.retain(|one| names.is_empty() || names.iter().any(|name| one.name().contains(name)));
    for (option, program) in [("--ours", 0), ("--other", 1)] {
        if has(option) {
            for one in &all {
                black_box(one.run(program)?);
            }
            return Ok(());
        }
    }
    timing::print_header()?;
    // Without `--bench`, this is a test.
    let runs = if has("--bench") { RUNS } else { 1 };
    all.iter().try_for_each(|one| one.measure(runs))
}
