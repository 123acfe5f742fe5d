//! Stack for pipelines that are nested deeper than a thread's stack allows.
//!
//! Records are pushed, so the calls of each erased boundary are nested in those of the next one. They need 1 to 3 KiB
//! of stack on the way to the source and back. One to two thousand boundaries would fill the 2 MiB stack of a thread.

use crate::error::Result;
use crate::task::{Partition, PartitionStream};

/// Minimum free stack at an erased boundary, in bytes. The operators and closures up to the next boundary must fit into
/// it.
const MIN_FREE_BYTES: usize = 256 << 10;

/// Length of an additional stack, in bytes. The system allocates only the pages that are used.
const GROWTH_BYTES: usize = 8 << 20;

/// Runs `work` on this stack, or on an additional one if this one has less than `MIN_FREE_BYTES` left.
#[inline]
pub(super) fn grown<R>(work: impl FnOnce() -> R) -> R {
    if has_free_bytes() {
        return work();
    }
    let mut work = Some(work);
    let mut result = None;
    on_new_stack(&mut || result = work.take().map(|work| work()));
    match result {
        Some(result) => result,
        None => unreachable!("the work has run"),
    }
}

fn has_free_bytes() -> bool {
    stacker::remaining_stack().is_some_and(|bytes| bytes >= MIN_FREE_BYTES)
}

#[cold]
fn on_new_stack(work: &mut dyn FnMut()) {
    stacker::grow(GROWTH_BYTES, work);
}

/// A stream of partitions that can be nested as deeply as its pipeline.
pub(crate) struct NestedStream<'a>(Option<PartitionStream<'a>>);

impl<'a> NestedStream<'a> {
    pub(crate) fn new(open: impl FnOnce() -> PartitionStream<'a>) -> Self {
        Self(Some(grown(open)))
    }

    /// Returns the next partition. After the last one, does not call the stream again.
    pub(crate) fn next(&mut self) -> Result<Option<Partition>> {
        let Some(stream) = &mut self.0 else {
            return Ok(None);
        };
        let next = grown(stream)?;
        if next.is_none() {
            self.close();
        }
        Ok(next)
    }

    fn close(&mut self) {
        let stream = self.0.take();
        grown(|| drop(stream));
    }
}

impl Drop for NestedStream<'_> {
    fn drop(&mut self) {
        self.close();
    }
}
