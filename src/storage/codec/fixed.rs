//! Records with integers of fixed width.
//!
//! Unlike a varint, an integer of fixed width is encoded and decoded without a branch, whatever its length. A number
//! takes the bytes that it has in memory.

use bincode::error::EncodeError;
use serde::{Deserialize, Serialize};

use super::encoder::{ByteSink, encode};
use super::number::Number;
use super::{check, decode_all, encode_error, shapes};
use crate::error::Result;

/// Appends a value with integers of fixed width. If `FLAT`, refuses a value with lengths or variants.
struct FixedWidth<'v, const FLAT: bool>(&'v mut Vec<u8>);

const NOT_FLAT: EncodeError = EncodeError::Other("a value with lengths or variants");

impl<const FLAT: bool> ByteSink for FixedWidth<'_, FLAT> {
    #[inline(always)]
    fn put_number<N: Number>(&mut self, number: N) -> Result<(), EncodeError> {
        let number = number.to_unsigned().to_le_bytes();
        self.0.extend_from_slice(&number[..N::BYTES]);
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

    #[inline(always)]
    fn put_length(&mut self, length: usize) -> Result<(), EncodeError> {
        if FLAT {
            return Err(NOT_FLAT);
        }
        self.put_number(length as u64)
    }

    #[inline(always)]
    fn put_variant(&mut self, index: u32) -> Result<(), EncodeError> {
        if FLAT {
            return Err(NOT_FLAT);
        }
        self.put_number(index)
    }
}

/// Appends the bytes of `record` for [`decode_fixed`].
pub(crate) fn encode_fixed<T>(record: &T, bytes: &mut Vec<u8>) -> Result<()>
where
    T: Serialize + Deserialize<'static>,
{
    let start = bytes.len();
    let mut encoded = encode(record, &mut FixedWidth::<false>(bytes));
    if encoded.as_ref().is_err_and(shapes::is_unknown) {
        check(record)?;
        bytes.truncate(start);
        encoded = encode(record, &mut FixedWidth::<false>(bytes));
    }
    encoded.map_err(encode_error::<T>)
}

/// Appends the bytes of `record` for [`decode_fixed`] if it is flat: if it has no texts, lists or variants. Their lengths
/// and indices are small numbers, which would take more memory than a varint. Otherwise, or if the record cannot be
/// encoded, returns `false`, and leaves `bytes` unchanged.
#[inline]
pub(crate) fn encode_flat<T>(record: &T, bytes: &mut Vec<u8>) -> bool
where
    T: Serialize + Deserialize<'static>,
{
    let start = bytes.len();
    match encode(record, &mut FixedWidth::<true>(bytes)) {
        Ok(()) => true,
        Err(error) => {
            bytes.truncate(start);
            encode_flat_again(record, bytes, &error)
        }
    }
}

/// Handles an error of [`encode_flat`]. If the record only has not been checked yet, checks it and appends its bytes.
#[cold]
#[inline(never)]
fn encode_flat_again<T>(record: &T, bytes: &mut Vec<u8>, error: &EncodeError) -> bool
where
    T: Serialize + Deserialize<'static>,
{
    let start = bytes.len();
    let is_encoded = shapes::is_unknown(error)
        && check(record).is_ok()
        && encode(record, &mut FixedWidth::<true>(bytes)).is_ok();
    if !is_encoded {
        bytes.truncate(start);
    }
    is_encoded
}

/// Decodes the record that takes up all of `bytes`, which [`encode_fixed`] or [`encode_flat`] has written.
#[inline(always)]
pub(crate) fn decode_fixed<T: Deserialize<'static>>(bytes: &[u8]) -> Result<T> {
    decode_all::<T, true>(bytes)
}
