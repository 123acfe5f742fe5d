//! Runs one of the queries that `times.py` measures, and prints its result:
//!
//!     measure csv|json|parquet FILE
//!     measure words PATH...
//!
//! `HOLDALL_EXECUTOR` applies.
#![expect(clippy::print_stdout, reason = "it is a program")]

use holdall::{Bag, BoxError, Context, CsvReader, Pipeline};
use holdall_arrow::ArrowContext;
use serde::{Deserialize, Serialize};

/// The columns of an event that the queries use.
#[derive(Clone, Serialize, Deserialize)]
struct Event {
    user: String,
    country: String,
    amount: f64,
    qty: u32,
    status: String,
}

impl Event {
    fn counts(&self) -> bool {
        self.status == "ok" && self.qty > 2
    }

    fn sale_of_user(self) -> (String, u64) {
        let cents = self.cents();
        (self.user, cents)
    }

    fn sale_in_country(self) -> (String, u64) {
        let cents = self.cents();
        (self.country, cents)
    }

    fn cents(&self) -> u64 {
        (self.amount * 100.0).round() as u64
    }
}

fn main() -> Result<(), BoxError> {
    holdall::init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let context = Context::default();
    match arguments[..] {
        ["csv", path] => {
            let events = CsvReader::new().context(&context).read::<Event>(path)?;
            sales(events.filter(Event::counts).map(Event::sale_of_user))
        }
        ["json", path] => {
            let events = context.read_json::<Event>(path)?;
            sales(events.filter(Event::counts).map(Event::sale_in_country))
        }
        ["parquet", path] => {
            let events = context.read_parquet::<Event>(path)?;
            sales(events.filter(Event::counts).map(Event::sale_of_user))
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
