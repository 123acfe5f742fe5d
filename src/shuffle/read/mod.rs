//! The reduce side: the entries of a partition, merged in the order of the hash.

pub(super) mod chunk_set;
pub(super) mod compact;
pub(super) mod group_stream;
pub(super) mod merger;
pub(super) mod range_entries;
pub(super) mod range_keys;
pub(super) mod range_merge;
pub(super) mod sorted_cursor;
