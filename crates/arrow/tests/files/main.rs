//! Parquet and Arrow IPC files on every executor and file system: what is read, what is not, and what can go wrong.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod arrow;
mod damage;
mod filters;
mod parquet;
mod types;

use std::fs;
use std::path::{Path, PathBuf};

use holdall::files::OutputOptions;
use holdall::{Bag, Context, Executor, Pipeline};
use holdall_arrow::ParquetWriter;
use holdall_test_extensions::Store;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

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
    ParquetWriter::new()
        .row_group_rows(rows)
        .output(OutputOptions::default().overwrite(true))
}

/// Runs `test` on each executor, in a context with a file system, and with a path in it and a local one.
fn on_each(test: impl Fn(&Context, &str)) {
    for executor in [
        Executor::Inline,
        Executor::Threads(2),
        Executor::Processes(2),
    ] {
        let files = TempDir::new().expect("a temporary directory");
        let store = Store::create(files.path()).expect("room for a directory");
        let builder = Context::builder().executor(executor).progress(false);
        let context = builder
            .file_system("store", store)
            .build()
            .expect("a context");
        test(&context, "store://dir");
        test(&context, path_in(&files, "dir").to_str().expect("UTF-8"));
    }
}

fn path_in(files: &TempDir, name: &str) -> PathBuf {
    files.path().join(name)
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
