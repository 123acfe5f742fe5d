//! Counts the words of text files.
//!
//! ```text
//! cargo run --release --example word_count -- --top 10 src
//! ```

mod options;

use std::io::{self, Write};
use std::process::ExitCode;

use options::Options;

const USAGE: &str = "word_count [--top N] [--executor inline|threads|threads:N|processes:N] [--memory SIZE] [--out DIR] [PATH...]

Prints the N most frequent words of the files (default: 20), as COUNT<TAB>WORD. Words with equal counts are in byte
order. With --out, writes the counts of all words to files in DIR instead. A PATH is a file, a directory or a glob
pattern (default: the texts in datasets/).";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, word_count)
}

fn word_count(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let top = options.number("--top")?.unwrap_or(20);
    let out = options.value("--out")?;
    let context = options.context()?;
    let paths = options.paths_or(concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/*.txt"))?;

    let counts = context.read_text(paths)?.words().count_by_value();
    if let Some(directory) = out {
        counts
            .map(|(word, count)| format!("{count}\t{word}"))
            .write_text(directory)?;
        return Ok(());
    }
    let most_frequent = counts.top_by(top, |(word, count), (other, n)| {
        count.cmp(n).then_with(|| other.cmp(word))
    })?;
    let mut stdout = io::stdout().lock();
    for (word, count) in most_frequent {
        writeln!(stdout, "{count}\t{word}")?;
    }
    Ok(())
}
