//! Compressed files: what they are compressed by, and their text.
//!
//! As the tools do that write such files: parts that follow each other (members, frames, streams) are one text.

mod gzip;
mod zstd;

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read};

use bzip2::bufread::MultiBzDecoder;
use lzma_rust2::XzReader;

use gzip::GzipReader;
use zstd::ZstdReader;

/// Text that refers farther back than this cannot be decoded, as it would take as much memory. No preset of zstd(1) and
/// xz(1) makes such files.
const MOST_WINDOW_BYTES: u32 = 128 << 20;

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
pub(super) struct Decoder {
    compression: Compression,
    // Boxed, for their states are large, and of very different sizes.
    reader: Box<dyn Read + Send>,
    /// What has been decoded, for messages.
    text_bytes: u64,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("compression", &self.compression)
            .field("text_bytes", &self.text_bytes)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    pub(super) fn new(compression: Compression, input: impl BufRead + Send + 'static) -> Self {
        let reader: Box<dyn Read + Send> = match compression {
            Compression::Bzip2 => Box::new(MultiBzDecoder::new(input)),
            Compression::Gzip => Box::new(GzipReader::new(input)),
            Compression::Xz => Box::new(XzReader::new_mem_limit(
                input,
                true,
                MOST_WINDOW_BYTES >> 10,
            )),
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
        let (kind, what) = if is_cut(source) {
            (ErrorKind::UnexpectedEof, "cut short".to_owned())
        } else {
            (
                source.kind(),
                format!("damaged, or cannot be decoded: {source}"),
            )
        };
        let (compression, bytes) = (self.compression, self.text_bytes);
        let message = format!("the {compression} data is {what}, after {bytes} bytes of text");
        io::Error::new(kind, message)
    }
}

impl Read for Decoder {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(out) {
            Ok(read) => {
                self.text_bytes += read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.place(&error)),
        }
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
