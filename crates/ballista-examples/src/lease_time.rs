//! A program for measurements: prints the median time, in milliseconds, of a job that must request a slot first.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than a cluster keeps idle slots by default.
const IDLE: Duration = Duration::from_millis(1500);

pub(crate) fn main() -> ExitCode {
    let mut times = Vec::new();
    // The first job also connects, and is not counted.
    for round in 0..8 {
        let begin = Instant::now();
        if let Err(error) = holdall::range_partitioned(0..1, 1).count() {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
        if round > 0 {
            times.push(begin.elapsed());
        }
        thread::sleep(IDLE);
    }
    times.sort();
    eprintln!("{:.1}", times[times.len() / 2].as_secs_f64() * 1e3);
    ExitCode::SUCCESS
}
