//! Reads the fields of records in the order in which a type names them.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::field::Field;
use super::records::FieldRecord;
use super::{FieldsError, field_names};

/// The columns that a type takes, in its order.
#[derive(Debug)]
pub(crate) enum Columns {
    /// All, of any number. Nothing has names.
    Unnamed,
    /// All, of this number. A struct would need its names.
    All(usize),
    /// Those of the fields of a struct, among `count`.
    Named { columns: Vec<usize>, count: usize },
}

impl Columns {
    /// Returns the columns of `T`. Returns `None` if it is a struct with a field that has no column, or more than one.
    pub(crate) fn of<'h, T: Deserialize<'static>>(
        header: impl Iterator<Item = &'h [u8]>,
    ) -> Option<Self> {
        let header: Vec<_> = header.collect();
        let count = header.len();
        let Some(names) = field_names::<T>() else {
            return Some(Self::All(count));
        };
        let column = |name: &&str| {
            let mut columns = (0..count).filter(|at| header[*at] == name.as_bytes());
            columns.next().filter(|_| columns.next().is_none())
        };
        let columns = names.iter().map(column).collect::<Option<_>>()?;
        Some(Self::Named { columns, count })
    }

    /// Returns whether there are columns that the type does not name.
    pub(crate) fn are_some(&self) -> bool {
        matches!(self, Self::Named { columns, count } if columns.len() < *count)
    }
}

impl<'t> FieldRecord<'_, 't> {
    /// Parses the columns of a type. Returns `None` if the record has other columns, or if a value is not one field.
    #[inline(always)]
    pub(crate) fn parse<T: Deserialize<'t>>(&self, columns: &Columns) -> Option<T> {
        let of_type = match columns {
            Columns::Unnamed => None,
            Columns::All(count) if *count == self.fields() => None,
            Columns::Named { columns, count } if *count == self.fields() => Some(&**columns),
            _ => return None,
        };
        let mut row = Row {
            record: *self,
            columns: of_type,
            at: 0,
            has_struct: !matches!(columns, Columns::All(_)),
        };
        T::deserialize(&mut row).ok()
    }
}

/// The fields of a record that a type takes.
struct Row<'r, 't> {
    record: FieldRecord<'r, 't>,
    /// Their columns, or `None` for all.
    columns: Option<&'r [usize]>,
    /// Number of fields that have been taken.
    at: usize,
    /// Whether the columns are in the order of a struct.
    has_struct: bool,
}

impl<'t> Row<'_, 't> {
    #[inline(always)]
    fn next(&mut self) -> Option<Field<'t>> {
        let column = match self.columns {
            Some(columns) => *columns.get(self.at)?,
            None => Some(self.at).filter(|at| *at < self.record.fields())?,
        };
        self.at += 1;
        Some(self.record.field(column))
    }
}

impl<'de> Deserializer<'de> for &mut Row<'_, 'de> {
    type Error = FieldsError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldsError> {
        Err(FieldsError::unread("the type is no sequence of fields"))
    }

    #[inline(always)]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        match self.has_struct {
            true => visitor.visit_seq(self),
            false => self.deserialize_any(visitor),
        }
    }

    #[inline(always)]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        visitor.visit_seq(self)
    }

    #[inline(always)]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        visitor.visit_seq(self)
    }

    #[inline(always)]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldsError> {
        visitor.visit_seq(self)
    }

    #[inline(always)]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct map enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for Row<'_, 'de> {
    type Error = FieldsError;

    #[inline(always)]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, FieldsError> {
        self.next().map(|field| seed.deserialize(field)).transpose()
    }
}
