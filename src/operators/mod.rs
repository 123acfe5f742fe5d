//! The physical operators, one per file.
//!
//! | operator | kind | order of the result |
//! | --- | --- | --- |
//! | `map`, `filter`, `flat_map`, `flat_map_emit`, `map_init`, `lend`, `words`, `parse_fields`, `text_steps`, `pipe`, `containing`, `matching`, `inspect`, `try_step`, `map_partitions`, `key_is`, `group_values` | narrow | unchanged |
//! | `coalesce`, `persist`, `sample` | narrow | unchanged |
//! | `results` | narrow | parts of several results, by partition |
//! | `select_partitions` | narrow | of the list of partitions; within them unchanged |
//! | `zip_partitions` | narrow | of the partitions of both bags |
//! | `union` | narrow | the first bag, then the second; `pipeline::FlatUnion` is the union of many bags |
//! | `combine_by_key`, `group_by_key`, `cogroup`, `cogroup_many`, `join` | wide | by (hash, key) |
//! | `cartesian` | wide for one side, narrow for the other | by partition of both sides, then of both sides |
//! | `broadcast_join` | wide for the small side, narrow for the other | of the other side |
//! | `scan`: `zip_with_index`, `limit`, `windows` and others | wide for the summaries, narrow for the records | unchanged |
//! | `zip` of `positions` | wide for the right bag, narrow for the left | of the left bag |
//! | `repartition` | wide | each new partition keeps the order of the bag |
//! | `sort` | wide | by range of the key |
//! | `actions` | computes the result of a partition for an action | of the partitions |
//!
//! These files contain what several operators share:
//!
//! | file | purpose |
//! | --- | --- |
//! | `narrow` | steps of a chain: operators on single records |
//! | `map_side` | the map side of all shuffles |
//! | `records_by_key`, `sides` | groups and joins: the map side, and the sources of the groups on the reduce side |
//! | `combining` | the operators of `combine_by_key` as data |
//! | `combine_any_order`, `combine_in_order` | `combine_by_key` if the order of combining cannot matter, and if it may |
//! | `combines`, `joinings`, `broadcast_joinings` | the special cases of `combine_by_key`, of `join` and of `broadcast_join` |
//! | `lookup_batch` | the records of a broadcast join that look up their keys together |
//! | `scans`, `neighbours`, `runs`, `ngrams`, `ranges` | the special cases of `scan` |
//! | `random` | pseudorandom numbers by seed and place |
//! | `values` | the values of a group as a stream |

pub(crate) mod actions;
pub(crate) mod broadcast_join;
pub(crate) mod broadcast_joinings;
pub(crate) mod cartesian;
pub(crate) mod coalesce;
pub(crate) mod cogroup;
pub(crate) mod cogroup_many;
mod combine_any_order;
mod combine_by_key;
pub(crate) mod combine_in_order;
pub(crate) mod combines;
pub(crate) mod combining;
pub(crate) mod containing;
#[cfg(feature = "csv")]
pub(crate) mod csv_error;
#[cfg(feature = "csv")]
pub(crate) mod csv_records;
mod few_ranked;
pub(crate) mod filter;
pub(crate) mod first_ranked;
pub(crate) mod flat_map;
pub(crate) mod flat_map_emit;
pub(crate) mod from_iter;
pub(crate) mod from_source;
pub(crate) mod from_vec;
pub(crate) mod group_by_key;
pub(crate) mod group_values;
pub(crate) mod inspect;
pub(crate) mod join;
pub(crate) mod joinings;
pub(crate) mod key_is;
pub(crate) mod lend;
pub(crate) mod load;
pub(crate) mod located;
mod lookup_batch;
pub(crate) mod map;
pub(crate) mod map_init;
pub(crate) mod map_partitions;
pub(crate) mod map_side;
#[cfg(feature = "regex")]
pub(crate) mod matching;
pub(crate) mod narrow;
pub(crate) mod neighbours;
pub(crate) mod ngrams;
pub(crate) mod parse_fields;
#[cfg(feature = "json")]
pub(crate) mod parse_json;
pub(crate) mod persist;
#[cfg(unix)]
pub(crate) mod pipe;
pub(crate) mod positions;
mod random;
pub(crate) mod range;
pub(crate) mod ranges;
#[cfg(feature = "csv")]
pub(crate) mod read_csv;
pub(crate) mod read_text;
pub(crate) mod records_by_key;
pub(crate) mod repartition;
pub(crate) mod results;
pub(crate) mod runs;
pub(crate) mod sample;
pub(crate) mod sample_exact;
pub(crate) mod scan;
pub(crate) mod scans;
pub(crate) mod select_partitions;
pub(crate) mod sides;
pub(crate) mod skip_bad;
pub(crate) mod sort;
pub(crate) mod text_steps;
pub(crate) mod try_step;
pub(crate) mod union;
pub(crate) mod values;
pub(crate) mod words;
pub(crate) mod zip_partitions;

pub(crate) use narrow::{Narrow, Step, Then};
