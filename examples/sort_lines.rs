//! Sorts the lines of files that may be larger than memory.
//!
//! ```text
//! cargo run --release --example sort_lines -- --memory 64MiB --out /tmp/sorted datasets/*.txt
//! ```

mod options;

use std::process::ExitCode;

use holdall::TextReader;
use options::Options;

const USAGE: &str = "sort_lines [--memory SIZE] [--executor inline|threads|threads:N|processes:N] --out DIR PATH...

Sorts the lines of the files by their bytes, which need not be UTF-8. Writes the sorted lines to files in DIR, which
must not exist yet. To get all lines in order, concatenate these files in the order of their names.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, sort_lines)
}

fn sort_lines(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let context = options.context()?;
    let out = options.value("--out")?;
    let paths = options.rest()?;
    let out = out.ok_or("--out DIR is missing")?;
    if paths.is_empty() {
        return Err("PATH is missing".into());
    }
    let lines = TextReader::new().context(&context).read_bytes(paths)?;
    lines.sort().write_text(out)?;
    Ok(())
}
