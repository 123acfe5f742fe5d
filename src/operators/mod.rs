//! The physical operators, one to a file.
//!
//! | operator | kind | order of what comes out |
//! | --- | --- | --- |
//! | `from_vec`, `from_iter`, `range`, `read_text` | source | that of the source |
//! | `map`, `filter`, `flat_map`, `flat_map_str`, `words`, `parse_fields`, `containing`, `inspect`, `try_step`, `map_partitions` | narrow | kept |
//! | `coalesce`, `persist`, `sample` | narrow | kept |
//! | `union` | narrow | the first bag's, then the second's; of many bags: `pipeline::FlatUnion` |
//! | `combine_by_key`, `group_by_key`, `cogroup`, `join` | wide | by (hash, key) |
//! | `broadcast_join` | wide for the small side, narrow for the other | that of the other |
//! | `zip_with_index` | wide for the counts, narrow for the records | kept |
//! | `repartition` | wide | of the records that go to one partition: kept |
//! | `sort` | wide | by range of the key |
//! | `actions` | what an action computes of a partition | that of the partitions |
//!
//! Beside them stands what several have in common:
//!
//! | file | what it is for |
//! | --- | --- |
//! | `narrow` | steps of a chain: the operators on one record at a time |
//! | `map_side` | the map side of all shuffles |
//! | `records_by_key`, `sides` | groups and joins: the map side, and where the reduce side gets its groups from |
//! | `combine_in_order` | `combine_by_key` where the order of combining matters |
//! | `combines`, `joinings` | the cases of `combine_by_key` and of `join` |
//! | `values` | the values of a group as a stream |

pub(crate) mod actions;
pub(crate) mod broadcast_join;
pub(crate) mod coalesce;
pub(crate) mod cogroup;
pub(crate) mod combine_by_key;
pub(crate) mod combine_in_order;
pub(crate) mod combines;
pub(crate) mod containing;
pub(crate) mod filter;
pub(crate) mod flat_map;
pub(crate) mod flat_map_str;
pub(crate) mod from_iter;
pub(crate) mod from_vec;
pub(crate) mod group_by_key;
pub(crate) mod inspect;
pub(crate) mod join;
pub(crate) mod joinings;
pub(crate) mod map;
pub(crate) mod map_partitions;
pub(crate) mod map_side;
pub(crate) mod narrow;
pub(crate) mod parse_fields;
pub(crate) mod persist;
pub(crate) mod range;
pub(crate) mod read_text;
pub(crate) mod records_by_key;
pub(crate) mod repartition;
pub(crate) mod sample;
pub(crate) mod sides;
pub(crate) mod sort;
pub(crate) mod try_step;
pub(crate) mod union;
pub(crate) mod values;
pub(crate) mod words;
pub(crate) mod zip_with_index;

pub(crate) use narrow::{Narrow, Step, Then};

/// After how many records a source in memory looks whether the job has ended.
const STOP_CHECK_RECORDS: usize = 1024;
