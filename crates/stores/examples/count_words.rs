//! Counts the words of files in any store, and prints the ten most frequent:
//! `cargo run --release -p holdall-stores --example count_words -- s3://bucket/texts`.

use std::env;
use std::error::Error;
use std::io::{self, Write};

fn main() -> Result<(), Box<dyn Error>> {
    holdall::init();
    holdall_stores::init();
    let paths: Vec<String> = env::args().skip(1).collect();
    let counts = holdall::read_text(paths)?.words().count_by_value();
    for (word, count) in counts.top_by_key(10, |(_, count)| *count)? {
        writeln!(io::stdout(), "{count:10} {word}")?;
    }
    Ok(())
}
