//! Converts blocks of bytes to text. UTF-8 is validated once per block, not once per line.

use std::borrow::Cow;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

use super::block::TextBlock;
use super::delimiter::Delimiter;
use super::options::InvalidUtf8;

/// Returns the text of a block, borrowed if the block is valid UTF-8.
///
/// Offsets in the result are offsets in the file minus `block.offset`, up to the first byte that was replaced or
/// dropped. The delimiter must be UTF-8; see [`TextOptions::check_text`](super::TextOptions::check_text).
///
/// # Errors
///
/// Returns an error if the block is not UTF-8 and `invalid_utf8` is [`InvalidUtf8::Fail`].
pub(crate) fn validate<'a>(
    block: TextBlock<'a>,
    delimiter: &Delimiter,
    invalid_utf8: InvalidUtf8,
    path: &Path,
) -> Result<Cow<'a, str>> {
    if let Ok(text) = simdutf8::basic::from_utf8(block.bytes) {
        return Ok(Cow::Borrowed(text));
    }
    match invalid_utf8 {
        InvalidUtf8::Fail => Err(Error::new(ErrorKind::InvalidUtf8 {
            path: path.to_owned(),
            offset: block.offset + valid_bytes(block.bytes) as u64,
        })),
        InvalidUtf8::Replace => Ok(String::from_utf8_lossy(block.bytes)),
        InvalidUtf8::Skip => Ok(Cow::Owned(valid_records(block.bytes, delimiter))),
    }
}

fn valid_bytes(bytes: &[u8]) -> usize {
    simdutf8::compat::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len)
}

fn valid_records(bytes: &[u8], delimiter: &Delimiter) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut start = 0;
    for end in delimiter.ends(bytes).chain([bytes.len()]) {
        if let Ok(record) = simdutf8::basic::from_utf8(&bytes[start..end]) {
            text.push_str(record);
        }
        start = end;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(bytes: &[u8], invalid_utf8: InvalidUtf8) -> Result<Cow<'_, str>> {
        let block = TextBlock { bytes, offset: 100 };
        validate(block, &Delimiter::new(b"\n"), invalid_utf8, Path::new("f"))
    }

    #[test]
    fn valid_text_is_borrowed() {
        for policy in [InvalidUtf8::Fail, InvalidUtf8::Replace, InvalidUtf8::Skip] {
            assert!(matches!(
                validated("a\u{e9}\0\n".as_bytes(), policy),
                Ok(Cow::Borrowed("a\u{e9}\0\n"))
            ));
        }
    }

    #[test]
    fn a_wrong_byte_is_placed_exactly() {
        for at in 0..200 {
            let mut bytes = vec![b'x'; 200];
            bytes[at] = 0x80;
            let error = validated(&bytes, InvalidUtf8::Fail).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("f: invalid UTF-8 at byte {}", 100 + at)
            );
        }
        // A truncated character is invalid from its first byte on.
        let error = validated(b"ab\xe2\x82\n", InvalidUtf8::Fail).unwrap_err();
        assert_eq!(error.to_string(), "f: invalid UTF-8 at byte 102");
    }

    #[test]
    fn wrong_bytes_are_replaced() {
        assert_eq!(
            validated(b"a\xffb\nc\n", InvalidUtf8::Replace).unwrap(),
            "a\u{fffd}b\nc\n"
        );
    }

    #[test]
    fn wrong_lines_are_dropped() {
        let skipped = |bytes| validated(bytes, InvalidUtf8::Skip).unwrap().into_owned();
        assert_eq!(skipped(b"one\nt\xffwo\r\nthree\n"), "one\nthree\n");
        assert_eq!(skipped(b"one\ntwo\xff"), "one\n");
        assert_eq!(skipped(b"\xff\n\ntwo"), "\ntwo");
        assert_eq!(skipped(b"\xff"), "");
    }
}
