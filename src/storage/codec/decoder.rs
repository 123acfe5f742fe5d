//! Decodes a record that does not borrow from the bytes, and can therefore outlive them.
//!
//! serde distinguishes types that may borrow from their input from types that never do. The latter implement `for<'a>
//! Deserialize<'a>`. `&'static str` does not: it borrows for `'static`. This decoder supports both kinds as
//! `Deserialize<'static>`. It leaks what a type borrows, once for each distinct text; types that borrow nothing are
//! decoded without leaking. bincode's own deserializer would lend the input only for the lifetime of the bytes. Apart
//! from that, this one behaves like bincode's.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use bincode::Decode;
use bincode::error::DecodeError;
use bincode::serde::DecodeError as Unsupported;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::digest::{Layout, Layouts};
use super::format::{CONFIGURATION, DEPTH, TOO_DEEP};
use super::number::{self, Number};
use crate::error::intern;

/// Takes values from the front of bytes. If `LEAK`, leaks copies of the values that types borrow. If `FIXED`, integers have
/// a [fixed width](super::fixed).
pub(super) struct Decoder<'b, const LEAK: bool, const FIXED: bool = false> {
    pub(super) bytes: &'b [u8],
    /// Number of further levels of nesting that are allowed.
    depth: u32,
    /// Number of further elements without bytes that are allowed.
    spare_elements: usize,
    /// Destination for the layouts of the decoded structs.
    layouts: Option<&'b Layouts>,
}

/// Maximum number of elements without bytes in the lists of a record. Without a limit, a damaged length would create
/// billions of elements.
const SPARE_ELEMENTS: usize = 1 << 20;

impl<'b, const LEAK: bool, const FIXED: bool> Decoder<'b, LEAK, FIXED> {
    #[inline(always)]
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self {
            bytes,
            depth: DEPTH,
            spare_elements: SPARE_ELEMENTS,
            layouts: None,
        }
    }

    /// Creates a decoder that records the layouts of structs.
    pub(super) fn noting(bytes: &'b [u8], layouts: &'b Layouts) -> Self {
        Self {
            layouts: Some(layouts),
            ..Self::new(bytes)
        }
    }

    #[inline]
    fn note<T>(&self, name: &'static str) {
        if let Some(layouts) = self.layouts {
            Layout::note::<T>(layouts, name);
        }
    }

    #[inline]
    fn number<T: Number + Decode<()>>(&mut self) -> Result<T, DecodeError> {
        if FIXED {
            let number = T::take_fixed(&mut self.bytes);
            return number.map_or_else(|| no_bytes(T::BYTES, self.bytes), Ok);
        }
        number::take(&mut self.bytes).map_or_else(|| no_number(self.bytes), Ok)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((bytes, rest)) = self.bytes.split_first_chunk() else {
            return no_bytes(N, self.bytes);
        };
        self.bytes = rest;
        Ok(*bytes)
    }

    #[inline]
    fn f32(&mut self) -> Result<f32, DecodeError> {
        self.array().map(f32::from_le_bytes)
    }

    #[inline]
    fn f64(&mut self) -> Result<f64, DecodeError> {
        self.array().map(f64::from_le_bytes)
    }

    /// Takes a value by bincode's own decoder.
    #[inline]
    fn value<T: Decode<()>>(&mut self) -> Result<T, DecodeError> {
        let (value, length) = bincode::decode_from_slice(self.bytes, CONFIGURATION)?;
        self.bytes = &self.bytes[length..];
        Ok(value)
    }

    #[inline]
    fn length(&mut self) -> Result<usize, DecodeError> {
        let length = self.number::<u64>()?;
        usize::try_from(length).map_err(|_| DecodeError::OutsideUsizeRange(length))
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'b [u8], DecodeError> {
        let length = self.length()?;
        let (bytes, rest) =
            self.bytes
                .split_at_checked(length)
                .ok_or_else(|| DecodeError::UnexpectedEnd {
                    additional: length - self.bytes.len(),
                })?;
        self.bytes = rest;
        Ok(bytes)
    }

    /// Takes the length of a list.
    #[inline]
    fn elements(&mut self) -> Result<usize, DecodeError> {
        let length = self.length()?;
        // The other elements have at least one byte each.
        let without_bytes = length.saturating_sub(self.bytes.len());
        match self.spare_elements.checked_sub(without_bytes) {
            Some(left) => self.spare_elements = left,
            None => return Err(too_many_elements(length)),
        }
        Ok(length)
    }

    /// Reads the content of an option, a list or a variant. Every recursive type contains one of these.
    #[inline]
    fn deeper<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        match self.depth.checked_sub(1) {
            Some(depth) => self.depth = depth,
            None => return Err(DecodeError::OtherString(TOO_DEEP.to_owned())),
        }
        let result = read(self);
        self.depth += 1;
        result
    }

    #[inline]
    fn parts(&mut self, left: usize) -> Parts<'_, 'b, LEAK, FIXED> {
        Parts {
            decoder: self,
            left,
        }
    }
}

/// Plain values, taken by `$take`.
macro_rules! plain {
    ($take:ident: $($method:ident -> $visit:ident),* $(,)?) => {$(
        #[inline]
        fn $method<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            visitor.$visit(self.$take()?)
        }
    )*};
}

/// Requests that bytes without names and types cannot answer.
macro_rules! unsupported {
    ($($method:ident: $reason:ident),* $(,)?) => {$(
        fn $method<V: Visitor<'static>>(self, _: V) -> Result<V::Value, DecodeError> {
            Err(DecodeError::Serde(Unsupported::$reason))
        }
    )*};
}

impl<const LEAK: bool, const FIXED: bool> Deserializer<'static> for &mut Decoder<'_, LEAK, FIXED> {
    type Error = DecodeError;

    plain! {
        number:
        deserialize_i16 -> visit_i16, deserialize_i32 -> visit_i32, deserialize_i64 -> visit_i64,
        deserialize_u16 -> visit_u16, deserialize_u32 -> visit_u32, deserialize_u64 -> visit_u64,
    }

    plain! {
        value:
        deserialize_bool -> visit_bool, deserialize_i8 -> visit_i8, deserialize_u8 -> visit_u8,
        deserialize_i128 -> visit_i128, deserialize_u128 -> visit_u128, deserialize_char -> visit_char,
    }

    plain! { f32: deserialize_f32 -> visit_f32 }

    plain! { f64: deserialize_f64 -> visit_f64 }

    unsupported! {
        deserialize_any: AnyNotSupported,
        deserialize_identifier: IdentifierNotSupported,
        deserialize_ignored_any: IgnoredAnyNotSupported,
    }

    #[inline]
    fn deserialize_str<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let text = std::str::from_utf8(self.bytes()?);
        let text = text.map_err(|inner| DecodeError::Utf8 { inner })?;
        if LEAK {
            visitor.visit_borrowed_str(intern(text))
        } else {
            visitor.visit_str(text)
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let bytes = self.bytes()?;
        if LEAK {
            visitor.visit_borrowed_bytes(intern_bytes(bytes))
        } else {
            visitor.visit_bytes(bytes)
        }
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'static>>(
        self,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value::<Option<()>>()? {
            Some(()) => self.deeper(|decoder| visitor.visit_some(decoder)),
            None => visitor.visit_none(),
        }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'static>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'static>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.note::<V::Value>(name);
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let length = self.elements()?;
        self.deeper(|decoder| visitor.visit_seq(decoder.parts(length)))
    }

    #[inline]
    fn deserialize_map<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let length = self.elements()?;
        self.deeper(|decoder| visitor.visit_map(decoder.parts(length)))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'static>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_seq(self.parts(length))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'static>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.note::<V::Value>(name);
        visitor.visit_seq(self.parts(length))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'static>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.note::<V::Value>(name);
        visitor.visit_seq(self.parts(fields.len()))
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'static>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deeper(|decoder| visitor.visit_enum(decoder))
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Returns bincode's error for bytes that are not a number. (Takes only the bytes and not the decoder, so that the
/// compiler can keep the decoder in registers.)
#[cold]
#[inline(never)]
fn no_number<T: Decode<()>>(bytes: &[u8]) -> Result<T, DecodeError> {
    bincode::decode_from_slice(bytes, CONFIGURATION).map(|(number, _)| number)
}

/// Returns the error that `bytes` are fewer than a value has.
#[cold]
fn no_bytes<T>(value_bytes: usize, bytes: &[u8]) -> Result<T, DecodeError> {
    let additional = value_bytes - bytes.len();
    Err(DecodeError::UnexpectedEnd { additional })
}

#[cold]
#[inline(never)]
fn too_many_elements(length: usize) -> DecodeError {
    DecodeError::OtherString(format!(
        "a list of {length} elements is too long: of elements without bytes a record may have {SPARE_ELEMENTS}"
    ))
}

/// Parts of a compound value, of which `left` have not been decoded yet.
struct Parts<'d, 'b, const LEAK: bool, const FIXED: bool> {
    decoder: &'d mut Decoder<'b, LEAK, FIXED>,
    left: usize,
}

impl<const LEAK: bool, const FIXED: bool> Parts<'_, '_, LEAK, FIXED> {
    #[inline]
    fn next<S: DeserializeSeed<'static>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.decoder).map(Some)
    }
}

impl<const LEAK: bool, const FIXED: bool> SeqAccess<'static> for Parts<'_, '_, LEAK, FIXED> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'static>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        self.next(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<const LEAK: bool, const FIXED: bool> MapAccess<'static> for Parts<'_, '_, LEAK, FIXED> {
    type Error = DecodeError;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'static>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        self.next(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'static>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        seed.deserialize(&mut *self.decoder)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<const LEAK: bool, const FIXED: bool> EnumAccess<'static> for &mut Decoder<'_, LEAK, FIXED> {
    type Error = DecodeError;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'static>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), DecodeError> {
        let index: u32 = self.number()?;
        let variant =
            seed.deserialize(IntoDeserializer::<DecodeError>::into_deserializer(index))?;
        Ok((variant, self))
    }
}

impl<const LEAK: bool, const FIXED: bool> VariantAccess<'static> for &mut Decoder<'_, LEAK, FIXED> {
    type Error = DecodeError;

    #[inline]
    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'static>>(
        self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        seed.deserialize(self)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'static>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_seq(self.parts(length))
    }

    #[inline]
    fn struct_variant<V: Visitor<'static>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_seq(self.parts(fields.len()))
    }
}

/// Returns a leaked copy of `bytes`. Equal bytes are leaked once.
fn intern_bytes(bytes: &[u8]) -> &'static [u8] {
    static KEPT: Mutex<Option<HashSet<&'static [u8]>>> = Mutex::new(None);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = kept.get_or_insert_default();
    match kept.get(bytes) {
        Some(bytes) => bytes,
        None => {
            let bytes: &'static [u8] = Box::leak(bytes.into());
            kept.insert(bytes);
            bytes
        }
    }
}
