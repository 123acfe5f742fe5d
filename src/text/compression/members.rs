//! Files whose units can be decoded by the readers of their formats: members of gzip, and frames.

use std::io::{self, BufRead, Cursor, Read};

use super::ahead::{SliceEnd, UnitFormat, UnitSlice};
use super::codec::{Codec, DecoderOptions};
use super::gzip::GzipReader;
use super::input::{UnitInput, unsupported};
use super::lz4::Lz4Reader;
use super::slice_text::SliceText;
use super::unit::UnitStart;
use super::zstd::ZstdReader;

/// Maximum length of the text of a slice, in bytes.
const MAX_TEXT_BYTES: usize = 64 << 20;

/// Number of bytes of text that are decoded in one call.
const STEP_BYTES: usize = 256 << 10;

/// The members of gzip, or the frames of another format.
#[derive(Clone, Debug)]
pub(super) struct Members {
    pub(super) compression: Codec,
    pub(super) options: DecoderOptions,
}

impl Members {
    /// Returns the bytes with which a unit begins.
    fn magic(&self) -> &'static [u8] {
        match self.compression {
            Codec::Gzip => b"\x1f\x8b\x08",
            Codec::Lz4 => b"\x04\x22\x4d\x18",
            _ => b"\x28\xb5\x2f\xfd",
        }
    }

    fn open<'r>(&self, input: impl BufRead + Send + 'r) -> Box<dyn Read + Send + 'r> {
        let input = UnitInput::new(input, UnitStart::default(), None);
        match self.compression {
            Codec::Gzip => Box::new(GzipReader::new(input)),
            Codec::Lz4 => Box::new(Lz4Reader::new(input)),
            _ => Box::new(ZstdReader::new(input, &self.options)),
        }
    }

    fn read(&self, slice: &UnitSlice, text: &mut SliceText) -> io::Result<SliceEnd> {
        let at = slice.start;
        let mut input = Cursor::new(&slice.bytes[..]);
        let mut reader = self.open(&mut input);
        loop {
            if text.bytes.len() > MAX_TEXT_BYTES {
                return Ok(SliceEnd::TooLong { at });
            }
            if !text.make_room(STEP_BYTES) {
                return Ok(SliceEnd::Full { at });
            }
            let mut step = reader.by_ref().take(STEP_BYTES as u64);
            if step.read_to_end(&mut text.bytes)? < STEP_BYTES {
                break;
            }
        }
        drop(reader);
        match input.fill_buf()? {
            [] => Ok(SliceEnd::Whole),
            // Bytes that the reader ignores, or members within a member.
            _ => Err(unsupported("bytes follow the last member")),
        }
    }
}

impl UnitFormat for Members {
    type Summary = ();

    fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let from = from.div_ceil(8);
        let at = memchr::memmem::find(bytes.get(from..)?, self.magic())?;
        Some(8 * (from + at))
    }

    fn decode(&self, slice: &UnitSlice, text: &mut SliceText) -> (SliceEnd, ()) {
        let at = slice.start;
        let end = self.read(slice, text);
        let end = end.unwrap_or_else(|error| SliceEnd::Partial { at, error });
        if !matches!(end, SliceEnd::Whole) {
            text.clear();
        }
        (end, ())
    }

    fn check(&mut self, (): ()) -> io::Result<()> {
        Ok(())
    }

    fn decode_rest(&self, input: Box<dyn BufRead + Send>) -> Option<Box<dyn Read + Send>> {
        Some(self.open(input))
    }
}
