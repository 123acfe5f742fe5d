//! Deserialises values from fields.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::{Fields, FieldsError};

/// Methods of [`Deserializer`] that take one field.
macro_rules! one_field {
    ($($deserialize:ident)*) => {$(
        #[inline(always)]
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldsError> {
            self.take()?.$deserialize(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Fields<'de> {
    type Error = FieldsError;

    one_field! {
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_f32 deserialize_f64 deserialize_bool deserialize_any
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_identifier
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldsError> {
        let mut ahead = *self;
        if ahead.advance()?.is_empty() {
            *self = ahead;
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldsError> {
        self.take()?;
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldsError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldsError> {
        visitor.visit_seq(Elements(self, usize::MAX))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        visitor.visit_seq(Elements(self, len))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        visitor.visit_seq(Elements(self, len))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        visitor.visit_seq(Elements(self, names.len()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldsError> {
        self.take()?;
        Err(FieldsError::unread(
            "fields have no names, which a map needs",
        ))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        self.take()?.deserialize_enum(name, variants, visitor)
    }
}

/// Deserialises consecutive values from fields, up to the given number.
struct Elements<'f, 'de>(&'f mut Fields<'de>, usize);

impl<'de> Elements<'_, 'de> {
    /// Returns the fields, if another field is available and wanted.
    #[inline(always)]
    fn next(&mut self) -> Option<&mut Fields<'de>> {
        let Self(fields, wanted) = self;
        *wanted = wanted.checked_sub(1)?;
        if fields.is_done {
            fields.ran_out = true;
            return None;
        }
        Some(fields)
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = FieldsError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, FieldsError> {
        self.next()
            .map(|fields| seed.deserialize(fields))
            .transpose()
    }

    /// Overrides the provided method so that it is inlined.
    #[inline(always)]
    fn next_element<T: Deserialize<'de>>(&mut self) -> Result<Option<T>, FieldsError> {
        self.next().map(T::deserialize).transpose()
    }
}
