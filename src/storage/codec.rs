//! Encodes and decodes one record. Only this module depends on the codec.
//!
//! The codec is bincode 2 through serde: little-endian, integers and lengths as varints. Our own code decomposes a type
//! into values ([`encoder`], [`decoder`]), and bincode encodes the values. [`number`] replaces bincode for most
//! integers, because bincode makes a call for each of them, and takes a slow path for a number at the end of the bytes.
//!
//! Fixed widths alone are slightly faster: a (u64, u64) takes 2 ns to encode and 1 ns to decode. With varints, it takes
//! 2 and 1 ns for small numbers, and up to 6 and 4 ns for numbers of mixed lengths, whose branches the CPU mispredicts.
//! But with fixed widths, a word with its count takes 23 bytes instead of 9, and each additional byte is hashed,
//! compared, compressed and written downstream. At the 350 MB/s of a compressed run, those 14 bytes take 40 ns. Records
//! of numbers alone, which are only stored and read again, have [fixed] widths.
//!
//! bincode writes no names and no types, so it does not support serde types that need them to be decoded. Such types
//! fail here, and are never decoded as something else:
//!
//! - Untagged and internally tagged enums and `serde_json::Value` request any type while they are decoded.
//! - `flatten` writes a map without a length.
//! - The [`encoder`] detects a field that `skip_serializing_if` omits.
//! - [`check`] detects types whose `Serialize` and `Deserialize` disagree: it compares the content of a record and of
//!   its copy ([`digest`]). It runs for the first record of a type, and again for each struct and each variant that no
//!   earlier record contained ([`shapes`]).

mod decoder;
mod digest;
mod encoder;
#[cfg(test)]
mod errors;
mod fixed;
mod format;
mod number;
mod room;
mod sampling;
mod shapes;
mod short;
#[cfg(test)]
mod tests;

use std::any::type_name;
use std::fmt::Display;

use bincode::error::{DecodeError, EncodeError};
use bincode::serde as serde_codec;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorContext, ErrorKind, Result};

use decoder::Decoder;
use digest::{Layouts, digest};
use encoder::{Length, encode};
pub(crate) use fixed::{decode_fixed, encode_fixed, encode_flat};
use format::TOO_DEEP;
pub(crate) use room::Room;
pub(crate) use sampling::Sampling;
pub(crate) use short::{SHORT_BYTES, Short};

/// Reason for refusing a type that is decoded according to its content.
const UNKNOWN_FORM: &str = "the encoding is not self-describing, so `serde_json::Value` and untagged or internally \
    tagged enums cannot be read back; keep the JSON text, or use a struct of the fields you need";

/// Reason for refusing a type that does not provide its length when it is encoded.
const NO_LENGTH: &str = "a map or sequence does not state its length, as with `#[serde(flatten)]`; keep the text, or use a \
    struct of plain fields";

/// Reason for refusing a type whose `Serialize` and `Deserialize` disagree.
const DIFFERS: &str = "decoding does not return the value that was encoded: `Serialize` and `Deserialize` disagree, as they do \
    for variants after one with `#[serde(skip)]` and for fields after one with `#[serde(skip_deserializing)]`";

/// Reason for refusing a key whose bytes change when it is decoded and encoded again.
const UNSTABLE: &str = "a key must have the same bytes after decoding and encoding, which a `HashSet` or `HashMap` has not; \
    use a sorted list in the key";

/// Appends the bytes of `record`, whose type is the user's. After an error, `bytes` is unchanged.
#[inline]
pub(crate) fn encode_into<T>(record: &T, bytes: &mut Vec<u8>) -> Result<()>
where
    T: Serialize + Deserialize<'static>,
{
    let start = bytes.len();
    encode(record, bytes).or_else(|error| encode_again(record, bytes, start, error))
}

/// Handles an error of `encode`. If the record only has not been checked yet, checks it and appends its bytes.
#[cold]
#[inline(never)]
fn encode_again<T>(record: &T, bytes: &mut Vec<u8>, start: usize, error: EncodeError) -> Result<()>
where
    T: Serialize + Deserialize<'static>,
{
    bytes.truncate(start);
    if !shapes::is_unknown(&error) {
        return Err(encode_error::<T>(error));
    }
    check(record)?;
    encode(record, bytes).map_err(|error| {
        bytes.truncate(start);
        encode_error::<T>(error)
    })
}

/// Appends the bytes of `value`, whose type belongs to this library. After an error, `bytes` is unchanged.
pub(crate) fn encode_own<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<()> {
    let start = bytes.len();
    shapes::trusting(|| encode(value, bytes)).map_err(|error| {
        bytes.truncate(start);
        encode_error::<T>(error)
    })
}

/// Appends the length of `record` in bytes, then its bytes. If its type reads another number of bytes than it has
/// written, the values after it are unaffected. After an error, `bytes` is unchanged.
#[inline]
pub(crate) fn encode_framed<T>(record: &T, bytes: &mut Vec<u8>) -> Result<()>
where
    T: Serialize + Deserialize<'static>,
{
    let start = bytes.len();
    bytes.push(0);
    if let Err(error) = encode_into(record, bytes) {
        bytes.truncate(start);
        return Err(error);
    }
    let length = (bytes.len() - start - 1) as u64;
    match number::parts(length) {
        (first, _, 0) => bytes[start] = first,
        (first, length, more) => {
            let length = length.to_le_bytes();
            bytes.splice(start..=start, [&[first], &length[..more]].concat());
        }
    }
    Ok(())
}

/// Returns the bytes of `record` if they fit into a [`Short`]. Otherwise, or if the record cannot be encoded or has not
/// been checked, returns `None`.
#[inline(always)]
pub(crate) fn encode_short<T: Serialize + ?Sized>(record: &T) -> Option<Short> {
    let mut short = Short::default();
    encode(record, &mut short).ok()?;
    Some(short)
}

/// Appends the bytes of `record` to `room`. If they do not fit, or if the record cannot be encoded or has not been checked,
/// returns `None`.
#[inline(always)]
pub(crate) fn encode_to<T: Serialize + ?Sized>(record: &T, room: &mut Room<'_>) -> Option<()> {
    encode(record, room).ok()
}

/// Returns the number of bytes that [`encode_into`] appends for `record`, and checks its type in the same way.
pub(crate) fn encoded_bytes<T>(record: &T) -> Result<usize>
where
    T: Serialize + Deserialize<'static>,
{
    let mut length = Length::default();
    match encode(record, &mut length) {
        Ok(()) => Ok(length.bytes()),
        Err(error) if shapes::is_unknown(&error) => check(record),
        Err(error) => Err(encode_error::<T>(error)),
    }
}

/// Decodes the record that takes up all of `bytes`. The record does not borrow from them: see [`decode_prefix`].
#[inline(always)]
pub(crate) fn decode<T: Deserialize<'static>>(bytes: &[u8]) -> Result<T> {
    decode_all::<T, false>(bytes)
}

#[inline(always)]
fn decode_all<T: Deserialize<'static>, const FIXED: bool>(bytes: &[u8]) -> Result<T> {
    let (record, rest) = decode_first::<T, FIXED>(bytes)?;
    if rest.is_empty() {
        Ok(record)
    } else {
        Err(trailing_bytes::<T>(rest.len()))
    }
}

/// Decodes the record that takes up all of `bytes`, and returns the result of `f` for it. Unlike with [`decode`], a large
/// record is not moved: the CPU would wait for each of its fields, because they are stored one by one, and read in
/// larger units.
#[inline(always)]
pub(crate) fn decode_then<T: Deserialize<'static>, R>(
    bytes: &[u8],
    f: impl FnOnce(T) -> R,
) -> Result<R> {
    let mut decoder = Decoder::<false>::new(bytes);
    match T::deserialize(&mut decoder) {
        Ok(record) if decoder.bytes.is_empty() => Ok(f(record)),
        _ => decode(bytes).map(f),
    }
}

/// Decodes the record at the start of `bytes`, and advances `bytes` past it. After an error, `bytes` is unchanged.
///
/// The record does not borrow from `bytes`. A type that must borrow, such as `&'static str`, borrows from a copy that
/// is leaked, once for each distinct text.
#[inline]
pub(crate) fn decode_prefix<T: Deserialize<'static>>(bytes: &mut &[u8]) -> Result<T> {
    let (record, rest) = decode_first::<T, false>(bytes)?;
    *bytes = rest;
    Ok(record)
}

/// Decodes a record that [`encode_framed`] has written at the start of `bytes`, and advances `bytes` past it.
#[inline]
pub(crate) fn decode_framed<T: Deserialize<'static>>(bytes: &mut &[u8]) -> Result<T> {
    decode(take_frame::<T>(bytes)?)
}

/// Returns the bytes of the `T` that [`encode_framed`] has written at the start of `bytes`, and advances `bytes` past
/// it. After an error, `bytes` is unchanged.
#[inline]
pub(crate) fn take_frame<'b, T>(bytes: &mut &'b [u8]) -> Result<&'b [u8]> {
    let mut rest = *bytes;
    let length = number::take::<u64>(&mut rest).and_then(|length| usize::try_from(length).ok());
    let frame = length.and_then(|length| rest.split_at_checked(length));
    let (frame, rest) = frame.ok_or_else(|| codec_error::<T>("its bytes are cut short"))?;
    *bytes = rest;
    Ok(frame)
}

/// Returns the record at the start of `bytes`, and the bytes that follow it.
#[inline(always)]
fn decode_first<T: Deserialize<'static>, const FIXED: bool>(bytes: &[u8]) -> Result<(T, &[u8])> {
    decode_by::<T, false, FIXED>(bytes).or_else(|error| decode_leaking::<T, FIXED>(bytes, error))
}

/// Handles an error of the decoder: tries again with leaked copies, for types that must borrow.
#[cold]
#[inline(never)]
fn decode_leaking<T, const FIXED: bool>(bytes: &[u8], error: DecodeError) -> Result<(T, &[u8])>
where
    T: Deserialize<'static>,
{
    decode_by::<T, true, FIXED>(bytes).map_err(|_| match error {
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
fn decode_by<T, const LEAK: bool, const FIXED: bool>(
    bytes: &[u8],
) -> Result<(T, &[u8]), DecodeError>
where
    T: Deserialize<'static>,
{
    let mut decoder = Decoder::<LEAK, FIXED>::new(bytes);
    let record = T::deserialize(&mut decoder)?;
    Ok((record, decoder.bytes))
}

/// Encodes and decodes `record`, so that an unsupported type fails early in a job. Returns the length of its bytes.
///
/// The decoded record must have the same content. Its bytes may differ, because the order of a `HashMap` may change.
///
/// # Errors
///
/// Returns [`ErrorKind::Codec`], which names the type.
pub(crate) fn check<T: Serialize + Deserialize<'static>>(record: &T) -> Result<usize> {
    shapes::trusting(|| {
        let (mut bytes, mut again) = (Vec::new(), Vec::new());
        encode(record, &mut bytes).map_err(encode_error::<T>)?;
        let layouts = Layouts::default();
        let back = decode_noting::<T>(&bytes, &layouts).map_err(disagrees::<T>)?;
        encode(&back, &mut again).map_err(encode_error::<T>)?;
        let is_same = again == bytes;
        // If there are structs, the digest also detects fields that are not written.
        if !is_same || !layouts.borrow().is_empty() {
            let digest = |record: &T| digest(record, &layouts).map_err(encode_error::<T>);
            if digest(record)? != digest(&back)? {
                return Err(codec_error::<T>(DIFFERS));
            }
        }
        Ok(bytes.len())
    })
}

/// Returns the error of a record that cannot be decoded. Adds an explanation if the reason is only that bytes are
/// invalid.
#[cold]
fn disagrees<T>(error: Error) -> Error {
    match error.into_kind() {
        ErrorKind::Codec { reason, .. } if ![UNKNOWN_FORM, TOO_DEEP].contains(&&*reason) => {
            codec_error::<T>(format_args!("{DIFFERS}: {reason}"))
        }
        kind => Error::new(kind),
    }
}

/// Decodes the record that takes up all of `bytes`, and records its structs in `layouts`.
fn decode_noting<T: Deserialize<'static>>(bytes: &[u8], layouts: &Layouts) -> Result<T> {
    let mut decoder = Decoder::<false>::noting(bytes, layouts);
    match T::deserialize(&mut decoder) {
        Ok(record) if decoder.bytes.is_empty() => Ok(record),
        // Decode without layouts. This returns a precise error, or a record of a type that must borrow.
        _ => decode(bytes),
    }
}

/// Like [`check`], but takes the encoded bytes of a key. Re-encoding the key must reproduce the bytes, because they
/// identify the key.
///
/// # Errors
///
/// Returns the errors of [`check`].
pub(crate) fn check_key<T: Serialize + Deserialize<'static>>(bytes: &[u8]) -> Result<usize> {
    let key: T = decode(bytes).map_err(disagrees::<T>)?;
    check(&key)?;
    let mut again = Vec::new();
    encode_into(&key, &mut again)?;
    if again == bytes {
        Ok(bytes.len())
    } else {
        Err(codec_error::<T>(UNSTABLE))
    }
}

#[cold]
#[inline(never)]
fn encode_error<T: ?Sized>(error: EncodeError) -> Error {
    match error {
        // A reason from the type's own code is a sentence; bincode would format it as an enum value.
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
    error_of_type(type_name::<T>(), &reason)
}

/// Compiled once, not for each type.
fn error_of_type(type_name: &'static str, reason: &dyn Display) -> Error {
    Error::new(ErrorKind::Codec {
        context: ErrorContext::default(),
        type_name,
        reason: reason.to_string(),
    })
}
