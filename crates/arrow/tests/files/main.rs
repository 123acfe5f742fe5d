//! Parquet and Arrow IPC files on every executor and file system: what is read, what is not, and what can go wrong.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod arrow;
mod damage;
mod filters;
mod parquet;
mod types;

use std::fs;
use std::path::{Path, PathBuf};

use holdall::{Bag, Context, Pipeline};
use holdall_arrow::ParquetWriter;
use serde::{Deserialize, Serialize};

/// Entry point of worker processes.
#[test]
fn holdall_worker() {
    holdall::init();
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Visit {
    number: u32,
    user: String,
    amount: Option<f64>,
    is_new: bool,
    tags: Vec<String>,
}

fn visit(number: u32) -> Visit {
    Visit {
        number,
        user: format!("user {}é", number % 100),
        amount: (!number.is_multiple_of(3)).then_some(f64::from(number) / 4.0),
        is_new: number.is_multiple_of(2),
        tags: (0..number % 3).map(|n| n.to_string()).collect(),
    }
}

fn visits(
    context: &Context,
    count: u32,
    partitions: usize,
) -> Bag<Visit, impl Pipeline<Out = Visit> + use<>> {
    context.range_partitioned(0..count, partitions).map(visit)
}

fn writer(rows: usize) -> ParquetWriter {
    ParquetWriter::new().row_group_rows(rows).overwrite(true)
}

/// Returns the files of a directory and of those in it.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let all = paths.flat_map(|path| match path.is_dir() {
        true => files_in(&path),
        false => vec![path],
    });
    all.collect()
}
