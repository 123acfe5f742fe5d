//! Measures five lazy results in one pass against one, over text, and closures with a state against closures without.
//!
//! ```text
//! cargo run --release -p holdall-test-layers --example measure_lazy -- TEXT
//! ```

use std::time::Instant;

use holdall::{Context, compute, value};

/// Prints the time of `work`: the best of five runs, and the result.
fn measure<R: std::fmt::Debug>(
    name: &str,
    work: impl Fn() -> holdall::Result<R>,
) -> holdall::Result<f64> {
    let mut best = f64::INFINITY;
    let mut result = None;
    for _ in 0..5 {
        let start = Instant::now();
        result = Some(work()?);
        best = best.min(start.elapsed().as_secs_f64());
    }
    eprintln!("{name}: {best:.3} s, {result:?}");
    Ok(best)
}

fn main() -> holdall::Result<()> {
    let context = Context::builder().threads(1).build()?;
    let numbers = 200_000_000_u64;
    let plain = context.range(0..numbers).map(|n| n ^ 7);
    let given = context
        .range(0..numbers)
        .with(7_u64)
        .map(|seven, n| n ^ seven);
    let later = context.range(0..numbers).with_delayed(&value(7_u64));
    let later = later.map(|seven, n| n ^ seven);
    measure("without a state", || plain.sum::<u64>())?;
    measure("with a state", || given.sum::<u64>())?;
    measure("with a delayed state", || later.sum::<u64>())?;
    let Some(text) = std::env::args().nth(1) else {
        return Ok(());
    };
    let lengths = context
        .read_text(text)?
        .map(|line| line.len() as u64)
        .boxed();
    let lazy = lengths.delayed();
    let one = measure("one result", || lengths.stats())?;
    let lazy_one = measure("one lazy result", || compute(lazy.stats()))?;
    let five = measure("five lazy results", || {
        compute((
            lazy.min(),
            lazy.max(),
            lazy.mean(),
            lazy.stats(),
            lazy.count(),
        ))
    })?;
    eprintln!(
        "five take {:.3} of one, {:.3} of a lazy one",
        five / one,
        five / lazy_one
    );
    Ok(())
}
