//! One record to bytes and back: the only module that knows which codec that is.
//!
//! The codec is bincode 2 through serde: little-endian, integers and lengths as varints. How a type is made of values
//! is ours ([`encoder`], [`decoder`]), the values are bincode's, and [`number`] writes and reads most of them in its
//! place: it makes a call for each, and takes a detour to a number at the end of the bytes.
//!
//! Fixed widths are a little faster by themselves, 2 and 1 ns to encode and decode a (u64, u64) where varints take 2
//! and 1 (small numbers) to 6 and 4 (numbers of mixed lengths, which the processor cannot foresee). But they make a
//! word with its count 23 bytes long instead of 9, and every byte more is hashed, compared, compressed and written
//! again downstream: at the 350 MB/s of a compressed run, those 14 bytes take 40 ns.
//!
//! bincode writes no names and no types, so it cannot carry a serde type that needs them to be read back. Those fail
//! here, and never come back as something else: untagged and internally tagged enums and `serde_json::Value` ask for
//! any type while they are decoded; `flatten` writes a map without a length; a field left out by
//! `skip_serializing_if` is noticed by [`encoder`] as it is encoded.

mod decoder;
mod encoder;
#[cfg(test)]
mod errors;
mod number;
mod short;
#[cfg(test)]
mod tests;

use std::any::type_name;
use std::fmt::Display;

use bincode::config::Configuration;
use bincode::error::{DecodeError, EncodeError};
use bincode::serde as serde_codec;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Place, Result};

use decoder::Decoder;
use encoder::Encoder;
pub(crate) use short::{SHORT_BYTES, Short};

const CONFIGURATION: Configuration = bincode::config::standard();

/// What is said of a type that asks, while it is read back, what it is to be.
const UNKNOWN_FORM: &str = "what form a value has is not written down, and `serde_json::Value` and enums that are \
    untagged or internally tagged cannot be read back without; keep the text, such as that of the JSON, or a struct of \
    the fields that are needed";

/// What is said of a type that does not know, while it is written, how much it is.
const NO_LENGTH: &str = "a map or sequence does not say how long it is, as with `#[serde(flatten)]`; keep the text, or a \
    struct of plain fields";

/// Appends the bytes of `record` to `bytes`; after an error `bytes` is as it was.
#[inline]
pub(crate) fn encode_into<T>(record: &T, bytes: &mut Vec<u8>) -> Result<()>
where
    T: Serialize + ?Sized,
{
    let start = bytes.len();
    record.serialize(Encoder(bytes)).map_err(|error| {
        bytes.truncate(start);
        encode_error::<T>(error)
    })
}

/// The bytes of `record`, if it has so few; `None`, too, if it cannot be encoded.
#[inline(always)]
pub(crate) fn encode_short<T: Serialize + ?Sized>(record: &T) -> Option<Short> {
    let mut short = Short::default();
    record.serialize(Encoder(&mut short)).ok()?;
    Some(short)
}

/// The record that `bytes` is, to the last byte. It does not borrow from them: see [`decode_prefix`].
#[inline(always)]
pub(crate) fn decode<T: Deserialize<'static>>(bytes: &[u8]) -> Result<T> {
    let (record, rest) = decode_first(bytes)?;
    if rest.is_empty() {
        Ok(record)
    } else {
        Err(trailing_bytes::<T>(rest.len()))
    }
}

/// The record that `bytes` starts with; `bytes` then starts after it. After an error `bytes` is as it was.
///
/// It does not borrow from `bytes`. A type that must borrow, such as `&'static str`, is lent a copy that is kept for
/// ever, one for each text.
#[inline]
pub(crate) fn decode_prefix<T: Deserialize<'static>>(bytes: &mut &[u8]) -> Result<T> {
    let (record, rest) = decode_first(bytes)?;
    *bytes = rest;
    Ok(record)
}

/// The record that `bytes` starts with, and what stands behind it.
#[inline(always)]
fn decode_first<T: Deserialize<'static>>(bytes: &[u8]) -> Result<(T, &[u8])> {
    decode_by::<T, false>(bytes).or_else(|error| decode_for_ever(bytes, error))
}

/// Reads a record of a type that would not do without borrowing, for which there was an error.
#[cold]
#[inline(never)]
fn decode_for_ever<T>(bytes: &[u8], error: DecodeError) -> Result<(T, &[u8])>
where
    T: Deserialize<'static>,
{
    decode_by::<T, true>(bytes).map_err(|_| match error {
        DecodeError::OtherString(reason) => codec_error::<T>(reason),
        DecodeError::Serde(
            serde_codec::DecodeError::AnyNotSupported
            | serde_codec::DecodeError::IdentifierNotSupported
            | serde_codec::DecodeError::IgnoredAnyNotSupported,
        ) => codec_error::<T>(UNKNOWN_FORM),
        error => codec_error::<T>(error),
    })
}

#[inline(always)]
fn decode_by<T, const FOR_EVER: bool>(bytes: &[u8]) -> Result<(T, &[u8]), DecodeError>
where
    T: Deserialize<'static>,
{
    let mut decoder = Decoder::<FOR_EVER>(bytes);
    let record = T::deserialize(&mut decoder)?;
    Ok((record, decoder.0))
}

/// Encodes and decodes `record`, so that a type that cannot be carried fails before a job has worked on it for long.
///
/// What comes back is encoded again and must be as long; it need not be the same bytes, as the order of
/// a `HashMap` may change.
pub(crate) fn round_trips<T: Serialize + Deserialize<'static>>(record: &T) -> Result<()> {
    let mut bytes = Vec::new();
    encode_into(record, &mut bytes)?;
    let back: T = decode(&bytes)?;
    let length = bytes.len();
    encode_into(&back, &mut bytes)?;
    if bytes.len() == 2 * length {
        Ok(())
    } else {
        Err(codec_error::<T>("it does not come back as it was written"))
    }
}

#[cold]
#[inline(never)]
fn encode_error<T: ?Sized>(error: EncodeError) -> Error {
    match error {
        // What a type's own code says is a sentence; the codec would show it as a value of an enum.
        EncodeError::OtherString(reason) => codec_error::<T>(reason),
        EncodeError::Serde(serde_codec::EncodeError::SequenceMustHaveLength) => {
            codec_error::<T>(NO_LENGTH)
        }
        error => codec_error::<T>(error),
    }
}

#[cold]
fn trailing_bytes<T>(count: usize) -> Error {
    codec_error::<T>(format_args!("{count} bytes are left over after decoding"))
}

#[cold]
fn codec_error<T: ?Sized>(reason: impl Display) -> Error {
    let reason = reason.to_string();
    Error::new(ErrorKind::Codec {
        place: Place::default(),
        type_name: type_name::<T>(),
        reason,
    })
}
