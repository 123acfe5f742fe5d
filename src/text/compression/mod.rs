//! Compressed files: what they are compressed by, and their text.
//!
//! As the tools do that write such files: parts that follow each other (members, frames, streams) are one text.

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

/// What a file is compressed by.
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

/// The text of a compressed file.
pub(super) struct Decompressor {
    compression: Compression,
    // Boxed, for their states are large, and of very different sizes.
    reader: Box<dyn Read + Send>,
    /// What has been decoded, for messages.
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

    /// Says how far the text was good: the offset in the file would not help to find the damage.
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
            // The file cannot be read, which says nothing of what is in it.
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            read => read.map_err(|error| self.place(&error))?,
        };
        self.text_bytes += read as u64;
        Ok(read)
    }
}

/// Whether an error comes from the end of the file: some decoders say so, others name it as a cause.
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
