//! Computes a small graph of tasks.
//!
//! ```text
//! cargo run --release --example graph -- --executor processes:2
//! ```

#![expect(clippy::print_stdout, reason = "a program")]

mod options;

use std::process::ExitCode;

use holdall::graph::{Graph, data, task};
use options::Options;

const USAGE: &str = "graph [--executor inline|threads|threads:N|processes:N]

Computes z of the graph a = 1, x = 10, b = a + 1, y = x + 1, z = b + y. Prints 13.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, graph)
}

fn inc(x: i64) -> i64 {
    x + 1
}

fn add(x: i64, y: i64) -> i64 {
    x + y
}

fn graph(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let context = options.context()?;
    options.rest()?;
    let graph = Graph::from([
        ("a", data(1_i64)),
        ("x", data(10_i64)),
        ("b", task(inc, ["a"])),
        ("y", task(inc, ["x"])),
        ("z", task(add, ["b", "y"])),
    ]);
    let z: i64 = context.get(&graph, "z")?;
    println!("{z}");
    Ok(())
}
