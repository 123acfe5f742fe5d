//! Records of one stage to the partitions of the next, by key.

mod arena;
mod combine;
mod combiner;
mod combiner_outputs;
mod entry;
mod group_import;
mod group_outputs;
mod group_spill;
mod group_stream;
mod grouper;
mod kernel;
mod key_filter;
mod lookup;
mod map_outputs;
mod partitioner;
mod range_merge;
mod slot;
pub(crate) mod sort;
mod sorted;
mod spool;
mod table;
mod value_buffer;

pub(crate) use combine::Combine;
pub(crate) use combiner::Combiner;
pub(crate) use combiner_outputs::CombinerOutputs;
pub(crate) use group_outputs::GroupOutputs;
pub(crate) use group_stream::GroupCursor;
pub(crate) use grouper::{Encode, Grouper};
pub(crate) use key_filter::{Keys, SharedKeys, Sieve};
pub(crate) use lookup::Lookup;
pub(crate) use map_outputs::{Content, InMemory, MapOutputs};
pub(crate) use partitioner::{HashPartitioner, Position};
pub(crate) use spool::{Divider, Spool, replay};
pub(crate) use value_buffer::ValueBuffer;
