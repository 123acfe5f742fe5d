//! Where the bytes of a text come from: a file from some offset on, decompressed if need be.
//!
//! Files are read, never mapped: a mapped file that is cut short kills the process, and its pages count as memory.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

use super::compression::Decoder;
use super::format::{Format, HEAD_BYTES};

/// The bytes of compressed input that are read at once.
const COMPRESSED_BYTES: usize = 128 << 10;

/// An open file that counts what is read of it, and whose first bytes can be looked at before, even in a pipe.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
    head: [u8; HEAD_BYTES],
    head_len: usize,
    head_taken: usize,
    /// Shared, as a decoder may keep the file to itself.
    bytes_read: Arc<AtomicU64>,
}

impl Input {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::io("open", path, source))?;
        Ok(Self {
            file,
            head: [0; HEAD_BYTES],
            head_len: 0,
            head_taken: 0,
            bytes_read: Arc::default(),
        })
    }

    /// Goes on at `offset`. A pipe cannot do that.
    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.head_taken = self.head_len;
        self.file.seek(SeekFrom::Start(offset)).map(drop)
    }

    /// The first bytes; they will be read again.
    fn peek(&mut self) -> io::Result<&[u8]> {
        self.head_len = read_full(&mut self.file, &mut self.head)?;
        Ok(&self.head[..self.head_len])
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut head = &self.head[self.head_taken..self.head_len];
        let taken = head.read(out)?;
        self.head_taken += taken;
        let read = if taken > 0 {
            taken
        } else {
            self.file.read(out)?
        };
        self.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The text of a file.
#[derive(Debug)]
pub(super) enum Source {
    Plain(Input),
    Compressed {
        decoder: Decoder,
        /// Of the file.
        bytes_read: Arc<AtomicU64>,
    },
}

impl Source {
    /// The whole text of a file, in whatever format the file is.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut input = Input::open(path)?;
        let head = input
            .peek()
            .map_err(|source| Error::io("read", path, source))?;
        Ok(match Format::of(head, path)? {
            Format::Plain => Self::Plain(input),
            Format::Compressed(compression) => {
                let bytes_read = Arc::clone(&input.bytes_read);
                let input = BufReader::with_capacity(COMPRESSED_BYTES, input);
                let decoder = Decoder::new(compression, input);
                Self::Compressed {
                    decoder,
                    bytes_read,
                }
            }
        })
    }

    /// The text of a plain file from `offset` on. `open` is that file, if it is open already.
    pub(super) fn open_at(path: &Path, offset: u64, open: Option<Self>) -> Result<Self> {
        let mut input = match open {
            Some(Self::Plain(input)) => input,
            _ => Input::open(path)?,
        };
        input
            .seek(offset)
            .map_err(|source| Error::io("read", path, source))?;
        Ok(Self::Plain(input))
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Self::Compressed { .. })
    }

    /// The bytes of the file, compressed if it is, that have been read.
    pub(super) fn bytes_read(&self) -> u64 {
        let (Self::Plain(Input { bytes_read, .. }) | Self::Compressed { bytes_read, .. }) = self;
        bytes_read.load(Ordering::Relaxed)
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(out),
            Self::Compressed { decoder, .. } => decoder.read(out),
        }
    }
}

/// Reads until `out` is full or the input ends, and says how much that was.
pub(super) fn read_full(input: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match input.read(&mut out[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(path: &Path) -> Vec<u8> {
        let mut text = Vec::new();
        let mut source = Source::open(path).unwrap();
        source.read_to_end(&mut text).unwrap();
        assert_eq!(source.bytes_read(), std::fs::metadata(path).unwrap().len());
        text
    }

    #[test]
    fn what_was_looked_at_is_read_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        for content in [
            &b""[..],
            b"short",
            b"0123456789",
            b"longer than the head of a file",
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(text_of(&path), content);
        }
    }

    #[test]
    fn starts_where_it_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        std::fs::write(&path, "0123456789abcdef").unwrap();
        let mut text = String::new();
        Source::open_at(&path, 12, None)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "cdef");
    }
}
