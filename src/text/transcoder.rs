//! Converts text of other encodings to UTF-8.

use std::io::{self, Read};

use encoding_rs::{DecoderResult, Encoding};

/// Number of bytes that are converted in one step.
const STEP_BYTES: usize = 64 << 10;

/// A byte that occurs in no UTF-8. It stands for bytes that mean nothing in the encoding of the file, so that they are
/// treated like other invalid text.
const INVALID: u8 = 0xff;

/// Reads a text, and converts it to UTF-8. A byte order mark overrides the encoding.
pub(super) struct Transcoder<R> {
    input: R,
    decoder: encoding_rs::Decoder,
    /// Bytes of the input; those of `start..end` have not been converted.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether `bytes` has the end of the input.
    is_last: bool,
    has_ended: bool,
    /// Converted text, of which the first `taken` bytes have been returned.
    text: Vec<u8>,
    taken: usize,
}

impl<R: Read> Transcoder<R> {
    /// Returns `None` if the label is that of no encoding.
    pub(super) fn new(input: R, label: &str) -> Option<Self> {
        Some(Self {
            input,
            decoder: Encoding::for_label(label.as_bytes())?.new_decoder(),
            bytes: vec![0; STEP_BYTES],
            start: 0,
            end: 0,
            is_last: false,
            has_ended: false,
            text: Vec::new(),
            taken: 0,
        })
    }

    pub(super) fn input(&self) -> &R {
        &self.input
    }

    fn convert(&mut self) -> io::Result<()> {
        if self.start == self.end && !self.is_last {
            self.start = 0;
            self.end = self.input.read(&mut self.bytes)?;
            self.is_last = self.end == 0;
        }
        self.text.resize(STEP_BYTES, 0);
        self.taken = 0;
        let bytes = &self.bytes[self.start..self.end];
        let (result, read, written) =
            self.decoder
                .decode_to_utf8_without_replacement(bytes, &mut self.text, self.is_last);
        self.start += read;
        self.text.truncate(written);
        match result {
            DecoderResult::InputEmpty => self.has_ended = self.is_last,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => self.text.push(INVALID),
        }
        Ok(())
    }
}

impl<R: Read> Read for Transcoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let read = (&self.text[self.taken..]).read(out)?;
            self.taken += read;
            if read > 0 || self.has_ended {
                return Ok(read);
            }
            self.convert()?;
        }
    }
}

impl<R> std::fmt::Debug for Transcoder<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcoder")
            .field("encoding", &self.decoder.encoding().name())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(label: &str, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut transcoder = Transcoder::new(bytes, label).unwrap();
        transcoder.read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn text_becomes_utf_8_and_invalid_bytes_stay_invalid() {
        assert_eq!(convert("latin1", b"caf\xe9\n"), "caf\u{e9}\n".as_bytes());
        assert_eq!(
            convert("utf-16le", b"a\0\n\0\x3d\xd8\0\xde"),
            "a\n\u{1f600}".as_bytes()
        );
        assert_eq!(convert("utf-16", b"\xfe\xff\0a"), b"a");
        assert_eq!(convert("shift_jis", b"\x82\xa0"), "\u{3042}".as_bytes());
        assert_eq!(convert("utf-16le", b"a\0\0\xd8b\0"), b"a\xffb");
        assert_eq!(convert("utf-16le", b"a\0b"), b"a\xff");
        assert!(Transcoder::new(&b""[..], "klingon").is_none());
        let long: Vec<u8> = (0..300_000).map(|n| b'a' + (n % 26) as u8).collect();
        let utf16: Vec<u8> = long.iter().flat_map(|byte| [*byte, 0]).collect();
        assert_eq!(convert("utf-16le", &utf16), long);
    }
}
