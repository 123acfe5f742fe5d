//! How a record becomes a key and a value: what tells one operator that groups from another.

use crate::error::Result;
use crate::pipeline::{Record, Ref};
use crate::storage::codec::Short;

/// How a record becomes a key and a value, in bytes.
pub(crate) trait Encode: Send + Sync + 'static {
    type In: Record + ?Sized;

    /// Appends the key and then the value to `bytes`, and gives the length of the key.
    fn encode(record: Ref<'_, Self::In>, bytes: &mut Vec<u8>) -> Result<usize>;

    /// The key and the value, if both are short.
    fn encode_short(record: &Ref<'_, Self::In>) -> Option<(Short, Short)>;

    /// Fails if a record like this would not come back as it was.
    fn check(record: &Ref<'_, Self::In>) -> Result<()>;
}
