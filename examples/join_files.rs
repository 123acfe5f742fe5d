//! Joins two files of comma-separated lines on their first field.
//!
//! ```text
//! cargo run --release --example join_files -- --kind left --out joined LEFT.csv RIGHT.csv
//! ```

mod options;

use std::io::{self, Write};
use std::process::ExitCode;

use holdall::{Bag, Context, Pipeline};
use options::Options;

const USAGE: &str = "join_files [--memory SIZE] [--executor inline|threads|threads:N|processes:N]
    [--kind inner|left|right|full|semi|anti] [--out DIR] LEFT.csv RIGHT.csv

Joins the lines of two files on their first field, the text before the first comma, and prints the number of rows. The
default is an inner join. With --out, writes the rows KEY,LEFT,RIGHT to files in DIR instead. LEFT and RIGHT are the rest
of the lines, and empty for a side without a match.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, join_files)
}

fn join_files(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let kind = options.value("--kind")?;
    let out = options.value("--out")?;
    let context = options.context()?;
    let [left, right] = options.rest()?.try_into().map_err(|_| USAGE)?;
    let (left, right) = (pairs(&context, left)?, pairs(&context, right)?);
    match kind.as_deref().unwrap_or("inner") {
        "inner" => finish(left.join(right), out, |(l, r)| format!("{l},{r}")),
        "left" => finish(left.left_join(right), out, |(l, r)| {
            format!("{l},{}", r.unwrap_or_default())
        }),
        "right" => finish(left.right_join(right), out, |(l, r)| {
            format!("{},{r}", l.unwrap_or_default())
        }),
        "full" => finish(left.full_join(right), out, |(l, r)| {
            format!("{},{}", l.unwrap_or_default(), r.unwrap_or_default())
        }),
        "semi" => finish(left.semi_join(right), out, |l| l),
        "anti" => finish(left.anti_join(right), out, |l| l),
        other => Err(format!("unknown kind {other}; see --help").into()),
    }
}

/// Splits each line into its first field and the rest.
fn pairs(
    context: &Context,
    path: String,
) -> holdall::Result<Bag<(String, String), impl Pipeline<Out = (String, String)>>> {
    Ok(context.read_text(path)?.map(|line| {
        let (key, rest) = line.split_once(',').unwrap_or((line, ""));
        (key.to_owned(), rest.to_owned())
    }))
}

fn finish<V: 'static>(
    rows: Bag<(String, V)>,
    out: Option<String>,
    text: fn(V) -> String,
) -> Result<(), Box<dyn std::error::Error>> {
    match out {
        Some(directory) => {
            let lines = rows.map(move |(key, values)| format!("{key},{}", text(values)));
            lines.write_text(directory)?;
        }
        None => writeln!(io::stdout(), "{}", rows.count()?)?,
    }
    Ok(())
}
