//! The bytes of a text: a file from some offset on, decompressed if necessary.
//!
//! Files are read, never mapped: if a mapped file is truncated, the process is killed, and mapped pages count as memory
//! of the process.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::files::{FileReader, InputFile, Listed, RemoteReader, changed, local_path, read_error};

use super::compression::{Codec, Decompressor, Helpers, UnitRange, Units, find_units};
use super::format::{Format, HEAD_BYTES, check_text};
use super::options::TextOptions;
use super::split::Split;
#[cfg(feature = "encodings")]
use super::transcoder::Transcoder;
use super::version::Version;

/// Number of bytes of compressed input that are read in one call.
const COMPRESSED_BYTES: usize = 128 << 10;

/// An open file that counts the bytes read from it.
#[derive(Debug)]
pub(super) struct RawInput {
    file: FileReader,
    /// Shared, because a decoder may own the file.
    bytes_read: Arc<AtomicU64>,
}

impl RawInput {
    fn new(file: FileReader) -> Self {
        Self {
            file,
            bytes_read: Arc::default(),
        }
    }

    /// Opens the file of a split. A local file is opened at its start; that of another file system is opened at `offset`,
    /// when it is read.
    fn open(split: &Split, offset: u64, options: &TextOptions) -> Result<Self> {
        let path = &split.path;
        let Some(Listed { bytes, version }) = &split.listed else {
            return Ok(Self::new(FileReader::Local(open(path)?)));
        };
        let Some((file_system, path)) = options.file_systems.find(path)? else {
            let reason = format!("{} has no file system", path.display());
            return Err(Error::internal(reason));
        };
        let reader = RemoteReader::new(file_system, path, version.as_deref(), *bytes, offset);
        Ok(Self::new(FileReader::Remote(Box::new(reader))))
    }
}

impl RawInput {
    /// Moves to `offset` in a local file. Returns an error if the file has changed since it was divided.
    fn seek(&mut self, split: &Split, offset: u64) -> Result<()> {
        let at_path = |source| Error::io("read", &split.path, source);
        if let FileReader::Local(file) = &mut self.file {
            let version = split.version.as_ref();
            let is_as_before = version.map_or(Ok(true), |version| version.is_prefix_of(file));
            if !is_as_before.map_err(at_path)? {
                return Err(changed(&split.path));
            }
            file.seek(SeekFrom::Start(offset)).map_err(at_path)?;
        }
        Ok(())
    }
}

impl Read for RawInput {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(out)?;
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
    /// The error that follows the inspected bytes.
    failed: Option<io::Error>,
}

impl<R: Read> Peeked<R> {
    fn new(reader: R) -> io::Result<Self> {
        let mut peeked = Self::unseen(reader);
        while peeked.len < HEAD_BYTES {
            match peeked.reader.read(&mut peeked.head[peeked.len..]) {
                Ok(0) => break,
                Ok(read) => peeked.len += read,
                Err(error) if peeked.len == 0 => return Err(error),
                Err(error) => {
                    peeked.failed = Some(error);
                    break;
                }
            }
        }
        Ok(peeked)
    }

    /// Returns a reader without inspecting its first bytes.
    fn unseen(reader: R) -> Self {
        Self {
            reader,
            head: [0; HEAD_BYTES],
            len: 0,
            taken: 0,
            failed: None,
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
            return match self.failed.take() {
                Some(error) => Err(error),
                None => self.reader.read(out),
            };
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
    #[cfg(feature = "encodings")]
    Transcoded(Box<Transcoder<Self>>),
}

/// Division of a large file.
#[derive(Debug)]
pub(super) enum FileLayout {
    /// It is plain, so that it can be cut anywhere. A local file has a version.
    Plain(Option<Version>),
    /// It can be cut at units.
    Units(Version, Codec, Units),
    /// Only a decoder finds its parts.
    Whole,
}

/// Inspects a large local file, which must not be a stream. `min_bytes` is the minimum distance of units.
///
/// # Errors
///
/// Returns an error if the file cannot be read or has an unsupported format.
pub(super) fn inspect_local(
    path: &Path,
    options: &TextOptions,
    min_bytes: u64,
) -> Result<FileLayout> {
    let at_path = |source| Error::io("read", path, source);
    let mut file = open(path)?;
    let input = Peeked::new(&mut file).map_err(at_path)?;
    let Format::Compressed(compression) = Format::of(input.head(), options, path)? else {
        check_text(input.head(), false, options, path)?;
        let version = Version::of(&mut file).map_err(at_path)?;
        return Ok(FileLayout::Plain(Some(version)));
    };
    let version = Version::of(&mut file).map_err(at_path)?;
    let units = find_units(compression, &mut file, version.bytes(), min_bytes);
    Ok(match units.map_err(at_path)? {
        Some(units) => FileLayout::Units(version, compression, units),
        None => FileLayout::Whole,
    })
}

/// Inspects the start of a large file of a file system. Returns whether it is plain.
///
/// # Errors
///
/// Returns an error if the file cannot be read or has an unsupported format.
pub(super) fn is_plain(whole: &Split, options: &TextOptions) -> Result<bool> {
    let path = &whole.path;
    let input = Peeked::new(RawInput::open(whole, 0, options)?);
    let input = input.map_err(|source| read_error(path, None, source))?;
    has_plain_head(&input, path, options)
}

/// Inspects the start of a file. Returns whether it is plain.
///
/// # Errors
///
/// Returns an error if the file cannot be read or has an unsupported format.
#[cfg(feature = "csv")]
pub(crate) fn is_plain_file(file: &InputFile) -> Result<bool> {
    let head = file.open_raw(0..HEAD_BYTES as u64)?;
    let input = Peeked::new(head).map_err(|source| read_error(&file.path, None, source))?;
    has_plain_head(&input, &file.path, &TextOptions::default())
}

fn has_plain_head<R: Read>(input: &Peeked<R>, path: &Path, options: &TextOptions) -> Result<bool> {
    let is_plain = Format::of(input.head(), options, path)? == Format::Plain;
    if is_plain {
        check_text(input.head(), false, options, path)?;
    }
    Ok(is_plain)
}

impl TextInput {
    /// Returns the whole text of a file in any supported format.
    pub(super) fn open(whole: &Split, options: &TextOptions) -> Result<Self> {
        Self::of_raw(Self::open_whole(whole, options)?, &whole.path, options)
    }

    /// Like [`open`](Self::open), with `helpers` that decode the file in advance.
    pub(super) fn open_helped(
        whole: &Split,
        options: &TextOptions,
        helpers: Helpers,
    ) -> Result<Self> {
        let input = Self::open_whole(whole, options)?;
        Self::of_format(input, &whole.path, options, Some(helpers))
    }

    /// Returns the text of an open local file, from its start, with `helpers` that decode it in advance.
    pub(super) fn of_helped(
        file: File,
        path: &Path,
        options: &TextOptions,
        helpers: Helpers,
    ) -> Result<Self> {
        let input = RawInput::new(FileReader::Local(file));
        Self::of_format(input, path, options, Some(helpers))
    }

    fn open_whole(whole: &Split, options: &TextOptions) -> Result<RawInput> {
        let mut input = RawInput::open(whole, 0, options)?;
        if let FileReader::Remote(reader) = &mut input.file {
            reader.expect_end(u64::MAX);
        }
        Ok(input)
    }

    /// Returns the content of a file, decompressed if necessary. Unless `is_text`, it need not be text, but if `is_checked`, it
    /// must not be an archive.
    pub(super) fn of_input(file: &InputFile, is_text: bool, is_checked: bool) -> Result<Self> {
        let input = FileReader::Part(Box::new(file.open_raw(0..u64::MAX)?));
        let options = TextOptions {
            is_text,
            may_be_archive: !is_checked,
            ..TextOptions::default()
        };
        Self::of_raw(RawInput::new(input), &file.path, &options)
    }

    fn of_raw(input: RawInput, path: &Path, options: &TextOptions) -> Result<Self> {
        Self::of_format(input, path, options, None)
    }

    /// Converts the text to UTF-8, if it has another encoding.
    #[cfg(feature = "encodings")]
    fn transcoded(self, options: &TextOptions) -> Result<Self> {
        let Some(label) = options.encoding.as_ref().filter(|_| options.is_text) else {
            return Ok(self);
        };
        let transcoder = Transcoder::new(self, label);
        let transcoder =
            transcoder.ok_or_else(|| Error::internal(format!("no encoding {label}")))?;
        Ok(Self::Transcoded(Box::new(transcoder)))
    }

    #[cfg(not(feature = "encodings"))]
    fn transcoded(self, _: &TextOptions) -> Result<Self> {
        Ok(self)
    }

    /// `helpers` is `None` if the caller may not wait for others.
    fn of_format(
        input: RawInput,
        path: &Path,
        options: &TextOptions,
        helpers: Option<Helpers>,
    ) -> Result<Self> {
        let at_path = |source| read_error(path, None, source);
        let bytes_read = Arc::clone(&input.bytes_read);
        let input = Peeked::new(input).map_err(at_path)?;
        match Format::of(input.head(), options, path)? {
            Format::Plain => {
                check_text(input.head(), false, options, path)?;
                Self::Plain(input).transcoded(options)
            }
            Format::Compressed(compression) => {
                let input = BufReader::with_capacity(COMPRESSED_BYTES, input);
                let decoding = &options.decoding;
                let decoder = match helpers {
                    None => Decompressor::new(compression, input, decoding),
                    Some(helpers) => Decompressor::ahead(compression, input, decoding, helpers),
                };
                let decoder = Peeked::new(decoder).map_err(at_path)?;
                check_text(decoder.head(), true, options, path)?;
                let decoded = Self::Compressed {
                    decoder,
                    bytes_read,
                };
                decoded.transcoded(options)
            }
        }
    }

    /// Returns the text of a part of a compressed file. Returns an error if the file has changed.
    fn open_units(split: &Split, units: &UnitRange, options: &TextOptions) -> Result<Self> {
        let path = &split.path;
        let at_path = |source| read_error(path, None, source);
        let mut input = RawInput::open(split, 0, options)?;
        let bytes_read = Arc::clone(&input.bytes_read);
        input.seek(split, units.start.data)?;
        let input = BufReader::with_capacity(COMPRESSED_BYTES, input);
        let decoder = Decompressor::of_units(units, input, &options.decoding);
        let decoder = match units.start.text {
            0 => {
                let decoder = Peeked::new(decoder).map_err(at_path)?;
                check_text(decoder.head(), true, options, path)?;
                decoder
            }
            _ => Peeked::unseen(decoder),
        };
        Ok(Self::Compressed {
            decoder,
            bytes_read,
        })
    }

    /// Returns the text of a file that is read in several parts, from `offset` on. Returns an error if a local file has changed; that of another
    /// file system is checked when it is read. `open_source` is the same local file, if it is already open.
    pub(super) fn open_at(
        split: &Split,
        offset: u64,
        options: &TextOptions,
        open_source: Option<Self>,
    ) -> Result<Self> {
        if let Some(units) = &split.units {
            return Self::open_units(split, units, options);
        }
        let mut input = match open_source {
            Some(Self::Plain(input)) => input,
            _ => Peeked::unseen(RawInput::open(split, offset, options)?),
        };
        input.reader.seek(split, offset)?;
        input.taken = input.len;
        Ok(Self::Plain(input))
    }

    /// See [`RemoteReader::expect_end`]. The end of compressed files is known.
    pub(super) fn expect_end(&mut self, end: u64) {
        if let Some(reader) = self.remote() {
            reader.expect_end(end);
        }
    }

    /// See [`RemoteReader::pause`].
    pub(super) fn pause(&mut self) {
        if let Some(reader) = self.remote() {
            reader.pause();
        }
    }

    fn remote(&mut self) -> Option<&mut RemoteReader> {
        match self {
            Self::Plain(Peeked {
                reader:
                    RawInput {
                        file: FileReader::Remote(reader),
                        ..
                    },
                ..
            }) => Some(reader),
            _ => None,
        }
    }

    /// Whether offsets in the text differ from those in the file.
    pub(super) fn is_compressed(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// Whether the file is compressed, so that it may be damaged.
    pub(super) fn is_decoded(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Compressed { .. } => true,
            #[cfg(feature = "encodings")]
            Self::Transcoded(transcoder) => transcoder.input().is_decoded(),
        }
    }

    /// Returns the format of a file that one thread decodes.
    pub(super) fn decoded_on_one_thread(&self) -> Option<Codec> {
        match self {
            Self::Plain(_) => None,
            Self::Compressed { decoder, .. } => decoder.reader.is_on_one_thread(),
            #[cfg(feature = "encodings")]
            Self::Transcoded(transcoder) => transcoder.input().decoded_on_one_thread(),
        }
    }

    /// Returns the number of bytes of the file, compressed if it is, that have been read.
    pub(super) fn bytes_read(&self) -> u64 {
        let bytes_read = match self {
            Self::Plain(input) => &input.reader.bytes_read,
            Self::Compressed { bytes_read, .. } => bytes_read,
            #[cfg(feature = "encodings")]
            Self::Transcoded(transcoder) => return transcoder.input().bytes_read(),
        };
        bytes_read.load(Ordering::Relaxed)
    }
}

impl Read for TextInput {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(out),
            Self::Compressed { decoder, .. } => decoder.read(out),
            #[cfg(feature = "encodings")]
            Self::Transcoded(transcoder) => transcoder.read(out),
        }
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(local_path(path)).map_err(|source| Error::io("open", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(path: &Path) -> Vec<u8> {
        let mut text = Vec::new();
        let whole = Split::whole(&path.into(), 0);
        let mut source = TextInput::open(&whole, &TextOptions::default()).unwrap();
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
        let split = Split::whole(&path.into(), 0);
        TextInput::open_at(&split, 12, &TextOptions::default(), None)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "cdef");
    }
}
