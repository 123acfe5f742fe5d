//! Summaries: results that are computed from all records in one pass, several at once if you like.
//!
//! A [`Summary`] describes one result, such as a [count](count), the [ten greatest](top) records, or
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
mod collections;
mod exact;
mod extremes;
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
pub use collections::{DistinctSummary, SetSummary, VecSummary, count_distinct, to_set, to_vec};
pub use exact::{ExactSum, ExactSumSummary, sum_exact};
pub use extremes::{
    ExtremeSummary, FirstSummary, LastSummary, MinMaxSummary, first, last, max, max_by, max_by_key,
    min, min_by, min_by_key, minmax, minmax_by, minmax_by_key,
};
pub use histogram::{Histogram, HistogramSummary, histogram};
pub use number::Number;
pub use numbers::{
    CountSummary, MeanSummary, ProductSummary, SumSummary, count, mean, product, sum,
};
pub use order::{By, ByKey, Descending, Natural, Order};
pub(crate) use ranked::Ranked;
pub use ranked::{RankedSummary, bottom, bottom_by, bottom_by_key, top, top_by, top_by_key};
pub use records::{ClonedRecord, OrderedRecord};
pub use stats::{Stats, StatsSummary, stats, stats_of};

use crate::pipeline::{Data, Record};

/// A result that is computed from records in one pass.
///
/// Each partition [starts](Summary::start) a part and [adds](Summary::add) its records in order. Then the parts are
/// [merged](Summary::merge) in partition order, and the last part is [finished](Summary::finish). For the values of a
/// key, a part covers the values of one or several partitions.
///
/// A tuple of up to twelve summaries is a summary, too: its output is the tuple of their outputs. To use a summary of
/// your own, wrap it by [`custom`].
///
/// # Examples
///
/// ```
/// use holdall::summary::{Summary, count, custom};
/// use serde::{Deserialize, Serialize};
///
/// /// The longest run of consecutive lines that contain a text.
/// #[derive(Serialize, Deserialize)]
/// struct LongestRun(String);
///
/// /// The lengths of the run at the start, of the longest run, and of the run at the end, and the number of lines.
/// type Runs = [u64; 4];
///
/// impl Summary<str> for LongestRun {
///     type Part = Runs;
///     type Output = u64;
///
///     fn start(&self) -> Runs {
///         [0; 4]
///     }
///
///     fn add(&self, runs: &mut Runs, line: &str) {
///         let line = if line.contains(&self.0) { [1; 4] } else { [0, 0, 0, 1] };
///         self.merge(runs, line);
///     }
///
///     fn merge(&self, runs: &mut Runs, later: Runs) {
///         let [start, longest, end, lines] = *runs;
///         runs[0] = if start == lines { start + later[0] } else { start };
///         runs[1] = longest.max(later[1]).max(end + later[0]);
///         runs[2] = if later[2] == later[3] { end + later[2] } else { later[2] };
///         runs[3] = lines + later[3];
///     }
///
///     fn finish(&self, runs: Runs) -> u64 {
///         runs[1]
///     }
/// }
///
/// let log = holdall::from_vec(vec!["ok", "error 1", "error 2", "ok", "error 3"]);
/// let log = log.flat_map_str(|line, emit| emit(line));
/// let errors = custom(LongestRun("error".to_owned()));
/// assert_eq!(log.summarize((count(), errors))?, (5, 2));
/// # Ok::<(), holdall::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no summary of records of type `{T}`",
    note = "sums and statistics need numbers, `min` and `top` records that are `Ord`, and both need `Clone`",
    note = "a closure must take what `filter` would pass to it: `&T`, or for text the `&str` itself"
)]
pub trait Summary<T: Record + ?Sized>: Send + Sync + 'static {
    /// What is known about some of the records.
    type Part: Data;
    /// The result.
    type Output;

    /// Returns the part of no records.
    fn start(&self) -> Self::Part;

    /// Adds a record, which comes after those of `part`.
    fn add(&self, part: &mut Self::Part, record: T::Peek<'_>);

    /// Merges another part, whose records come after those of `part`.
    fn merge(&self, part: &mut Self::Part, later: Self::Part);

    /// Returns the result for all records.
    fn finish(&self, part: Self::Part) -> Self::Output;
}
