//! What joins need besides groups: a filter of keys, a table for broadcasts, and the values of one key at hand.

pub(super) mod key_filter;
pub(super) mod lookup;
pub(super) mod value_buffer;
