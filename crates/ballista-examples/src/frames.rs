//! A program for tests of clusters: a frame becomes a bag, whose tasks run on the workers, and a frame again. `IN` is a CSV
//! file of two numbers without a header.

use std::env;
use std::path::Path;

use holdall::{BoxError, Context, Result};
use holdall_frame::{CsvReader, Frame, ident, lit};
use serde::{Deserialize, Serialize};

/// A row of the frame.
#[derive(Serialize, Deserialize)]
struct Row {
    key: i64,
    number: i64,
}

/// A row of the result.
#[derive(Debug, Serialize, Deserialize)]
struct Total {
    group: i64,
    total: i64,
}

pub(crate) fn main() -> Result<(), BoxError> {
    let input = env::var_os("IN").ok_or("IN is not set")?;
    Ok(run(&Context::default(), Path::new(&input))?)
}

pub(crate) fn run(context: &Context, input: &Path) -> Result<()> {
    let reader = CsvReader::new().context(context).has_headers(false);
    let rows = reader
        .read(input)?
        .select([
            ident("column_1").alias("key"),
            ident("column_2").alias("number"),
        ])?
        .filter(ident("number").gt(lit(1_000)))?
        .to_bag::<Row>()?;
    let totals = rows.map(|row| (row.key % 100, row.number)).sum_by_key();
    let totals = totals.map(|(group, total)| Total { group, total });
    let totals = Frame::from_bag(&totals)?.set_index("group")?;
    for total in totals.between(10, 30)?.collect::<Total>()? {
        println!("{total:?}");
    }
    Ok(())
}
