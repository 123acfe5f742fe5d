//! Lists the lines in which each word occurs.
//!
//! ```text
//! cargo run --release --example inverted_index -- src/lib.rs
//! ```

mod options;

use std::io;
use std::process::ExitCode;

use options::Options;

const USAGE: &str = "inverted_index [--executor inline|threads|threads:N|processes:N] [--memory SIZE] [PATH...]

Prints each word of the files, in lower case, with the numbers of its lines: WORD<TAB>LINE LINE ... Lines are numbered
from 1, over all files (default: datasets/fables.tsv).";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, inverted_index)
}

fn inverted_index(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let context = options.context()?;
    let paths = options.paths_or_dataset("fables.tsv")?;

    let lines = context.read_text(paths)?.zip_with_index();
    let occurrences = lines.flat_map_emit(|(line, index), emit| {
        let words = line.split(|c: char| !c.is_alphabetic());
        for word in words.filter(|word| !word.is_empty()) {
            emit((word.to_lowercase(), index + 1));
        }
    });
    // The values of a key are in the order of the bag, so equal numbers are neighbours.
    let index = occurrences.group_by_key().map_values(|numbers| {
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.dedup();
        numbers
    });
    let lines = index.sort().map(|(word, numbers)| {
        let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
        format!("{word}\t{}", numbers.join(" "))
    });
    lines.write_to(io::stdout().lock())?;
    Ok(())
}
