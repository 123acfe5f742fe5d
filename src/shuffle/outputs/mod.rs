//! Map output: entries by partition, in memory, in runs, or in files of other processes.

pub(super) mod combiner_outputs;
pub(super) mod group_outputs;
pub(super) mod group_spill;
pub(super) mod keep_limit;
pub(super) mod ordered_outputs;
pub(super) mod part;
pub(super) mod reads_left;
pub(super) mod segment;
pub(super) mod shuffle_outputs;
pub(super) mod sorted_partition;
