//! Map output: entries by partition, in memory, in runs, or in files of other processes.

pub(super) mod combiner_outputs;
pub(super) mod group_import;
pub(super) mod group_outputs;
pub(super) mod group_spill;
pub(super) mod map_outputs;
pub(super) mod ordered_outputs;
pub(super) mod segment;
pub(super) mod sorted_partition;
