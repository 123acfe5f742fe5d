//! A number for what a value contains, to compare a record with the one that came back.
//!
//! Bytes will not do for that: the entries of a `HashMap` come back in another order. So the elements of sequences and
//! the entries of maps count in any order. All else counts as it is, the names of variants and fields included.
//!
//! A field that a type leaves out, by `#[serde(skip)]` say, is in neither. It shows in memory: between the fields that
//! are written there are more bytes than alignment explains. How large a struct is, the decoder has [noted](Layout).

use std::any::type_name;
use std::cell::RefCell;
use std::hash::{BuildHasher, BuildHasherDefault, Hash};

use bincode::error::EncodeError;
use rapidhash::fast::RapidHasher;
use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// The layout of a struct.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    name: &'static str,
    size: usize,
    align: usize,
}

/// The structs that a record contains.
pub(super) type Layouts = RefCell<Vec<Layout>>;

impl Layout {
    /// Notes that a `T` is read as a struct of this name. One of another name is the helper of code of the program.
    pub(super) fn note<T>(layouts: &Layouts, name: &'static str) {
        let path = type_name::<T>().split('<').next().unwrap_or_default();
        let layout = Self {
            name,
            size: size_of::<T>(),
            align: align_of::<T>(),
        };
        let mut layouts = layouts.borrow_mut();
        if path.rsplit("::").next() == Some(name) && !layouts.contains(&layout) {
            layouts.push(layout);
        }
    }

    /// How many bytes of a struct are neither in one of its `fields`, in ascending order, nor before one to align it.
    ///
    /// Its first field is at its start, whatever the representation; so all else that is missing is at its end.
    fn unexplained_bytes(&self, fields: &[Extent]) -> usize {
        let mut bytes = 0;
        let mut add = |gap, align| bytes += if gap < align { 0 } else { gap };
        let mut place = None;
        for field in fields {
            let end = place.unwrap_or(field.start);
            add(field.start.saturating_sub(end), field.align);
            place = Some(end.max(field.end));
        }
        let start = fields.first().map_or(0, |field| field.start);
        let span = place.unwrap_or(start) - start;
        add(self.size.saturating_sub(span), self.align);
        // A struct that is smaller than that is another of the same name, or code of the program gives away what is
        // not in it.
        if span > self.size { 0 } else { bytes }
    }
}

/// A number for what `value` contains, whose structs have these layouts.
///
/// # Errors
///
/// What its own code says, or that a struct leaves out some of its fields.
pub(super) fn digest<T: Serialize>(value: &T, layouts: &Layouts) -> Result<u64, EncodeError> {
    let here = 0_u8;
    let stack = std::ptr::from_ref(&here).addr();
    value.serialize(Digest { layouts, stack })
}

fn hash(value: impl Hash) -> u64 {
    BuildHasherDefault::<RapidHasher<'_>>::default().hash_one(value)
}

/// Where a field lies in memory.
#[derive(Clone, Copy)]
struct Extent {
    start: usize,
    end: usize,
    align: usize,
}

/// Makes a number of one value.
#[derive(Clone, Copy)]
struct Digest<'l> {
    layouts: &'l Layouts,
    /// An address on the stack. What the program's code makes while it serialises lies between this and its end.
    stack: usize,
}

/// The number of what came so far of a compound value.
struct PartsInOrder<'l> {
    of: Digest<'l>,
    digest: u64,
}

/// The same of one whose parts come in any order.
struct InAnyOrder<'l> {
    of: Digest<'l>,
    sum: u64,
    parts: usize,
    key: u64,
}

/// The same of a struct, whose fields are looked at where they lie.
struct FieldParts<'l> {
    parts: PartsInOrder<'l>,
    name: &'static str,
    fields: Vec<Extent>,
}

impl<'l> Digest<'l> {
    fn in_order(self, start: impl Hash) -> PartsInOrder<'l> {
        PartsInOrder {
            of: self,
            digest: hash(start),
        }
    }

    fn fields(self, name: &'static str, length: usize) -> FieldParts<'l> {
        FieldParts {
            parts: self.in_order(name),
            name,
            fields: Vec::with_capacity(length),
        }
    }
}

impl PartsInOrder<'_> {
    fn add<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), EncodeError> {
        self.digest = hash((self.digest, part.serialize(self.of)?));
        Ok(())
    }
}

impl FieldParts<'_> {
    fn add<T: Serialize + ?Sized>(&mut self, field: &T) -> Result<(), EncodeError> {
        let start = std::ptr::from_ref(field).addr();
        self.fields.push(Extent {
            start,
            end: start + size_of_val(field),
            align: align_of_val(field),
        });
        self.parts.add(field)
    }

    fn finish(mut self) -> Result<u64, EncodeError> {
        match self.unexplained_bytes() {
            0 => Ok(self.parts.digest),
            bytes => Err(EncodeError::custom(format_args!(
                "`{}` has fields of {bytes} bytes that it does not serialise, as with `#[serde(skip)]`, and their values \
                 would be lost; serialise them, or convert the type by `#[serde(from = \"…\", into = \"…\")]`",
                self.name
            ))),
        }
    }

    fn unexplained_bytes(&mut self) -> usize {
        let here = 0_u8;
        let here = std::ptr::from_ref(&here).addr();
        let of = self.parts.of;
        let stack = here.min(of.stack)..here.max(of.stack);
        // A struct that writes nothing is a mark, whose fields nobody expects to come back. A field may also be made while
        // it is written, as by `#[serde(with = "…")]`.
        if self.fields.is_empty() || self.fields.iter().any(|field| stack.contains(&field.start)) {
            return 0;
        }
        self.fields.sort_unstable_by_key(|field| field.start);
        let layouts = of.layouts.borrow();
        let named = layouts.iter().filter(|layout| layout.name == self.name);
        let unexplained = named.map(|layout| layout.unexplained_bytes(&self.fields));
        unexplained.min().unwrap_or(0)
    }
}

macro_rules! leaves {
    ($($method:ident: $type:ty),* $(,)?) => {$(
        fn $method(self, value: $type) -> Result<u64, EncodeError> {
            Ok(hash(value))
        }
    )*};
}

impl<'l> Serializer for Digest<'l> {
    type Ok = u64;
    type Error = EncodeError;
    type SerializeSeq = InAnyOrder<'l>;
    type SerializeTuple = PartsInOrder<'l>;
    type SerializeTupleStruct = FieldParts<'l>;
    type SerializeTupleVariant = PartsInOrder<'l>;
    type SerializeMap = InAnyOrder<'l>;
    type SerializeStruct = FieldParts<'l>;
    type SerializeStructVariant = PartsInOrder<'l>;

    leaves! {
        serialize_bool: bool, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8],
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
    }

    fn serialize_f32(self, value: f32) -> Result<u64, EncodeError> {
        Ok(hash(value.to_bits()))
    }

    fn serialize_f64(self, value: f64) -> Result<u64, EncodeError> {
        Ok(hash(value.to_bits()))
    }

    fn serialize_none(self) -> Result<u64, EncodeError> {
        Ok(hash("none"))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<u64, EncodeError> {
        Ok(hash(("some", value.serialize(self)?)))
    }

    fn serialize_unit(self) -> Result<u64, EncodeError> {
        Ok(hash(()))
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<u64, EncodeError> {
        Ok(hash(name))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<u64, EncodeError> {
        let mut fields = self.fields(name, 1);
        fields.add(value)?;
        fields.finish()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<u64, EncodeError> {
        Ok(hash((index, variant)))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<u64, EncodeError> {
        Ok(hash((index, variant, value.serialize(self)?)))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<InAnyOrder<'l>, EncodeError> {
        Ok(InAnyOrder {
            of: self,
            sum: 0,
            parts: 0,
            key: 0,
        })
    }

    fn serialize_map(self, length: Option<usize>) -> Result<InAnyOrder<'l>, EncodeError> {
        self.serialize_seq(length)
    }

    fn serialize_tuple(self, length: usize) -> Result<PartsInOrder<'l>, EncodeError> {
        Ok(self.in_order(length))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<FieldParts<'l>, EncodeError> {
        Ok(self.fields(name, length))
    }

    fn serialize_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<FieldParts<'l>, EncodeError> {
        Ok(self.fields(name, length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<PartsInOrder<'l>, EncodeError> {
        Ok(self.in_order((index, variant)))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<PartsInOrder<'l>, EncodeError> {
        Ok(self.in_order((index, variant)))
    }

    /// As the encoder says: a type may be written in another form for people.
    fn is_human_readable(&self) -> bool {
        false
    }
}

impl SerializeSeq for InAnyOrder<'_> {
    type Ok = u64;
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.sum = self.sum.wrapping_add(value.serialize(self.of)?);
        self.parts += 1;
        Ok(())
    }

    fn end(self) -> Result<u64, EncodeError> {
        Ok(hash((self.sum, self.parts)))
    }
}

impl SerializeMap for InAnyOrder<'_> {
    type Ok = u64;
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.key = key.serialize(self.of)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.sum = self
            .sum
            .wrapping_add(hash((self.key, value.serialize(self.of)?)));
        self.parts += 1;
        Ok(())
    }

    fn end(self) -> Result<u64, EncodeError> {
        Ok(hash((self.sum, self.parts)))
    }
}

macro_rules! unnamed {
    ($($trait:ident for $type:ty: $method:ident, $end:expr);* $(;)?) => {$(
        impl $trait for $type {
            type Ok = u64;
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.add(value)
            }

            fn end(self) -> Result<u64, EncodeError> {
                $end(self)
            }
        }
    )*};
}

unnamed! {
    SerializeTuple for PartsInOrder<'_>: serialize_element, |parts: Self| Ok(parts.digest);
    SerializeTupleVariant for PartsInOrder<'_>: serialize_field, |parts: Self| Ok(parts.digest);
    SerializeTupleStruct for FieldParts<'_>: serialize_field, Self::finish;
}

macro_rules! named {
    ($($trait:ident for $type:ty: $end:expr);* $(;)?) => {$(
        impl $trait for $type {
            type Ok = u64;
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                _: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                self.add(value)
            }

            fn end(self) -> Result<u64, EncodeError> {
                $end(self)
            }
        }
    )*};
}

named! {
    SerializeStruct for FieldParts<'_>: Self::finish;
    SerializeStructVariant for PartsInOrder<'_>: |parts: Self| Ok(parts.digest);
}
