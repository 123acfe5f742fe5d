//! Programs that users write, beside plain programs on threads: those that issue 23 lists. The number in a name is the
//! ratio to reach.

mod by_key;
mod moved;

use holdall::{Bag, Pipeline};
use holdall_benches::{Text, mixed};

use crate::timing::Comparison;

/// Adds a comparison of programs that return a number.
fn add(
    all: &mut Vec<Comparison<'_>>,
    name: &str,
    bar: &str,
    ours: fn() -> holdall::Result<u64>,
    plain: fn() -> u64,
) {
    all.push(Comparison::new(
        format!("wide: {name} ({bar})"),
        move || Ok(ours()? as f64),
        ("threads", move || Ok(plain() as f64)),
    ));
}

fn pair(n: u64, keys: u64) -> (u64, u64) {
    let mixed = mixed(n);
    (mixed % keys, mixed >> 24)
}

fn pairs(records: u64, keys: u64) -> Bag<(u64, u64), impl Pipeline<Out = (u64, u64)>> {
    holdall::range(0..records).map(move |n| pair(n, keys))
}

pub(crate) fn add_to<'i>(text: &'i Text, all: &mut Vec<Comparison<'i>>) {
    by_key::add_to(text, all);
    moved::add_to(all);
}
