//! Finds lines that are nearly equal, by MinHash.
//!
//! ```text
//! cargo run --release --example near_duplicates -- --similarity 0.6
//! ```

mod options;

use std::collections::HashSet;
use std::io;
use std::process::ExitCode;

use holdall::stable_hash;
use options::Options;

const USAGE: &str = "near_duplicates [--similarity X] [--executor inline|threads|threads:N|processes:N] [--memory SIZE] [PATH...]

Prints the pairs of lines of the files (default: datasets/records/notes.txt) with a similarity of at least X (default:
0.6), as LINE<TAB>LINE<TAB>SIMILARITY. The similarity is the part of their words that both have (Jaccard). Of pairs with
a similarity of 0.6, MinHash misses one in ten; of pairs with 0.8, one in 5,000.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, near_duplicates)
}

/// Number of bands, and of hashes in a band. Lines are compared if all hashes of a band are equal.
const BANDS: u64 = 16;
const ROWS: u64 = 4;

fn near_duplicates(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let least: f64 = options
        .value("--similarity")?
        .map_or(Ok(0.6), |text| text.parse())?;
    let context = options.context()?;
    let paths = options.paths_or_dataset("records/notes.txt")?;

    let lines = context.read_text(paths)?.zip_with_index();
    let bands = lines.flat_map_emit(|(line, index), emit| {
        let hashes: Vec<_> = line.split(' ').map(stable_hash).collect();
        let min = |row: u64| {
            hashes
                .iter()
                .map(|h| stable_hash((h ^ row).to_le_bytes()))
                .min()
        };
        for band in 0..BANDS {
            let rows: Vec<_> = (band * ROWS..(band + 1) * ROWS).map(min).collect();
            emit(((band, rows), (index + 1, line.clone())));
        }
    });
    let pairs = bands.group_by_key().flat_map_emit(|(_, lines), emit| {
        let lines: Vec<(u64, String)> = lines.collect();
        for (at, (first, a)) in lines.iter().enumerate() {
            for (second, b) in &lines[at + 1..] {
                let [a, b]: [HashSet<_>; 2] = [a, b].map(|line| line.split(' ').collect());
                let common = a.intersection(&b).count() as f64;
                emit((*first, *second, common / a.union(&b).count() as f64));
            }
        }
    });
    let near = pairs.with(least).filter(|least, pair| pair.2 >= *least);
    let near = near
        .distinct_by_key(|(a, b, _)| (*a, *b))
        .sort_by_key(|(a, b, _)| (*a, *b));
    let lines = near.map(|(a, b, similarity)| format!("{a}\t{b}\t{similarity:.3}"));
    lines.write_to(io::stdout().lock())?;
    Ok(())
}
