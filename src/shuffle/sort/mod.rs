//! Sorting: sorted runs on the map side, a merge of their segments on the reduce side.
//!
//! ```text
//!  task, task, ... ──> SortWriter ──full──> sort ──> SortedRun   in memory while the budget allows, or in a file
//!      (one to a thread)   └─ KeySample of each task
//!
//!  SortOutputs: all runs, and from all samples the bounds of the partitions
//!
//!  partition p <── merge <── RunSegment of each run, from bound p to bound p + 1
//! ```
//!
//! The input is read once: the bounds come from samples that are taken while the records are buffered. A run can be cut
//! at any key, because it is a list of pieces and the first record of each piece is known.
//!
//! | file | purpose |
//! | --- | --- |
//! | `bytes` | records that are sorted by their bytes: text |
//! | `numbers`, `word` | numbers and pairs of numbers in their natural order |
//! | `divided` | sorts of many items in parts |
//! | `guess` | a guess at the order of a comparison of numbers |
//! | `natural_runs` | records that consist of a few natural runs |
//! | `typed`, `keyed` | records that are sorted by a comparison, or by a key |
//! | `sample` | every 2^k-th record of a task |
//! | `writer` | the map side: a buffer that becomes a run when it is full |
//! | `run` | a sorted run, and its builder |
//! | `walk` | sequential reads of a run, from any record on |
//! | `run_segment` | the cuts of a run, and the run segment that one partition reads |
//! | `outputs` | all runs, the bounds, and the merge |
//! | `transfer` | runs and samples to and from other processes |

mod bytes;
mod divided;
mod guess;
mod keyed;
mod natural_runs;
mod numbers;
mod outputs;
mod run;
mod run_segment;
mod sample;
mod transfer;
mod typed;
mod walk;
pub(in crate::shuffle) mod word;
mod writer;

pub(crate) use bytes::Bytes;
pub(crate) use keyed::{ByCachedKey, ByPartition, ByRankedKey};
pub(crate) use numbers::{ByNumber, ByNumberPair};
pub(crate) use outputs::SortOutputs;
pub(crate) use typed::{ByComparison, Typed};
pub(crate) use writer::SortWriter;

use std::cmp::Ordering;

use crate::error::Result;
use crate::pipeline::{Record, Ref};
use crate::portable::Portable;
use crate::storage::merge::MergeOrder;
use crate::task::StopFlag;

/// Defines how records are buffered, compared, and stored in runs.
pub(crate) trait Sort: Portable + Send + Sync + 'static {
    type Record: Record + ?Sized;
    /// Records in memory.
    type Buffer;
    /// A stored record, ready to be compared.
    type Head: ?Sized;
    /// Data that the comparison of a stored record needs in addition to its bytes.
    type Decoded: Default;

    /// `true` if the bounds of the partitions come from samples of the records.
    const SAMPLED: bool = true;

    /// Creates a buffer for about `bytes` bytes.
    fn buffer(&self, bytes: usize) -> Self::Buffer;

    /// Adds one record of the `task`-th partition. Tasks come in ascending order.
    fn push(
        &self,
        buffer: &mut Self::Buffer,
        task: usize,
        record: Ref<'_, Self::Record>,
    ) -> Result<()>;

    /// Returns the memory of the buffer and of sorting it, in bytes.
    fn bytes(buffer: &Self::Buffer) -> usize;

    fn is_empty(buffer: &Self::Buffer) -> bool;

    /// Empties the buffer: calls `each` with the stored form of every record, in order. `run` is the number of earlier
    /// runs of this buffer. Returns [`Cancelled`](crate::ErrorKind::Cancelled) once `stop` is set.
    fn drain(
        &self,
        buffer: &mut Self::Buffer,
        run: usize,
        stop: &StopFlag,
        each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()>;

    /// Appends the sample of the record that was added last: a stored form that compares like the record.
    fn sample(&self, buffer: &Self::Buffer, bytes: &mut Vec<u8>) -> Result<()>;

    /// Prepares a stored record for comparisons.
    fn load(&self, bytes: &[u8], slot: &mut Self::Decoded) -> Result<()>;

    /// Returns the record that was loaded into `slot`, unless it has been taken.
    fn head<'a>(bytes: &'a [u8], slot: &'a Self::Decoded) -> Option<&'a Self::Head>;

    /// Calls `f` with the record that was loaded into `slot`, and leaves `slot` empty.
    fn take<R>(
        &self,
        bytes: &[u8],
        slot: &mut Self::Decoded,
        f: impl FnOnce(Ref<'_, Self::Record>) -> R,
    ) -> Option<R>;

    /// See [`MergeOrder::rank`].
    #[inline]
    fn rank(&self, _head: &Self::Head) -> u64 {
        0
    }

    /// Compares two records in the requested order.
    fn compare(&self, first: &Self::Head, second: &Self::Head) -> Ordering;

    /// Compares the positions in the bag of records that are equal in that order.
    #[inline]
    fn compare_places(_first: &Self::Head, _second: &Self::Head) -> Ordering {
        Ordering::Equal
    }

    /// Returns whether a record belongs before a partition, which begins at `bound`.
    #[inline]
    fn is_before(&self, head: &Self::Head, _partition: usize, bound: Option<&Self::Head>) -> bool {
        bound.is_some_and(|bound| self.compare(head, bound).is_lt())
    }
}

/// Orders stored records for a stable merge.
pub(crate) struct Stable<'s, S>(pub(crate) &'s S);

impl<S: Sort> MergeOrder<S::Head> for Stable<'_, S> {
    #[inline]
    fn rank(&self, head: &S::Head) -> u64 {
        self.0.rank(head)
    }

    #[inline]
    fn compare(&self, first: &S::Head, second: &S::Head) -> Ordering {
        let order = self.0.compare(first, second);
        order.then_with(|| S::compare_places(first, second))
    }
}
