//! Maps the rows of a record batch to values, by serde.
//!
//! Columns of numbers and text, which most columns are, are read here. serde_arrow reads the others. It looks up each
//! field of each row by its name, which takes longer than all the rest.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::FieldRef;
use holdall::{BadRecords, BoxError, Reading};
use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer,
    MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::readable::readable;
use crate::shape::Shape;

macro_rules! values {
    ($($variant:ident: $array:ty => $visit:ident,)*) => {
        /// The values of a column.
        enum Values<'de> {
            $($variant(&'de $array),)*
            Other(serde_arrow::Deserializer<'de>),
        }

        impl<'de> Values<'de> {
            fn new(field: &FieldRef, array: &'de ArrayRef) -> serde_arrow::Result<Self> {
                $(if let Some(array) = array.as_any().downcast_ref() {
                    return Ok(Self::$variant(array));
                })*
                let (fields, arrays) = (std::slice::from_ref(field), std::slice::from_ref(array));
                serde_arrow::Deserializer::from_arrow(fields, arrays).map(Self::Other)
            }

            #[inline(always)]
            fn visit<V: Visitor<'de>>(&self, row: usize, visitor: V) -> Result<V::Value, Error> {
                match self {
                    $(Self::$variant(array) => visitor.$visit(array.value(row)),)*
                    Self::Other(_) => Err(Error::custom("the column is read by serde_arrow")),
                }
            }
        }
    };
}

values! {
    Bool: BooleanArray => visit_bool,
    I8: Int8Array => visit_i8,
    I16: Int16Array => visit_i16,
    I32: Int32Array => visit_i32,
    I64: Int64Array => visit_i64,
    U8: UInt8Array => visit_u8,
    U16: UInt16Array => visit_u16,
    U32: UInt32Array => visit_u32,
    U64: UInt64Array => visit_u64,
    F32: Float32Array => visit_f32,
    F64: Float64Array => visit_f64,
    Text: StringArray => visit_str,
    LargeText: LargeStringArray => visit_str,
    TextView: StringViewArray => visit_str,
}

struct Column<'de> {
    name: &'de str,
    nulls: Option<&'de NullBuffer>,
    values: Values<'de>,
}

impl<'de> Column<'de> {
    #[inline(always)]
    fn deserialize<S: DeserializeSeed<'de>>(&self, row: usize, seed: S) -> Result<S::Value, Error> {
        let value = match &self.values {
            Values::Other(rows) => deserialize_other(rows, row, seed),
            _ => seed.deserialize(ValueAt { column: self, row }),
        };
        value.map_err(|error| Error::custom(format_args!("column `{}`: {error}", self.name)))
    }
}

fn deserialize_other<'de, S: DeserializeSeed<'de>>(
    column: &serde_arrow::Deserializer<'de>,
    row: usize,
    seed: S,
) -> Result<S::Value, Error> {
    let row = column
        .get(row)
        .ok_or_else(|| Error::custom("it is too short"))?;
    row.deserialize_tuple(1, FirstElement(seed))
        .map_err(Error::custom)
}

/// Visits the first element of a sequence.
struct FirstElement<S>(S);

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for FirstElement<S> {
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<S::Value, A::Error> {
        let value = seq.next_element_seed(self.0)?;
        value.ok_or_else(|| A::Error::invalid_length(0, &"a value"))
    }
}

/// A value of a column of numbers or text.
struct ValueAt<'r, 'de> {
    column: &'r Column<'de>,
    row: usize,
}

impl ValueAt<'_, '_> {
    #[inline(always)]
    fn is_null(&self) -> bool {
        self.column
            .nulls
            .is_some_and(|nulls| nulls.is_null(self.row))
    }
}

impl<'de> Deserializer<'de> for ValueAt<'_, 'de> {
    type Error = Error;

    #[inline(always)]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.is_null() {
            true => visitor.visit_none(),
            false => self.column.values.visit(self.row, visitor),
        }
    }

    #[inline(always)]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.is_null() {
            true => visitor.visit_none(),
            false => visitor.visit_some(self),
        }
    }

    #[inline(always)]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// A character is an integer, as serde_arrow writes it, or a text.
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.column.values {
            Values::U32(array) if !self.is_null() => {
                let character = char::from_u32(array.value(self.row));
                visitor.visit_char(character.ok_or_else(|| Error::custom("it is no character"))?)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = String::deserialize(self)?;
        visitor.visit_enum(name.into_deserializer())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// The rows of a batch.
pub(crate) struct Rows<'de> {
    columns: Vec<Column<'de>>,
    /// Whether the columns are the fields of a struct, in the same order. Then no name is compared.
    by_position: bool,
}

impl<'de> Rows<'de> {
    pub(crate) fn new(batch: &'de RecordBatch, shape: Shape) -> Result<Self, BoxError> {
        let schema = batch.schema_ref();
        let mut numbers = shape.columns(schema.fields().iter().map(|field| field.name().as_str()));
        let mut by_position = false;
        if let Shape::Named(fields) = shape {
            let position = |name: &str| fields.iter().position(|field| *field == name);
            numbers.sort_by_key(|number| position(schema.field(*number).name()));
            numbers.dedup_by_key(|number| position(schema.field(*number).name()));
            by_position = numbers.len() == fields.len();
        }
        let column = |number: usize| {
            let (field, array) = (&schema.fields()[number], batch.column(number));
            let values = Values::new(field, array)
                .map_err(|error| format!("column `{}`: {error}", field.name()))?;
            Ok::<_, BoxError>(Column {
                name: field.name(),
                nulls: array.nulls(),
                values,
            })
        };
        Ok(Self {
            columns: numbers.into_iter().map(column).collect::<Result<_, _>>()?,
            by_position,
        })
    }

    #[inline(always)]
    pub(crate) fn get<T: Deserialize<'de>>(&mut self, row: usize) -> Result<T, Error> {
        if self.by_position {
            let mut fields = Fields::new(self, row);
            let value = T::deserialize(&mut fields);
            if value.is_ok() && fields.next == self.columns.len() {
                return value;
            }
        }
        self.get_by_name(row)
    }

    #[cold]
    #[inline(never)]
    fn get_by_name<T: Deserialize<'de>>(&mut self, row: usize) -> Result<T, Error> {
        let by_position = std::mem::take(&mut self.by_position);
        let value = T::deserialize(&mut Fields::new(self, row));
        // If the names are right and the positions are not, some fields have several names.
        self.by_position = by_position && value.is_err();
        value
    }
}

/// The fields of a row.
struct Fields<'r, 'de> {
    rows: &'r Rows<'de>,
    row: usize,
    next: usize,
}

impl<'r, 'de> Fields<'r, 'de> {
    #[inline(always)]
    fn new(rows: &'r Rows<'de>, row: usize) -> Self {
        let next = 0;
        Self { rows, row, next }
    }
}

impl<'de> Deserializer<'de> for &mut Fields<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    #[inline(always)]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.rows.by_position {
            true => visitor.visit_seq(self),
            false => visitor.visit_map(self),
        }
    }

    #[inline(always)]
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(self)
    }

    #[inline(always)]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(self)
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

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = Error;

    #[inline(always)]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(column) = self.rows.columns.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        column.deserialize(self.row, seed).map(Some)
    }
}

impl<'de> MapAccess<'de> for Fields<'_, 'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(column) = self.rows.columns.get(self.next) else {
            return Ok(None);
        };
        seed.deserialize(StrDeserializer::new(column.name))
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let value = self.next_element_seed(seed)?;
        value.ok_or_else(|| Error::custom("the row has no more columns"))
    }
}

/// Outcome of reading the rows of a part: `Break(Some(error))` if a record is bad, and `Break(None)` if no more records are
/// needed.
pub(crate) type RowFlow = ControlFlow<Option<BoxError>>;

/// Passes the rows of a batch to `emit`. `first` is the number of the first row in its file, from 1, if it is known.
pub(crate) fn emit_rows<T: DeserializeOwned>(
    batch: &RecordBatch,
    first: Option<u64>,
    bad: Option<&BadRecords>,
    reading: &Reading<'_>,
    emit: &mut impl FnMut(T) -> ControlFlow<()>,
) -> Result<RowFlow, BoxError> {
    let set_record = |row: usize| {
        if let Some(first) = first {
            reading.set_record(first + row as u64);
        }
    };
    let batch = readable(batch)?;
    let mut rows = Rows::new(&batch, Shape::of::<T>())?;
    set_record(0);
    for row in 0..batch.num_rows() {
        let failed = match (rows.get(row), bad) {
            (Ok(value), _) => match emit(value) {
                ControlFlow::Continue(()) => continue,
                ControlFlow::Break(()) => None,
            },
            (Err(error), None) => Some(error.into()),
            (Err(error), Some(bad)) => match reading.reject(bad, &error, None) {
                Ok(()) => {
                    set_record(row + 1);
                    continue;
                }
                Err(error) => Some(error),
            },
        };
        return Ok(ControlFlow::Break(failed));
    }
    Ok(ControlFlow::Continue(()))
}

/// Returns the result of reading a part of a file. If the part cannot be read, `bad` takes it.
pub(crate) fn end_part(
    read: Result<RowFlow, BoxError>,
    path: &Path,
    bad: Option<&BadRecords>,
    reading: &Reading<'_>,
) -> Result<(), BoxError> {
    match (read, bad) {
        (Ok(ControlFlow::Break(Some(error))), _) | (Err(error), None) => Err(error),
        (Ok(_), _) => Ok(()),
        (Err(error), Some(bad)) => reading.reject_file(bad, path, &error),
    }
}
