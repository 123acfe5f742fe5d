//! A hash of the content of a value, to compare a record with its decoded copy.
//!
//! The bytes cannot be compared, because decoding may change the order of the entries of a `HashMap`. The digest
//! therefore ignores the order of the elements of sequences and of the entries of maps. It covers everything else
//! exactly, including the names of variants and fields.
//!
//! A field that a type omits, for example by `#[serde(skip)]`, appears in neither digest. Its memory reveals it: the
//! gaps between the serialised fields are larger than alignment explains. The decoder has [recorded](Layout) the size
//! of each struct.

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

/// Structs that a record contains.
pub(super) type Layouts = RefCell<Vec<Layout>>;

impl Layout {
    /// Records that a `T` is decoded as a struct called `name`. Ignores a struct of another name, which is a helper in
    /// the user's code.
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

    /// Returns the number of bytes of a struct that neither belong to one of its `fields`, in ascending order, nor
    /// align one.
    ///
    /// The lowest of the fields counts as the start of the struct, whatever the representation, so all other missing
    /// bytes count as a gap at its end.
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
        // If the struct is smaller than its fields, the layout is that of another struct with the same name, or user
        // code serialises values that are not in the struct.
        if span > self.size { 0 } else { bytes }
    }
}

/// Returns a hash of the content of `value`. `layouts` are those of its structs.
///
/// # Errors
///
/// Returns an error of the type's own code, or the error that a struct omits some of its fields.
pub(super) fn digest<T: Serialize>(value: &T, layouts: &Layouts) -> Result<u64, EncodeError> {
    let here = 0_u8;
    let stack = std::ptr::from_ref(&here).addr();
    value.serialize(Digest { layouts, stack })
}

fn hash(value: impl Hash) -> u64 {
    BuildHasherDefault::<RapidHasher<'_>>::default().hash_one(value)
}

/// Position of a field in memory.
#[derive(Clone, Copy)]
struct Extent {
    start: usize,
    end: usize,
    align: usize,
}

/// Hashes one value.
#[derive(Clone, Copy)]
struct Digest<'l> {
    layouts: &'l Layouts,
    /// An address on the stack. Temporary values that user code creates while it serialises are between this address
    /// and the end of the stack.
    stack: usize,
}

/// Digest of the parts of a compound value so far.
struct PartsInOrder<'l> {
    of: Digest<'l>,
    digest: u64,
}

/// Digest of a compound value whose parts have no defined order.
struct InAnyOrder<'l> {
    of: Digest<'l>,
    sum: u64,
    parts: usize,
    key: u64,
}

/// Digest of a struct, together with the positions of its fields.
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
        // A struct that serialises nothing is a marker, so losing its fields is intended. A field may also be a
        // temporary value, created during serialisation, for example by `#[serde(with = "…")]`.
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

    /// Must match the encoder, because a type may have another form for human readers.
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
