//! The physical operators, one to a file.
//!
//! | operator | kind | order of what comes out |
//! | --- | --- | --- |
//! | `from_vec`, `from_iter`, `range`, `read_text` | source | that of the source |
//! | `map`, `filter`, `flat_map`, `flat_map_str`, `words`, `inspect`, `try_step`, `map_partitions` | narrow | kept |
//! | `coalesce`, `persist` | narrow | kept |
//! | `union` | narrow | the first bag's, then the second's |
//! | `combine_by_key` | wide | by (hash, key) |
//! | `repartition` | wide | of the records that go to one partition: kept |
//! | `sort` | wide | by range of the key |

pub(crate) mod coalesce;
pub(crate) mod combine_by_key;
pub(crate) mod combines;
pub(crate) mod filter;
pub(crate) mod flat_map;
pub(crate) mod flat_map_str;
pub(crate) mod from_iter;
pub(crate) mod from_vec;
pub(crate) mod inspect;
pub(crate) mod map;
pub(crate) mod map_partitions;
pub(crate) mod narrow;
pub(crate) mod persist;
pub(crate) mod range;
pub(crate) mod read_text;
pub(crate) mod repartition;
pub(crate) mod sort;
pub(crate) mod try_step;
pub(crate) mod union;
pub(crate) mod words;

pub(crate) use narrow::{Narrow, Step, Then};

/// After how many records a source in memory looks whether the job has ended.
const STOP_CHECK_RECORDS: usize = 1024;
