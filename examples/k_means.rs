//! Finds the centres of clusters of points, by k-means.
//!
//! ```text
//! cargo run --release --example k_means -- --clusters 5
//! ```

mod options;

use std::io::{self, Write};
use std::process::ExitCode;

use holdall::StorageLevel;
use options::Options;

const USAGE: &str = "k_means [--clusters N] [--executor inline|threads|threads:N|processes:N] [--memory SIZE] [PATH...]

Reads points X,Y (default: datasets/records/points.csv), and prints the centres of N clusters (default: 5) with the
number of their points, as X<TAB>Y<TAB>POINTS. Begins with the first N points, and ends when no centre moves.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, k_means)
}

type Point = (f64, f64);

fn k_means(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let clusters = options.number("--clusters")?.unwrap_or(5);
    let context = options.context()?;
    let paths = options.paths_or_dataset("records/points.csv")?;

    let points = context.read_text(paths)?.parse_fields::<Point>(',');
    let points = points.persist(StorageLevel::default());
    let mut centers = points.take(clusters)?;
    loop {
        let nearest = points.clone().with(centers.clone()).map(|centers, point| {
            let distance = |c: &Point| (c.0 - point.0).powi(2) + (c.1 - point.1).powi(2);
            let order =
                |a: &usize, b: &usize| distance(&centers[*a]).total_cmp(&distance(&centers[*b]));
            ((0..centers.len()).min_by(order), (point.0, point.1, 1_u32))
        });
        let sums = nearest.reduce_by_key(|a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
        let sums = sums.collect_map()?;
        let center = |(x, y, n): &(f64, f64, u32)| (x / f64::from(*n), y / f64::from(*n));
        // A cluster that has lost all points keeps its centre.
        let moved = (0..clusters.min(centers.len()))
            .map(|cluster| sums.get(&Some(cluster)).map_or(centers[cluster], center));
        let moved: Vec<Point> = moved.collect();
        if moved == centers {
            for (cluster, (x, y)) in moved.iter().enumerate() {
                let points = sums.get(&Some(cluster)).map_or(0, |sum| sum.2);
                writeln!(io::stdout(), "{x:.6}\t{y:.6}\t{points}")?;
            }
            return Ok(());
        }
        centers = moved;
    }
}
