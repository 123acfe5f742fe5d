//! Measures frames on the files of a year, one a day:
//!
//!     measure times DATA
//!     measure sort DATA OUT
//!
//! `times` compares the CPU time of groups with that of DataFusion alone, and the CPU time of one month with that of the
//! year. Prints the ratio of the medians of each. `sort` writes all rows, sorted by their distance and flight, to OUT;
//! `HOLDALL_EXECUTOR` and `HOLDALL_MEMORY` apply.
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::path::Path;
use std::sync::Arc;

use holdall::{BoxError, Context, Executor};
use holdall_frame::datafusion::arrow::array::RecordBatch;
use holdall_frame::datafusion::arrow::compute::concat_batches;
use holdall_frame::datafusion::error::Result as PlanResult;
use holdall_frame::datafusion::prelude::{
    CsvReadOptions, DataFrame, SessionConfig, SessionContext,
};
use holdall_frame::{CsvReader, Expr, Frame, avg, col, count, lit, max, read_csv};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{self, Runtime};

/// Number of times that each query runs. The first one is not counted.
const ROUNDS: usize = 8;

/// Number of threads.
const THREADS: usize = 2;

/// Number of partitions of a frame, if the memory budget is not small.
const PARTITIONS: usize = 16;

/// The files of the days in the directory of the data.
const DAYS: &str = "2013-*-*.csv";

fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["times", data] => times(Path::new(data)),
        ["sort", data, out] => {
            let flights = read_csv(Path::new(data).join("*.csv"))?;
            flights.sort_by(["distance", "flight"])?.write_csv(out)?;
            Ok(())
        }
        _ => Err("usage: measure times DATA | measure sort DATA OUT".into()),
    }
}

fn times(data: &Path) -> Result<(), BoxError> {
    let executor = Executor::Threads(THREADS);
    let context = Context::builder().executor(executor).build()?;
    let days = data.join(DAYS);
    let flights = CsvReader::new().context(&context).read(&days)?;
    let plain = DataFusion::new(&days, &flights)?;
    let (groups, of_plain) = cpu_times(
        || rows(&grouped(&flights)?),
        || plain.rows(|flights| flights.aggregate(keys(), aggregates())?.sort_by(keys())),
    )?;
    println!(
        "groups: {groups:.3} s, DataFusion {of_plain:.3} s, ratio {:.3}",
        groups / of_plain
    );
    let march = || {
        let indexed = flights.with_sorted_index("time_hour")?;
        rows(&grouped(&indexed.between("2013-03-01", "2013-03-31")?)?)
    };
    let march_by_filter = || {
        let time = col("time_hour");
        // The filter of `between`, on a frame without an index.
        let is_march = time.clone().gt_eq(lit("2013-03-01"));
        let is_march = is_march.and(time.lt(lit("2013-04-01")));
        rows(&grouped(&flights.filter(is_march)?)?)
    };
    let (month, year) = cpu_times(march, march_by_filter)?;
    println!(
        "one month: {month:.3} s, of the full scan {year:.3} s, ratio {:.3}",
        month / year
    );
    Ok(())
}

fn keys() -> Vec<Expr> {
    vec![col("carrier"), col("dest")]
}

fn aggregates() -> Vec<Expr> {
    vec![count(lit(1)), avg(col("dep_delay")), max(col("arr_delay"))]
}

fn grouped(flights: &Frame) -> Result<Frame, BoxError> {
    let groups = flights.group_by(keys())?.agg(aggregates())?;
    Ok(groups.sort_by(keys())?)
}

fn rows(frame: &Frame) -> Result<RecordBatch, BoxError> {
    Ok(concat_batches(&frame.schema(), &frame.batches()?)?)
}

/// Calls both functions in turn, and checks that their results are equal. Returns the medians of their CPU times, in
/// seconds.
fn cpu_times(
    a: impl Fn() -> Result<RecordBatch, BoxError>,
    b: impl Fn() -> Result<RecordBatch, BoxError>,
) -> Result<(f64, f64), BoxError> {
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let start = cpu_time();
        let result = a()?;
        let middle = cpu_time();
        let other = b()?;
        let end = cpu_time();
        if result.columns() != other.columns() {
            return Err("the results differ".into());
        }
        if round > 0 {
            of_a.push(middle - start);
            of_b.push(end - middle);
        }
    }
    Ok((median(of_a), median(of_b)))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Returns the CPU time of all threads of this process, in seconds.
fn cpu_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The same files, without holdall.
struct DataFusion {
    runtime: Runtime,
    flights: DataFrame,
}

impl DataFusion {
    fn new(days: &Path, flights: &Frame) -> Result<Self, BoxError> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .build()?;
        let config = SessionConfig::new().with_target_partitions(PARTITIONS);
        let schema = flights.schema();
        let options = CsvReadOptions::new().schema(&schema);
        let days = days.to_string_lossy();
        let session = SessionContext::new_with_config(config);
        let flights = runtime.block_on(session.read_csv(&*days, options))?;
        Ok(Self { runtime, flights })
    }

    fn rows(
        &self,
        query: impl FnOnce(DataFrame) -> PlanResult<DataFrame>,
    ) -> Result<RecordBatch, BoxError> {
        let query = query(self.flights.clone())?;
        let schema = Arc::clone(query.schema().inner());
        let batches = self.runtime.block_on(query.collect())?;
        Ok(concat_batches(&schema, &batches)?)
    }
}
