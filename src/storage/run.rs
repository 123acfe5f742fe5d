//! A run: one sequence of records in a file.
//!
//! ```text
//!  RunFile            one file, written from start to end through one buffer
//!  ├─ RunWriter  ──finish()──>  Run  ──reader()──>  RunReader
//!  └─ RunWriter  ──finish()──>  Run  ...            (a range of bytes of the file, any number of readers)
//!
//!  run    = frame*
//!  frame  = header, record*      (see `frame`; about FRAME_BYTES, more only for one long record)
//!  record = length (u32, little-endian), bytes
//! ```
//!
//! A reader holds one frame. If a frame is damaged or missing, the reader returns an error with the path and the
//! offset, and ends.

#[cfg(test)]
mod tests;

use std::mem;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::frame::{FrameAt, FrameReader, FrameWriter};
use super::limits::KeptOpen;
use super::merge::MergeInput;
use super::scratch::{Scratch, ScratchFile, ScratchWriter};
use super::transfer::ScratchRange;
use crate::error::{Error, ErrorContext, ErrorKind, Result};

/// Minimum length of a complete frame before compression, in bytes. The frame ends with the record that reaches it.
///
/// It is small because a merge of k runs holds k frames. Frames of 256 KiB were no faster to write or to read
/// (`storage::measure`).
pub(crate) const FRAME_BYTES: usize = 64 << 10;

/// Minimum length of a write, in bytes. Longer writes were no faster, either.
const WRITE_BYTES: usize = 64 << 10;

/// Memory of a [`RunReader`], in bytes: a frame in stored and in plain form. Records longer than a frame need more.
pub(crate) const READER_BYTES: usize = 2 * (FRAME_BYTES + (16 << 10));

/// Maximum length of a record, in bytes. The length of a frame with such a record and the records before it still fits
/// into a `u32`.
pub(crate) const MAX_RECORD_BYTES: usize = u32::MAX as usize - 2 * FRAME_BYTES;

/// Length of the length before a record, in bytes.
pub(crate) const PREFIX_BYTES: usize = 4;

/// Appends a record to a frame. `bytes` must not be longer than [`MAX_RECORD_BYTES`].
#[inline]
pub(crate) fn push_record(frame: &mut Vec<u8>, bytes: &[u8]) {
    frame.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    frame.extend_from_slice(bytes);
}

/// Returns the range of the record that begins at `start` of a frame; `None` if the frame has no complete record there.
#[inline]
pub(crate) fn record_at(frame: &[u8], start: usize) -> Option<Range<usize>> {
    let prefix = frame.get(start..)?.first_chunk::<PREFIX_BYTES>()?;
    let start = start + PREFIX_BYTES;
    let end = start.checked_add(u32::from_le_bytes(*prefix) as usize)?;
    (end <= frame.len()).then_some(start..end)
}

/// A scratch file to which runs are written consecutively.
///
/// The file is deleted when the `RunFile` and all of its runs have been dropped.
#[derive(Debug)]
pub(crate) struct RunFile {
    output: ScratchWriter,
    frames: FrameWriter,
    /// Records of the next frame.
    frame: Vec<u8>,
    /// Frames that have not been written yet.
    pending: Vec<u8>,
}

impl RunFile {
    /// Creates a file in `scratch`. `name` need not be unique.
    pub(crate) fn create(scratch: &Scratch, name: &str) -> Result<Self> {
        Ok(Self {
            output: scratch.create(name)?,
            frames: FrameWriter::new(),
            frame: Vec::new(),
            pending: Vec::new(),
        })
    }

    /// Starts a run at the end of the file.
    pub(crate) fn run(&mut self) -> RunWriter<'_> {
        // Discard the rest of an abandoned run.
        self.frame.clear();
        self.pending.clear();
        // Reserve exactly, because growth by doubling would end at twice the capacity.
        self.frame.reserve_exact(FRAME_BYTES + FRAME_BYTES / 16);
        self.pending
            .reserve_exact(WRITE_BYTES + FRAME_BYTES + FRAME_BYTES / 8);
        RunWriter {
            start: self.output.bytes(),
            file: self,
            records: 0,
            frame_records: 0,
        }
    }

    /// Returns the length of all runs in the file, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.output.bytes()
    }

    fn write_pending(&mut self) -> Result<()> {
        let result = self.output.append(&self.pending);
        self.pending.clear();
        result
    }
}

/// A run that is being written.
///
/// If an error occurs, or if the writer is dropped before it is finished, the run cannot be read. Another run can then
/// be written to the file.
#[derive(Debug)]
pub(crate) struct RunWriter<'a> {
    file: &'a mut RunFile,
    start: u64,
    records: u64,
    frame_records: u32,
}

impl RunWriter<'_> {
    /// Appends an encoded record.
    #[inline]
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        check_length(bytes.len())?;
        push_record(&mut self.file.frame, bytes);
        self.appended()
    }

    /// Appends a separate frame with `records` records, which [`push_record`] has encoded, or which the reader takes
    /// [as a whole](RunReader::next_whole_frame).
    pub(crate) fn append_frame(&mut self, frame: &[u8], records: u32) -> Result<()> {
        self.end_frame()?;
        let file = &mut *self.file;
        file.frames
            .write(frame, records, &mut file.pending)
            .map_err(|error| Error::io("write", file.output.file().path(), error))?;
        self.records += u64::from(records);
        if file.pending.len() >= WRITE_BYTES {
            file.write_pending()?;
        }
        Ok(())
    }

    /// Writes the buffered records and returns the run.
    pub(crate) fn finish(mut self) -> Result<Run> {
        self.end_frame()?;
        self.file.write_pending()?;
        Ok(Run {
            file: Arc::clone(self.file.output.file()),
            offset: self.start,
            bytes: self.file.output.bytes() - self.start,
            records: self.records,
        })
    }

    #[inline]
    fn appended(&mut self) -> Result<()> {
        self.records += 1;
        self.frame_records += 1;
        if self.file.frame.len() >= FRAME_BYTES {
            self.end_frame()
        } else {
            Ok(())
        }
    }

    fn end_frame(&mut self) -> Result<()> {
        if self.frame_records == 0 {
            return Ok(());
        }
        let file = &mut *self.file;
        file.frames
            .write(&file.frame, self.frame_records, &mut file.pending)
            .map_err(|error| Error::io("write", file.output.file().path(), error))?;
        self.frame_records = 0;
        file.frame.clear();
        if file.frame.capacity() > 8 * FRAME_BYTES {
            file.frame = Vec::new(); // Release the memory of one long record.
        }
        if file.pending.len() >= WRITE_BYTES {
            file.write_pending()?;
        }
        Ok(())
    }
}

#[inline]
pub(crate) fn check_length(bytes: usize) -> Result<()> {
    if bytes <= MAX_RECORD_BYTES {
        return Ok(());
    }
    Err(Error::new(ErrorKind::RecordTooLong {
        bytes,
        limit_bytes: MAX_RECORD_BYTES,
        context: ErrorContext::default(),
    }))
}

/// A finished run: a range of bytes of a file. The file is kept until all of its runs are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    file: Arc<ScratchFile>,
    offset: u64,
    bytes: u64,
    records: u64,
}

impl Run {
    /// Returns the run in the given range of `file`.
    pub(crate) fn at(file: Arc<ScratchFile>, offset: u64, bytes: u64, records: u64) -> Self {
        Self {
            file,
            offset,
            bytes,
            records,
        }
    }

    /// Returns one run with the records of this run and then those of `next`, if `next` directly follows this run in
    /// the file.
    pub(crate) fn followed_by(&self, next: &Self) -> Option<Self> {
        let follows =
            Arc::ptr_eq(&self.file, &next.file) && self.offset + self.bytes == next.offset;
        follows.then(|| Self {
            bytes: self.bytes + next.bytes,
            records: self.records + next.records,
            ..self.clone()
        })
    }

    pub(crate) fn file(&self) -> &Arc<ScratchFile> {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Returns the offset of the run in its file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the error that a record of this run is not one that was written.
    #[cold]
    pub(crate) fn corrupt(&self, reason: &'static str) -> Error {
        Error::new(ErrorKind::CorruptRun {
            path: self.path().to_owned(),
            offset: self.offset,
            reason,
        })
    }

    /// Returns the length of the run in its file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Prefetches the start of the run.
    pub(crate) fn read_ahead(&self) -> Result<()> {
        self.file.open()?.read_ahead(self.offset, self.bytes);
        Ok(())
    }

    /// Returns a reader at the start of the run. The reader opens the file when it reads the first record.
    pub(crate) fn reader(&self) -> RunReader {
        self.reader_from(FrameMark {
            offset: self.offset,
            records: 0,
        })
    }

    /// Returns a reader at the start of a frame, which [`RunReader::mark`] of this run has returned.
    pub(crate) fn reader_from(&self, mark: FrameMark) -> RunReader {
        RunReader {
            run: self.clone(),
            input: None,
            frames: FrameReader::new(),
            frame: mark,
            next_offset: mark.offset,
            cursor: 0,
            current: None,
            records_read: mark.records,
            frame_records_left: 0,
            is_done: false,
        }
    }
}

/// The start of a frame in its run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameMark {
    offset: u64,
    /// Number of records of the run before the frame.
    records: u64,
}

impl FrameMark {
    pub(crate) fn records(self) -> u64 {
        self.records
    }
}

/// Reasons for refusing a frame.
const UNFILLED: &str = "its records do not fill it";
const CUT_SHORT: &str = "a record reaches past its end";

/// A frame that was written as a whole.
pub(crate) struct WholeFrame<'r> {
    pub(crate) bytes: &'r [u8],
    pub(crate) records: u32,
    pub(crate) at: FrameAt<'r>,
}

/// Reads the records of a run, and holds one frame in memory.
///
/// After an error, the reader returns no more records.
#[derive(Debug)]
pub(crate) struct RunReader {
    run: Run,
    /// Opened at the first record and closed after the last, so that a merge in steps keeps few files open. If too many
    /// files are open, closed after each frame.
    input: Option<(ScratchRange, KeptOpen)>,
    frames: FrameReader,

    // Position in the file.
    frame: FrameMark,
    next_offset: u64,
    /// Position in the frame.
    cursor: usize,
    current: Option<Range<usize>>,
    records_read: u64,
    frame_records_left: u32,
    is_done: bool,
}

impl RunReader {
    /// Returns the next record.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>> {
        self.advance()?;
        Ok(self.current())
    }

    /// Reads the next frame, which was [written as a whole](RunWriter::append_frame) and may have any content.
    ///
    /// Use either this method or [`next`](Self::next) for the whole run.
    pub(crate) fn next_whole_frame(&mut self) -> Result<Option<WholeFrame<'_>>> {
        if self.is_done {
            return Ok(None);
        }
        let read = self.next_frame();
        if !matches!(read, Ok(true)) {
            self.end();
            return read.map(|_| None);
        }
        let records = mem::take(&mut self.frame_records_left);
        self.records_read += u64::from(records);
        self.cursor = self.frames.bytes().len();
        Ok(Some(WholeFrame {
            bytes: self.frames.bytes(),
            records,
            at: self.frame_at(),
        }))
    }

    /// Returns the content of the frame that was read last.
    pub(crate) fn frame(&self) -> &[u8] {
        self.frames.bytes()
    }

    /// Returns the start of the frame that contains the current record.
    pub(crate) fn mark(&self) -> FrameMark {
        self.frame
    }

    #[cold]
    fn end(&mut self) {
        self.is_done = true;
        self.current = None;
        self.input = None;
        self.frames = FrameReader::new();
    }

    /// Returns the location of the frame that was read last.
    fn frame_at(&self) -> FrameAt<'_> {
        FrameAt {
            path: self.run.file.path(),
            offset: self.frame.offset,
        }
    }

    /// Reads the next frame. Returns `false` at the end of the run.
    fn next_frame(&mut self) -> Result<bool> {
        let at = FrameAt {
            path: self.run.file.path(),
            offset: self.next_offset,
        };
        if self.cursor != self.frames.bytes().len() {
            return Err(self.frame_at().corrupt(UNFILLED));
        }
        let end = self.run.offset.checked_add(self.run.bytes);
        let end = end.ok_or_else(|| at.corrupt("it ends beyond the end of any file"))?;
        if self.next_offset == end {
            if self.records_read == self.run.records {
                return Ok(false);
            }
            return Err(at.corrupt("records are missing before it"));
        }
        let (mut input, kept) = match self.input.take() {
            Some((input, kept)) => (input, Some(kept)),
            None => {
                let file = self.run.file.open()?;
                let bytes = end.saturating_sub(self.next_offset);
                let input = file.range(self.next_offset, bytes);
                (input, KeptOpen::try_new())
            }
        };
        let frame = self.frames.read(&mut input, at)?;
        let frame = frame.ok_or_else(|| at.corrupt("a frame is missing"))?;
        self.input = kept.map(|kept| (input, kept));
        if frame.records == 0 {
            return Err(at.corrupt("the frame has no records"));
        }
        self.frame = FrameMark {
            offset: self.next_offset,
            records: self.records_read,
        };
        self.next_offset += frame.stored_bytes as u64;
        self.frame_records_left = frame.records;
        self.cursor = 0;
        Ok(true)
    }

    #[inline]
    fn step(&mut self) -> Result<bool> {
        if self.frame_records_left == 0 && !self.next_frame()? {
            return Ok(false);
        }
        let Some(range) = record_at(self.frames.bytes(), self.cursor) else {
            return Err(self.frame_at().corrupt(CUT_SHORT));
        };
        self.frame_records_left -= 1;
        self.records_read += 1;
        self.cursor = range.end;
        self.current = Some(range);
        Ok(true)
    }
}

impl MergeInput for RunReader {
    type Record = [u8];

    #[inline]
    fn advance(&mut self) -> Result<bool> {
        if self.is_done {
            return Ok(false);
        }
        let result = self.step();
        if !matches!(result, Ok(true)) {
            self.end();
        }
        result
    }

    #[inline]
    fn current(&self) -> Option<&[u8]> {
        let range = self.current.clone()?;
        self.frames.bytes().get(range)
    }
}
