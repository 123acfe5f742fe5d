//! What entries have as values if values are combined in order.

use crate::error::Result;
use crate::pipeline::Data;
use crate::storage::codec::{self, Room, Short};

/// The value of an entry, before it is encoded.
pub(crate) trait EntryValue: Sized {
    /// Returns whether this is the value of a record, of which a combined value can be created.
    fn is_record(&self) -> bool;

    /// [Checks](codec::check) that the value survives the codec unchanged.
    fn check(&self) -> Result<usize>;

    /// Returns the encoded value if it is short. Otherwise, or if it cannot be encoded, returns `None`.
    fn encode_short(&self) -> Option<Short>;

    /// Appends the encoded value to `room`. If it does not fit or cannot be encoded, returns `None`.
    fn encode_to(&self, room: &mut Room<'_>) -> Option<()>;

    /// Appends the encoded value.
    fn encode_into(&self, bytes: &mut Vec<u8>) -> Result<()>;

    /// Decodes the value that takes up all of `bytes`, and returns the result of `f` for it. Does not move the value.
    fn decode_then<R>(bytes: &[u8], f: impl FnOnce(Self) -> R) -> Result<R>;
}

impl<T: Data> EntryValue for T {
    #[inline(always)]
    fn is_record(&self) -> bool {
        false
    }

    fn check(&self) -> Result<usize> {
        codec::check(self)
    }

    #[inline(always)]
    fn encode_short(&self) -> Option<Short> {
        codec::encode_short(self)
    }

    #[inline(always)]
    fn encode_to(&self, room: &mut Room<'_>) -> Option<()> {
        codec::encode_to(self, room)
    }

    #[inline(always)]
    fn encode_into(&self, bytes: &mut Vec<u8>) -> Result<()> {
        codec::encode_into(self, bytes)
    }

    #[inline(always)]
    fn decode_then<R>(bytes: &[u8], f: impl FnOnce(Self) -> R) -> Result<R> {
        codec::decode_then(bytes, f)
    }
}

/// Either the value of one record or a combined value. Not an `enum` of serde, which takes three times as long to encode.
pub(crate) enum RecordOrCombined<V, C> {
    Record(V),
    Combined(C),
}

/// First byte of either form.
const RECORD: u8 = 0;
const COMBINED: u8 = 1;

impl<V: Data, C: Data> EntryValue for RecordOrCombined<V, C> {
    #[inline(always)]
    fn is_record(&self) -> bool {
        matches!(self, Self::Record(_))
    }

    fn check(&self) -> Result<usize> {
        match self {
            Self::Record(value) => codec::check(value),
            Self::Combined(combined) => codec::check(combined),
        }
    }

    #[inline(always)]
    fn encode_short(&self) -> Option<Short> {
        match self {
            Self::Record(value) => codec::encode_short(value)?.after(RECORD),
            Self::Combined(combined) => codec::encode_short(combined)?.after(COMBINED),
        }
    }

    #[inline(always)]
    fn encode_to(&self, room: &mut Room<'_>) -> Option<()> {
        match self {
            Self::Record(value) => {
                room.append([RECORD], 1).ok()?;
                codec::encode_to(value, room)
            }
            Self::Combined(combined) => {
                room.append([COMBINED], 1).ok()?;
                codec::encode_to(combined, room)
            }
        }
    }

    #[inline(always)]
    fn encode_into(&self, bytes: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Record(value) => {
                bytes.push(RECORD);
                codec::encode_into(value, bytes)
            }
            Self::Combined(combined) => {
                bytes.push(COMBINED);
                codec::encode_into(combined, bytes)
            }
        }
    }

    #[inline(always)]
    fn decode_then<R>(bytes: &[u8], f: impl FnOnce(Self) -> R) -> Result<R> {
        match bytes {
            [RECORD, value @ ..] => codec::decode_then(value, |value| f(Self::Record(value))),
            _ => {
                let combined = bytes.get(1..).unwrap_or_default();
                codec::decode_then(combined, |combined| f(Self::Combined(combined)))
            }
        }
    }
}
