//! Records that are text.

use std::str::{self, Utf8Error};

use super::Record;
use crate::task::Flow;
use crate::text::{for_each_byte_word, for_each_word};

/// A record that is text: `str`, `String`, `[u8]` or `Vec<u8>`.
///
/// Methods that copy text, such as [`distinct`](crate::Bag::distinct), return bags of `String` or `Vec<u8>`. These bags
/// have the same methods for text as the original. Only this library implements the trait.
///
/// # Examples
///
/// ```
/// use holdall::{Bag, Pipeline, Text};
///
/// fn count_words<T: Text + ?Sized, P: Pipeline<Out = T>>(text: Bag<T, P>) -> holdall::Result<u64> {
///     text.words().count()
/// }
///
/// let lines = holdall::from_vec(vec!["to be or".to_owned(), "not to be".to_owned()]);
/// assert_eq!(count_words(lines.clone())?, 6);
/// let bytes = lines.map(String::into_bytes).distinct();
/// assert_eq!(count_words(bytes)?, 6);
/// # Ok::<(), holdall::Error>(())
/// ```
pub trait Text: AsRef<[u8]> + for<'a> Record<Peek<'a> = &'a Self> {
    /// The type of the parts of such a record: `str` for `str` and `String`, `[u8]` for `[u8]` and `Vec<u8>`.
    type Slice: TextSlice + ?Sized;

    #[doc(hidden)]
    fn as_slice(&self) -> &Self::Slice;
}

/// `str` or `[u8]`.
pub trait TextSlice: for<'a> Record<Ref<'a> = &'a Self> {
    #[doc(hidden)]
    fn for_each_word(&self, f: impl FnMut(&Self) -> Flow) -> Flow;

    /// Fails if these are bytes that are not UTF-8.
    #[doc(hidden)]
    fn as_str(&self) -> Result<&str, Utf8Error>;
}

macro_rules! text {
    ($($text:ty, $slice:ty;)*) => {$(
        impl Text for $text {
            type Slice = $slice;

            #[inline(always)]
            fn as_slice(&self) -> &$slice {
                self
            }
        }
    )*};
}

text! { str, str; String, str; [u8], [u8]; Vec<u8>, [u8]; }

impl TextSlice for str {
    #[inline(always)]
    fn for_each_word(&self, f: impl FnMut(&str) -> Flow) -> Flow {
        for_each_word(self, f)
    }

    #[inline(always)]
    fn as_str(&self) -> Result<&str, Utf8Error> {
        Ok(self)
    }
}

impl TextSlice for [u8] {
    #[inline(always)]
    fn for_each_word(&self, f: impl FnMut(&[u8]) -> Flow) -> Flow {
        for_each_byte_word(self, f)
    }

    #[inline]
    fn as_str(&self) -> Result<&str, Utf8Error> {
        str::from_utf8(self)
    }
}
