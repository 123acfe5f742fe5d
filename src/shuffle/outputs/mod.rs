//! What the map side leaves: entries by partition, in memory or in runs, here or in files of other processes.

pub(super) mod combiner_outputs;
pub(super) mod group_import;
pub(super) mod group_outputs;
pub(super) mod group_spill;
pub(super) mod map_outputs;
