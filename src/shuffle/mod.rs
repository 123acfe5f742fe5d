//! Records of one stage to the partitions of the next, by key.

mod arena;
mod combine;
mod combiner;
mod combiner_outputs;
mod kernel;
mod map_outputs;
mod partitioner;
mod range_merge;
mod slot;
pub(crate) mod sort;
mod spool;
mod table;

pub(crate) use combine::Combine;
pub(crate) use combiner::Combiner;
pub(crate) use combiner_outputs::CombinerOutputs;
pub(crate) use map_outputs::{Content, InMemory, MapOutputs};
pub(crate) use partitioner::HashPartitioner;
pub(crate) use spool::{Divider, Spool, replay};
