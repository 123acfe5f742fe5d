//! Records that contain a needle: searches whole blocks, and searches for line ends only around matches.

use std::ops::{ControlFlow, Range};

use memchr::memmem::Finder;

use super::delimiter::Delimiter;
use super::lines::for_each_delimited;

/// Bytes to search for, prepared for searching.
#[derive(Clone, Debug)]
pub struct Needle(Finder<'static>);

impl Needle {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(Finder::new(bytes).into_owned())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.needle()
    }

    #[inline]
    pub(crate) fn is_in(&self, record: &[u8]) -> bool {
        self.0.find(record).is_some()
    }
}

/// Calls `f` with the range of each record of `block` that contains `needle`, in order, until `f` returns `Break`.
/// Records are those of [`for_each_line`](super::for_each_line).
pub(crate) fn for_each_match(
    block: &[u8],
    delimiter: &Delimiter,
    needle: &Needle,
    mut f: impl FnMut(Range<usize>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let &[byte] = delimiter.bytes() else {
        return for_each_delimited(block, delimiter, |range| {
            if needle.is_in(&block[range.clone()]) {
                f(range)
            } else {
                ControlFlow::Continue(())
            }
        });
    };
    // A record begins at `from`, and all records before it have been searched.
    let mut from = 0;
    while from < block.len() {
        let Some(found) = needle.0.find(&block[from..]) else {
            break;
        };
        let found = from + found;
        let start =
            memchr::memrchr(byte, &block[from..found]).map_or(from, |before| from + before + 1);
        let ending = memchr::memchr(byte, &block[found..]).map(|after| found + after);
        let end = match ending {
            Some(end) if byte == b'\n' && end > start && block[end - 1] == b'\r' => end - 1,
            Some(end) => end,
            None => block.len(),
        };
        // A match that extends beyond the end of the record is not in it. All later matches that begin in it extend
        // further.
        if found + needle.0.needle().len() <= end {
            f(start..end)?;
        }
        from = ending.map_or(block.len(), |ending| ending + 1);
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::lines::for_each_byte_line;
    use super::*;

    fn matches(block: &[u8], delimiter: &str, needle: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let flow = for_each_match(
            block,
            &Delimiter::new(delimiter.as_bytes()),
            &Needle::new(needle),
            |range| {
                found.push(block[range].to_vec());
                ControlFlow::Continue(())
            },
        );
        assert!(flow.is_continue());
        found
    }

    #[test]
    fn a_line_is_found_once_however_often_it_matches() {
        assert_eq!(matches(b"aba\nb\n\naa", "\n", b"a"), [&b"aba"[..], b"aa"]);
        assert_eq!(matches(b"ab\r\nb\r\n", "\n", b"b"), [&b"ab"[..], b"b"]);
    }

    #[test]
    fn what_reaches_over_an_ending_is_no_match() {
        assert_eq!(matches(b"ab\ncd\n", "\n", b"b\nc"), [b""; 0]);
        assert_eq!(matches(b"ab\r\nb\r.\n", "\n", b"b\r"), [b"b\r."]);
        assert_eq!(matches(b"ab\ncd\n", "\n", b"\n"), [b""; 0]);
        assert_eq!(matches(b"a\r", "\n", b"\r"), [b"a\r"]);
    }

    #[test]
    fn nothing_is_in_every_line() {
        assert_eq!(matches(b"a\n\nb", "\n", b""), [&b"a"[..], b"", b"b"]);
        assert_eq!(matches(b"", "\n", b""), [b""; 0]);
    }

    #[test]
    fn stops_at_a_break() {
        let mut count = 0;
        let flow = for_each_match(
            b"a\na\na\n",
            &Delimiter::new(b"\n"),
            &Needle::new(b"a"),
            |_| {
                count += 1;
                ControlFlow::Break(())
            },
        );
        assert!(flow.is_break());
        assert_eq!(count, 1);
    }

    proptest! {
        #[test]
        fn agrees_with_a_look_into_each_line(
            block in "[ab\r\n;]{0,60}",
            delimiter in "\n|;|;a|\r\n",
            needle in "[ab\r\n;]{0,4}",
        ) {
            let mut expected = Vec::new();
            let _ = for_each_byte_line(block.as_bytes(), &Delimiter::new(delimiter.as_bytes()), |line| {
                if line.windows(needle.len().max(1)).any(|part| part == needle.as_bytes()) || needle.is_empty() {
                    expected.push(line.to_vec());
                }
                ControlFlow::Continue(())
            });
            prop_assert_eq!(matches(block.as_bytes(), &delimiter, needle.as_bytes()), expected);
        }
    }
}
