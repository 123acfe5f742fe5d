//! Parts that only joins need: the join filter, the lookup table of broadcasts, and the value buffer.

pub(super) mod key_filter;
pub(super) mod lookup;
pub(super) mod value_buffer;
