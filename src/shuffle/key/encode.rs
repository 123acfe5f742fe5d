//! Encoding a record as a key and a value: the interface of the grouping operators.

use crate::error::Result;
use crate::pipeline::{Record, Ref};
use crate::storage::codec::Short;

/// Encodes a record as a key and a value, in bytes.
pub(crate) trait Encode: Send + Sync + 'static {
    type In: Record + ?Sized;

    /// Appends the key and then the value to `bytes`, and returns the length of the key.
    fn encode(record: Ref<'_, Self::In>, bytes: &mut Vec<u8>) -> Result<usize>;

    /// Returns the key and the value, if both are short.
    fn encode_short(record: &Ref<'_, Self::In>) -> Option<(Short, Short)>;

    /// Fails if decoding would not return this record unchanged. Returns the number of bytes that were checked.
    fn check(record: &Ref<'_, Self::In>) -> Result<usize>;
}
