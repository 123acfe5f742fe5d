//! Compressed files: their formats, and decoding of their text.
//!
//! Like the tools that write such files, treats consecutive parts (members, frames, streams) as one text.

mod ahead;
mod bzip2;
mod bzip2_blocks;
mod codec;
mod gzip;
mod input;
mod lz4;
mod members;
mod ordered_jobs;
mod slice_text;
mod unit;
mod units;
mod xz;
mod xz_block;
mod xz_check;
mod xz_index;
mod zstd;
#[cfg(feature = "zstd-c")]
mod zstd_c;
#[cfg(not(feature = "zstd-c"))]
mod zstd_rust;
mod zstd_units;

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read};

use ahead::AheadReader;
use bzip2::Bzip2Reader;
use bzip2_blocks::Bzip2Units;
pub(super) use codec::Codec;
pub(crate) use codec::DecoderOptions;
use gzip::GzipReader;
use input::{TextDecoder, UnitInput};
use lz4::Lz4Reader;
use members::Members;
use serde::{Deserialize, Serialize};
pub(crate) use slice_text::Helpers;
use snap::read::FrameDecoder as SnappyReader;
pub(super) use unit::{UnitStart, Units};
pub(super) use units::find_units;
use xz::XzReader;
use zstd::ZstdReader;

use crate::files::ReadFailure;

/// A part of a compressed file that is decoded separately: whole units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnitRange {
    pub(super) compression: Codec,
    pub(super) start: UnitStart,
    /// Start of the next part, if there is one.
    pub(super) next: Option<UnitStart>,
}

/// Reads the text of a compressed file.
pub(super) struct Decompressor {
    compression: Codec,
    // Boxed, because the states are large, and have very different sizes.
    reader: Box<dyn TextDecoder>,
    /// Number of decoded bytes, for error messages.
    text_bytes: u64,
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor")
            .field("compression", &self.compression)
            .field("text_bytes", &self.text_bytes)
            .finish_non_exhaustive()
    }
}

impl Decompressor {
    /// Returns a decoder of a whole file.
    pub(super) fn new(
        compression: Codec,
        input: impl BufRead + Send + 'static,
        options: &DecoderOptions,
    ) -> Self {
        let whole = UnitRange {
            compression,
            start: UnitStart::default(),
            next: None,
        };
        Self::of_units(&whole, input, options)
    }

    /// Returns a decoder of a part of a file and of what follows. `input` is positioned at its start.
    pub(super) fn of_units(
        units: &UnitRange,
        input: impl BufRead + Send + 'static,
        options: &DecoderOptions,
    ) -> Self {
        let window = options.max_window_bytes;
        let input = UnitInput::new(input, units.start, units.next);
        let reader: Box<dyn TextDecoder> = match units.compression {
            Codec::Bzip2 => Box::new(Bzip2Reader::new(input)),
            Codec::Gzip => Box::new(GzipReader::new(input)),
            Codec::Lz4 => Box::new(Lz4Reader::new(input)),
            Codec::Snappy => Box::new(SnappyReader::new(input)),
            Codec::Xz => match units.start.check {
                None => Box::new(XzReader::new(input, window)),
                Some(check) => Box::new(XzReader::at_block(input, window, check)),
            },
            Codec::Zstd => Box::new(ZstdReader::new(input, options)),
        };
        Self {
            compression: units.compression,
            reader,
            text_bytes: units.start.text,
        }
    }

    /// Returns a decoder of a whole file, with `helpers`.
    pub(super) fn ahead(
        compression: Codec,
        input: impl BufRead + Send + 'static,
        options: &DecoderOptions,
        helpers: Helpers,
    ) -> Self {
        let reader: Box<dyn TextDecoder> = match compression {
            Codec::Bzip2 => Box::new(AheadReader::new(input, Bzip2Units::default(), helpers)),
            Codec::Gzip | Codec::Lz4 | Codec::Zstd => {
                let options = options.clone();
                let members = Members {
                    compression,
                    options,
                };
                Box::new(AheadReader::new(input, members, helpers))
            }
            Codec::Snappy | Codec::Xz => return Self::new(compression, input, options),
        };
        Self {
            compression,
            reader,
            text_bytes: 0,
        }
    }

    /// Returns the format if the file cannot be decoded by several threads, according to the part that has been read.
    pub(super) fn is_on_one_thread(&self) -> Option<Codec> {
        self.reader.is_on_one_thread().then_some(self.compression)
    }

    /// Adds the number of decoded bytes to an error. The offset in the compressed file would not help to find the
    /// damage.
    fn place(&self, source: &io::Error) -> io::Error {
        let (compression, bytes) = (self.compression, self.text_bytes);
        let (kind, message) = match source.kind() {
            _ if is_cut(source) => (
                ErrorKind::UnexpectedEof,
                format!("the {compression} data is cut short, after {bytes} bytes of text"),
            ),
            ErrorKind::Unsupported => (
                ErrorKind::Unsupported,
                format!("the {compression} data cannot be decoded: {source}"),
            ),
            kind => (
                kind,
                format!("the {compression} data is damaged: {source}, after {bytes} bytes of text"),
            ),
        };
        io::Error::new(kind, message)
    }
}

impl Read for Decompressor {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = match self.reader.read(out) {
            // The file could not be read. Its content may be valid.
            Err(error) if error.raw_os_error().is_some() || ReadFailure::find(&error).is_some() => {
                return Err(error);
            }
            read => read.map_err(|error| self.place(&error))?,
        };
        self.text_bytes += read as u64;
        Ok(read)
    }
}

impl<R: BufRead + Send> TextDecoder for Bzip2Reader<R> {}
impl<R: BufRead + Send> TextDecoder for GzipReader<R> {}
impl<R: BufRead + Send> TextDecoder for Lz4Reader<R> {}
impl<R: BufRead + Send> TextDecoder for SnappyReader<R> {}
impl<R: BufRead + Send + 'static> TextDecoder for XzReader<R> {}
impl<R: BufRead + Send> TextDecoder for ZstdReader<R> {}

/// Returns whether an error was caused by the end of the file. Some decoders return it directly, others as a cause.
fn is_cut(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        let is_end = |error: &io::Error| error.kind() == ErrorKind::UnexpectedEof;
        if error.downcast_ref().is_some_and(is_end) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
