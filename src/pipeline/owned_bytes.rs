//! Access to the bytes of `String` and `Vec<u8>` in code that is generic over sized types.
//!
//! Rust has no specialisation. However, each generic function is compiled for one type, so the compiler removes these
//! type checks.

use std::any::Any;

use super::text_bytes::text;

/// Returns the bytes of a `String` or a `Vec<u8>`; `None` if `T` is another type.
#[inline(always)]
pub(crate) fn as_bytes<T: 'static>(record: &T) -> Option<&[u8]> {
    let record: &dyn Any = record;
    if let Some(text) = record.downcast_ref::<String>() {
        return Some(text.as_bytes());
    }
    record.downcast_ref::<Vec<u8>>().map(Vec::as_slice)
}

/// Returns `true` if `T` is `String` or `Vec<u8>`.
#[inline(always)]
pub(crate) fn is_bytes<T: 'static>() -> bool {
    let none: Option<T> = None;
    let none: &dyn Any = &none;
    none.is::<Option<String>>() || none.is::<Option<Vec<u8>>>()
}

/// Returns the `String` or the `Vec<u8>` with these bytes; `None` if `T` is another type.
#[inline(always)]
pub(crate) fn from_bytes<T: 'static>(bytes: &[u8]) -> Option<T> {
    let mut record: Option<T> = None;
    let place: &mut dyn Any = &mut record;
    if let Some(place) = place.downcast_mut::<Option<String>>() {
        *place = Some(text(bytes).to_owned());
    } else if let Some(place) = place.downcast_mut::<Option<Vec<u8>>>() {
        *place = Some(bytes.to_vec());
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strings_and_vectors_of_bytes_are_bytes() {
        assert_eq!(as_bytes(&"é".to_owned()), Some("é".as_bytes()));
        assert_eq!(as_bytes(&vec![1_u8, 2]), Some(&[1, 2][..]));
        assert_eq!(as_bytes(&vec![1_i8, 2]), None);
        assert_eq!(from_bytes(b"abc"), Some("abc".to_owned()));
        assert_eq!(from_bytes(b"abc"), Some(b"abc".to_vec()));
        assert_eq!(from_bytes::<Box<str>>(b"abc"), None);
        assert!(is_bytes::<String>() && is_bytes::<Vec<u8>>() && !is_bytes::<u8>());
    }
}
