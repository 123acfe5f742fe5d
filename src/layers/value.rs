//! Values of tasks, whose types only their tasks know.

use std::any::{Any, TypeId, type_name};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::pipeline::{Data, Storable, owned_bytes};
use crate::portable::{FunctionEntry, Loader, Saver};
use crate::storage::codec;

/// The value of a task.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;

/// Operations on values of one type, for code that does not know the type.
pub(crate) struct ValueType {
    pub(crate) id: TypeId,
    pub(crate) name: fn() -> &'static str,
    entry: fn() -> &'static FunctionEntry<&'static ValueType>,
    bytes: fn(&Value) -> Result<usize>,
    encode: fn(&Value, &mut Vec<u8>) -> Result<()>,
    decode: fn(&[u8]) -> Result<Value>,
}

impl ValueType {
    pub(crate) const fn of<T: Data + Sync>() -> Self {
        Self {
            id: TypeId::of::<T>(),
            name: type_name::<T>,
            entry: entry::<T>,
            bytes: bytes::<T>,
            encode: encode::<T>,
            decode: decode::<T>,
        }
    }

    /// Returns the memory of a value, in bytes. What it owns counts by the length of its encoding.
    pub(crate) fn bytes(&self, value: &Value) -> Result<usize> {
        (self.bytes)(value)
    }

    /// Appends the bytes of a value.
    pub(crate) fn encode(&self, value: &Value, bytes: &mut Vec<u8>) -> Result<()> {
        (self.encode)(value, bytes)
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<Value> {
        (self.decode)(bytes)
    }

    /// Writes the type for [`load`](Self::load).
    pub(crate) fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry((self.entry)())
    }

    pub(crate) fn load(from: &mut Loader<'_>) -> Result<&'static Self> {
        from.entry()
    }
}

fn entry<T: Data + Sync>() -> &'static FunctionEntry<&'static ValueType> {
    const { &FunctionEntry::of::<T>(load::<T>) }
}

fn load<T: Data + Sync>(_: &mut Loader<'_>) -> Result<&'static ValueType> {
    Ok(const { &ValueType::of::<T>() })
}

fn bytes<T: Data + Sync>(value: &Value) -> Result<usize> {
    // Such a value owns nothing, so there is nothing to count.
    if !std::mem::needs_drop::<T>() {
        return Ok(size_of::<T>());
    }
    let value = downcast::<T>(value)?;
    let owned = match owned_bytes::as_bytes(value) {
        Some(bytes) => bytes.len(),
        None => codec::encoded_bytes(value)?,
    };
    Ok(size_of::<T>() + owned)
}

fn encode<T: Data + Sync>(value: &Value, bytes: &mut Vec<u8>) -> Result<()> {
    T::store(downcast(value)?, bytes)
}

fn decode<T: Data + Sync>(bytes: &[u8]) -> Result<Value> {
    T::restore(bytes, |value: T| Arc::new(value) as Value)
}

fn downcast<T: 'static>(value: &Value) -> Result<&T> {
    let value = value.downcast_ref();
    value.ok_or_else(|| Error::internal(format!("a value is no {}", type_name::<T>())))
}
