//! Reads the values of JSON objects with a known layout.

use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::cursor::{JsonCursor, JsonMismatch, JsonResult};
use super::layout::JsonLayout;

/// Parses an object with this layout. Returns `None` if the text is something else, or has values that are rare.
#[inline]
pub(super) fn parse<'de, T: Deserialize<'de>>(layout: &JsonLayout, text: &'de str) -> Option<T> {
    let mut object = JsonObject {
        layout,
        cursor: JsonCursor { text, at: 0 },
        next: 0,
    };
    let value = T::deserialize(&mut object).ok()?;
    let is_complete = object.next == layout.before.len();
    (is_complete && *layout.after == text.as_bytes()[object.cursor.at..]).then_some(value)
}

/// An object that is read.
struct JsonObject<'l, 'de> {
    layout: &'l JsonLayout,
    cursor: JsonCursor<'de>,
    /// Number of the next value.
    next: usize,
}

impl<'de> Deserializer<'de> for &mut JsonObject<'_, 'de> {
    type Error = JsonMismatch;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> JsonResult<V::Value> {
        Err(JsonMismatch)
    }

    #[inline(always)]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> JsonResult<V::Value> {
        match self.layout.by_position {
            true => visitor.visit_seq(self),
            false => visitor.visit_map(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de> JsonObject<'_, 'de> {
    /// Moves to the next value. Returns `false` if there is none.
    #[inline(always)]
    fn next_value(&mut self) -> JsonResult<bool> {
        let Some(before) = self.layout.before.get(self.next) else {
            return Ok(false);
        };
        let cursor = &mut self.cursor;
        if !cursor.text.as_bytes()[cursor.at..].starts_with(before) {
            return Err(JsonMismatch);
        }
        cursor.at += before.len();
        self.next += 1;
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for JsonObject<'_, 'de> {
    type Error = JsonMismatch;

    #[inline(always)]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> JsonResult<Option<S::Value>> {
        match self.next_value()? {
            true => seed.deserialize(JsonValue(&mut self.cursor)).map(Some),
            false => Ok(None),
        }
    }
}

impl<'de> MapAccess<'de> for JsonObject<'_, 'de> {
    type Error = JsonMismatch;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> JsonResult<Option<S::Value>> {
        match self.layout.names.get(self.next) {
            Some(name) if self.next_value()? => {
                seed.deserialize(StrDeserializer::new(name)).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> JsonResult<S::Value> {
        seed.deserialize(JsonValue(&mut self.cursor))
    }
}

/// The next value of an object.
struct JsonValue<'o, 'de>(&'o mut JsonCursor<'de>);

macro_rules! number {
    ($($method:ident)*) => {
        $(#[inline(always)]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> JsonResult<V::Value> {
            self.0.number(visitor)
        })*
    };
}

macro_rules! text {
    ($($method:ident)*) => {
        $(#[inline(always)]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> JsonResult<V::Value> {
            visitor.visit_borrowed_str(self.0.string()?)
        })*
    };
}

impl<'de> Deserializer<'de> for JsonValue<'_, 'de> {
    type Error = JsonMismatch;

    number! { deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 }
    number! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_f64 }
    text! { deserialize_char deserialize_str deserialize_string }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> JsonResult<V::Value> {
        Err(JsonMismatch)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> JsonResult<V::Value> {
        let is_true = self.0.peek() == Some(b't');
        self.0.word(if is_true { "true" } else { "false" })?;
        visitor.visit_bool(is_true)
    }

    #[inline(always)]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> JsonResult<V::Value> {
        match self.0.peek() {
            Some(b'n') => {
                self.0.word("null")?;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    #[inline(always)]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> JsonResult<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> JsonResult<V::Value> {
        self.0.skip_value()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit unit_struct seq tuple tuple_struct map struct enum identifier
    }
}
