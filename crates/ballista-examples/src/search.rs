//! A program for tests of clusters: a search of the parameters of a classifier. Prints the scores of each candidate, and the
//! best one.

use holdall::{Context, Error, Result};
use holdall_learn::svm::Svc;
use holdall_learn::{Folds, Grid, Labelled, Search};

pub(crate) fn main() -> Result<()> {
    run(&Context::default())
}

pub(crate) fn run(context: &Context) -> Result<()> {
    // Points within a circle, and around it.
    let points = (0..400).map(|n| (f64::from(n % 20) - 9.5, f64::from(n / 20) - 9.5));
    let points = points.map(|(x, y)| ([x, y], i32::from(x * x + y * y < 49.0)));
    let data = Labelled::new(points).map_err(Error::other)?;
    let powers = |range: std::ops::RangeInclusive<i32>| range.map(|power| 10_f64.powi(power));
    let grid = Grid::new(Svc { c: 1.0, gamma: 1.0 })
        .vary(powers(-1..=2), |svc, c| Svc { c, ..svc })
        .vary(powers(-3..=1), |svc, gamma| Svc { gamma, ..svc });
    let folds = Folds::stratified(data.labels(), 3)?;
    let found = Search::new(grid, folds).run(context, data)?;
    for outcome in &found.outcomes {
        println!("{:?} {:?}", outcome.candidate, outcome.scores);
    }
    println!("best: {:?}", found.best());
    Ok(())
}
