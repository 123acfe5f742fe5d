//! Reads a stored partition, and computes it if it turns out to be damaged.

use std::borrow::Borrow;

use crate::error::{Error, PlaceError as _, Result};
use crate::pipeline::{Ref, Storable};
use crate::shuffle::{Content, RecordBuffer, replay};
use crate::task::{Flow, Site, Task};

/// Passes the records of a stored partition to `sink`. If they are damaged and `is_computable` is `true`, calls
/// `compute`, which must pass all records of the partition to the sink that it receives. That sink skips the records
/// that `sink` has already received.
pub(super) fn replay_or_compute<T, M, R>(
    parts: impl IntoIterator<Item = Content<M, R>>,
    is_computable: bool,
    site: Site,
    task: &Task<'_>,
    sink: &mut impl for<'a> FnMut(Ref<'a, T>) -> Flow,
    compute: impl FnOnce(Error, &mut dyn for<'a> FnMut(Ref<'a, T>) -> Flow) -> Result<Flow>,
) -> Result<Flow>
where
    T: Storable + ?Sized,
    M: Borrow<RecordBuffer>,
{
    let mut passed = 0_u64;
    let replayed = task.call(&site, || {
        replay::<T, _, _>(parts, &task.resources().stop, |record: Ref<'_, T>| {
            passed += 1;
            sink(record)
        })
    });
    match replayed {
        Err(damage) if is_computable && damage.is_recoverable() => {
            compute(damage, &mut |record: Ref<'_, T>| match passed {
                0 => sink(record),
                _ => {
                    passed -= 1;
                    Flow::Continue(())
                }
            })
        }
        replayed => replayed.at(site),
    }
}
