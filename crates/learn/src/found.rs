//! Results of a search.

use std::fmt;

use holdall::{Error, Result};

use crate::estimator::{Dataset, Estimator};

/// Scores of one candidate.
#[derive(Clone, Debug)]
pub struct Outcome<E> {
    /// The candidate.
    pub candidate: E,
    /// Its score on each fold. NaN if it failed there.
    pub scores: Vec<f64>,
    /// Its error on each fold, if the search [keeps failures](crate::Search::keep_failures).
    pub errors: Vec<Option<String>>,
}

impl<E> Outcome<E> {
    /// Returns the mean of the scores, or NaN if one of them is.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.scores.iter().sum::<f64>() / self.scores.len() as f64
    }

    /// Returns the standard deviation of the scores.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares = self.scores.iter().map(|score| (score - mean).powi(2));
        (squares.sum::<f64>() / self.scores.len() as f64).sqrt()
    }
}

/// Outcomes of a search, in the order of its candidates.
///
/// `Display` writes a table: a line for each candidate, with the mean and the deviation of its scores.
#[derive(Clone, Debug)]
pub struct Found<E> {
    /// The outcomes.
    pub outcomes: Vec<Outcome<E>>,
}

impl<E: Estimator> Found<E> {
    /// Returns the outcome with the greatest mean score, the first one of several. Returns `None` if no candidate has a
    /// score.
    #[must_use]
    pub fn best(&self) -> Option<&Outcome<E>> {
        let scored = self
            .outcomes
            .iter()
            .filter(|outcome| !outcome.mean().is_nan());
        scored.reduce(|best, outcome| {
            if outcome.mean() > best.mean() {
                outcome
            } else {
                best
            }
        })
    }

    /// Fits the best candidate to all rows, in this thread.
    ///
    /// # Errors
    ///
    /// Returns an error if no candidate has a score, or if the fit fails.
    pub fn refit(&self, data: &E::Data) -> Result<E::Model> {
        let best = self.best();
        let best = best.ok_or_else(|| Error::other("cannot refit: no candidate has a score"))?;
        let rows: Vec<_> = (0..data.rows()).collect();
        let model = best.candidate.fit(data, &rows);
        model.map_err(|error| {
            let candidate = &best.candidate;
            Error::other(format!("cannot fit {candidate:?} to all rows: {error}"))
        })
    }
}

impl<E: fmt::Debug> fmt::Display for Found<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in &self.outcomes {
            let (mean, deviation) = (outcome.mean(), outcome.deviation());
            writeln!(f, "{mean:.6} ± {deviation:.6}  {:?}", outcome.candidate)?;
        }
        Ok(())
    }
}
