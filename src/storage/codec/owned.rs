//! A deserializer around the codec's that lends nothing, for values that outlive the bytes they are read from.
//!
//! serde knows two kinds of types: those that may borrow from what they are read from, and those that never do. The
//! second is said by `for<'a> Deserialize<'a>`, which `&'static str` is not: it borrows, for ever. Here such types can
//! be read, too, as `Deserialize<'static>`: what they borrow is kept for ever, once for each text. All others take the
//! way without it, which costs nothing, as all of this is inlined (`storage::measure`).

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use crate::error::intern;

/// A value that is read without borrowing; where `FOR_EVER`, what it wants to borrow is kept for ever.
pub(super) struct Owned<T, const FOR_EVER: bool>(pub(super) T);

impl<'de, T: Deserialize<'static>, const FOR_EVER: bool> Deserialize<'de> for Owned<T, FOR_EVER> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(Unlent::<_, FOR_EVER>(deserializer, PhantomData)).map(Self)
    }
}

/// The codec's deserializer, or one of its parts.
struct Unlent<'de, D, const FOR_EVER: bool>(D, PhantomData<&'de ()>);

/// What a type does with what is read.
struct Owner<V, const FOR_EVER: bool>(V);

/// How a type reads one of its parts.
struct Part<S, const FOR_EVER: bool>(S);

impl<'de, S: DeserializeSeed<'static>, const FOR_EVER: bool> DeserializeSeed<'de>
    for Part<S, FOR_EVER>
{
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0
            .deserialize(Unlent::<_, FOR_EVER>(deserializer, PhantomData))
    }
}

/// Methods that ask for a value.
macro_rules! questions {
    ($($method:ident($($name:ident: $type:ty),*)),* $(,)?) => {$(
        #[inline]
        fn $method<V: Visitor<'static>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($name,)* Owner::<_, FOR_EVER>(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>, const FOR_EVER: bool> Deserializer<'static>
    for Unlent<'de, D, FOR_EVER>
{
    type Error = D::Error;

    questions! {
        deserialize_any(), deserialize_bool(), deserialize_char(), deserialize_str(), deserialize_string(),
        deserialize_bytes(), deserialize_byte_buf(), deserialize_option(), deserialize_unit(), deserialize_seq(),
        deserialize_map(), deserialize_identifier(), deserialize_ignored_any(),
        deserialize_i8(), deserialize_i16(), deserialize_i32(), deserialize_i64(), deserialize_i128(),
        deserialize_u8(), deserialize_u16(), deserialize_u32(), deserialize_u64(), deserialize_u128(),
        deserialize_f32(), deserialize_f64(),
        deserialize_unit_struct(name: &'static str), deserialize_newtype_struct(name: &'static str),
        deserialize_tuple(length: usize), deserialize_tuple_struct(name: &'static str, length: usize),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]),
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// Methods that hand a plain value on.
macro_rules! answers {
    ($($method:ident: $type:ty),* $(,)?) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.0.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'static>, const FOR_EVER: bool> Visitor<'de> for Owner<V, FOR_EVER> {
    type Value = V::Value;

    answers! {
        visit_bool: bool, visit_char: char, visit_i8: i8, visit_i16: i16, visit_i32: i32, visit_i64: i64,
        visit_i128: i128, visit_u8: u8, visit_u16: u16, visit_u32: u32, visit_u64: u64, visit_u128: u128,
        visit_f32: f32, visit_f64: f64,
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    #[inline]
    fn visit_str<E: Error>(self, text: &str) -> Result<V::Value, E> {
        if FOR_EVER {
            self.0.visit_borrowed_str(intern(text))
        } else {
            self.0.visit_str(text)
        }
    }

    #[inline]
    fn visit_string<E: Error>(self, text: String) -> Result<V::Value, E> {
        if FOR_EVER {
            self.0.visit_borrowed_str(intern(&text))
        } else {
            self.0.visit_string(text)
        }
    }

    #[inline]
    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<V::Value, E> {
        if FOR_EVER {
            self.0.visit_borrowed_bytes(intern_bytes(bytes))
        } else {
            self.0.visit_bytes(bytes)
        }
    }

    #[inline]
    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<V::Value, E> {
        if FOR_EVER {
            self.0.visit_borrowed_bytes(intern_bytes(&bytes))
        } else {
            self.0.visit_byte_buf(bytes)
        }
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0
            .visit_some(Unlent::<_, FOR_EVER>(deserializer, PhantomData))
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        self.0
            .visit_newtype_struct(Unlent::<_, FOR_EVER>(deserializer, PhantomData))
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Unlent::<_, FOR_EVER>(parts, PhantomData))
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, parts: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Unlent::<_, FOR_EVER>(parts, PhantomData))
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, parts: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Unlent::<_, FOR_EVER>(parts, PhantomData))
    }
}

impl<'de, A: SeqAccess<'de>, const FOR_EVER: bool> SeqAccess<'static> for Unlent<'de, A, FOR_EVER> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'static>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Part::<_, FOR_EVER>(seed))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>, const FOR_EVER: bool> MapAccess<'static> for Unlent<'de, A, FOR_EVER> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'static>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Part::<_, FOR_EVER>(seed))
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'static>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Part::<_, FOR_EVER>(seed))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>, const FOR_EVER: bool> EnumAccess<'static>
    for Unlent<'de, A, FOR_EVER>
{
    type Error = A::Error;
    type Variant = Unlent<'de, A::Variant, FOR_EVER>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'static>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(Part::<_, FOR_EVER>(seed))?;
        Ok((value, Unlent(variant, PhantomData)))
    }
}

impl<'de, A: VariantAccess<'de>, const FOR_EVER: bool> VariantAccess<'static>
    for Unlent<'de, A, FOR_EVER>
{
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'static>>(
        self,
        seed: S,
    ) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Part::<_, FOR_EVER>(seed))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'static>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(length, Owner::<_, FOR_EVER>(visitor))
    }

    #[inline]
    fn struct_variant<V: Visitor<'static>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Owner::<_, FOR_EVER>(visitor))
    }
}

/// The same bytes, for ever; each are kept once.
fn intern_bytes(bytes: &[u8]) -> &'static [u8] {
    static KEPT: Mutex<Option<HashSet<&'static [u8]>>> = Mutex::new(None);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = kept.get_or_insert_default();
    match kept.get(bytes) {
        Some(bytes) => bytes,
        None => {
            let bytes: &'static [u8] = Box::leak(bytes.into());
            kept.insert(bytes);
            bytes
        }
    }
}
