//! The map side: records to entries of partitions, combined by tables if that saves enough.

pub(super) mod buckets;
pub(super) mod combine;
pub(super) mod combiner;
pub(super) mod divider;
mod group_bucket;
pub(super) mod grouper;
pub(super) mod ordered_combiner;
mod packed;
pub(super) mod record_buffer;
pub(super) mod savings;
pub(super) mod task_batch;
