//! Records that can be stored as bytes, one by one.

use std::any::TypeId;

use super::{Data, Peek, Record, Ref, owned_bytes, text_bytes};
use crate::error::Result;
use crate::storage::codec;
use crate::storage::schema::schema_of;

/// A record that can be stored as bytes and restored: the bound of [`persist`](crate::Bag::persist) and
/// [`repartition`](crate::Bag::repartition).
///
/// Implemented for every sized type that is [`Data`], and for `str` and `[u8]`, which are restored as slices of the
/// stored bytes. Only groups do not implement it; `map` them to the value that you need first.
///
/// # Examples
///
/// ```
/// use holdall::{Bag, Pipeline, Storable};
///
/// fn spread<T: Storable + ?Sized, P: Pipeline<Out = T>>(bag: Bag<T, P>) -> Bag<T> {
///     bag.repartition(4).persist(Default::default()).boxed()
/// }
///
/// assert_eq!(spread(holdall::range(0..100)).partitions(), Some(4));
/// let words = holdall::from_vec(vec!["a bag"]).flat_map_str(|line, emit| line.split(' ').for_each(emit));
/// assert_eq!(spread(words).collect()?, ["a", "bag"]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "records of type `{Self}` cannot be stored",
    note = "turn groups into records first, such as `map(|(key, values)| (key, values.count()))`",
    note = "derive `Serialize` and `Deserialize` of serde, and borrow nothing: `String` instead of `&str`"
)]
pub trait Storable: Record<Owned: Data> {
    /// Appends the bytes of a record.
    #[doc(hidden)]
    fn store(record: Peek<'_, Self>, bytes: &mut Vec<u8>) -> Result<()>;

    /// Appends the bytes of a record in the flat form, and returns `true`. Returns `false` for a record without this
    /// form.
    #[doc(hidden)]
    fn store_flat(record: Peek<'_, Self>, bytes: &mut Vec<u8>) -> bool;

    /// Decodes a record from `bytes` and passes it to `f`.
    #[doc(hidden)]
    #[inline]
    fn restore<R>(bytes: &[u8], f: impl FnOnce(Ref<'_, Self>) -> R) -> Result<R> {
        Self::restore_from(bytes, false, f)
    }

    /// Like [`restore`](Self::restore); `is_flat` tells the form of the bytes.
    #[doc(hidden)]
    fn restore_from<R>(
        bytes: &[u8],
        is_flat: bool,
        f: impl FnOnce(Ref<'_, Self>) -> R,
    ) -> Result<R>;

    /// Encodes and decodes this record, and returns an error unless the result is the same record. Returns the number
    /// of bytes that were checked.
    #[doc(hidden)]
    fn check(record: Peek<'_, Self>) -> Result<usize>;

    /// Describes the bytes of the records of this type. Types with equal descriptions can restore each other's records.
    #[doc(hidden)]
    fn schema() -> String;
}

/// No [schema](crate::storage::schema) that is traced is equal to these.
const TEXT_SCHEMA: &str = "text";
const BYTES_SCHEMA: &str = "byte string";

impl<T: Data> Storable for T {
    #[inline]
    fn store(record: &T, bytes: &mut Vec<u8>) -> Result<()> {
        if let Some(record) = owned_bytes::as_bytes(record) {
            bytes.extend_from_slice(record);
            return Ok(());
        }
        codec::encode_into(record, bytes)
    }

    #[inline]
    fn store_flat(record: &T, bytes: &mut Vec<u8>) -> bool {
        !owned_bytes::is_bytes::<T>() && codec::encode_flat(record, bytes)
    }

    #[inline]
    fn restore_from<R>(bytes: &[u8], is_flat: bool, f: impl FnOnce(T) -> R) -> Result<R> {
        // The only call of `f`, so that the compiler inlines it.
        let record = match owned_bytes::from_bytes(bytes) {
            Some(record) => record,
            None if is_flat => codec::decode_fixed(bytes)?,
            None => codec::decode(bytes)?,
        };
        Ok(f(record))
    }

    fn check(record: &T) -> Result<usize> {
        codec::check(record)
    }

    fn schema() -> String {
        match owned_bytes::is_bytes::<T>() {
            true if TypeId::of::<T>() == TypeId::of::<String>() => TEXT_SCHEMA.to_owned(),
            true => BYTES_SCHEMA.to_owned(),
            false => schema_of::<T>(),
        }
    }
}

impl Storable for str {
    #[inline]
    fn store(record: &str, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.extend_from_slice(record.as_bytes());
        Ok(())
    }

    #[inline]
    fn store_flat(_: &str, _: &mut Vec<u8>) -> bool {
        false
    }

    #[inline]
    fn restore_from<R>(bytes: &[u8], _: bool, f: impl FnOnce(&str) -> R) -> Result<R> {
        Ok(f(text_bytes::text(bytes)))
    }

    fn check(_: &str) -> Result<usize> {
        Ok(0)
    }

    fn schema() -> String {
        TEXT_SCHEMA.to_owned()
    }
}

impl Storable for [u8] {
    #[inline]
    fn store(record: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
        bytes.extend_from_slice(record);
        Ok(())
    }

    #[inline]
    fn store_flat(_: &[u8], _: &mut Vec<u8>) -> bool {
        false
    }

    #[inline]
    fn restore_from<R>(bytes: &[u8], _: bool, f: impl FnOnce(&[u8]) -> R) -> Result<R> {
        Ok(f(bytes))
    }

    fn check(_: &[u8]) -> Result<usize> {
        Ok(0)
    }

    fn schema() -> String {
        BYTES_SCHEMA.to_owned()
    }
}
