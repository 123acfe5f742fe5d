//! Converts blocks of bytes to text. UTF-8 is validated once per block, not once per line.

use std::ops::ControlFlow;
use std::path::Path;

use crate::counter::{BadRecord, BadRecords};
use crate::error::{Error, ErrorContext, ErrorKind, Result};

use super::delimiter::Delimiter;
use super::options::InvalidUtf8;
use super::start::TextBlock;

/// Calls `f` with the text of a block: with all of it if the block is valid UTF-8. Otherwise, `invalid_utf8` decides.
///
/// Also passes the offset of the text in the file. If records are skipped, calls `f` with the text before, between and
/// after them; `bad` takes the records. If invalid bytes are replaced, calls `f` with each record that has some. The
/// delimiter must be UTF-8; see [`TextOptions::check_text`](super::TextOptions::check_text).
///
/// # Errors
///
/// Returns an error if the block is not UTF-8 and no record may be skipped, and the errors of `f`.
#[inline]
pub(crate) fn for_each_text(
    block: TextBlock<'_>,
    delimiter: &Delimiter,
    (invalid_utf8, bad, has_lines): (InvalidUtf8, Option<&BadRecords>, bool),
    path: &Path,
    mut f: impl FnMut(&str, u64) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>> {
    if let Ok(text) = simdutf8::basic::from_utf8(block.bytes) {
        return f(text, block.offset);
    }
    match (invalid_utf8, bad) {
        (InvalidUtf8::Fail, None) => Err(Error::new(ErrorKind::InvalidUtf8 {
            path: path.to_owned(),
            offset: block.offset + valid_bytes(block.bytes) as u64,
            context: ErrorContext::default(),
        })),
        (InvalidUtf8::Replace, _) => {
            for_each_valid(block, delimiter, &mut f, &mut |record, offset, f| {
                f(&String::from_utf8_lossy(record), offset)
            })
        }
        (InvalidUtf8::Skip | InvalidUtf8::Fail, bad) => {
            for_each_valid(block, delimiter, &mut f, &mut |record, offset, _| {
                let text = record.strip_suffix(delimiter.bytes()).unwrap_or(record);
                skip(text, offset, has_lines, bad, path)
            })
        }
    }
}

fn valid_bytes(bytes: &[u8]) -> usize {
    simdutf8::compat::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len)
}

/// Skips an invalid record.
fn skip(
    text: &[u8],
    offset: u64,
    is_line: bool,
    bad: Option<&BadRecords>,
    path: &Path,
) -> Result<ControlFlow<()>> {
    if let Some(bad) = bad {
        let at = valid_bytes(text);
        let reason = format!("invalid UTF-8 at byte {at} of the record");
        bad.reject(BadRecord {
            is_line,
            ..BadRecord::of_line(path, offset, reason, text)
        })?;
    }
    Ok(ControlFlow::Continue(()))
}

/// Receives a text and its offset.
type OnText<'f> = &'f mut dyn FnMut(&str, u64) -> Result<ControlFlow<()>>;

/// Receives an invalid record, its offset, and the closure for texts.
type OnInvalid<'f> = &'f mut dyn FnMut(&[u8], u64, OnText<'_>) -> Result<ControlFlow<()>>;

/// Calls `f` with each longest run of valid records, and `on_invalid` with each other record, its offset, and `f`.
fn for_each_valid(
    block: TextBlock<'_>,
    delimiter: &Delimiter,
    f: OnText<'_>,
    on_invalid: OnInvalid<'_>,
) -> Result<ControlFlow<()>> {
    let mut rest = block.bytes;
    while !rest.is_empty() {
        let offset = block.offset + (block.bytes.len() - rest.len()) as u64;
        let valid = valid_bytes(rest);
        // The start of the record that contains the first invalid byte.
        let start = match valid == rest.len() {
            true => valid,
            false => delimiter.last_end(&rest[..valid], 0).unwrap_or(0),
        };
        let (text, invalid) = rest.split_at(start);
        if let Ok(text) = str::from_utf8(text)
            && !text.is_empty()
            && f(text, offset)?.is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        let end = delimiter.ends(invalid).next().unwrap_or(invalid.len());
        let (record, after) = invalid.split_at(end);
        if !record.is_empty() && on_invalid(record, offset + start as u64, f)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        rest = after;
    }
    Ok(ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(bytes: &[u8], invalid_utf8: InvalidUtf8) -> Result<Vec<(String, u64)>> {
        let block = TextBlock { bytes, offset: 100 };
        let mut texts = Vec::new();
        let policy = (invalid_utf8, None, true);
        let _ = for_each_text(
            block,
            &Delimiter::new(b"\n"),
            policy,
            Path::new("f"),
            |text, offset| {
                texts.push((text.to_owned(), offset));
                Ok(ControlFlow::Continue(()))
            },
        )?;
        Ok(texts)
    }

    #[test]
    fn valid_text_stays_whole() {
        for policy in [InvalidUtf8::Fail, InvalidUtf8::Replace, InvalidUtf8::Skip] {
            let texts = validated("a\u{e9}\0\n".as_bytes(), policy).unwrap();
            assert_eq!(texts, [("a\u{e9}\0\n".to_owned(), 100)]);
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
        let texts = validated(b"a\xffb\nc\n", InvalidUtf8::Replace).unwrap();
        assert_eq!(
            texts,
            [("a\u{fffd}b\n".to_owned(), 100), ("c\n".to_owned(), 104)]
        );
    }

    #[test]
    fn wrong_lines_are_dropped() {
        let skipped = |bytes: &[u8]| {
            let texts = validated(bytes, InvalidUtf8::Skip).unwrap();
            for (text, offset) in &texts {
                let at = (offset - 100) as usize;
                assert!(bytes[at..].starts_with(text.as_bytes()));
            }
            texts
                .into_iter()
                .map(|(text, _)| text)
                .collect::<Vec<_>>()
                .concat()
        };
        assert_eq!(skipped(b"one\nt\xffwo\r\nthree\n"), "one\nthree\n");
        assert_eq!(skipped(b"one\ntwo\xff"), "one\n");
        assert_eq!(skipped(b"\xff\n\ntwo"), "\ntwo");
        assert_eq!(skipped(b"\xff"), "");
        assert_eq!(skipped(b"a\xff\n\xffb\nc\n\xff\nd"), "c\nd");
        assert_eq!(skipped(b"a\nb\xe2\x82\nc"), "a\nc");
    }
}
