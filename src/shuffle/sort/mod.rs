//! Records in order: sorted runs on the map side, a merge of their slices on the reduce side.
//!
//! ```text
//!  task, task, ... ──> SortWriter ──full──> sort ──> SortedRun   in memory while the budget allows, else in a file
//!      (one to a thread)   └─ Sample of each task
//!
//!  SortOutputs: all runs, and from all samples the bounds of the partitions
//!
//!  partition p <── merge <── Slice of each run, from bound p to bound p + 1
//! ```
//!
//! The input is read once: the bounds come from samples taken on the way, and a run can be cut at any key, since it is
//! a list of pieces of which each knows its first record.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `bytes` | records that are sorted as bytes: text |
//! | `stretches` | records that are sorted already, in a few stretches |
//! | `typed` | records that are sorted by a comparison |
//! | `sample` | every 2^k-th record of a task |
//! | `writer` | the map side: a buffer that becomes a run when it is full |
//! | `run` | a sorted run, and how it is built |
//! | `walk` | the records of a run, one after the other, from any of them on |
//! | `slice` | where a run is cut, and what one partition reads of it |
//! | `outputs` | all runs, the bounds, and the merge |
//! | `transfer` | runs and samples to and from other processes |

mod bytes;
mod outputs;
mod run;
mod sample;
mod slice;
mod stretches;
mod transfer;
mod typed;
mod walk;
mod writer;

pub(crate) use bytes::Bytes;
pub(crate) use outputs::SortOutputs;
pub(crate) use typed::{ByCachedKey, ByComparison, ByPartition, Typed};
pub(crate) use writer::SortWriter;

use std::cmp::Ordering;

use crate::error::Result;
use crate::pipeline::{Record, Ref};
use crate::portable::Portable;
use crate::storage::merge::Order;

/// How records are kept in memory, compared, and stored in runs while they are sorted.
pub(crate) trait Sort: Portable + Send + Sync + 'static {
    type Record: Record + ?Sized;
    /// Records in memory.
    type Buffer;
    /// A stored record as it is compared.
    type Head: ?Sized;
    /// What a stored record needs beside its bytes to be compared.
    type Slot: Default;

    /// Whether the bounds of the partitions come from samples of the records.
    const SAMPLED: bool = true;

    /// A buffer for about so many bytes.
    fn buffer(&self, bytes: usize) -> Self::Buffer;

    /// Takes in one record of the `task`-th partition. Tasks come in ascending order.
    fn push(
        &self,
        buffer: &mut Self::Buffer,
        task: usize,
        record: Ref<'_, Self::Record>,
    ) -> Result<()>;

    /// The memory that the buffer takes, with what sorting it will take.
    fn bytes(buffer: &Self::Buffer) -> usize;

    fn is_empty(buffer: &Self::Buffer) -> bool;

    /// Empties the buffer: calls `each` with the stored form of every record, in order. `run` is the number of runs
    /// that this buffer has given before.
    fn drain(
        &self,
        buffer: &mut Self::Buffer,
        run: usize,
        each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()>;

    /// Appends what a sample keeps of the record that was pushed last: a stored form that compares as it does.
    fn sample(&self, buffer: &Self::Buffer, bytes: &mut Vec<u8>) -> Result<()>;

    /// Makes a stored record ready to be compared.
    fn load(&self, bytes: &[u8], slot: &mut Self::Slot) -> Result<()>;

    /// A record that was loaded into `slot`, and not yet taken.
    fn head<'a>(bytes: &'a [u8], slot: &'a Self::Slot) -> Option<&'a Self::Head>;

    /// Hands on a record that was loaded into `slot`, which is empty then.
    fn take<R>(
        &self,
        bytes: &[u8],
        slot: &mut Self::Slot,
        f: impl FnOnce(Ref<'_, Self::Record>) -> R,
    ) -> Option<R>;

    /// See [`Order::rank`].
    #[inline]
    fn rank(_head: &Self::Head) -> u64 {
        0
    }

    /// The order that was asked for.
    fn compare(&self, first: &Self::Head, second: &Self::Head) -> Ordering;

    /// The order among records that compare equal: that of the bag.
    #[inline]
    fn compare_places(_first: &Self::Head, _second: &Self::Head) -> Ordering {
        Ordering::Equal
    }

    /// Whether a record belongs before a partition, which begins at `bound`.
    #[inline]
    fn is_before(&self, head: &Self::Head, _partition: usize, bound: Option<&Self::Head>) -> bool {
        bound.is_some_and(|bound| self.compare(head, bound).is_lt())
    }
}

/// The order in which stored records are merged.
pub(crate) struct Stable<'s, S>(pub(crate) &'s S);

impl<S: Sort> Order<S::Head> for Stable<'_, S> {
    #[inline]
    fn rank(&self, head: &S::Head) -> u64 {
        S::rank(head)
    }

    #[inline]
    fn compare(&self, first: &S::Head, second: &S::Head) -> Ordering {
        let order = self.0.compare(first, second);
        order.then_with(|| S::compare_places(first, second))
    }
}
