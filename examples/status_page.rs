//! Runs jobs of several kinds, to be watched on the status page.
//!
//! ```text
//! cargo run --release --features status --example status_page -- --executor processes:2
//! ```

mod options;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use holdall::{Context, StorageLevel};
use options::Options;

const USAGE: &str = "status_page [--executor inline|threads|threads:N|processes:N] [--address HOST:PORT] [--wait SECONDS]

Prints the URL of the status page (default address: 127.0.0.1:8787), and runs some jobs for about twenty seconds: a shuffle
that is spilled, a join, a slow job whose tasks take different times, and a job that fails. Then waits, so that you can
look at the page (default: 60 seconds).";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, status_page)
}

fn status_page(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let executor = options.value("--executor")?;
    let address = options.value("--address")?;
    let wait = options.number("--wait")?.unwrap_or(60);
    let context = Context::builder()
        .executor(executor.as_deref().unwrap_or("threads:2").parse()?)
        .memory("3MiB")
        .status(address.as_deref().unwrap_or("127.0.0.1:8787"))
        .build()?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", context.status_url().unwrap_or_default())?;
    stdout.flush()?;
    let directory = tempfile::tempdir()?;
    run_jobs(&context, directory.path())?;
    thread::sleep(Duration::from_secs(wait as u64));
    Ok(())
}

fn run_jobs(context: &Context, directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    // Exceeds the memory, so it is spilled.
    let pairs = context
        .range(0..500_000)
        .map(|n: u64| (n.wrapping_mul(0x9e37_79b9) % 100_003, n));
    pairs.group_by_key().count()?;

    let squares = context.range(0..50_000_u64).map(|n| (n * n % 10_007, n));
    let cubes = context
        .range(0..50_000_u64)
        .map(|n| (n * n % 10_007 * n % 10_007, n));
    let joined = squares.sum_by_key().join(cubes.sum_by_key());
    let joined = joined.persist(StorageLevel::Memory);
    joined.count()?;
    joined
        .map(|(key, (left, right))| (left + right, key))
        .sort()
        .take(10)?;

    // Every eighth task takes five times as long as the others.
    let slow = context.range_partitioned(0..64, 64).map(|n| {
        thread::sleep(Duration::from_millis(if n % 8 == 0 { 1_500 } else { 300 }));
        n % 7
    });
    slow.count_by_value().count()?;

    let path = directory.join("<numbers> & more.txt");
    let lines = (0..1000).map(|n| {
        if n == 777 {
            "<script>seven</script>\n".to_owned()
        } else {
            format!("{n}\n")
        }
    });
    fs::write(&path, lines.collect::<String>())?;
    let numbers = context.read_text(&path)?.try_map(|line| {
        line.parse::<u64>()
            .map_err(|error| format!("{line:?}: {error}"))
    });
    match numbers.sum::<u64>() {
        Ok(sum) => Err(format!("the line 777 is no number, but the sum is {sum}").into()),
        Err(error) => {
            eprintln!("as expected: {error}");
            Ok(())
        }
    }
}
