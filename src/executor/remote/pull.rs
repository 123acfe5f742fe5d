//! Partitions that come from a source in this process, as many at a time as there are at once.

use std::time::{Duration, Instant};

use super::results::Driver;
use super::spec::PartitionSpec;
use crate::error::Result;

/// No more are asked for when they have so many bytes, or when the source has taken so long.
const MAX_BYTES: usize = 1 << 20;
const PULL: Duration = Duration::from_millis(2);

/// Up to `most` partitions, and whether the source has no more.
pub(super) fn pull_some(source: &dyn Driver, most: usize) -> (Vec<PartitionSpec>, Result<bool>) {
    let (begun, mut bytes) = (Instant::now(), 0);
    let mut partitions = Vec::new();
    while partitions.len() < most && bytes < MAX_BYTES && begun.elapsed() < PULL {
        match source.pull() {
            Ok(Some((index, payload))) => {
                bytes += payload.len();
                partitions.push(PartitionSpec { index, payload });
            }
            Ok(None) => return (partitions, Ok(true)),
            Err(error) => return (partitions, Err(error)),
        }
    }
    (partitions, Ok(false))
}
