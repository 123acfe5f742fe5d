//! A description of a type's serialised form, which is compared before records of another program are decoded.
//!
//! The encoding contains neither names nor types, so bytes of one type can be decoded as another. The description
//! records what `Deserialize` of a type requests: `(string, u64)`, `struct Point { x: f64, y: f64 }`. It depends on the
//! source code of the type only, not on the program or the compiler.
//!
//! A value of the type is created on the way. Numbers are 1, options and lists have one element, and an enum has each
//! of its variants in turn. If a type rejects such a value, or contains itself, the rest of the description has the
//! names of fields only.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::value::U32Deserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// Maximum length of a description, in bytes. Longer ones end there.
const MAX_BYTES: usize = 64 << 10;

/// Maximum number of values that are created, until each variant of each enum has occurred.
const MAX_VALUES: usize = 1 << 10;

/// Maximum number of levels of nesting.
const MAX_DEPTH: usize = 64;

/// Stands for a part that is not described.
const UNKNOWN: &str = "?";

/// Describes the serialised form of a type.
pub(crate) fn schema_of<T: Deserialize<'static>>() -> String {
    let mut tracer = Tracer::default();
    let mut schema = String::new();
    for value in 0..MAX_VALUES {
        tracer.text.clear();
        tracer.open.clear();
        // The type's own code may reject the value or panic. What it has requested so far remains.
        let _ = catch_unwind(AssertUnwindSafe(|| T::deserialize(&mut tracer).is_ok()));
        if value == 0 {
            schema.clone_from(&tracer.text);
        }
        if tracer.enums.values().all(Variants::are_known) {
            break;
        }
    }
    for ((name, _), variants) in &tracer.enums {
        let contents: Vec<_> = variants.contents.iter().map(Option::as_deref).collect();
        let contents = contents.iter().map(|content| content.unwrap_or(UNKNOWN));
        schema += &format!("; {name} = {}", contents.collect::<Vec<_>>().join(" | "));
    }
    schema
}

/// A deserializer that notes what is requested.
#[derive(Default)]
struct Tracer {
    text: String,
    /// The enums that have been met, by their names and those of their variants.
    enums: BTreeMap<(&'static str, &'static [&'static str]), Variants>,
    /// Beginnings of the descriptions around the current value.
    open: Vec<String>,
}

/// Descriptions of the variants of an enum.
#[derive(Default)]
struct Variants {
    contents: Vec<Option<String>>,
    /// The first variant that was accepted. It does not need any other variant of the enum.
    simplest: Option<usize>,
    /// Number of values after all variants were known.
    values: usize,
}

impl Variants {
    fn are_known(&self) -> bool {
        self.contents.iter().all(Option::is_some)
    }

    /// Returns the variant of the next value. Within a value of the same enum, `is_inner` is `true`.
    fn next(&mut self, is_inner: bool) -> usize {
        let unknown = || self.contents.iter().position(Option::is_none);
        let simplest = self.simplest.filter(|_| is_inner);
        simplest.or_else(unknown).unwrap_or_else(|| {
            // Other enums within this one may have unknown variants.
            self.values += 1;
            self.values % self.contents.len().max(1)
        })
    }
}

/// A value could not be created.
#[derive(Debug)]
struct Rejected;

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rejected")
    }
}

impl std::error::Error for Rejected {}

impl serde::de::Error for Rejected {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self
    }
}

impl Tracer {
    /// Describes a part in brackets, even if it is rejected.
    fn within<R>(
        &mut self,
        (before, after): (&str, &str),
        trace: impl FnOnce(&mut Self) -> Result<R, Rejected>,
    ) -> Result<R, Rejected> {
        if self.text.len() > MAX_BYTES || self.open.len() > MAX_DEPTH {
            self.text += UNKNOWN;
            return Err(Rejected);
        }
        self.text += before;
        self.open.push(before.to_owned());
        let traced = trace(self);
        self.open.pop();
        self.text += after;
        traced
    }

    /// Describes `len` elements. If the first ones are rejected, the others are `?`.
    fn elements<'t, V: Visitor<'static>>(
        &'t mut self,
        len: usize,
        names: &'t [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        let mut elements = Elements {
            tracer: self,
            names,
            len,
            next: 0,
            last: String::new(),
            repeats: 0,
        };
        let value = visitor.visit_seq(&mut elements);
        elements.finish();
        value
    }

    fn is_open(&self, name: &str) -> bool {
        self.open.iter().any(|open| open == name)
    }
}

/// Elements of a list, a tuple or a struct. Equal neighbours without names are described once.
struct Elements<'t> {
    tracer: &'t mut Tracer,
    names: &'t [&'static str],
    len: usize,
    next: usize,
    /// The description of the last element, and how often it occurs.
    last: String,
    repeats: usize,
}

impl Elements<'_> {
    fn add(&mut self, element: String) {
        if self.repeats > 0 && element == self.last {
            self.repeats += 1;
            return;
        }
        self.flush();
        (self.last, self.repeats) = (element, 1);
    }

    fn flush(&mut self) {
        if self.repeats == 0 {
            return;
        }
        let text = &mut self.tracer.text;
        if !text.ends_with(['(', '[', '{']) {
            *text += ", ";
        }
        *text += &self.last;
        if self.repeats > 1 {
            *text += &format!("; {}", self.repeats);
        }
        self.repeats = 0;
    }

    fn name(&self) -> String {
        let name = self.names.get(self.next);
        name.map_or_else(String::new, |name| format!("{name}: "))
    }

    fn finish(mut self) {
        while self.next < self.len {
            let element = self.name() + UNKNOWN;
            self.add(element);
            self.next += 1;
        }
        self.flush();
    }
}

impl SeqAccess<'static> for &mut Elements<'_> {
    type Error = Rejected;

    fn next_element_seed<S: DeserializeSeed<'static>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Rejected> {
        if self.next == self.len {
            return Ok(None);
        }
        let name = self.name();
        let start = self.tracer.text.len();
        let value = seed.deserialize(&mut *self.tracer);
        let element = name + &self.tracer.text.split_off(start);
        self.next += 1;
        self.add(element);
        value.map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.next)
    }
}

/// One entry of a map.
struct Entry<'t>(&'t mut Tracer, bool);

impl MapAccess<'static> for Entry<'_> {
    type Error = Rejected;

    fn next_key_seed<S: DeserializeSeed<'static>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Rejected> {
        if std::mem::replace(&mut self.1, true) {
            return Ok(None);
        }
        seed.deserialize(&mut *self.0).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'static>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, Rejected> {
        self.0.text += ": ";
        seed.deserialize(&mut *self.0)
    }
}

/// One variant of an enum.
struct Variant<'t> {
    tracer: &'t mut Tracer,
    index: u32,
}

impl<'t> EnumAccess<'static> for Variant<'t> {
    type Error = Rejected;
    type Variant = &'t mut Tracer;

    fn variant_seed<S: DeserializeSeed<'static>>(
        self,
        seed: S,
    ) -> Result<(S::Value, &'t mut Tracer), Rejected> {
        let index: U32Deserializer<Rejected> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self.tracer))
    }
}

impl VariantAccess<'static> for &mut Tracer {
    type Error = Rejected;

    fn unit_variant(self) -> Result<(), Rejected> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'static>>(
        self,
        seed: S,
    ) -> Result<S::Value, Rejected> {
        self.within(("(", ")"), |tracer| seed.deserialize(tracer))
    }

    fn tuple_variant<V: Visitor<'static>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        self.within(("(", ")"), |tracer| tracer.elements(len, &[], visitor))
    }

    fn struct_variant<V: Visitor<'static>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        self.within((" {", "}"), |tracer| {
            tracer.elements(fields.len(), fields, visitor)
        })
    }
}

/// Values without parts.
macro_rules! leaves {
    ($($method:ident: $name:literal, $visit:ident($value:expr);)*) => {$(
        fn $method<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Rejected> {
            self.text += $name;
            visitor.$visit($value)
        }
    )*};
}

impl Deserializer<'static> for &mut Tracer {
    type Error = Rejected;

    leaves! {
        deserialize_bool: "bool", visit_bool(true);
        deserialize_i8: "i8", visit_i8(1);
        deserialize_i16: "i16", visit_i16(1);
        deserialize_i32: "i32", visit_i32(1);
        deserialize_i64: "i64", visit_i64(1);
        deserialize_i128: "i128", visit_i128(1);
        deserialize_u8: "u8", visit_u8(1);
        deserialize_u16: "u16", visit_u16(1);
        deserialize_u32: "u32", visit_u32(1);
        deserialize_u64: "u64", visit_u64(1);
        deserialize_u128: "u128", visit_u128(1);
        deserialize_f32: "f32", visit_f32(1.0);
        deserialize_f64: "f64", visit_f64(1.0);
        deserialize_char: "char", visit_char('a');
        deserialize_str: "string", visit_borrowed_str("a");
        deserialize_string: "string", visit_string("a".to_owned());
        deserialize_bytes: "bytes", visit_borrowed_bytes(b"a");
        deserialize_byte_buf: "bytes", visit_byte_buf(b"a".to_vec());
    }

    fn deserialize_unit<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Rejected> {
        self.text += "()";
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Rejected> {
        self.within(("option(", ")"), |tracer| visitor.visit_some(tracer))
    }

    fn deserialize_unit_struct<V: Visitor<'static>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        self.text += &format!("struct {name}");
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'static>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        self.within((&format!("struct {name}("), ")"), |tracer| {
            visitor.visit_newtype_struct(tracer)
        })
    }

    fn deserialize_seq<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Rejected> {
        self.within(("[", "]"), |tracer| tracer.elements(1, &[], visitor))
    }

    fn deserialize_tuple<V: Visitor<'static>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        self.within(("(", ")"), |tracer| tracer.elements(len, &[], visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'static>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        self.within((&format!("struct {name}("), ")"), |tracer| {
            tracer.elements(len, &[], visitor)
        })
    }

    fn deserialize_map<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, Rejected> {
        self.within(("map(", ")"), |tracer| {
            visitor.visit_map(Entry(tracer, false))
        })
    }

    fn deserialize_struct<V: Visitor<'static>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        let before = format!("struct {name} {{");
        if self.is_open(&before) {
            self.text += &format!("struct {name}");
            return Err(Rejected);
        }
        self.within((&before, "}"), |tracer| {
            tracer.elements(fields.len(), fields, visitor)
        })
    }

    fn deserialize_enum<V: Visitor<'static>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        let before = format!("enum {name}");
        self.text += &before;
        let is_inner = self.is_open(&before);
        let start = self.text.len();
        let known = self.enums.entry((name, variants)).or_default();
        known.contents.resize(variants.len(), None);
        let index = known.next(is_inner);
        let Some(variant) = variants.get(index) else {
            return Err(Rejected);
        };
        // Not chosen again by a value within this one.
        let is_new = known.contents[index].is_none();
        known.contents[index].get_or_insert_with(|| (*variant).to_owned());
        self.open.push(before);
        let value = visitor.visit_enum(Variant {
            tracer: self,
            index: index as u32,
        });
        self.open.pop();
        let content = self.text.split_off(start);
        if let Some(known) = self.enums.get_mut(&(name, variants)) {
            if is_new {
                known.contents[index] = Some(format!("{variant}{content}"));
            }
            if value.is_ok() {
                known.simplest.get_or_insert(index);
            }
        }
        value
    }

    fn deserialize_identifier<V: Visitor<'static>>(self, _: V) -> Result<V::Value, Rejected> {
        Err(Rejected)
    }

    fn deserialize_any<V: Visitor<'static>>(self, _: V) -> Result<V::Value, Rejected> {
        self.text += UNKNOWN;
        Err(Rejected)
    }

    fn deserialize_ignored_any<V: Visitor<'static>>(
        self,
        visitor: V,
    ) -> Result<V::Value, Rejected> {
        self.deserialize_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

#[cfg(test)]
#[expect(dead_code, reason = "only the form of the types matters")]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, VecDeque};
    use std::net::IpAddr;
    use std::num::NonZeroU8;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Point {
        x: f64,
        y: Option<NonZeroU8>,
    }

    #[derive(serde::Deserialize)]
    enum Shape {
        Many(Vec<Shape>, Box<Shape>),
        Dot(Point),
        #[serde(rename = "nothing")]
        None,
        Line {
            from: Point,
            to: [Point; 2],
        },
    }

    #[derive(serde::Deserialize)]
    struct Tree {
        name: String,
        below: Vec<Tree>,
        leaves: u64,
    }

    #[derive(serde::Deserialize)]
    struct Strict(#[serde(deserialize_with = "panics")] u64, u32);

    fn panics<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let number = u64::deserialize(from)?;
        assert_ne!(number, 1, "on purpose");
        Ok(number)
    }

    #[test]
    fn a_schema_names_all_parts() {
        assert_eq!(schema_of::<(String, u64)>(), "(string, u64)");
        assert_eq!(schema_of::<[u8; 32]>(), "(u8; 32)");
        assert_eq!(schema_of::<VecDeque<BTreeSet<char>>>(), "[[char]]");
        assert_eq!(schema_of::<BTreeMap<i8, ()>>(), "map(i8: ())");
        let point = "struct Point {x: f64, y: option(u8)}";
        assert_eq!(schema_of::<Point>(), point);
        let shape = format!(
            "enum Shape; Shape = Many([enum Shape], enum Shape) | Dot({point}) | nothing | \
             Line {{from: {point}, to: ({point}; 2)}}"
        );
        assert_eq!(schema_of::<Shape>(), shape);
        assert_eq!(
            schema_of::<Result<Point, IpAddr>>(),
            format!(
                "enum Result; IpAddr = V4((u8; 4)) | V6((u8; 16)); Result = Ok({point}) | Err(enum IpAddr)"
            )
        );
    }

    #[test]
    fn a_type_that_rejects_values_or_contains_itself_has_a_schema() {
        assert_eq!(
            schema_of::<(Tree, u8)>(),
            "(struct Tree {name: string, below: [struct Tree], leaves: ?}, ?)"
        );
        assert_eq!(schema_of::<Strict>(), "struct Strict(u64");
        assert_eq!(schema_of::<(bool, Box<str>)>(), "(bool, string)");
    }
}
