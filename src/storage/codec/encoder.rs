//! Encodes a record.
//!
//! bincode writes fields consecutively, without names. If `skip_serializing_if` omits a field, bincode's own serializer
//! ignores that, and the next field is decoded in its place: wrong records, without an error. This encoder refuses an
//! omitted field. It also refuses structs and variants that have not been [checked](super::shapes) yet, and values that
//! are nested too deeply to be decoded. Apart from that, it behaves like bincode's.

use std::marker::PhantomData;

use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use bincode::serde::EncodeError::SequenceMustHaveLength;
use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::format::{CONFIGURATION, DEPTH, TOO_DEEP};
use super::number::{self, Number};
use super::shapes;

/// Appends a value of type `T` to `O`.
pub(super) struct Encoder<'o, O, T: ?Sized> {
    output: &'o mut O,
    /// Number of further levels of nesting that are allowed. The compiler knows it if all calls are inlined.
    depth: u32,
    of: PhantomData<fn(&T)>,
}

impl<'o, O, T: ?Sized> Encoder<'o, O, T> {
    #[inline(always)]
    fn part<U: ?Sized>(&mut self) -> Encoder<'_, O, U> {
        Encoder {
            output: self.output,
            depth: self.depth,
            of: PhantomData,
        }
    }

    #[inline(always)]
    fn into_part<U: ?Sized>(self) -> Encoder<'o, O, U> {
        Encoder {
            output: self.output,
            depth: self.depth,
            of: PhantomData,
        }
    }

    /// Must be called for an option, a list and a variant. Every recursive type contains one of these.
    #[inline(always)]
    fn deeper(self) -> Result<Self, EncodeError> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(EncodeError::OtherString(TOO_DEEP.to_owned())),
        }
    }
}

/// Appends `value` to `output`.
#[inline(always)]
pub(super) fn encode<T: Serialize + ?Sized>(
    value: &T,
    output: &mut impl ByteSink,
) -> Result<(), EncodeError> {
    value.serialize(Encoder {
        output,
        depth: DEPTH,
        of: PhantomData::<fn(&T)>,
    })
}

/// Destination for encoded values.
pub(super) trait ByteSink {
    fn put_number<N: Number>(&mut self, number: N) -> Result<(), EncodeError>;

    fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError>;

    /// Appends a byte that is not a number, and therefore has one byte in every format.
    fn put_byte(&mut self, byte: u8) -> Result<(), EncodeError>;

    /// Appends the length of a text or a list.
    #[inline(always)]
    fn put_length(&mut self, length: usize) -> Result<(), EncodeError> {
        self.put_number(length as u64)
    }

    /// Appends the index of a variant.
    #[inline(always)]
    fn put_variant(&mut self, index: u32) -> Result<(), EncodeError> {
        self.put_number(index)
    }
}

impl ByteSink for Vec<u8> {
    #[inline(always)]
    fn put_number<N: Number>(&mut self, number: N) -> Result<(), EncodeError> {
        let (first, number, more) = number::parts(number);
        // Append the maximum and then truncate: a copy of fixed length needs no call.
        let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
        let start = self.len();
        self.extend_from_slice(&[first, a, b, c, d, e, f, g, h]);
        self.truncate(start + 1 + more);
        Ok(())
    }

    #[inline(always)]
    fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    #[inline(always)]
    fn put_byte(&mut self, byte: u8) -> Result<(), EncodeError> {
        self.push(byte);
        Ok(())
    }
}

/// Counts bytes, and stores none.
#[derive(Debug, Default)]
pub(super) struct Length(usize);

impl Length {
    pub(super) fn bytes(&self) -> usize {
        self.0
    }
}

impl ByteSink for Length {
    #[inline(always)]
    fn put_number<N: Number>(&mut self, number: N) -> Result<(), EncodeError> {
        let (_, _, more) = number::parts(number);
        self.0 += 1 + more;
        Ok(())
    }

    #[inline(always)]
    fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0 += bytes.len();
        Ok(())
    }

    #[inline(always)]
    fn put_byte(&mut self, _: u8) -> Result<(), EncodeError> {
        self.0 += 1;
        Ok(())
    }
}

/// A writer for bincode. Its own writers are for slices and for `io::Write`, and need one check more per value.
struct Tail<'o, O>(&'o mut O);

impl<O: ByteSink> Writer for Tail<'_, O> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.put_bytes(bytes)
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),* $(,)?) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<(), EncodeError> {
            self.output.put_number(value)
        }
    )*};
}

/// Values that bincode encodes.
macro_rules! values {
    ($($method:ident: $type:ty),* $(,)?) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<(), EncodeError> {
            bincode::encode_into_writer(value, Tail(self.output), CONFIGURATION)
        }
    )*};
}

/// Variants with fields. The bytes of the fields follow the index of the variant.
macro_rules! variants {
    ($($method:ident),*) => {$(
        #[inline]
        fn $method(
            self,
            _: &'static str,
            index: u32,
            variant: &'static str,
            _: usize,
        ) -> Result<Self, EncodeError> {
            shapes::meet_variant::<T>(variant, index)?;
            self.output.put_variant(index)?;
            self.deeper()
        }
    )*};
}

/// Structs. Their bytes are those of their fields.
macro_rules! structs {
    ($($method:ident),*) => {$(
        #[inline]
        fn $method(self, _: &'static str, _: usize) -> Result<Self, EncodeError> {
            shapes::meet_whole::<T>()?;
            Ok(self)
        }
    )*};
}

impl<O: ByteSink, T: ?Sized> Serializer for Encoder<'_, O, T> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! {
        serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
    }

    values! {
        serialize_bool: bool, serialize_i8: i8, serialize_u8: u8, serialize_i128: i128, serialize_u128: u128,
    }

    /// bincode's own function is a call that is not inlined.
    #[inline]
    fn serialize_char(self, char: char) -> Result<(), EncodeError> {
        if char.is_ascii() {
            return self.output.put_byte(char as u8);
        }
        self.output
            .put_bytes(char.encode_utf8(&mut [0; 4]).as_bytes())
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), EncodeError> {
        self.output.put_bytes(&value.to_le_bytes())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), EncodeError> {
        self.output.put_bytes(&value.to_le_bytes())
    }

    structs!(serialize_tuple_struct, serialize_struct);

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, EncodeError> {
        Ok(self)
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), EncodeError> {
        self.serialize_bytes(text.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.output.put_length(bytes.len())?;
        self.output.put_bytes(bytes)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), EncodeError> {
        self.output.put_bytes(&[0])
    }

    #[inline]
    fn serialize_some<U: Serialize + ?Sized>(self, value: &U) -> Result<(), EncodeError> {
        shapes::meet_whole::<T>()?;
        self.output.put_bytes(&[1])?;
        value.serialize(self.deeper()?.into_part::<U>())
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), EncodeError> {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<U: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &U,
    ) -> Result<(), EncodeError> {
        shapes::meet_whole::<T>()?;
        value.serialize(self.into_part::<U>())
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self, EncodeError> {
        let length = length.ok_or(EncodeError::Serde(SequenceMustHaveLength))?;
        if length > 0 {
            shapes::meet_whole::<T>()?;
        }
        self.output.put_length(length)?;
        self.deeper()
    }

    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Self, EncodeError> {
        self.serialize_seq(length)
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        shapes::meet_variant::<T>(variant, index)?;
        self.output.put_variant(index)
    }

    #[inline]
    fn serialize_newtype_variant<U: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        value: &U,
    ) -> Result<(), EncodeError> {
        shapes::meet_variant::<T>(variant, index)?;
        self.output.put_variant(index)?;
        value.serialize(self.deeper()?.into_part::<U>())
    }

    variants!(serialize_tuple_variant, serialize_struct_variant);

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Unnamed parts of a compound value.
macro_rules! unnamed {
    ($($trait:ident: $($method:ident),*);* $(;)?) => {$(
        impl<O: ByteSink, T: ?Sized> $trait for Encoder<'_, O, T> {
            type Ok = ();
            type Error = EncodeError;

            $(#[inline]
            fn $method<U: Serialize + ?Sized>(&mut self, value: &U) -> Result<(), EncodeError> {
                value.serialize(self.part::<U>())
            })*

            #[inline]
            fn end(self) -> Result<(), EncodeError> {
                Ok(())
            }
        }
    )*};
}

unnamed! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
    SerializeMap: serialize_key, serialize_value;
}

/// Named parts of a compound value. None may be omitted.
macro_rules! named {
    ($($trait:ident),*) => {$(
        impl<O: ByteSink, T: ?Sized> $trait for Encoder<'_, O, T> {
            type Ok = ();
            type Error = EncodeError;

            #[inline]
            fn serialize_field<U: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &U,
            ) -> Result<(), EncodeError> {
                value.serialize(self.part::<U>())
            }

            fn skip_field(&mut self, field: &'static str) -> Result<(), EncodeError> {
                Err(left_out(field))
            }

            #[inline]
            fn end(self) -> Result<(), EncodeError> {
                Ok(())
            }
        }
    )*};
}

named!(SerializeStruct, SerializeStructVariant);

fn left_out(field: &str) -> EncodeError {
    EncodeError::custom(format_args!(
        "field `{field}` is skipped (skip_serializing_if), so the next field would be read in its place"
    ))
}
