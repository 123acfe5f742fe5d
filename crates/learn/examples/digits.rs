//! Searches the parameters of a support vector classifier for images of digits:
//!
//!     digits DATA [CANDIDATES]
//!
//! DATA has the label at the end of each line. CANDIDATES has lines C,GAMMA; without it, 50 candidates of a grid are
//! drawn. Prints a line for each candidate, with its mean score and its score on each of three folds. The best one comes
//! last. `HOLDALL_EXECUTOR` chooses the executor.
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::path::PathBuf;
use std::time::Instant;

use holdall::Context;
use holdall_learn::svm::Svc;
use holdall_learn::{Folds, Grid, Labelled, Outcome, Sampler, Search};

fn main() -> holdall::Result<()> {
    holdall::init();
    let context = Context::default();
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let data = arguments
        .next()
        .unwrap_or_else(|| PathBuf::from("digits.csv.gz"));
    let data = Labelled::read(&context, data)?;
    let candidates = match arguments.next() {
        Some(path) => {
            let lines = context.read_text(path)?;
            let candidates = lines.parse_fields::<(f64, f64)>(',').collect()?;
            candidates
                .into_iter()
                .map(|(c, gamma)| Svc { c, gamma })
                .collect()
        }
        None => draw(),
    };
    let folds = Folds::stratified(data.labels(), 3)?;
    let start = Instant::now();
    let found = Search::new(candidates, folds).run(&context, data)?;
    eprintln!("{:.3} s", start.elapsed().as_secs_f64());
    found.outcomes.iter().chain(found.best()).for_each(print);
    Ok(())
}

fn draw() -> Vec<Svc> {
    let powers = |range: std::ops::RangeInclusive<i32>| range.map(|power| 10_f64.powi(power));
    let grid = Grid::new(Svc { c: 1.0, gamma: 1.0 })
        .vary(powers(-6..=6), |svc, c| Svc { c, ..svc })
        .vary(powers(-8..=8), |svc, gamma| Svc { gamma, ..svc });
    Sampler::new(0).distinct(50, grid)
}

fn print(outcome: &Outcome<Svc>) {
    let Svc { c, gamma } = outcome.candidate;
    let scores: Vec<_> = outcome.scores.iter().map(f64::to_string).collect();
    println!("{c:e},{gamma:e},{},{}", outcome.mean(), scores.join(","));
}
