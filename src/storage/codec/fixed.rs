//! Values with integers of fixed width, for values that are decoded many times.
//!
//! Unlike a varint, an integer of fixed width is decoded without a branch, whatever its length. These bytes are never
//! stored: they take more memory, and only the process that writes them reads them.

use bincode::error::EncodeError;
use serde::{Deserialize, Serialize};

use super::encoder::{ByteSink, encode};
use super::{check, decode_all, encode_error, shapes};
use crate::error::Result;

/// Appends a value whose integers and lengths have eight bytes each.
struct FixedWidth<'v>(&'v mut Vec<u8>);

impl ByteSink for FixedWidth<'_> {
    #[inline(always)]
    fn put_number(&mut self, _: u8, number: u64, _: usize) -> Result<(), EncodeError> {
        self.0.extend_from_slice(&number.to_le_bytes());
        Ok(())
    }

    #[inline(always)]
    fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    #[inline(always)]
    fn put_byte(&mut self, byte: u8) -> Result<(), EncodeError> {
        self.0.push(byte);
        Ok(())
    }
}

/// Appends the bytes of `record` for [`decode_fixed`].
pub(crate) fn encode_fixed<T>(record: &T, bytes: &mut Vec<u8>) -> Result<()>
where
    T: Serialize + Deserialize<'static>,
{
    let start = bytes.len();
    let mut encoded = encode(record, &mut FixedWidth(bytes));
    if encoded.as_ref().is_err_and(shapes::is_unknown) {
        check(record)?;
        bytes.truncate(start);
        encoded = encode(record, &mut FixedWidth(bytes));
    }
    encoded.map_err(encode_error::<T>)
}

/// Decodes the record that takes up all of `bytes`, which [`encode_fixed`] has written.
#[inline(always)]
pub(crate) fn decode_fixed<T: Deserialize<'static>>(bytes: &[u8]) -> Result<T> {
    decode_all::<T, true>(bytes)
}
