//! Records that are text.

use std::ops::Range;
use std::str::{self, Utf8Error};

use super::Record;
use crate::task::Flow;
#[cfg(feature = "regex")]
use crate::text::TextRegex;
use crate::text::{
    Delimiter, for_each_byte_line, for_each_byte_word, for_each_line, for_each_word,
};

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
pub trait TextSlice: Text<Slice = Self> + for<'a> Record<Ref<'a> = &'a Self> {
    #[cfg(feature = "regex")]
    #[doc(hidden)]
    type Regex: TextRegex<Self>;

    #[doc(hidden)]
    fn for_each_word(&self, f: impl FnMut(&Self) -> Flow) -> Flow;

    #[doc(hidden)]
    fn for_each_record(&self, delimiter: &Delimiter, f: impl FnMut(&Self) -> Flow) -> Flow;
    /// Calls `f` with each word as defined by Unicode, in order, until it breaks.
    #[cfg(feature = "unicode")]
    #[doc(hidden)]
    fn for_each_unicode_word(&self, f: impl FnMut(&Self) -> Flow) -> Flow;

    /// Fails if these are bytes that are not UTF-8.
    #[doc(hidden)]
    fn as_str(&self) -> Result<&str, Utf8Error>;

    #[doc(hidden)]
    fn as_bytes(&self) -> &[u8];

    /// Fails if this is `str`, and the bytes are not UTF-8.
    #[doc(hidden)]
    fn from_bytes(bytes: &[u8]) -> Result<&Self, Utf8Error>;

    /// Returns a part of the text. The bounds must be those of characters.
    #[doc(hidden)]
    fn part(&self, range: Range<usize>) -> &Self;

    #[doc(hidden)]
    fn trim(&self) -> &Self;

    #[doc(hidden)]
    fn to_lowercase(&self) -> Self::Owned;

    #[doc(hidden)]
    fn to_uppercase(&self) -> Self::Owned;
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
    #[cfg(feature = "regex")]
    type Regex = regex::Regex;

    #[inline(always)]
    fn for_each_word(&self, f: impl FnMut(&str) -> Flow) -> Flow {
        for_each_word(self, f)
    }

    #[cfg(feature = "unicode")]
    fn for_each_unicode_word(&self, f: impl FnMut(&str) -> Flow) -> Flow {
        unicode_segmentation::UnicodeSegmentation::unicode_words(self).try_for_each(f)
    }

    #[inline(always)]
    fn for_each_record(&self, delimiter: &Delimiter, f: impl FnMut(&str) -> Flow) -> Flow {
        for_each_line(self, delimiter, f)
    }

    #[inline(always)]
    fn as_str(&self) -> Result<&str, Utf8Error> {
        Ok(self)
    }

    #[inline(always)]
    fn as_bytes(&self) -> &[u8] {
        str::as_bytes(self)
    }

    #[inline]
    fn from_bytes(bytes: &[u8]) -> Result<&str, Utf8Error> {
        str::from_utf8(bytes)
    }

    #[inline(always)]
    fn part(&self, range: Range<usize>) -> &str {
        &self[range]
    }

    fn trim(&self) -> &str {
        str::trim(self)
    }

    fn to_lowercase(&self) -> String {
        str::to_lowercase(self)
    }

    fn to_uppercase(&self) -> String {
        str::to_uppercase(self)
    }
}

impl TextSlice for [u8] {
    #[cfg(feature = "regex")]
    type Regex = regex::bytes::Regex;

    #[inline(always)]
    fn for_each_word(&self, f: impl FnMut(&[u8]) -> Flow) -> Flow {
        for_each_byte_word(self, f)
    }

    #[inline(always)]
    fn for_each_record(&self, delimiter: &Delimiter, f: impl FnMut(&[u8]) -> Flow) -> Flow {
        for_each_byte_line(self, delimiter, f)
    }

    #[cfg(feature = "unicode")]
    fn for_each_unicode_word(&self, mut f: impl FnMut(&[u8]) -> Flow) -> Flow {
        self.utf8_chunks().try_for_each(|chunk| {
            chunk
                .valid()
                .for_each_unicode_word(|word| f(word.as_bytes()))
        })
    }

    #[inline]
    fn as_str(&self) -> Result<&str, Utf8Error> {
        str::from_utf8(self)
    }

    #[inline(always)]
    fn as_bytes(&self) -> &[u8] {
        self
    }

    #[inline(always)]
    fn from_bytes(bytes: &[u8]) -> Result<&[u8], Utf8Error> {
        Ok(bytes)
    }

    #[inline(always)]
    fn part(&self, range: Range<usize>) -> &[u8] {
        &self[range]
    }

    fn trim(&self) -> &[u8] {
        self.trim_ascii()
    }

    fn to_lowercase(&self) -> Vec<u8> {
        self.to_ascii_lowercase()
    }

    fn to_uppercase(&self) -> Vec<u8> {
        self.to_ascii_uppercase()
    }
}
