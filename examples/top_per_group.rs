//! Finds the most frequent words of each length.
//!
//! ```text
//! cargo run --release --example top_per_group -- --top 5 src
//! ```

mod options;

use std::cmp::Reverse;
use std::io;
use std::process::ExitCode;

use options::Options;

const USAGE: &str = "top_per_group [--top N] [--executor inline|threads|threads:N|processes:N] [--memory SIZE] [PATH...]

Prints the N most frequent words (default: 3) of each length in the files (default: the texts in datasets/), as LENGTH
WORD:COUNT WORD:COUNT ... Words with equal counts are in byte order.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, top_per_group)
}

fn top_per_group(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let top = options.number("--top")?.unwrap_or(3);
    let context = options.context()?;
    let paths = options.paths_or_dataset("*.txt")?;

    let counts = context.read_text(paths)?.words().count_by_value();
    let by_length = counts.map(|(word, count)| (word.chars().count(), (count, word)));
    let most = by_length
        .per_key()
        .top_by_key(top, |(count, word)| (*count, Reverse(word.clone())));
    let lines = most.sort().map(|(length, words)| {
        let words = words.iter().map(|(count, word)| format!(" {word}:{count}"));
        format!("{length}{}", words.collect::<String>())
    });
    lines.write_to(io::stdout().lock())?;
    Ok(())
}
