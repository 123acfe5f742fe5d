//! Records of one stage to the partitions of the next, by key.
//!
//! | folder | what it is for |
//! | --- | --- |
//! | `key` | keys as bytes, their partition, and the forms in which entries are stored |
//! | `memory` | slabs, arenas, pages, prefetches, the radix sort |
//! | `table` | hash tables in the order of the hash |
//! | `write` | the map side: combiners, the grouper, the divider |
//! | `outputs` | what the map side leaves, in memory and in runs |
//! | `read` | the reduce side: ranges of keys, and groups |
//! | `join` | the filter of keys, the broadcast table, the values of one key |
//! | `sort` | sorting, from the map side to the reduce side |

mod join;
mod key;
mod memory;
mod outputs;
mod read;
pub(crate) mod sort;
mod table;
mod write;

pub(crate) use join::fixed_values::FixedValues;
pub(crate) use join::key_filter::{FilterKeys, JoinFilter, SharedKeys};
pub(crate) use join::key_table::{FixedMatches, KeyTable, TableProbe};
pub(crate) use join::keyed_outputs::KeyedOutputs;
pub(crate) use join::lookup::Lookup;
pub(crate) use join::sent_filter::import as import_filter;
pub(crate) use join::value_buffer::ValueBuffer;
pub(crate) use key::encode::Encode;
pub use key::partitioner::stable_hash;
pub(crate) use key::partitioner::{HashPartitioner, KeyPosition, hash_of};
pub(crate) use outputs::combiner_outputs::CombinerOutputs;
pub(crate) use outputs::group_outputs::GroupOutputs;
pub(crate) use outputs::ordered_outputs::OrderedOutputs;
pub(crate) use outputs::part::{Content, MapPart};
pub(crate) use outputs::shuffle_outputs::ShuffleOutputs;
pub(crate) use read::chunk_set::Matches;
pub(crate) use read::group_stream::GroupCursor;
pub(crate) use read::sorted_cursor::{GroupValues, SortedGroups, TakenValues};
pub(crate) use table::accumulator::Accumulator;
pub(crate) use write::combine::{
    AnyOrder, Combine, EntriesOfValues, MergeCombined, combined_entries,
};
pub(crate) use write::combiner::Combiner;
pub(crate) use write::divider::Divider;
pub(crate) use write::grouper::{Grouper, any_key};
pub(crate) use write::ordered_combiner::OrderedCombiner;
pub(crate) use write::record_buffer::{RecordBuffer, RecordReader, replay, replay_buffer};
