//! Runs one of the queries that `times.py` measures, and prints its result:
//!
//!     measure csv|json|parquet FILE
//!     measure words PATH...
//!
//! `HOLDALL_EXECUTOR` applies.
#![expect(clippy::print_stdout, reason = "it is a program")]

use holdall::{Bag, BoxError, Context, CsvReader, Pipeline};
use holdall_arrow::{ParquetReader, column};
use serde::{Deserialize, Serialize};

/// The columns that a query about users reads.
#[derive(Clone, Serialize, Deserialize)]
struct OfUser {
    user: String,
    amount: f64,
    qty: u32,
    status: String,
}

/// The columns that a query about countries reads.
#[derive(Clone, Serialize, Deserialize)]
struct InCountry {
    country: String,
    amount: f64,
    qty: u32,
    status: String,
}

fn counts(status: &str, qty: u32) -> bool {
    status == "ok" && qty > 2
}

fn cents(amount: f64) -> u64 {
    (amount * 100.0).round() as u64
}

fn main() -> Result<(), BoxError> {
    holdall::init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let context = Context::default();
    match arguments[..] {
        ["csv", path] => {
            let events = CsvReader::new().context(&context).read::<OfUser>(path)?;
            let events = events.filter(|event| counts(&event.status, event.qty));
            sales(events.map(|event| (event.user, cents(event.amount))))
        }
        ["json", path] => {
            let events = context.read_json::<InCountry>(path)?;
            let events = events.filter(|event| counts(&event.status, event.qty));
            sales(events.map(|event| (event.country, cents(event.amount))))
        }
        ["parquet", path] => {
            let counts = column("status").eq("ok").and(column("qty").gt(2_u64));
            let reader = ParquetReader::new().context(&context).filter(counts);
            let events = reader.read::<OfUser>(path)?;
            sales(events.map(|event| (event.user, cents(event.amount))))
        }
        ["words", ref paths @ ..] => {
            let counts = context.read_text(paths)?.words().count_by_value();
            println!("{} {}", counts.count()?, counts.values().sum::<u64>()?);
            Ok(())
        }
        _ => Err("usage: measure csv|json|parquet FILE | measure words PATH...".into()),
    }
}

/// Prints the number of keys, of sales, and of cents.
fn sales<P>(sales: Bag<(String, u64), P>) -> Result<(), BoxError>
where
    P: Pipeline<Out = (String, u64)>,
{
    let by_key = sales
        .map_values(|cents| (1_u64, cents))
        .reduce_by_key(|a, b| (a.0 + b.0, a.1 + b.1));
    let (keys, sales, cents) = by_key.aggregate(
        (0_u64, 0_u64, 0_u64),
        |(keys, sales, cents), (_, (more, of_key))| (keys + 1, sales + more, cents + of_key),
        |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2),
    )?;
    println!("{keys} {sales} {cents}");
    Ok(())
}
