//! Divides blocks into records: lines, or records with another delimiter.
#![expect(
    unsafe_code,
    reason = "slices lines without looking for character boundaries: 1 ns less a line"
)]

use std::ops::{ControlFlow, Range};

use super::delimiter::Delimiter;
use super::mask::{Positions, WINDOW_BYTES};

/// Calls `f` with each record of `block`, in order and without its delimiter, until `f` returns `Break`.
///
/// With the delimiter `"\n"`, also removes a `"\r"` directly before it, like
/// [`BufRead::lines`](std::io::BufRead::lines). At the end of a file that does not end with `"\n"`, a `"\r"` stays.
/// With other delimiters, nothing else is removed.
///
/// # Panics
///
/// Panics if the delimiter is not UTF-8 and ends within a character; see
/// [`TextOptions::check_text`](super::TextOptions::check_text).
#[inline]
pub(crate) fn for_each_line(
    block: &str,
    delimiter: &Delimiter,
    mut f: impl FnMut(&str) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match delimiter.bytes() {
        &[byte] if byte.is_ascii() => for_each_range(block.as_bytes(), byte, |range| {
            // SAFETY: `for_each_range` passes a range in bounds. Each end of it is an end of the text or adjacent to an
            // ASCII byte (the delimiter or a CR), and therefore a character boundary.
            f(unsafe { block.get_unchecked(range) })
        }),
        _ => for_each_delimited(block.as_bytes(), delimiter, |range| f(&block[range])),
    }
}

/// Like [`for_each_line`], for bytes that need not be text, and for any delimiter.
#[inline]
pub(crate) fn for_each_byte_line(
    block: &[u8],
    delimiter: &Delimiter,
    mut f: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match delimiter.bytes() {
        &[byte] => for_each_range(block, byte, |range| f(&block[range])),
        _ => for_each_delimited(block, delimiter, |range| f(&block[range])),
    }
}

/// Calls `f` with the range of each record, for a delimiter of one byte.
///
/// First finds the positions of the delimiters in thousands of bytes, then iterates over them. Calling `memchr` for
/// each line takes three times as long for lines of source code (30 bytes). A loop over one mask at a time takes half
/// as long again, because the CPU mispredicts the number of lines that end within 64 bytes.
#[inline]
fn for_each_range(
    bytes: &[u8],
    delimiter: u8,
    mut f: impl FnMut(Range<usize>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut positions = Positions::new();
    let mut start = 0;
    for (window, base) in bytes.chunks(WINDOW_BYTES).zip((0..).step_by(WINDOW_BYTES)) {
        for place in positions.find(delimiter, window) {
            let place = base + usize::from(*place);
            let has_return = delimiter == b'\n' && place > start && bytes[place - 1] == b'\r';
            let line = start..place - usize::from(has_return);
            start = place + 1;
            f(line)?;
        }
    }
    if start < bytes.len() {
        f(start..bytes.len())
    } else {
        ControlFlow::Continue(())
    }
}

/// Returns the number of records in `block`.
pub(crate) fn count_lines(block: &[u8], delimiter: &Delimiter) -> u64 {
    let (count, rest) = match delimiter.bytes() {
        &[byte] => (
            memchr::memchr_iter(byte, block).count(),
            block.last().is_some_and(|last| *last != byte),
        ),
        _ => {
            let (mut count, mut start) = (0, 0);
            for end in delimiter.ends(block) {
                count += 1;
                start = end;
            }
            (count, start < block.len())
        }
    };
    count as u64 + u64::from(rest)
}

/// Calls `f` with the range of each record, for a delimiter of any length.
pub(super) fn for_each_delimited(
    bytes: &[u8],
    delimiter: &Delimiter,
    mut f: impl FnMut(Range<usize>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut start = 0;
    for end in delimiter.ends(bytes) {
        f(start..end - delimiter.bytes().len())?;
        start = end;
    }
    if start < bytes.len() {
        f(start..bytes.len())
    } else {
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the offset in `block` of `line`, which a closure received for it.
    fn offset_in(block: &[u8], line: &[u8]) -> u64 {
        (line.as_ptr().addr() - block.as_ptr().addr()) as u64
    }

    fn lines(text: &str, delimiter: &str) -> Vec<(u64, String)> {
        let mut lines = Vec::new();
        let flow = for_each_line(text, &Delimiter::new(delimiter.as_bytes()), |line| {
            lines.push((offset_in(text.as_bytes(), line.as_bytes()), line.to_owned()));
            ControlFlow::Continue(())
        });
        assert!(flow.is_continue());
        let mut byte_lines = Vec::new();
        let _ = for_each_byte_line(
            text.as_bytes(),
            &Delimiter::new(delimiter.as_bytes()),
            |line| {
                byte_lines.push(line.to_vec());
                ControlFlow::Continue(())
            },
        );
        assert_eq!(
            count_lines(text.as_bytes(), &Delimiter::new(delimiter.as_bytes())),
            byte_lines.len() as u64
        );
        assert!(
            byte_lines
                .iter()
                .eq(lines.iter().map(|(_, line)| line.as_bytes()))
        );
        lines
    }

    fn texts(text: &str, delimiter: &str) -> Vec<String> {
        lines(text, delimiter)
            .into_iter()
            .map(|(_, line)| line)
            .collect()
    }

    #[test]
    fn a_line_ends_with_a_line_feed_or_the_text() {
        assert_eq!(texts("", "\n"), [""; 0]);
        assert_eq!(texts("\n", "\n"), [""]);
        assert_eq!(texts("a\nb", "\n"), ["a", "b"]);
        assert_eq!(texts("a\n\nb\n", "\n"), ["a", "", "b"]);
        assert_eq!(texts("a\0\n\0", "\n"), ["a\0", "\0"]);
    }

    #[test]
    fn a_return_goes_only_right_before_a_line_feed() {
        assert_eq!(
            texts("a\r\nb\rc\r\r\n\r\nd\r", "\n"),
            ["a", "b\rc\r", "", "d\r"]
        );
        assert_eq!(texts("\n\r\n\r", "\n"), ["", "", "\r"]);
    }

    #[test]
    fn other_delimiters_take_nothing_with_them() {
        assert_eq!(texts("a\r;\r;b\r\n", ";"), ["a\r", "\r", "b\r\n"]);
        assert_eq!(texts("a\r\nb\n", "\r\n"), ["a", "b\n"]);
        assert_eq!(texts("aaab", "aa"), ["", "ab"]);
        assert_eq!(texts("1\u{20ac}2\u{20ac}", "\u{20ac}"), ["1", "2"]);
    }

    #[test]
    fn a_delimiter_that_is_no_text_splits_bytes() {
        let mut lines = Vec::new();
        let _ = for_each_byte_line(b"a\xffb\n\xff\xff", &Delimiter::new(b"\xff"), |line| {
            lines.push(line.to_vec());
            ControlFlow::Continue(())
        });
        assert_eq!(lines, [&b"a"[..], b"b\n", b""]);
    }

    #[test]
    fn offsets_are_those_of_the_lines() {
        let offsets: Vec<_> = lines("a\r\n\nlong\nx", "\n")
            .into_iter()
            .map(|(offset, _)| offset)
            .collect();
        assert_eq!(offsets, [0, 3, 4, 9]);
    }

    #[test]
    fn stops_at_a_break() {
        for delimiter in ["\n", "\n-"] {
            let mut count = 0;
            let flow = for_each_line("a\n-b\n-c", &Delimiter::new(delimiter.as_bytes()), |_| {
                count += 1;
                ControlFlow::Break(())
            });
            assert!(flow.is_break());
            assert_eq!(count, 1);
        }
    }

    /// Tests line lengths around the edges of masks and windows.
    #[test]
    fn lines_of_every_length() {
        for len in (0..200).chain(4000..4200) {
            for end in ["\n", "\r\n"] {
                let text = ["x".repeat(len), "y".repeat(len), "z".repeat(3)].join(end);
                assert_eq!(
                    texts(&text, "\n"),
                    ["x".repeat(len), "y".repeat(len), "z".repeat(3)]
                );
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(text in "[\r\n\u{e9}\u{20ac}a]{0,400}") {
            let expected: Vec<String> = text.lines().map(str::to_owned).collect();
            prop_assert_eq!(texts(&text, "\n"), expected);
        }
    }
}
