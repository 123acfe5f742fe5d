//! Counts the lines that contain a string.
//!
//! ```text
//! cargo run --release --example grep_count -- 'pub fn' src
//! ```

#![expect(clippy::print_stdout, reason = "a program")]

mod options;

use std::process::ExitCode;

use options::Options;

const USAGE: &str = "grep_count [--executor inline|threads|threads:N|processes:N] PATTERN PATH...

Prints the number of lines that contain PATTERN, which is a literal string.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, grep_count)
}

fn grep_count(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let context = options.context()?;
    let words = options.rest()?;
    let [pattern, paths @ ..] = &words[..] else {
        return Err("PATTERN is missing".into());
    };
    let lines = context.read_text(paths)?;
    let count = lines.containing(pattern).count()?;
    println!("{count}");
    Ok(())
}
