//! Compressed files: their formats, and decoding of their text.
//!
//! Like the tools that write such files, treats consecutive parts (members, frames, streams) as one text.

mod bzip2;
mod gzip;
mod input;
mod xz;
mod xz_block;
mod xz_check;
mod zstd;

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read};

use bzip2::Bzip2Reader;
use gzip::GzipReader;
use xz::XzReader;
use zstd::ZstdReader;

use crate::files::ReadFailure;

/// Compression format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Bzip2,
    Gzip,
    Xz,
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        })
    }
}

/// Reads the text of a compressed file.
pub(super) struct Decompressor {
    compression: Compression,
    // Boxed, because the states are large, and have very different sizes.
    reader: Box<dyn Read + Send>,
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
    pub(super) fn new(compression: Compression, input: impl BufRead + Send + 'static) -> Self {
        let reader: Box<dyn Read + Send> = match compression {
            Compression::Bzip2 => Box::new(Bzip2Reader::new(input)),
            Compression::Gzip => Box::new(GzipReader::new(input)),
            Compression::Xz => Box::new(XzReader::new(input)),
            Compression::Zstd => Box::new(ZstdReader::new(input)),
        };
        Self {
            compression,
            reader,
            text_bytes: 0,
        }
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
