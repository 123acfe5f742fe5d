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
//! `skip_serializing_if` is noticed by [`encoder`] as it is encoded. Types whose `Serialize` and `Deserialize` disagree
//! are found by [`check`], which compares what a record and its copy contain ([`digest`]). It is called for the first
//! record of a kind, and again for each struct and each variant that no earlier record had ([`shapes`]).

mod decoder;
mod digest;
mod encoder;
#[cfg(test)]
mod errors;
mod number;
mod sampling;
mod shapes;
mod short;
#[cfg(test)]
mod tests;

use std::any::type_name;
use std::fmt::Display;

use bincode::config::Configuration;
use bincode::error::{DecodeError, EncodeError};
use bincode::serde as serde_codec;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorContext, ErrorKind, Result};

use decoder::Decoder;
use digest::{Layouts, digest};
use encoder::encode;
pub(crate) use sampling::Sampling;
pub(crate) use short::{SHORT_BYTES, Short};

const CONFIGURATION: Configuration = bincode::config::standard();

/// What is said of a type that asks, while it is read back, what it is to be.
const UNKNOWN_FORM: &str = "what form a value has is not written down, and `serde_json::Value` and enums that are \
    untagged or internally tagged cannot be read back without; keep the text, such as that of the JSON, or a struct of \
    the fields that are needed";

/// What is said of a type that does not know, while it is written, how much it is.
const NO_LENGTH: &str = "a map or sequence does not say how long it is, as with `#[serde(flatten)]`; keep the text, or a \
    struct of plain fields";

/// How many options, lists and variants may be nested in each other. Reading takes stack for each of them.
const DEPTH: u32 = 256;

/// What is said of a value that has more.
const TOO_DEEP: &str =
    "more than 256 options, lists and variants are nested in each other; keep them in a flat list";

/// What is said of a type whose `Serialize` and `Deserialize` disagree.
const DIFFERS: &str = "it does not come back as it was written: `Serialize` and `Deserialize` disagree, as they do for \
    the variants behind one with `#[serde(skip)]` and the fields behind one with `#[serde(skip_deserializing)]`";

/// What is said of a key that has other bytes when it is written again.
const UNSTABLE: &str = "as a key, it has other bytes when it is read and written again, as a `HashSet` or `HashMap` in it \
    has; make the key of a sorted list";

/// Appends the bytes of `record`, which is the program's, to `bytes`; after an error `bytes` is as it was.
#[inline]
pub(crate) fn encode_into<T>(record: &T, bytes: &mut Vec<u8>) -> Result<()>
where
    T: Serialize + Deserialize<'static>,
{
    let start = bytes.len();
    encode(record, bytes).or_else(|error| encode_again(record, bytes, start, error))
}

/// Appends the bytes of a record for which there was an error, if it was that the record has not been checked.
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

/// Appends the bytes of `value`, which is of a type of this library; after an error `bytes` is as it was.
pub(crate) fn encode_own<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<()> {
    let start = bytes.len();
    shapes::trusting(|| encode(value, bytes)).map_err(|error| {
        bytes.truncate(start);
        encode_error::<T>(error)
    })
}

/// Appends the length of `record` in bytes, then these: so if it does not come back, that changes nothing behind it.
/// After an error `bytes` is as it was.
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

/// The bytes of `record`, if it has so few; `None`, too, if it cannot be encoded or has not been checked.
#[inline(always)]
pub(crate) fn encode_short<T: Serialize + ?Sized>(record: &T) -> Option<Short> {
    let mut short = Short::default();
    encode(record, &mut short).ok()?;
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

/// The record that `bytes` starts with, as [`encode_framed`] has written it; `bytes` then starts after it.
#[inline]
pub(crate) fn decode_framed<T: Deserialize<'static>>(bytes: &mut &[u8]) -> Result<T> {
    decode(take_frame::<T>(bytes)?)
}

/// The bytes of the `T` that `bytes` starts with; `bytes` then starts after it. After an error `bytes` is as it was.
#[inline]
pub(crate) fn take_frame<'b, T>(bytes: &mut &'b [u8]) -> Result<&'b [u8]> {
    let mut rest = *bytes;
    let length = number::take::<u64>(&mut rest).and_then(|length| usize::try_from(length).ok());
    let frame = length.and_then(|length| rest.split_at_checked(length));
    let (frame, rest) = frame.ok_or_else(|| codec_error::<T>("its bytes are cut off"))?;
    *bytes = rest;
    Ok(frame)
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
    let mut decoder = Decoder::<FOR_EVER>::new(bytes);
    let record = T::deserialize(&mut decoder)?;
    Ok((record, decoder.bytes))
}

/// Encodes and decodes `record`, so that a type that cannot be carried fails before a job has worked on it for long.
/// Returns the number of its bytes.
///
/// What comes back must contain the same. It need not have the same bytes, as the order of a `HashMap` may change.
///
/// # Errors
///
/// [`ErrorKind::Codec`], which names the type.
pub(crate) fn check<T: Serialize + Deserialize<'static>>(record: &T) -> Result<usize> {
    shapes::trusting(|| {
        let (mut bytes, mut again) = (Vec::new(), Vec::new());
        encode(record, &mut bytes).map_err(encode_error::<T>)?;
        let layouts = Layouts::default();
        let back = decode_noting::<T>(&bytes, &layouts).map_err(disagrees::<T>)?;
        encode(&back, &mut again).map_err(encode_error::<T>)?;
        let is_same = again == bytes;
        // Where there are structs, it also finds fields that are not written.
        if !is_same || !layouts.borrow().is_empty() {
            let digest = |record: &T| digest(record, &layouts).map_err(encode_error::<T>);
            if digest(record)? != digest(&back)? {
                return Err(codec_error::<T>(DIFFERS));
            }
        }
        Ok(bytes.len())
    })
}

/// The error of a record that cannot be read back, in which the reason is more than a number that is none.
#[cold]
fn disagrees<T>(error: Error) -> Error {
    match error.into_kind() {
        ErrorKind::Codec { reason, .. } if ![UNKNOWN_FORM, TOO_DEEP].contains(&&*reason) => {
            codec_error::<T>(format_args!("{DIFFERS}: {reason}"))
        }
        kind => Error::new(kind),
    }
}

/// The record that `bytes` is, to the last byte, and which structs it has.
fn decode_noting<T: Deserialize<'static>>(bytes: &[u8], layouts: &Layouts) -> Result<T> {
    let mut decoder = Decoder::<false>::noting(bytes, layouts);
    match T::deserialize(&mut decoder) {
        Ok(record) if decoder.bytes.is_empty() => Ok(record),
        // It says what is wrong, or can read what must borrow, of which no struct is noted.
        _ => decode(bytes),
    }
}

/// The same for a record of which there are `bytes` alone, and which must have them again: a key, since its bytes stand
/// for it.
///
/// # Errors
///
/// As those of [`check`].
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
        context: ErrorContext::default(),
        type_name: type_name::<T>(),
        reason,
    })
}
