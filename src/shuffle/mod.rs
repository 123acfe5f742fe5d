//! Records of one stage to the partitions of the next, by key.

mod arena;
mod combiner;
mod entry;
mod group_outputs;
mod group_spill;
mod group_stream;
mod grouper;
mod kernel;
mod lookup;
mod partitioner;
mod sorted;
mod table;
mod value_buffer;

pub(crate) use combiner::{Combine, Combiner, CombinerOutputs};
pub(crate) use group_outputs::GroupOutputs;
pub(crate) use group_stream::GroupCursor;
pub(crate) use grouper::{Encode, Grouper};
pub(crate) use lookup::Lookup;
pub(crate) use partitioner::HashPartitioner;
pub(crate) use value_buffer::ValueBuffer;
