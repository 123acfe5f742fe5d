//! Summarises the log of a web server.
//!
//! ```text
//! cargo run --release --example log_analysis -- --top 5
//! ```

mod options;

use std::cmp::Reverse;
use std::io::{self, Write};
use std::process::ExitCode;

use holdall::summary::{count, count_distinct, filter, mean, of, sum};
use options::Options;

const USAGE: &str = "log_analysis [--top N] [--executor inline|threads|threads:N|processes:N] [--memory SIZE] [PATH...]

Reads requests TIME ADDRESS METHOD PATH STATUS BYTES (default: datasets/records/requests.txt). Prints totals, the
requests of each hour, and the N paths (default: 5) with most requests, as REQUESTS FAILED MEAN_BYTES PATH.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, log_analysis)
}

/// Time, address, method, path, status and bytes.
type Request = (u64, String, (), String, u16, u64);

fn log_analysis(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let top = options.number("--top")?.unwrap_or(5);
    let context = options.context()?;
    let paths = options.paths_or_dataset("records/requests.txt")?;
    let mut out = io::stdout().lock();

    let requests = context.read_text(paths)?.parse_fields::<Request>(' ');
    let (all, failed, bytes, addresses) = requests.summarize((
        count(),
        filter(|request: &Request| request.4 >= 500, count()),
        of(|request: &Request| request.5, sum()),
        of(|request: &Request| request.1.clone(), count_distinct()),
    ))?;
    writeln!(
        out,
        "{all} requests, {failed} failed, {bytes} bytes, {addresses} addresses"
    )?;

    let hours = requests
        .clone()
        .map(|request| request.0 / 3600 % 24)
        .count_by_value();
    for (hour, count) in hours.sort().iter()?.flatten() {
        writeln!(out, "{hour:02}:00 {count}")?;
    }

    let paths = requests
        .map(|request| (request.3, (request.4, request.5)))
        .per_key();
    let paths = paths.summarize((
        count(),
        filter(|(status, _): &(u16, u64)| *status >= 500, count()),
        of(|(_, bytes): &(u16, u64)| *bytes, mean()),
    ));
    let most = paths.top_by_key(top, |(path, (count, ..))| (*count, Reverse(path.clone())))?;
    for (path, (count, failed, mean)) in most {
        writeln!(
            out,
            "{count} {failed} {:.1} {path}",
            mean.unwrap_or_default()
        )?;
    }
    Ok(())
}
