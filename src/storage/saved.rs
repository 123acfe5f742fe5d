//! Files of saved bags: the promise of the format, which any later version of holdall must be able to read.
//!
//! ```text
//!  <path>/_bag          the manifest:  "holdall bag\n", version (u32), one frame with the encoded `Manifest`
//!  <path>/part-00000 …  a file for each partition, in order:  frame*
//!
//!  frame  = header, record*      (see `frame`)
//!  record = length (u32), bytes  (see `codec`)
//! ```
//!
//! All numbers are little-endian. The manifest is written last. It has the length of each partition, its number of
//! records, and a checksum of the checksums of its frames. A file that is damaged, cut short or replaced by another is
//! therefore recognised, even if each of its frames is intact.
//!
//! The same records always have the same bytes, on any executor.

use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::codec;
use super::frame::{Frame, FrameAt, FrameReader, FrameWriter, HEADER_BYTES};
use super::run::{FRAME_BYTES, PREFIX_BYTES, check_length, record_at};
use crate::error::{Error, ErrorContext, ErrorKind, Result};

pub(crate) use super::output::MANIFEST;

/// Version of the format. A change that earlier versions of holdall cannot read has a new one.
const VERSION: u32 = 1;

const MAGIC: [u8; 12] = *b"holdall bag\n";

/// Minimum length of a write, in bytes.
const WRITE_BYTES: usize = 64 << 10;

/// The content of a saved bag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The [schema](super::schema) of the records.
    pub(crate) schema: String,
    /// The type by whose hash the records are partitioned, if they are.
    pub(crate) key: Option<String>,
    /// Number of digits in the names of the files.
    pub(crate) digits: usize,
    pub(crate) partitions: Vec<SavedPart>,
    /// Key of the run that has written it, if another run may continue it.
    pub(crate) run: Option<String>,
}

/// Size and checksum of a saved partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedPart {
    pub(crate) records: u64,
    /// Size of the file, in bytes.
    pub(crate) bytes: u64,
    checksum: u32,
}

impl SavedPart {
    /// Returns the number of records and of bytes, and the checksum.
    pub(crate) fn numbers(&self) -> [u64; 3] {
        [self.records, self.bytes, self.checksum.into()]
    }

    pub(crate) fn of([records, bytes, checksum]: [u64; 3]) -> Option<Self> {
        Some(Self {
            records,
            bytes,
            checksum: checksum.try_into().ok()?,
        })
    }

    fn add(&mut self, frame: Frame) {
        self.records += u64::from(frame.records);
        self.bytes += frame.stored_bytes as u64;
        let mut hasher = crc32fast::Hasher::new_with_initial(self.checksum);
        hasher.update(&frame.checksum.to_le_bytes());
        self.checksum = hasher.finalize();
    }
}

/// Returns the error of a file that is no saved bag, or a damaged one.
#[cold]
pub(crate) fn invalid(path: &Path, offset: Option<u64>, reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidBag {
        path: path.to_owned(),
        offset,
        reason: reason.into(),
        context: ErrorContext::default(),
    })
}

/// A damaged frame of a spill file is recomputed, but that of a saved bag is an error for the user.
fn of_saved(error: Error) -> Error {
    match error.into_kind() {
        ErrorKind::CorruptRun {
            path,
            offset,
            reason,
        } => invalid(&path, Some(offset), reason),
        kind => Error::new(kind),
    }
}

impl Manifest {
    /// Returns the bytes of the file.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let mut payload = Vec::new();
        codec::encode_own(self, &mut payload)?;
        let mut bytes = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
        let written = FrameWriter::new().write(&payload, 1, &mut bytes);
        written.map_err(|_| {
            Error::new(ErrorKind::RecordTooLong {
                bytes: payload.len(),
                limit_bytes: u32::MAX as usize,
                context: ErrorContext::default(),
            })
        })?;
        Ok(bytes)
    }

    /// Reads the file at `path`.
    pub(crate) fn read(mut input: impl Read, path: &Path) -> Result<Self> {
        let mut head = [0; MAGIC.len() + 4];
        let read = input.read_exact(&mut head);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => invalid(path, None, "the file is cut short"),
            _ => Error::io("read", path, error),
        })?;
        let (magic, version) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            let reason = "the file does not begin like that of a saved bag";
            return Err(invalid(path, None, reason));
        }
        let version = version.try_into().map_or(0, u32::from_le_bytes);
        if version != VERSION {
            return Err(Error::new(ErrorKind::UnsupportedVersion {
                path: path.to_owned(),
                version,
                supported: VERSION,
                context: ErrorContext::default(),
            }));
        }
        let at = FrameAt {
            path,
            offset: head.len() as u64,
        };
        let mut frames = FrameReader::new();
        let damaged = |reason| invalid(path, Some(at.offset), reason);
        match frames.read(&mut input, at).map_err(of_saved)? {
            Some(_) => codec::decode(frames.bytes()).map_err(|error| damaged(error.to_string())),
            None => Err(damaged("the file is cut short".to_owned())),
        }
    }
}

/// Writes the records of a partition.
pub(crate) struct PartWriter<W> {
    output: W,
    frames: FrameWriter,
    /// Records of the next frame.
    frame: Vec<u8>,
    frame_records: u32,
    /// Frames that have not been written yet.
    pending: Vec<u8>,
    part: SavedPart,
}

impl<W: Write> PartWriter<W> {
    pub(crate) fn new(output: W) -> Self {
        Self {
            output,
            frames: FrameWriter::new(),
            frame: Vec::with_capacity(FRAME_BYTES + FRAME_BYTES / 16),
            frame_records: 0,
            pending: Vec::new(),
            part: SavedPart::default(),
        }
    }

    /// Adds the record that `encode` appends to a buffer. Returns whether [`end_frame`](Self::end_frame) must be called.
    #[inline]
    pub(crate) fn push(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<bool> {
        let start = self.frame.len();
        self.frame.extend_from_slice(&[0; PREFIX_BYTES]);
        encode(&mut self.frame)?;
        let length = self.frame.len() - start - PREFIX_BYTES;
        check_length(length)?;
        self.frame[start..start + PREFIX_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
        self.frame_records += 1;
        Ok(self.frame.len() >= FRAME_BYTES)
    }

    /// Writes the records that were added as a frame.
    pub(crate) fn end_frame(&mut self) -> io::Result<()> {
        if self.frame_records == 0 {
            return Ok(());
        }
        let start = self.pending.len();
        let records = self.frame_records;
        let stored_bytes = self.frames.write(&self.frame, records, &mut self.pending)?;
        let header = self.pending[start..].first_chunk::<HEADER_BYTES>();
        let frame = header.map(|header| Frame::of(header, records, stored_bytes));
        frame.into_iter().for_each(|frame| self.part.add(frame));
        self.frame_records = 0;
        self.frame.clear();
        // Releases the memory of a long record.
        self.frame.shrink_to(8 * FRAME_BYTES);
        if self.pending.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.write_all(&self.pending)?;
        self.pending.clear();
        self.pending.shrink_to(8 * FRAME_BYTES);
        Ok(())
    }

    /// Writes the rest.
    pub(crate) fn finish(mut self) -> io::Result<(W, SavedPart)> {
        self.end_frame()?;
        self.flush()?;
        Ok((self.output, self.part))
    }
}

/// Reads the records of a partition, frame by frame.
pub(crate) struct PartReader<'p, R> {
    input: R,
    path: &'p Path,
    expected: SavedPart,
    read: SavedPart,
    frames: FrameReader,
}

/// A frame that has been read.
pub(crate) struct SavedFrame<'r> {
    at: FrameAt<'r>,
    frame: Frame,
    bytes: &'r [u8],
}

impl<'p, R: Read> PartReader<'p, R> {
    pub(crate) fn new(input: R, path: &'p Path, expected: SavedPart) -> Self {
        Self {
            input,
            path,
            expected,
            read: SavedPart::default(),
            frames: FrameReader::new(),
        }
    }

    /// Reads the next frame. Returns `None` after the last one, if the partition is complete.
    pub(crate) fn next(&mut self) -> Result<Option<SavedFrame<'_>>> {
        let at = FrameAt {
            path: self.path,
            offset: self.read.bytes,
        };
        let frame = self.frames.read(&mut self.input, at).map_err(of_saved)?;
        let Some(frame) = frame else {
            if self.read == self.expected {
                return Ok(None);
            }
            let reason = "the file is not the one that was saved, or it is cut short";
            return Err(invalid(self.path, Some(self.read.bytes), reason));
        };
        self.read.add(frame);
        let bytes = self.frames.bytes();
        Ok(Some(SavedFrame { at, frame, bytes }))
    }
}

impl<'r> SavedFrame<'r> {
    /// Returns the offset of the frame in its file.
    pub(crate) fn offset(&self) -> u64 {
        self.at.offset
    }

    /// Returns the length of the frame in its file, in bytes.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.frame.stored_bytes as u64
    }

    /// Returns the bytes of each record.
    pub(crate) fn records(&self) -> impl Iterator<Item = Result<&'r [u8]>> {
        let (at, bytes) = (self.at, self.bytes);
        let mut start = 0;
        (0..self.frame.records).map(move |_| {
            let record = record_at(bytes, start);
            let record = record.ok_or_else(|| of_saved(at.corrupt("a record is cut short")))?;
            start = record.end;
            Ok(&bytes[record])
        })
    }
}
