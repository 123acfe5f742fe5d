//! Cross-validation of many candidates.

use holdall::{BoxError, Context, IntoDelayed, Result, try_delayed, value};
use serde::{Deserialize, Serialize};

use crate::estimator::{Dataset, Estimator};
use crate::folds::Folds;
use crate::found::{Found, Outcome};

/// A search of the best candidate by cross-validation: a grid search if the candidates are a [`Grid`](crate::Grid), a
/// random search if a [`Sampler`](crate::Sampler) has drawn them.
///
/// # Examples
///
/// ```
/// # use holdall::BoxError;
/// # use holdall_learn::Estimator;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// # struct ShrunkMean { shrinkage: f64 }
/// # impl Estimator for ShrunkMean {
/// #     type Data = Vec<f64>;
/// #     type Model = f64;
/// #     fn fit(&self, data: &Vec<f64>, rows: &[usize]) -> Result<f64, BoxError> {
/// #         if self.shrinkage < 0.0 { return Err("the shrinkage is negative".into()); }
/// #         Ok(rows.iter().map(|&row| data[row]).sum::<f64>() / (rows.len() as f64 + self.shrinkage))
/// #     }
/// #     fn score(&self, mean: &f64, data: &Vec<f64>, rows: &[usize]) -> Result<f64, BoxError> {
/// #         Ok(-rows.iter().map(|&row| (data[row] - mean).powi(2)).sum::<f64>() / rows.len() as f64)
/// #     }
/// # }
/// use holdall::Context;
/// use holdall_learn::{Folds, Grid, Search};
///
/// // `ShrunkMean` is the estimator of the example of the trait.
/// let data: Vec<f64> = (0..90).map(|n| f64::from(n % 7)).collect();
/// let grid = Grid::new(ShrunkMean { shrinkage: 0.0 })
///     .vary([0.0, 5.0, 50.0], |_, shrinkage| ShrunkMean { shrinkage });
/// let search = Search::new(grid, Folds::consecutive(data.len(), 3)?);
/// let context = Context::builder().threads(2).build()?;
/// let found = search.run(&context, data.clone())?;
///
/// let best = found.best().unwrap();
/// assert_eq!((best.candidate.shrinkage, best.scores.len()), (0.0, 3));
/// assert_eq!(found.refit(&data)?, data.iter().sum::<f64>() / 90.0);
///
/// let search = Search::new([ShrunkMean { shrinkage: -1.0 }], Folds::consecutive(data.len(), 3)?);
/// let error = search.run(&context, data).unwrap_err();
/// assert!(error.to_string().contains("ShrunkMean { shrinkage: -1.0 }, fold 0"), "{error}");
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Search<E> {
    candidates: Vec<E>,
    folds: Folds,
    keep_failures: bool,
}

/// Score of a candidate on one fold. The text is the error, if it was kept.
#[derive(Serialize, Deserialize)]
struct FoldScore(f64, Option<String>);

impl<E: Estimator> Search<E> {
    /// Creates a search. Runs nothing.
    #[must_use]
    pub fn new(candidates: impl IntoIterator<Item = E>, folds: Folds) -> Self {
        Self {
            candidates: candidates.into_iter().collect(),
            folds,
            keep_failures: false,
        }
    }

    /// Goes on if a candidate returns an error. Its score on that fold is NaN, and [`Outcome::errors`] has the error.
    /// Without this setting, the first error ends the search, as a panic always does.
    #[must_use]
    pub fn keep_failures(mut self) -> Self {
        self.keep_failures = true;
        self
    }

    /// Fits each candidate to each training set, and scores it on the test set. Runs a job.
    ///
    /// Fits run in parallel on the executor of the context: on threads, or in worker processes, each of which receives
    /// the data once. The data may be a [delayed value](holdall::Delayed), such as the result of a bag. The outcomes are in the
    /// order of the candidates, and the same on every executor. To run the search in the background, call it within
    /// [`Context::start`].
    ///
    /// # Errors
    ///
    /// Returns the first error of a candidate. It names the candidate and the fold. Returns an error if the data has
    /// another number of rows than the folds.
    #[track_caller]
    pub fn run(self, context: &Context, data: impl IntoDelayed<E::Data>) -> Result<Found<E>> {
        let score = try_delayed(score::<E>);
        let (data, keep) = (data.into_delayed(), value(self.keep_failures));
        let count = self.folds.count();
        let folds = value(self.folds);
        let numbers: Vec<_> = (0..count).map(|fold| (fold, value(fold))).collect();
        let scores = self.candidates.iter().flat_map(|named| {
            let delayed = value(named.clone());
            let (score, data, folds, keep) = (&score, &data, &folds, &keep);
            numbers.iter().map(move |(fold, number)| {
                let (candidate, keep) = (delayed.clone(), keep.clone());
                let call = score(candidate, data.clone(), folds.clone(), number.clone(), keep);
                call.named(format!("{named:?}, fold {fold}"))
            })
        });
        let mut scores = context.compute(scores.collect::<Vec<_>>())?.into_iter();
        let outcome = |candidate| {
            let scores = scores.by_ref().take(count);
            let (scores, errors) = scores.map(|FoldScore(score, error)| (score, error)).unzip();
            Outcome {
                candidate,
                scores,
                errors,
            }
        };
        let outcomes = self.candidates.into_iter().map(outcome).collect();
        Ok(Found { outcomes })
    }
}

/// Fits a candidate to all folds but one, and scores it on that one.
fn score<E: Estimator>(
    candidate: &E,
    data: &E::Data,
    folds: &Folds,
    fold: &usize,
    keep_failures: &bool,
) -> Result<FoldScore, BoxError> {
    let (rows, expected) = (data.rows(), folds.rows());
    if rows != expected {
        return Err(format!("the data has {rows} rows, but the folds have {expected}").into());
    }
    let model = candidate.fit(data, &folds.training(*fold));
    let score = model.and_then(|model| candidate.score(&model, data, &folds.test(*fold)));
    match score {
        Ok(score) => Ok(FoldScore(score, None)),
        Err(error) if *keep_failures => Ok(FoldScore(f64::NAN, Some(error.to_string()))),
        Err(error) => Err(error),
    }
}
