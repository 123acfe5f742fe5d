//! Reads the fields of lines in the order in which a struct names them.

use std::ops::Range;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::field::Field;
use super::{Fields, FieldsError, field_names};

/// For each field of a struct, the number of its column.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    of_fields: Vec<usize>,
    count: usize,
}

impl Columns {
    /// Returns the columns of the fields of `T`. Returns `None` if `T` is no struct, or if a field has no column, or
    /// more than one.
    pub(crate) fn of<'h, T: Deserialize<'static>>(
        header: impl Iterator<Item = &'h [u8]>,
    ) -> Option<Self> {
        let header: Vec<_> = header.collect();
        let column = |name: &&str| {
            let mut columns = (0..header.len()).filter(|at| header[*at] == name.as_bytes());
            columns.next().filter(|_| columns.next().is_none())
        };
        let of_fields = field_names::<T>()?.iter().map(column);
        Some(Self {
            of_fields: of_fields.collect::<Option<_>>()?,
            count: header.len(),
        })
    }

    /// Returns whether the fields are all columns, in order.
    pub(crate) fn are_all(&self) -> bool {
        self.of_fields.iter().copied().eq(0..self.count)
    }
}

impl<'t> Fields<'t> {
    /// Parses some columns of the current line as a value.
    ///
    /// # Errors
    ///
    /// Returns an error if the line has other columns than the header, or if a field cannot be parsed as one field.
    pub(crate) fn parse_columns<T: Deserialize<'t>>(
        &mut self,
        columns: &Columns,
        ranges: &mut Vec<Range<usize>>,
    ) -> Result<T, FieldsError> {
        ranges.clear();
        while !self.is_done {
            ranges.push(self.advance()?);
        }
        if ranges.len() != columns.count {
            return Err(FieldsError::surplus());
        }
        let field = |column: &usize| Field {
            text: self.text,
            range: ranges[*column].clone(),
            needs_type: true,
        };
        let mut fields = columns.of_fields.iter().map(field);
        let value = T::deserialize(Named(&mut fields))?;
        match fields.next() {
            None => Ok(value),
            Some(_) => Err(FieldsError::surplus()),
        }
    }
}

/// The fields of a struct.
struct Named<'f, F>(&'f mut F);

impl<'de, F: Iterator<Item = Field<'de>>> Deserializer<'de> for Named<'_, F> {
    type Error = FieldsError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldsError> {
        Err(FieldsError::unread("the type is no struct"))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldsError> {
        visitor.visit_seq(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de, F: Iterator<Item = Field<'de>>> SeqAccess<'de> for Named<'_, F> {
    type Error = FieldsError;

    #[inline(always)]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, FieldsError> {
        self.0
            .next()
            .map(|field| seed.deserialize(field))
            .transpose()
    }
}
