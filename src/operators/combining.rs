//! The operators of `combine_by_key`, as data: what both ways of combining work on.

use std::sync::Arc;

use crate::error::Result;
use crate::id::ShuffleId;
use crate::portable::{Portable, portable};
use crate::shuffle::{Combine, HashPartitioner};
use crate::task::{Site, Task};

/// Returns the error of a closure, if one may have failed.
#[inline(always)]
pub(super) fn check<C: Combine>(task: &Task<'_>) -> Result<()> {
    match C::CAN_FAIL {
        true => task.take_stored(),
        false => Ok(()),
    }
}

/// The map side.
pub(crate) struct Combining<C> {
    pub(crate) combine: Arc<C>,
    pub(crate) partitioner: HashPartitioner,
}

portable! {
    [C: Portable] Combining<C> { combine: part, partitioner: data }
}

/// The reduce side.
pub(crate) struct CombineRead<C> {
    pub(crate) shuffle: ShuffleId,
    pub(crate) combine: Arc<C>,
    pub(crate) partitioner: HashPartitioner,
    pub(crate) site: Site,
}

portable! {
    [C: Portable] CombineRead<C> { site: part, shuffle: data, combine: part, partitioner: data }
}

/// Both sides in one task, for pairs that are already in the partition of their key.
pub(crate) struct CombineInPlace<P, C> {
    pub(crate) parent: Arc<P>,
    pub(crate) combine: C,
    pub(crate) partitioner: HashPartitioner,
    pub(crate) site: Site,
}

portable! {
    [P: Portable, C: Portable] CombineInPlace<P, C> {
        parent: part, site: part, combine: part, partitioner: data,
    }
}
