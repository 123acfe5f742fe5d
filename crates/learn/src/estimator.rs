//! Estimators, and the data that they learn from.

use std::fmt;

use holdall::BoxError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A way to learn a model from data, with all of its parameters.
///
/// Each value is one *candidate* of a [`Search`](crate::Search): a struct of parameters, such as the penalty and the
/// kernel width of a support vector machine. It is plain data, because candidates may be fitted in other processes:
/// derive `Serialize` and `Deserialize`. Errors name a candidate by its `Debug` form.
///
/// # Examples
///
/// A model that predicts the mean of the rows, shrunk towards zero:
///
/// ```
/// use holdall::BoxError;
/// use holdall_learn::Estimator;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Serialize, Deserialize)]
/// struct ShrunkMean {
///     shrinkage: f64,
/// }
///
/// impl Estimator for ShrunkMean {
///     type Data = Vec<f64>;
///     type Model = f64;
///
///     fn fit(&self, data: &Vec<f64>, rows: &[usize]) -> Result<f64, BoxError> {
///         let sum: f64 = rows.iter().map(|&row| data[row]).sum();
///         Ok(sum / (rows.len() as f64 + self.shrinkage))
///     }
///
///     fn score(&self, mean: &f64, data: &Vec<f64>, rows: &[usize]) -> Result<f64, BoxError> {
///         let squares = rows.iter().map(|&row| (data[row] - mean).powi(2));
///         Ok(-squares.sum::<f64>() / rows.len() as f64)
///     }
/// }
///
/// let estimator = ShrunkMean { shrinkage: 1.0 };
/// let data = vec![2.0, 4.0, 5.0];
/// let mean = estimator.fit(&data, &[0, 1])?;
/// assert_eq!((mean, estimator.score(&mean, &data, &[2])?), (2.0, -9.0));
/// # Ok::<(), BoxError>(())
/// ```
pub trait Estimator:
    Clone + fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Type of the data. Every worker process receives it once.
    type Data: Dataset + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Type of what is learnt.
    type Model;

    /// Learns a model from the given rows of the data, which are in ascending order. For the same rows, it must learn
    /// the same model.
    ///
    /// # Errors
    ///
    /// An error or a panic ends the search, unless it [keeps failures](crate::Search::keep_failures).
    fn fit(&self, data: &Self::Data, rows: &[usize]) -> Result<Self::Model, BoxError>;

    /// Returns how good a model is on the given rows. Greater is better.
    ///
    /// # Errors
    ///
    /// Like [`fit`](Self::fit).
    fn score(
        &self,
        model: &Self::Model,
        data: &Self::Data,
        rows: &[usize],
    ) -> Result<f64, BoxError>;
}

/// Data that consists of rows.
pub trait Dataset {
    /// Number of rows.
    fn rows(&self) -> usize;
}

impl<T> Dataset for Vec<T> {
    fn rows(&self) -> usize {
        self.len()
    }
}
