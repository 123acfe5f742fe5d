//! Generates text of any size, with word frequencies as in a natural language.
//!
//! ```text
//! cargo run --release --example generate_text -- --bytes 10GB --words 1000000 big.txt
//! ```

mod options;
mod random;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

use options::Options;
use random::{Random, spell};

const USAGE: &str = "generate_text --bytes SIZE [--seed N] [--words N] OUT

Writes lines of synthetic words to the file OUT, until another line would exceed SIZE bytes. SIZE is a number, optionally
followed by k, M, G or T (powers of 1024) or by kB, MB, GB or TB (powers of 1000). The vocabulary has N words (default:
10,000); the frequency of the n-th word is proportional to 1/n. The same options produce the same bytes on every
machine; a different --seed (default: 0) produces a different text.";

/// Number of words in a line.
const LINE_WORDS: std::ops::RangeInclusive<u64> = 4..=15;

fn main() -> ExitCode {
    options::run(USAGE, generate_text)
}

fn generate_text(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let bytes = options.value("--bytes")?.ok_or("--bytes is missing")?;
    let bytes = parse_bytes(&bytes).ok_or_else(|| format!("--bytes: {bytes} is not a size"))?;
    let seed = options.number("--seed")?.unwrap_or(0) as u64;
    let words = options.number("--words")?.unwrap_or(10_000) as u64;
    if words == 0 {
        return Err("--words must be 1 or more".into());
    }
    let paths = options.rest()?;
    let [path] = &paths[..] else {
        return Err("exactly one OUT is needed".into());
    };

    let in_file = |error| format!("{path}: {error}");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(in_file)?);
    let mut random = Random(seed);
    let mut left = bytes;
    let mut line = String::new();
    loop {
        line.clear();
        make_line(&mut random, words, &mut line);
        match left.checked_sub(line.len() as u64) {
            Some(rest) => left = rest,
            None => break,
        }
        file.write_all(line.as_bytes()).map_err(in_file)?;
    }
    file.flush().map_err(in_file)?;
    Ok(())
}

fn make_line(random: &mut Random, words: u64, line: &mut String) {
    let count = LINE_WORDS.start() + random.below(LINE_WORDS.end() - LINE_WORDS.start() + 1);
    for i in 0..count {
        if i > 0 {
            line.push(' ');
        }
        spell(random.rank(words), line);
    }
    line.push('\n');
}

fn parse_bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.to_ascii_lowercase();
    let (letter, base) = match unit.as_bytes() {
        [] | [b'b'] => return number.parse().ok(),
        [letter] | [letter, b'i', b'b'] => (letter, 1024_u64),
        [letter, b'b'] => (letter, 1000),
        _ => return None,
    };
    let power = b"kmgt".iter().position(|unit| unit == letter)? as u32 + 1;
    number.parse::<u64>().ok()?.checked_mul(base.pow(power))
}
