//! Conversion of stored bytes back to the `str` that they were.
#![expect(unsafe_code, reason = "short keys are looked at eight bytes at once")]

/// Length in bytes below which both `std` and `simdutf8` validate text byte by byte.
const SHORT_BYTES: usize = 64;

/// Returns stored bytes as the `str` that they were when they were stored.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> &str {
    if bytes.len() < SHORT_BYTES && bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return unsafe { std::str::from_utf8_unchecked(bytes) };
    }
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => unreachable!("what was stored was a str"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_any_length_come_back() {
        for len in 0..100 {
            let ascii = "x".repeat(len);
            assert_eq!(text(ascii.as_bytes()), ascii);
            let other = ascii + "é";
            assert_eq!(text(other.as_bytes()), other);
        }
    }

    #[test]
    #[should_panic(expected = "what was stored was a str")]
    fn bytes_that_are_no_text_are_not_taken_for_one() {
        let _ = text(b"abc\xFF");
    }
}
