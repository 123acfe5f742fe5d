//! Keys as bytes: their hash and partition, and the forms in which entries of a key and a value are stored.

pub(super) mod blocks;
pub(super) mod encode;
pub(super) mod entry;
pub(super) mod entry_batch;
pub(super) mod entry_value;
pub(super) mod partitioner;
pub(super) mod short_entry;
pub(super) mod slices;
