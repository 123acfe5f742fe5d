//! Counts the triangles of a graph.
//!
//! ```text
//! cargo run --release --example triangles -- --top 5
//! ```

mod options;

use std::cmp::Reverse;
use std::io::{self, Write};
use std::process::ExitCode;

use holdall::StorageLevel;
use options::Options;

const USAGE: &str = "triangles [--top N] [--executor inline|threads|threads:N|processes:N] [--memory SIZE] [PATH...]

Reads edges A B (default: datasets/records/links.txt), whose direction does not matter. Prints the number of triangles,
and the N nodes (default: 5) in most of them, as NODE<TAB>TRIANGLES.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, triangles)
}

fn triangles(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let top = options.number("--top")?.unwrap_or(5);
    let context = options.context()?;
    let paths = options.paths_or_dataset("records/links.txt")?;

    let edges = context.read_text(paths)?.parse_fields::<(u32, u32)>(' ');
    let edges = edges
        .filter(|(a, b)| a != b)
        .map(|(a, b)| (a.min(b), a.max(b)));
    let edges = edges.distinct();
    // Of a triangle a < b < c, the edges from a, and then the edge between b and c.
    let angles = edges
        .clone()
        .join(edges.clone())
        .filter(|(_, (b, c))| b < c);
    let angles = angles.map(|(a, (b, c))| ((b, c), a));
    let triangles = angles.semi_join(edges.map(|edge| (edge, ())));
    let triangles = triangles.persist(StorageLevel::default());
    writeln!(io::stdout(), "{} triangles", triangles.count()?)?;
    let nodes = triangles.flat_map(|((b, c), a)| [a, b, c]).count_by_value();
    for (node, count) in nodes.top_by_key(top, |(node, count)| (*count, Reverse(*node)))? {
        writeln!(io::stdout(), "{node}\t{count}")?;
    }
    Ok(())
}
