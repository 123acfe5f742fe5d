//! Deserialises a value from one field.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{Deserializer, Visitor};

use super::FieldsError;
use crate::text::decimal::{float_at_end, number_at_end};

/// One field.
#[derive(Clone, Debug)]
pub(super) struct Field<'t> {
    /// The text of all fields.
    pub(super) text: &'t str,
    pub(super) range: Range<usize>,
    /// Whether a value that does not say its type is refused. Otherwise, it is the text.
    pub(super) needs_type: bool,
}

impl<'t> Field<'t> {
    #[inline(always)]
    pub(super) fn as_str(&self) -> &'t str {
        &self.text[self.range.clone()]
    }

    fn parse<T: FromStr<Err: fmt::Display>>(&self) -> Result<T, FieldsError> {
        self.as_str().parse().map_err(FieldsError::unread)
    }

    /// Parses an integer like [`parse`](Self::parse), but faster.
    #[inline(always)]
    fn number<T>(&self) -> Result<T, FieldsError>
    where
        T: FromStr<Err: fmt::Display> + TryFrom<u64>,
    {
        let until_end = &self.text.as_bytes()[..self.range.end];
        let number = number_at_end(until_end, self.range.len());
        match number.and_then(|number| number.try_into().ok()) {
            Some(number) => Ok(number),
            None => self.other_number(),
        }
    }

    /// Parses a floating-point number like [`parse`](Self::parse), but faster.
    #[inline(always)]
    fn float(&self) -> Result<f64, FieldsError> {
        let until_end = &self.text.as_bytes()[..self.range.end];
        match float_at_end(until_end, self.range.len()) {
            Some(number) => Ok(number),
            None => self.other_number(),
        }
    }

    /// Parses a number with a sign, with many digits, or near the start of the text. Returns the error if the field is
    /// not a number.
    #[cold]
    fn other_number<T: FromStr<Err: fmt::Display>>(&self) -> Result<T, FieldsError> {
        self.parse()
    }
}

/// Methods of [`Deserializer`] that parse the field.
macro_rules! parsed {
    ($parse:ident: $($deserialize:ident $visit:ident)*) => {$(
        #[inline(always)]
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldsError> {
            visitor.$visit(self.$parse()?)
        }
    )*};
}

/// Methods of [`Deserializer`] for texts.
macro_rules! text {
    ($($deserialize:ident)*) => {$(
        #[inline(always)]
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldsError> {
            visitor.visit_borrowed_str(self.as_str())
        }
    )*};
}

/// Methods of [`Deserializer`] for values that are not one field.
macro_rules! refused {
    ($($deserialize:ident($($argument:ty),*))*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, $(_: $argument,)* _: V) -> Result<V::Value, FieldsError> {
            Err(FieldsError::unread("the value is not one field"))
        }
    )*};
}

impl<'de> Deserializer<'de> for Field<'de> {
    type Error = FieldsError;

    parsed! { number:
        deserialize_u8 visit_u8
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
        deserialize_u128 visit_u128
        deserialize_i8 visit_i8
        deserialize_i16 visit_i16
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_i128 visit_i128
    }
    parsed! { float:
        deserialize_f64 visit_f64
    }
    parsed! { parse:
        deserialize_f32 visit_f32
        deserialize_bool visit_bool
    }
    text! {
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_identifier
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldsError> {
        match self.needs_type {
            true => Err(FieldsError::unread("the type accepts any value")),
            false => visitor.visit_borrowed_str(self.as_str()),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldsError> {
        match self.range.is_empty() {
            true => visitor.visit_none(),
            false => visitor.visit_some(self),
        }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        visitor.visit_enum(BorrowedStrDeserializer::new(self.as_str()))
    }

    refused! {
        deserialize_unit() deserialize_unit_struct(&'static str) deserialize_ignored_any() deserialize_seq()
        deserialize_tuple(usize) deserialize_tuple_struct(&'static str, usize) deserialize_map()
        deserialize_struct(&'static str, &'static [&'static str])
    }
}
