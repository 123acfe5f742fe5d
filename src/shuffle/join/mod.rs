//! Parts that only groups and joins need: their map output, the join filter, broadcasts, and the values of one key.

pub(super) mod broadcast;
pub(super) mod fixed_values;
pub(super) mod key_filter;
pub(super) mod key_table;
pub(super) mod keyed_outputs;
pub(super) mod lookup;
pub(super) mod sent_filter;
pub(super) mod value_buffer;
