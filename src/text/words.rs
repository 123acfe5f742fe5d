//! Words: sequences of bytes between white space.
#![expect(
    unsafe_code,
    reason = "slices words without looking for character boundaries: 3.4 ns a word, not 4.7"
)]

use std::ops::{ControlFlow, Range};

use super::mask::{MASK_BYTES, white_space_mask};

/// Calls `f` with each word of `text`, in order, until `f` returns `Break`.
///
/// A word is a maximal sequence of bytes other than SP, TAB, LF, VT, FF and CR. Unlike [`str::split_whitespace`], this
/// does not recognise white space outside of ASCII. Unlike [`str::split_ascii_whitespace`], it recognises VT.
#[inline]
pub(crate) fn for_each_word(
    text: &str,
    mut f: impl FnMut(&str) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for_each_range(text.as_bytes(), |word| {
        // SAFETY: `word` is a range of `text`. It is bounded by ASCII white space or the ends of the text, which are
        // character boundaries.
        f(unsafe { text.get_unchecked(word) })
    })
}

/// The same for bytes, which need not be UTF-8.
#[inline]
pub(crate) fn for_each_byte_word(
    bytes: &[u8],
    mut f: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for_each_range(bytes, |word| f(&bytes[word]))
}

/// Calls `f` with the range of each word.
///
/// Each 64 bytes are converted to a mask of the bytes in words, and that to masks of the starts and ends of words. A
/// branch per byte costs five times as much. There is only one call of `f`, so that it is inlined.
#[inline(always)]
fn for_each_range(
    bytes: &[u8],
    mut f: impl FnMut(Range<usize>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut padded = [b' '; MASK_BYTES];
    let mut base = 0;
    // The start of the current word, and whether the byte before `base` is part of it.
    let mut start = 0;
    let mut in_word = 0;
    // The padding ends the last word, so there must be padding even if the text fills its last mask.
    while base <= bytes.len() {
        let rest = &bytes[base..];
        let chunk = rest.first_chunk().unwrap_or_else(|| {
            padded[..rest.len()].copy_from_slice(rest);
            &padded
        });
        let word = !white_space_mask(chunk);
        let word_before = word << 1 | in_word;
        let mut starts = word & !word_before;
        let mut ends = word_before & !word;
        if in_word == 0 {
            start = base + take_lowest(&mut starts);
        }
        in_word = word >> 63;
        while ends != 0 {
            let end = base + take_lowest(&mut ends);
            // `start` is right, which `for_each_word` relies on for memory safety: while a word is open, it is the
            // first byte of that word. At the end of the word, it becomes the start of the next one, because starts and
            // ends alternate. If no further word begins in this chunk, `in_word` is 0, and the next chunk sets `start`
            // before it is used.
            let word = start..end;
            start = base + take_lowest(&mut starts);
            f(word)?;
        }
        base += MASK_BYTES;
    }
    ControlFlow::Continue(())
}

/// Removes the lowest set bit of `mask` and returns its index. Returns 64 if the mask is empty.
#[inline]
fn take_lowest(mask: &mut u64) -> usize {
    let lowest = mask.trailing_zeros() as usize;
    *mask &= mask.wrapping_sub(1);
    lowest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        let flow = for_each_word(text, |word| {
            // Slice the text instead of using `word`, to get the lifetime of the text.
            let start = word.as_ptr().addr() - text.as_ptr().addr();
            words.push(&text[start..start + word.len()]);
            ControlFlow::Continue(())
        });
        assert!(flow.is_continue());
        assert_eq!(
            byte_words(text.as_bytes()),
            words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>()
        );
        words
    }

    fn byte_words(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut words = Vec::new();
        let flow = for_each_byte_word(bytes, |word| {
            words.push(word.to_vec());
            ControlFlow::Continue(())
        });
        assert!(flow.is_continue());
        words
    }

    #[test]
    fn bytes_that_are_no_text_have_words() {
        assert_eq!(
            byte_words(b"\xff\x80 \xa0\tb\xe9"),
            [&b"\xff\x80"[..], b"\xa0", b"b\xe9"]
        );
    }

    fn plainly(text: &str) -> Vec<&str> {
        text.split([' ', '\t', '\n', '\x0b', '\x0c', '\r'])
            .filter(|word| !word.is_empty())
            .collect()
    }

    /// Tests a word or a gap at every position and of every length, around the edges of the masks.
    #[test]
    fn runs_at_every_place() {
        for (filler, run) in [("x", " "), (" ", "x")] {
            for start in 0..140 {
                for len in 0..140 {
                    for end in [0, 1, 50] {
                        let text =
                            [filler.repeat(start), run.repeat(len), filler.repeat(end)].concat();
                        assert_eq!(words(&text), plainly(&text), "{text:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn stops_at_a_break() {
        let mut seen = Vec::new();
        let flow = for_each_word("one two three", |word| {
            seen.push(word.to_owned());
            if word == "two" {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert!(flow.is_break());
        assert_eq!(seen, ["one", "two"]);
    }

    #[test]
    fn white_space_outside_of_ascii_is_part_of_a_word() {
        assert_eq!(
            words("a\u{a0}b c\u{2003}d\x0be\x00f\x1fg"),
            ["a\u{a0}b", "c\u{2003}d", "e\x00f\x1fg"]
        );
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_split(text in "[ \t\n\x0b\x0c\rab\u{e9}\u{20ac}\u{1f600}]{0,300}") {
            prop_assert_eq!(words(&text), plainly(&text));
        }

        #[test]
        fn agrees_on_random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let text = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(words(&text), plainly(&text));
        }
    }
}
