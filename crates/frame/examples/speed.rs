//! Times frames and plain DataFusion, one after the other: `speed FILES`, CSV files of flights, one for each day.

#![expect(clippy::print_stdout, reason = "it prints a report")]

use std::time::{Duration, Instant};

use holdall::{Error, Result};
use holdall_frame::datafusion::prelude::{CsvReadOptions, SessionConfig, SessionContext};
use holdall_frame::{avg, col, count, read_csv};

const ROUNDS: usize = 7;

fn main() -> Result<()> {
    let directory = std::env::args().nth(1);
    let directory = directory.ok_or_else(|| Error::other("usage: speed DIRECTORY"))?;
    let flights = read_csv(&directory)?;
    let grouped = flights.group_by([col("carrier")])?;
    let grouped = grouped.agg([avg(col("dep_delay")), count(col("flight"))])?;
    let month = flights.with_sorted_index("time_hour")?;
    let month = month.between("2013-03-01", "2013-03-31")?;
    let month = month.group_by([col("carrier")])?;
    let month = month.agg([avg(col("dep_delay")), count(col("flight"))])?;
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        times[0].push(timed(|| grouped.batches())?);
        times[1].push(timed(|| plain(&directory))?);
        times[2].push(timed(|| month.batches())?);
    }
    let [frame, plain, month] = times.map(median);
    println!("group-by: {frame:?}; plain DataFusion: {plain:?}; a month: {month:?}");
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    println!("group-by to plain DataFusion: {:.3}", ratio(frame, plain));
    println!("a month to all: {:.3}", ratio(month, frame));
    Ok(())
}

fn timed<R>(work: impl FnOnce() -> Result<R>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The same query with the settings that DataFusion has by default.
fn plain(directory: &str) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .build()?;
    runtime.block_on(async {
        let config = SessionConfig::new().with_target_partitions(threads);
        let session = SessionContext::new_with_config(config);
        let flights = session.read_csv(directory, CsvReadOptions::new()).await;
        let grouped = flights.and_then(|flights| {
            let aggregates = vec![avg(col("dep_delay")), count(col("flight"))];
            flights.aggregate(vec![col("carrier")], aggregates)
        });
        match grouped {
            Ok(grouped) => grouped.collect().await.map(drop),
            Err(error) => Err(error),
        }
        .map_err(Error::other)
    })?;
    Ok(())
}
