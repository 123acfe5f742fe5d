//! The columns that a type reads.

use std::fmt;

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// The columns that a type requests from its deserializer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The columns with these names: the fields of a struct.
    Named(&'static [&'static str]),
    /// This number of columns, from the first one on: the fields of a tuple.
    First(usize),
    /// All columns: a map, or a struct with a flattened field.
    All,
}

impl Shape {
    pub(crate) fn of<T: DeserializeOwned>() -> Self {
        let mut shape = Self::All;
        // The probe always returns an error.
        let _ = T::deserialize(Probe(&mut shape));
        shape
    }

    /// Returns the numbers of the columns of a file, in the order of the file.
    pub(crate) fn columns<'n>(self, names: impl Iterator<Item = &'n str>) -> Vec<usize> {
        let names = names.enumerate();
        let is_read = |(column, name): &(usize, &str)| match self {
            Self::Named(fields) => fields.contains(name),
            Self::First(count) => *column < count,
            Self::All => true,
        };
        names.filter(is_read).map(|(column, _)| column).collect()
    }
}

/// Records the first request of a type.
struct Probe<'s>(&'s mut Shape);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom(Probed))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = Shape::Named(fields);
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Shape::First(len);
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        map enum identifier ignored_any
    }
}

struct Probed;

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the type was only inspected")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its fields are inspected")]
    struct Visit {
        #[serde(rename = "who")]
        user: String,
        pages: u32,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its fields are inspected")]
    struct Wrapped(Visit);

    #[test]
    fn only_the_columns_of_a_type_are_read() {
        let columns = |shape: Shape| shape.columns(["pages", "x", "who"].into_iter());
        assert_eq!(columns(Shape::of::<Visit>()), [0, 2]);
        assert_eq!(columns(Shape::of::<Wrapped>()), [0, 2]);
        assert_eq!(columns(Shape::of::<(u32, String)>()), [0, 1]);
        assert_eq!(columns(Shape::of::<BTreeMap<String, u32>>()), [0, 1, 2]);
    }
}
