//! Summaries: results that are computed from all records in one pass, several at once if you like.
//!
//! A [`Summary`] describes one result, such as a [`count`], the [ten greatest](top) records, or
//! [statistics](stats). [`Bag::summarize`](crate::Bag::summarize) computes any number of them while it reads the bag
//! once, and [`summarize` of `per_key`](crate::PerKey::summarize) does so for each key.
//!
//! | function | result |
//! | --- | --- |
//! | [`count`], [`count_distinct`] | the number of records, of distinct records |
//! | [`sum`], [`product`], [`sum_exact`], [`mean`] | of numbers |
//! | [`stats`], [`stats_of`], [`histogram`] | several statistics of numbers, the distribution of numbers |
//! | [`min`], [`max`], [`minmax`] | the smallest and the greatest record; each also `_by` a comparison and `_by_key` |
//! | [`first`], [`last`] | the first and the last record |
//! | [`top`], [`bottom`] | the `n` greatest and smallest records; each also `_by` a comparison and `_by_key` |
//! | [`to_vec`], [`to_set`] | all records, all distinct records |
//! | [`count_distinct_approx`], [`heavy_hitters`], [`quantiles_approx`] | sketches: estimates with a known error, in little memory |
//! | [`of`], [`filter`] | another summary, of what a closure returns, or of a part of the records |
//! | [`aggregate`], [`custom`] | a result of your own |
//!
//! The parts of a summary that different partitions yield are merged in partition order, so the result is the same on
//! every executor.
//!
//! A closure for a summary needs a type for its argument, as in `|line: &str|`, because the compiler does not know yet
//! which bag will be summarised.
//!
//! # Examples
//!
//! ```
//! use holdall::summary::{count, max, of, stats_of, top_by_key};
//!
//! let words = holdall::from_vec(vec!["a", "bag", "of", "words"]);
//! let (words, longest, lengths, letters) = words.summarize((
//!     count(),
//!     top_by_key(1, |word: &&str| word.len()),
//!     stats_of(|word: &&str| word.len()),
//!     of(|word: &&str| word.chars().next(), max()),
//! ))?;
//! assert_eq!((words, longest), (4, vec!["words"]));
//! assert_eq!(lengths.mean(), Some(2.75));
//! assert_eq!(letters, Some(Some('w')));
//! # Ok::<(), holdall::Error>(())
//! ```

mod adapt;
mod approx_quantiles;
mod collections;
mod definition;
mod distinct;
mod exact;
mod extremes;
mod frequent;
mod histogram;
mod number;
mod numbers;
mod order;
mod ranked;
mod records;
mod stats;
#[cfg(test)]
mod tests;
mod tuples;

pub use adapt::{
    AggregateSummary, CustomSummary, FilterSummary, OfSummary, aggregate, custom, filter, of,
};
pub use approx_quantiles::{
    ApproxQuantiles, ApproxQuantilesSummary, quantiles_approx, quantiles_approx_by,
};
pub use collections::{DistinctSummary, SetSummary, VecSummary, count_distinct, to_set, to_vec};
pub use definition::Summary;
pub use distinct::{ApproxDistinctSummary, count_distinct_approx};
pub use exact::{ExactSum, ExactSumSummary, sum_exact};
pub use extremes::{
    ExtremeSummary, FirstSummary, LastSummary, MinMaxSummary, first, last, max, max_by, max_by_key,
    min, min_by, min_by_key, minmax, minmax_by, minmax_by_key,
};
pub use frequent::{Frequency, HeavyHittersSummary, heavy_hitters};
pub use histogram::{Histogram, HistogramSummary, histogram};
pub use number::Numeric;
pub use numbers::{
    CountSummary, MeanSummary, ProductSummary, SumSummary, count, mean, product, sum,
};
pub use order::{CompareBy, CompareByKey, Descending, Natural, Order};
pub(crate) use ranked::Ranked;
pub use ranked::{RankedSummary, bottom, bottom_by, bottom_by_key, top, top_by, top_by_key};
pub use records::{ClonedRecord, OrderedRecord};
pub use stats::{Stats, StatsSummary, stats, stats_of};
