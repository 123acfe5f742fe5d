//! A serializer around the codec's that refuses fields left out by `skip_serializing_if`.
//!
//! bincode writes fields one after another without names. It ignores that one is left out, and the next field is then
//! read back in its place: wrong records, without an error. Nothing but [`SerializeStruct::skip_field`] tells, so
//! every call passes through here; all of it is inlined and costs nothing (`storage::measure`).

use std::fmt::Display;

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// A value that serializes through the check.
pub(super) struct Strict<'a, T: ?Sized>(&'a T);

impl<'a, T: ?Sized> Strict<'a, T> {
    #[inline]
    pub(super) fn new(value: &'a T) -> Self {
        Self(value)
    }
}

impl<T: Serialize + ?Sized> Serialize for Strict<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Checked(serializer))
    }
}

/// The codec's serializer, or one of its parts, with the check.
struct Checked<S>(S);

fn left_out<E: Error>(field: &str) -> E {
    E::custom(format_args!(
        "field `{field}` is left out (skip_serializing_if), and could not be told from the next when read back"
    ))
}

/// Methods that hand one plain value on.
macro_rules! values {
    ($($method:ident: $type:ty),* $(,)?) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<Self::Ok, Self::Error> {
            self.0.$method(value)
        }
    )*};
}

/// Methods that open a compound value.
macro_rules! compounds {
    ($($method:ident($($name:ident: $type:ty),*) -> $part:ident),* $(,)?) => {$(
        #[inline]
        fn $method(self, $($name: $type),*) -> Result<Self::$part, Self::Error> {
            self.0.$method($($name),*).map(Checked)
        }
    )*};
}

impl<S: Serializer> Serializer for Checked<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Checked<S::SerializeSeq>;
    type SerializeTuple = Checked<S::SerializeTuple>;
    type SerializeTupleStruct = Checked<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Checked<S::SerializeTupleVariant>;
    type SerializeMap = Checked<S::SerializeMap>;
    type SerializeStruct = Checked<S::SerializeStruct>;
    type SerializeStructVariant = Checked<S::SerializeStructVariant>;

    values! {
        serialize_bool: bool, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8],
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_f32: f32, serialize_f64: f64, serialize_unit_struct: &'static str,
    }

    compounds! {
        serialize_seq(length: Option<usize>) -> SerializeSeq,
        serialize_tuple(length: usize) -> SerializeTuple,
        serialize_tuple_struct(name: &'static str, length: usize) -> SerializeTupleStruct,
        serialize_tuple_variant(
            name: &'static str, index: u32, variant: &'static str, length: usize
        ) -> SerializeTupleVariant,
        serialize_map(length: Option<usize>) -> SerializeMap,
        serialize_struct(name: &'static str, length: usize) -> SerializeStruct,
        serialize_struct_variant(
            name: &'static str, index: u32, variant: &'static str, length: usize
        ) -> SerializeStructVariant,
    }

    #[inline]
    fn serialize_none(self) -> Result<Self::Ok, Self::Error> {
        self.0.serialize_none()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, Self::Error> {
        self.0.serialize_some(&Strict(value))
    }

    #[inline]
    fn serialize_unit(self) -> Result<Self::Ok, Self::Error> {
        self.0.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<Self::Ok, Self::Error> {
        self.0.serialize_unit_variant(name, index, variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Self::Ok, Self::Error> {
        self.0.serialize_newtype_struct(name, &Strict(value))
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Self::Ok, Self::Error> {
        self.0
            .serialize_newtype_variant(name, index, variant, &Strict(value))
    }

    #[inline]
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<Self::Ok, Self::Error> {
        self.0.collect_str(value)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// A compound value without names.
macro_rules! unnamed {
    ($($trait:ident: $($method:ident),*);* $(;)?) => {$(
        impl<P: $trait> $trait for Checked<P> {
            type Ok = P::Ok;
            type Error = P::Error;

            $(#[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), P::Error> {
                self.0.$method(&Strict(value))
            })*

            #[inline]
            fn end(self) -> Result<P::Ok, P::Error> {
                self.0.end()
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

/// A compound value with names, of which none may be left out.
macro_rules! named {
    ($($trait:ident),*) => {$(
        impl<P: $trait> $trait for Checked<P> {
            type Ok = P::Ok;
            type Error = P::Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                field: &'static str,
                value: &T,
            ) -> Result<(), P::Error> {
                self.0.serialize_field(field, &Strict(value))
            }

            fn skip_field(&mut self, field: &'static str) -> Result<(), P::Error> {
                Err(left_out(field))
            }

            #[inline]
            fn end(self) -> Result<P::Ok, P::Error> {
                self.0.end()
            }
        }
    )*};
}

named!(SerializeStruct, SerializeStructVariant);
