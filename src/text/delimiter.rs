//! The delimiter that ends a record, searched forwards and backwards.

use memchr::memmem::{Finder, FinderRev};

/// The bytes that end a record, prepared for searching.
///
/// The delimiters of a file are its occurrences, found from left to right without overlaps. If no proper prefix of the
/// delimiter is also a suffix of it, occurrences never overlap, so each of them is a delimiter, wherever the search
/// begins. Otherwise (`"\n\n"`, `"aa"`), the search must begin at the start of a record, so such a file is not split.
#[derive(Clone, Debug)]
pub struct Delimiter {
    finder: Finder<'static>,
    reverse_finder: FinderRev<'static>,
    overlaps_itself: bool,
}

impl Delimiter {
    /// Prepares `bytes`, which must not be empty: [`TextOptions::check`](super::TextOptions::check) refuses that.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self {
            finder: Finder::new(bytes).into_owned(),
            reverse_finder: FinderRev::new(bytes).into_owned(),
            overlaps_itself: (1..bytes.len()).any(|n| bytes.starts_with(&bytes[n..])),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.finder.needle()
    }

    /// Returns `true` if two occurrences can share bytes; see [`Delimiter`].
    pub(super) fn overlaps_itself(&self) -> bool {
        self.overlaps_itself
    }

    /// Returns the ends of the delimiters in `text`, in order. `text` must begin with a record.
    pub(super) fn ends<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let len = self.bytes().len();
        self.finder.find_iter(text).map(move |start| start + len)
    }

    /// Returns the end of the last delimiter of `text` that begins at `from` or later.
    ///
    /// `text` must begin with a record, and no delimiter of it may begin before `from`.
    pub(super) fn last_end(&self, text: &[u8], from: usize) -> Option<usize> {
        let searched = &text[from..];
        let end = if self.overlaps_itself {
            self.ends(searched).last()?
        } else if let &[byte] = self.bytes() {
            memchr::memrchr(byte, searched)? + 1
        } else {
            self.reverse_finder.rfind(searched)? + self.bytes().len()
        };
        Some(from + end)
    }

    /// Returns the end of the first delimiter of `text` that ends at `min_end` or later. The requirements are those of
    /// [`last_end`](Self::last_end).
    pub(super) fn first_end(&self, text: &[u8], from: usize, min_end: usize) -> Option<usize> {
        let from = if self.overlaps_itself {
            from
        } else {
            from.max(min_end.saturating_sub(self.bytes().len()))
        };
        let mut ends = self.ends(text.get(from..)?).map(|end| from + end);
        ends.find(|end| *end >= min_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_which_overlap_themselves() {
        for delimiter in [
            "\n", "\r\n", "--", "ab", "aab", "aa", "\n\n", "aba", "abcab",
        ] {
            let expected = matches!(delimiter, "--" | "aa" | "\n\n" | "aba" | "abcab");
            assert_eq!(
                Delimiter::new(delimiter.as_bytes()).overlaps_itself(),
                expected,
                "{delimiter:?}"
            );
        }
    }

    #[test]
    fn searches_both_ways() {
        let delimiter = Delimiter::new(b"\r\n");
        assert_eq!(delimiter.last_end(b"a\r\nb\r\nc", 0), Some(6));
        assert_eq!(delimiter.last_end(b"abc\r", 0), None);
        assert_eq!(delimiter.first_end(b"a\r\nb\r\nc", 0, 3), Some(3));
        assert_eq!(delimiter.first_end(b"a\r\nb\r\nc", 0, 4), Some(6));
        assert_eq!(delimiter.first_end(b"a\r\n", 0, 4), None);
    }

    #[test]
    fn one_that_overlaps_is_searched_from_the_left() {
        let delimiter = Delimiter::new(b"aa");
        assert_eq!(delimiter.last_end(b"xaaa", 0), Some(3));
        assert_eq!(delimiter.first_end(b"xaaa", 0, 4), None);
        assert_eq!(delimiter.first_end(b"xaaaa", 0, 4), Some(5));
    }
}
