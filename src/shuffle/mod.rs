//! Records of one stage to the partitions of the next, by key.

mod arena;
mod combiner;
mod kernel;
mod partitioner;
mod table;

pub(crate) use combiner::{Combine, Combiner, CombinerOutputs};
pub(crate) use partitioner::HashPartitioner;
