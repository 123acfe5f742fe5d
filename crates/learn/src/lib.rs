//! Search of the best parameters of a model, on the executors of [holdall](holdall).
//!
//! An [`Estimator`] is a struct of parameters that can fit a model to rows of data and score it. A [`Search`] scores
//! many of them by cross-validation, each fit as a task of its own: on one thread, on many, or in worker processes.
//! It works for any estimator. [`svm::Svc`] is one.
//!
//! ```
//! use holdall::Context;
//! use holdall_learn::svm::Svc;
//! use holdall_learn::{Folds, Labelled, Sampler, Search};
//!
//! # fn main() -> holdall::Result<()> {
//! // Points within a circle, and around it.
//! let points = (0..144).map(|n| (f64::from(n % 12) - 5.5, f64::from(n / 12) - 5.5));
//! let points = points.map(|(x, y)| ([x, y], i32::from(x * x + y * y < 16.0)));
//! let data = Labelled::new(points).map_err(holdall::Error::other)?;
//!
//! let mut sampler = Sampler::new(0);
//! let candidates: Vec<_> = (0..10)
//!     .map(|_| Svc { c: sampler.log_uniform(1e-2..1e3), gamma: sampler.log_uniform(1e-3..1e1) })
//!     .collect();
//! let search = Search::new(candidates, Folds::stratified(data.labels(), 3)?);
//! let found = search.run(&Context::builder().threads(2).build()?, data.clone())?;
//!
//! println!("{found}"); // a line for each candidate
//! let best = found.best().expect("ten candidates");
//! assert!(best.mean() > 0.8, "{best:?}");
//! let model = found.refit(&data)?; // with all rows
//! assert_eq!((model.predict(&[0.5, 0.5]), model.predict(&[5.5, 5.5])), (1, 0));
//! # Ok(())
//! # }
//! ```
//!
//! # Determinism
//!
//! Candidates, folds and scores depend on the seeds that you pass, and on nothing else: a search has the same outcomes
//! on any number of threads, in worker processes, and after a worker was lost. Outcomes are in the order of the
//! candidates.
//!
//! # For users of scikit-learn
//!
//! | scikit-learn | here |
//! | --- | --- |
//! | `KFold(3)`, `KFold(3, shuffle=True)` | [`Folds::consecutive`], [`Folds::shuffled`] |
//! | `StratifiedKFold(3)` | [`Folds::stratified`], [`Folds::stratified_shuffled`] |
//! | `PredefinedSplit` | [`Folds::assigned`] |
//! | `ParameterGrid`, `GridSearchCV` | [`Grid`], [`Search`] |
//! | `ParameterSampler`, `RandomizedSearchCV` | [`Sampler`], [`Search`] |
//! | `error_score=nan` | [`Search::keep_failures`] |
//! | `cv_results_`, `best_params_`, `refit` | [`Found::outcomes`], [`Found::best`], [`Found::refit`] |
//! | `SVC` | [`svm::Svc`] |
//! | `joblib.Parallel` | [`holdall::delayed`] and [`Context::compute`](holdall::Context::compute) |
//! | `joblib.parallel_backend` | [`Executor`](holdall::Executor) |

mod estimator;
mod folds;
mod found;
mod grid;
mod labelled;
mod sampler;
mod search;
#[cfg(feature = "svm")]
pub mod svm;

pub use estimator::{Dataset, Estimator};
pub use folds::Folds;
pub use found::{Found, Outcome};
pub use grid::Grid;
pub use labelled::Labelled;
pub use sampler::Sampler;
pub use search::Search;

/// The example of the README compiles.
#[cfg(all(doctest, feature = "svm"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
