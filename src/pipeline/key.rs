//! Records that can be shuffled, and records that can be keys.

use serde::{Deserialize, Serialize};

use super::{Owned, Peek, Record, owned_bytes, text_bytes};
use crate::error::Result;
use crate::storage::codec::{self, Short};

/// A record that can be stored between stages: any type that serde can write and read back.
///
/// Implemented for every type that satisfies the bounds. A decoded record cannot borrow from the bytes that it was read
/// from, because these are temporary. Text decoded as `&'static str` is therefore leaked, once for each distinct text.
/// Use `&'static str` in records only if there are few distinct texts.
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// struct Reading {
///     station: u32,
///     celsius: f64,
/// }
///
/// let readings = [(1, 12.5), (2, 8.0), (1, 14.0)].map(|(station, celsius)| Reading { station, celsius });
/// let warmest = holdall::from_vec(readings.to_vec())
///     .key_by(|reading| reading.station)
///     .reduce_by_key(|a, b| if b.celsius > a.celsius { b } else { a });
/// assert!(warmest.values().collect()?.contains(&Reading { station: 1, celsius: 14.0 }));
/// # Ok::<(), holdall::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent between stages",
    note = "derive `Serialize` and `Deserialize` of serde, and borrow nothing: `String` instead of `&str`"
)]
pub trait Data: Serialize + Deserialize<'static> + Send + 'static {}
impl<T: Serialize + Deserialize<'static> + Send + 'static> Data for T {}

/// A record that can be a key of a group, a count or a join.
///
/// Two keys are the same if their serialised bytes are the same. The bound [`Eq`] expresses the requirement that equal
/// keys have equal bytes. Some types violate it, such as `PathBuf`, `OrderedFloat` and `DateTime<FixedOffset>`: see
/// [equal keys](crate#equal-keys) for a list, and for how to normalise such keys.
///
/// Implemented for every sized type that is [`Data`] and `Eq`, and for `str` and `[u8]`. In a generic function, write
/// these bounds instead of `Key`: `fn tally<K: Data + Eq>(keys: Bag<K>)`. With `K: Key`, a bag of results has records of
/// type [`K::Owned`](Record::Owned), because `K` might be `str`.
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
/// enum Level {
///     Info,
///     Error,
/// }
///
/// let levels = holdall::from_vec(vec![Level::Error, Level::Info, Level::Error]);
/// assert!(levels.count_by_value().collect()?.contains(&(Level::Error, 2)));
/// # Ok::<(), holdall::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    note = "a key is `Eq` and data; for floating-point numbers, use their `to_bits()`",
    note = "derive `Serialize` and `Deserialize` of serde, and borrow nothing: `String` instead of `&str`"
)]
pub trait Key: Record<Owned: Data> {
    /// Calls `f` with the bytes of a key.
    #[doc(hidden)]
    fn with_bytes<R>(
        key: Peek<'_, Self>,
        buffer: &mut Vec<u8>,
        f: impl FnOnce(&[u8]) -> R,
    ) -> Result<R>;

    /// Appends the bytes of a key.
    #[doc(hidden)]
    fn append_bytes(key: Peek<'_, Self>, bytes: &mut Vec<u8>) -> Result<()>;

    /// Returns `true` if the keys are byte strings themselves, so that they need no encoding.
    #[doc(hidden)]
    fn is_bytes() -> bool;

    /// Returns the bytes of a key if they fit into a [`Short`].
    #[doc(hidden)]
    fn short(key: Peek<'_, Self>) -> Option<Short>;

    /// Calls `f` with the key if its type is sized.
    #[doc(hidden)]
    fn with_sized<R>(key: Peek<'_, Self>, f: impl FnOnce(&Owned<Self>) -> R) -> Option<R>;

    /// Decodes a key from its bytes.
    #[doc(hidden)]
    fn from_bytes(bytes: &[u8]) -> Result<Owned<Self>>;

    /// Decodes the key with these bytes and returns an error unless the result is the same key. Returns the number of
    /// bytes that were checked.
    #[doc(hidden)]
    fn check_bytes(bytes: &[u8]) -> Result<usize>;
}

impl<T: Data + Eq> Key for T {
    #[inline]
    fn with_bytes<R>(key: &T, buffer: &mut Vec<u8>, f: impl FnOnce(&[u8]) -> R) -> Result<R> {
        if let Some(bytes) = owned_bytes::as_bytes(key) {
            return Ok(f(bytes));
        }
        buffer.clear();
        codec::encode_into(key, buffer)?;
        Ok(f(buffer))
    }

    #[inline]
    fn append_bytes(key: &T, bytes: &mut Vec<u8>) -> Result<()> {
        if let Some(key) = owned_bytes::as_bytes(key) {
            bytes.extend_from_slice(key);
            return Ok(());
        }
        codec::encode_into(key, bytes)
    }

    #[inline(always)]
    fn is_bytes() -> bool {
        owned_bytes::is_bytes::<T>()
    }

    #[inline(always)]
    fn short(key: &T) -> Option<Short> {
        match owned_bytes::as_bytes(key) {
            Some(bytes) => Short::new(bytes),
            None => codec::encode_short(key),
        }
    }

    #[inline(always)]
    fn with_sized<R>(key: &T, f: impl FnOnce(&T) -> R) -> Option<R> {
        Some(f(key))
    }

    #[inline(always)]
    fn from_bytes(bytes: &[u8]) -> Result<T> {
        match owned_bytes::from_bytes(bytes) {
            Some(key) => Ok(key),
            None => codec::decode(bytes),
        }
    }

    fn check_bytes(bytes: &[u8]) -> Result<usize> {
        if owned_bytes::is_bytes::<T>() {
            Ok(0)
        } else {
            codec::check_key::<T>(bytes)
        }
    }
}

impl Key for str {
    #[inline]
    fn with_bytes<R>(key: &str, _: &mut Vec<u8>, f: impl FnOnce(&[u8]) -> R) -> Result<R> {
        Ok(f(key.as_bytes()))
    }

    #[inline]
    fn append_bytes(key: &str, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.extend_from_slice(key.as_bytes());
        Ok(())
    }

    #[inline(always)]
    fn is_bytes() -> bool {
        true
    }

    #[inline(always)]
    fn short(key: &str) -> Option<Short> {
        Short::new(key.as_bytes())
    }

    #[inline(always)]
    fn with_sized<R>(_: &str, _: impl FnOnce(&String) -> R) -> Option<R> {
        None
    }

    #[inline]
    fn from_bytes(bytes: &[u8]) -> Result<String> {
        Ok(text_bytes::text(bytes).to_owned())
    }

    fn check_bytes(_: &[u8]) -> Result<usize> {
        Ok(0)
    }
}

impl Key for [u8] {
    #[inline]
    fn with_bytes<R>(key: &[u8], _: &mut Vec<u8>, f: impl FnOnce(&[u8]) -> R) -> Result<R> {
        Ok(f(key))
    }

    #[inline]
    fn append_bytes(key: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
        bytes.extend_from_slice(key);
        Ok(())
    }

    #[inline(always)]
    fn is_bytes() -> bool {
        true
    }

    #[inline(always)]
    fn short(key: &[u8]) -> Option<Short> {
        Short::new(key)
    }

    #[inline(always)]
    fn with_sized<R>(_: &[u8], _: impl FnOnce(&Vec<u8>) -> R) -> Option<R> {
        None
    }

    #[inline]
    fn from_bytes(bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(bytes.to_vec())
    }

    fn check_bytes(_: &[u8]) -> Result<usize> {
        Ok(0)
    }
}
