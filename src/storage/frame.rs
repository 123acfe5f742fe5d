//! A frame: a part of a run with its lengths and a checksum, compressed if that saves enough.
//!
//! ```text
//!  byte  0         3      4          8          12         16         20
//!        +---------+------+----------+----------+----------+----------+----------------------+
//!        | "hFr"   | flag | stored   | plain    | records  | crc32    | payload              |
//!        |         |      | bytes    | bytes    |          |          | (stored bytes long)  |
//!        +---------+------+----------+----------+----------+----------+----------------------+
//!        |<--------- checksum covers these ----------------->|         |<---- and these ----->|
//! ```
//!
//! All numbers are little-endian. Flag 0: the payload is plain, stored = plain. Flag 1: the payload is one LZ4 block,
//! stored < plain. CRC-32 detects every single flipped bit, and misses other damage with a probability of 1 in 2^32. A
//! frame does not record the number of frames that follow: the reader of a run counts records and thereby detects a
//! missing frame at the end.
//!
//! The reader never allocates memory on the word of an unverified length. It reads the payload in steps that double as
//! the bytes arrive, and uses the plain length only after it has verified the checksum.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use super::transfer::read_error;
use crate::error::{Error, ErrorKind, Result};

/// Length of the header, in bytes.
pub(crate) const HEADER_BYTES: usize = 20;

/// Maximum length of a frame that is compressed, in bytes. A longer frame holds one huge record, and the compressor
/// would need as much memory again.
const MAX_COMPRESSED_BYTES: usize = 64 << 20;

/// Minimum length of a frame that is compressed, in bytes. A shorter one saves little, and does not predict whether the
/// next frame is compressible.
const MIN_COMPRESSED_BYTES: usize = 128;

/// Minimum step in which a payload is read, in bytes.
const READ_STEP_BYTES: usize = 1 << 20;

/// Unit of buffer lengths, in bytes. Frames of similar length then fit into the same allocation.
const BUFFER_STEP_BYTES: usize = 16 << 10;

const MAGIC: [u8; 3] = *b"hFr";
const PLAIN: u8 = 0;
const LZ4: u8 = 1;

/// Maximum number of bytes into which LZ4 can expand one byte.
const MAX_EXPANSION: usize = 255;

/// Location of a frame, for its errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameAt<'a> {
    pub(crate) path: &'a Path,
    pub(crate) offset: u64,
}

impl FrameAt<'_> {
    /// Returns the error that this frame is damaged.
    #[cold]
    pub(crate) fn corrupt(&self, reason: &'static str) -> Error {
        Error::new(ErrorKind::CorruptRun {
            path: self.path.to_owned(),
            offset: self.offset,
            reason,
        })
    }

    fn read_error(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.corrupt("the frame is cut short"),
            _ => read_error(self.path, error),
        }
    }
}

/// A header whose fields are consistent. Only the checksum of the payload shows whether they are right.
#[derive(Clone, Copy, Debug)]
struct Header {
    bytes: [u8; HEADER_BYTES],
    stored_bytes: usize,
    plain_bytes: usize,
    records: u32,
}

impl Header {
    fn encode(flag: u8, payload: &[u8], plain_bytes: u32, records: u32) -> [u8; HEADER_BYTES] {
        let stored_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut bytes = [0; HEADER_BYTES];
        bytes[..3].copy_from_slice(&MAGIC);
        bytes[3] = flag;
        bytes[4..8].copy_from_slice(&stored_bytes.to_le_bytes());
        bytes[8..12].copy_from_slice(&plain_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&records.to_le_bytes());
        let sum = checksum(&bytes, payload);
        bytes[16..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn parse(bytes: [u8; HEADER_BYTES], at: FrameAt<'_>) -> Result<Self> {
        let header = Self {
            bytes,
            stored_bytes: number(&bytes, 4) as usize,
            plain_bytes: number(&bytes, 8) as usize,
            records: number(&bytes, 12),
        };
        if bytes[..3] != MAGIC {
            return Err(at.corrupt("no frame starts there"));
        }
        let fits = match bytes[3] {
            PLAIN => header.stored_bytes == header.plain_bytes,
            LZ4 => {
                header.stored_bytes < header.plain_bytes
                    && header.plain_bytes / MAX_EXPANSION <= header.stored_bytes
            }
            _ => return Err(at.corrupt("its flag is unknown")),
        };
        if fits {
            Ok(header)
        } else {
            Err(at.corrupt("its lengths do not fit together"))
        }
    }

    fn check(&self, payload: &[u8], at: FrameAt<'_>) -> Result<()> {
        if checksum(&self.bytes, payload) == number(&self.bytes, 16) {
            Ok(())
        } else {
            Err(at.corrupt("the frame's checksum does not match"))
        }
    }

    fn is_compressed(&self) -> bool {
        self.bytes[3] == LZ4
    }

    fn frame(&self) -> Frame {
        Frame::of(&self.bytes, self.records, HEADER_BYTES + self.stored_bytes)
    }
}

fn number(header: &[u8; HEADER_BYTES], start: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&header[start..start + 4]);
    u32::from_le_bytes(bytes)
}

fn checksum(header: &[u8; HEADER_BYTES], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..16]);
    hasher.update(payload);
    hasher.finalize()
}

/// The verified size of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Number of records in the frame.
    pub(crate) records: u32,
    /// Length on disk, including the header.
    pub(crate) stored_bytes: usize,
    /// Checksum of the header and the payload.
    pub(crate) checksum: u32,
}

impl Frame {
    pub(crate) fn of(header: &[u8; HEADER_BYTES], records: u32, stored_bytes: usize) -> Self {
        Self {
            records,
            stored_bytes,
            checksum: number(header, 16),
        }
    }
}

/// Writes frames consecutively.
pub(crate) struct FrameWriter {
    table: CompressTable,
    compressed: Vec<u8>,
    backoff: Backoff,
}

impl FrameWriter {
    pub(crate) fn new() -> Self {
        Self {
            table: CompressTable::large(),
            compressed: Vec::new(),
            backoff: Backoff::default(),
        }
    }

    /// Writes one frame and returns its length on disk.
    ///
    /// The length of `bytes` must fit into a `u32`.
    pub(crate) fn write(
        &mut self,
        bytes: &[u8],
        records: u32,
        output: &mut impl Write,
    ) -> io::Result<usize> {
        let plain_bytes = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let (flag, payload) = match self.compress(bytes) {
            Some(length) => (LZ4, &self.compressed[..length]),
            None => (PLAIN, bytes),
        };
        output.write_all(&Header::encode(flag, payload, plain_bytes, records))?;
        output.write_all(payload)?;
        Ok(HEADER_BYTES + payload.len())
    }

    /// Compresses `bytes` if that is promising and saves a quarter.
    ///
    /// A threshold of an eighth was too low: sorting 2 GB of lines of 20 random characters, of which compression saves
    /// between an eighth and a quarter, took 24 s of CPU time with it, and takes 16 s without compression.
    fn compress(&mut self, bytes: &[u8]) -> Option<usize> {
        let lengths = MIN_COMPRESSED_BYTES..=MAX_COMPRESSED_BYTES;
        if !lengths.contains(&bytes.len()) || !self.backoff.tries() {
            return None;
        }
        let room = get_maximum_output_size(bytes.len());
        lengthen(&mut self.compressed, room);
        let length = compress_into_with_table(bytes, &mut self.compressed, &mut self.table).ok()?;
        let pays = length < bytes.len() - bytes.len() / 4;
        self.backoff.learn(pays);
        pays.then_some(length)
    }
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter")
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

/// Skips compression after an unprofitable attempt: for 1, 3, 7, … 63 frames.
#[derive(Debug, Default)]
struct Backoff {
    skips_left: u32,
    last_skips: u32,
}

impl Backoff {
    const MAX_SKIPS: u32 = 63;

    fn tries(&mut self) -> bool {
        let tries = self.skips_left == 0;
        self.skips_left = self.skips_left.saturating_sub(1);
        tries
    }

    fn learn(&mut self, pays: bool) {
        self.last_skips = match pays {
            true => 0,
            false => (2 * self.last_skips + 1).min(Self::MAX_SKIPS),
        };
        self.skips_left = self.last_skips;
    }
}

/// Reads frames. Holds the bytes of one frame at a time.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    stored: Vec<u8>,
    plain: Vec<u8>,
    /// Determines the buffer that holds the frame: `plain` if the frame was compressed, otherwise `stored`. The frame
    /// is the first `length` bytes.
    is_compressed: bool,
    length: usize,
}

impl FrameReader {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Returns the plain bytes of the frame that was read last.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self.is_compressed {
            true => &self.plain[..self.length],
            false => &self.stored[..self.length],
        }
    }

    /// Returns the number of bytes that this reader holds.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.stored.capacity() + self.plain.capacity()
    }

    /// Reads one frame. Returns `None` at the end of `input`.
    pub(crate) fn read(&mut self, input: &mut impl Read, at: FrameAt<'_>) -> Result<Option<Frame>> {
        self.length = 0;
        let Some(bytes) = read_header(input, at)? else {
            return Ok(None);
        };
        let header = Header::parse(bytes, at)?;
        fit(&mut self.stored, header.stored_bytes);
        read_payload(input, header.stored_bytes, &mut self.stored)
            .map_err(|error| at.read_error(error))?;
        let payload = &self.stored[..header.stored_bytes];
        header.check(payload, at)?;
        if header.is_compressed() {
            decompress(payload, header, &mut self.plain, at)?;
        }
        self.is_compressed = header.is_compressed();
        self.length = header.plain_bytes;
        Ok(Some(header.frame()))
    }
}

fn read_header(input: &mut impl Read, at: FrameAt<'_>) -> Result<Option<[u8; HEADER_BYTES]>> {
    let mut header = [0; HEADER_BYTES];
    let mut filled = 0;
    while filled < HEADER_BYTES {
        match input.read(&mut header[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(at.corrupt("the frame is cut short")),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(at.read_error(error)),
        }
    }
    Ok(Some(header))
}

/// Fills the start of `buffer`. The buffer grows only as the bytes arrive. It is never shortened, so that its memory is
/// zeroed only once.
fn read_payload(input: &mut impl Read, length: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut filled = 0;
    while filled < length {
        let end = length.min(filled + filled.max(READ_STEP_BYTES));
        lengthen(buffer, end);
        input.read_exact(&mut buffer[filled..end])?;
        filled = end;
    }
    Ok(())
}

fn decompress(payload: &[u8], header: Header, plain: &mut Vec<u8>, at: FrameAt<'_>) -> Result<()> {
    fit(plain, header.plain_bytes);
    lengthen(plain, header.plain_bytes);
    match lz4_flex::block::decompress_into(payload, &mut plain[..header.plain_bytes]) {
        Ok(length) if length == header.plain_bytes => Ok(()),
        _ => Err(at.corrupt("the frame cannot be decompressed")),
    }
}

/// Extends a buffer to at least `length` bytes.
fn lengthen(buffer: &mut Vec<u8>, length: usize) {
    if length > buffer.len() {
        let length = length.next_multiple_of(BUFFER_STEP_BYTES);
        if length <= READ_STEP_BYTES {
            buffer.reserve_exact(length - buffer.len());
        }
        buffer.resize(length, 0);
    }
}

/// Releases a buffer that one huge record has enlarged.
fn fit(buffer: &mut Vec<u8>, needed_bytes: usize) {
    if buffer.capacity() > 2 * READ_STEP_BYTES && needed_bytes < READ_STEP_BYTES {
        *buffer = Vec::new();
    }
}
