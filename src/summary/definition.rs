//! The trait of summaries.

use crate::pipeline::{Data, Record};

/// A result that is computed from records in one pass.
///
/// Each partition [starts](Summary::start) a part and [adds](Summary::add) its records in order. Then the parts are
/// [merged](Summary::merge) in partition order, and the last part is [finished](Summary::finish). For the values of a
/// key, a part covers the values of one or several partitions.
///
/// A tuple of up to twelve summaries is a summary, too: its output is the tuple of their outputs. To use a summary of
/// your own, wrap it by [`custom`](super::custom).
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
    /// Whether the result is the same, to the bit, in whatever order records are added and parts are merged. Summaries of
    /// the values of each key then take less time.
    #[doc(hidden)]
    const COMMUTES: bool = false;

    /// Partial result of some of the records.
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
