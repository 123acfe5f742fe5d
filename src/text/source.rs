//! The bytes of a text: a file from some offset on, decompressed if necessary.
//!
//! Files are read, never mapped: if a mapped file is truncated, the process is killed, and mapped pages count as memory
//! of the process.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind as Kind, Result};
use crate::storage::file::uninterrupted;

use super::compression::Decompressor;
use super::format::{Format, HEAD_BYTES, check_text};
use super::options::TextOptions;
use super::version::Version;

/// Number of bytes of compressed input that are read in one call.
const COMPRESSED_BYTES: usize = 128 << 10;

/// An open file that counts the bytes read from it.
#[derive(Debug)]
pub(super) struct RawInput {
    file: File,
    /// Shared, because a decoder may own the file.
    bytes_read: Arc<AtomicU64>,
}

impl RawInput {
    fn new(file: File) -> Self {
        Self {
            file,
            bytes_read: Arc::default(),
        }
    }
}

impl Read for RawInput {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Decoders cannot continue after an interruption, so hide interruptions from them.
        let read = uninterrupted(|| self.file.read(out))?;
        self.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A reader whose first bytes have been inspected. They are then read again, so that even a pipe loses none.
#[derive(Debug)]
pub(super) struct Peeked<R> {
    reader: R,
    head: [u8; HEAD_BYTES],
    len: usize,
    taken: usize,
}

impl<R: Read> Peeked<R> {
    fn new(reader: R) -> io::Result<Self> {
        let mut peeked = Self::unseen(reader);
        peeked.len = read_full(&mut peeked.reader, &mut peeked.head)?;
        Ok(peeked)
    }

    /// Returns a reader without inspecting its first bytes.
    fn unseen(reader: R) -> Self {
        Self {
            reader,
            head: [0; HEAD_BYTES],
            len: 0,
            taken: 0,
        }
    }

    fn head(&self) -> &[u8] {
        &self.head[..self.len]
    }
}

impl<R: Read> Read for Peeked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut head = &self.head[self.taken..self.len];
        if head.is_empty() {
            return self.reader.read(out);
        }
        let read = head.read(out)?;
        self.taken += read;
        Ok(read)
    }
}

/// The text of a file.
#[derive(Debug)]
pub(super) enum TextInput {
    Plain(Peeked<RawInput>),
    Compressed {
        decoder: Peeked<Decompressor>,
        /// Number of bytes read from the compressed file.
        bytes_read: Arc<AtomicU64>,
    },
}

/// Inspects the start of a large file, which must not be a stream. Returns its version if it is plain, and `None` if it
/// is compressed.
///
/// # Errors
///
/// Returns an error if the file cannot be read or has an unsupported format.
pub(super) fn version_if_plain(path: &Path, options: &TextOptions) -> Result<Option<Version>> {
    let at_path = |source| Error::io("read", path, source);
    let mut input = Peeked::new(RawInput::new(open(path)?)).map_err(at_path)?;
    match Format::of(input.head(), path)? {
        Format::Compressed(_) => Ok(None),
        Format::Plain => {
            check_text(input.head(), false, options, path)?;
            let version = Version::of(&mut input.reader.file);
            version.map(Some).map_err(at_path)
        }
    }
}

impl TextInput {
    /// Returns the whole text of a file in any supported format.
    pub(super) fn open(path: &Path, options: &TextOptions) -> Result<Self> {
        Self::of(open(path)?, path, options)
    }

    /// Returns the text of an open file, from its start.
    pub(super) fn of(file: File, path: &Path, options: &TextOptions) -> Result<Self> {
        let at_path = |source| Error::io("read", path, source);
        let input = RawInput::new(file);
        let bytes_read = Arc::clone(&input.bytes_read);
        let input = Peeked::new(input).map_err(at_path)?;
        match Format::of(input.head(), path)? {
            Format::Plain => {
                check_text(input.head(), false, options, path)?;
                Ok(Self::Plain(input))
            }
            Format::Compressed(compression) => {
                let input = BufReader::with_capacity(COMPRESSED_BYTES, input);
                let decoder =
                    Peeked::new(Decompressor::new(compression, input)).map_err(at_path)?;
                check_text(decoder.head(), true, options, path)?;
                Ok(Self::Compressed {
                    decoder,
                    bytes_read,
                })
            }
        }
    }

    /// Returns the text of a plain file from `offset` on. Returns an error if the file has changed. `open_source` is
    /// the same file, if it is already open.
    pub(super) fn open_at(
        path: &Path,
        offset: u64,
        open_source: Option<Self>,
        version: Option<&Version>,
    ) -> Result<Self> {
        let at_path = |source| Error::io("read", path, source);
        let mut input = match open_source {
            Some(Self::Plain(input)) => input,
            _ => Peeked::unseen(RawInput::new(open(path)?)),
        };
        let file = &mut input.reader.file;
        let is_as_before = version.map_or(Ok(true), |version| version.is_prefix_of(file));
        if !is_as_before.map_err(at_path)? {
            return Err(changed(path));
        }
        file.seek(SeekFrom::Start(offset)).map_err(at_path)?;
        input.taken = input.len;
        Ok(Self::Plain(input))
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self, Self::Compressed { .. })
    }

    /// Returns the number of bytes of the file, compressed if it is, that have been read.
    pub(super) fn bytes_read(&self) -> u64 {
        let bytes_read = match self {
            Self::Plain(input) => &input.reader.bytes_read,
            Self::Compressed { bytes_read, .. } => bytes_read,
        };
        bytes_read.load(Ordering::Relaxed)
    }
}

impl Read for TextInput {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(out),
            Self::Compressed { decoder, .. } => decoder.read(out),
        }
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|source| Error::io("open", path, source))
}

/// Returns the error for a file that has changed since it was split.
pub(super) fn changed(path: &Path) -> Error {
    let path = path.to_owned();
    Error::new(Kind::InputChanged { path })
}

/// Reads until `out` is full or the input ends. Returns the number of bytes read.
fn read_full(input: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match input.read(&mut out[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(path: &Path) -> Vec<u8> {
        let mut text = Vec::new();
        let mut source = TextInput::open(path, &TextOptions::default()).unwrap();
        source.read_to_end(&mut text).unwrap();
        assert_eq!(source.bytes_read(), std::fs::metadata(path).unwrap().len());
        text
    }

    #[test]
    fn inspected_bytes_are_read_too() {
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
        TextInput::open_at(&path, 12, None, None)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "cdef");
    }
}
