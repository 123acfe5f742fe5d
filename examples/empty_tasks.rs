//! Measures the overhead of a task.
//!
//! ```text
//! cargo run --release --example empty_tasks -- 100000
//! ```

#![expect(clippy::print_stdout, reason = "a program")]

mod options;

use std::process::ExitCode;
use std::time::Instant;

use options::Options;

const USAGE: &str = "empty_tasks [--executor inline|threads|threads:N|processes:N] N

Runs a job of N tasks that do nothing. Prints the mean time of a task, in microseconds.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, empty_tasks)
}

fn empty_tasks(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let context = options.context()?;
    let words = options.rest()?;
    let [n] = &words[..] else {
        return Err("exactly one N is needed".into());
    };
    let tasks: usize = n.parse()?;
    if tasks == 0 {
        return Err("N must be 1 or more".into());
    }
    // Start the threads first, so that the measurement does not include it.
    context.range_partitioned(0..1, 1).count()?;
    let start = Instant::now();
    context.range_partitioned(0..0, tasks).count()?;
    println!("{:.4}", start.elapsed().as_secs_f64() * 1e6 / tasks as f64);
    Ok(())
}
