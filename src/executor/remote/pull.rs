//! Pulls partitions from a source in this process: as many at a time as are available without a long wait.

use std::time::{Duration, Instant};

use super::results::Driver;
use super::spec::PartitionSpec;
use crate::error::Result;

/// Pulling stops once the partitions have this many bytes, or once the source has taken this long.
const MAX_BYTES: usize = 1 << 20;
const PULL: Duration = Duration::from_millis(2);

/// Pulls up to `most` partitions, and returns whether the source is exhausted. Pulls none if the source has none at the
/// moment, but may grow.
pub(super) fn pull_some(source: &dyn Driver, most: usize) -> (Vec<PartitionSpec>, Result<bool>) {
    let (begun, mut bytes) = (Instant::now(), 0);
    let most = source.limit(most).clamp(1, most);
    let mut partitions = Vec::new();
    while partitions.len() < most && bytes < MAX_BYTES && begun.elapsed() < PULL {
        match source.pull() {
            Ok(Some((index, payload))) => {
                bytes += payload.len();
                partitions.push(PartitionSpec { index, payload });
            }
            Ok(None) => return (partitions, Ok(!source.is_growing())),
            Err(error) => return (partitions, Err(error)),
        }
    }
    (partitions, Ok(false))
}
