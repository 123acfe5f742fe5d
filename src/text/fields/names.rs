//! The names of the fields of a struct, as serde has them.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Returns the names of the fields of a struct, in order. Returns `None` for other types.
pub(crate) fn field_names<T: Deserialize<'static>>() -> Option<&'static [&'static str]> {
    T::deserialize(FieldNames).err()?.0
}

/// Has no value, but asks for the names.
struct FieldNames;

/// The names that a type has asked for.
#[derive(Debug)]
struct NoValue(Option<&'static [&'static str]>);

impl fmt::Display for NoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no value")
    }
}

impl std::error::Error for NoValue {}

impl de::Error for NoValue {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(None)
    }
}

impl<'de> Deserializer<'de> for FieldNames {
    type Error = NoValue;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NoValue> {
        Err(NoValue(None))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, NoValue> {
        Err(NoValue(Some(names)))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[expect(dead_code, reason = "only its names matter")]
    struct Visit {
        user: String,
        #[serde(rename = "Pages")]
        pages: u32,
    }

    #[test]
    fn only_a_struct_has_names() {
        assert_eq!(field_names::<Visit>(), Some(&["user", "Pages"][..]));
        assert_eq!(field_names::<(String, u32)>(), None);
        assert_eq!(field_names::<Vec<String>>(), None);
    }
}
