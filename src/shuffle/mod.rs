//! Records of one stage to the partitions of the next, by key.

mod arena;
mod combine;
mod combiner;
mod combiner_outputs;
mod kernel;
mod partitioner;
mod range_merge;
pub(crate) mod sort;
mod table;

pub(crate) use combine::Combine;
pub(crate) use combiner::Combiner;
pub(crate) use combiner_outputs::CombinerOutputs;
pub(crate) use partitioner::HashPartitioner;
