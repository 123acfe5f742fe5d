//! A program for tests of clusters: one of its records ends the process that computes it.

use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    let sums = holdall::range(0..10_000).map(|n| {
        if n == 7_000 {
            std::process::abort();
        }
        n
    });
    match sums.sum::<u64>() {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
