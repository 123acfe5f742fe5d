//! Hash tables of keys, in the order of the hash.

pub(super) mod accumulator;
pub(super) mod by_byte;
mod by_word;
pub(super) mod few_keys;
pub(super) mod hash_table;
pub(super) mod probe_batch;
pub(super) mod slot;
pub(super) mod tables;
