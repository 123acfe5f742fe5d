//! A sorted run: pieces of stored records, each in memory or in a file.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Result;
use crate::storage::memory::{MemoryBudget, Reservation};
use crate::storage::run::{FRAME_BYTES, Run, RunFile, check_length, push_record, record_at};
use crate::storage::scratch::Scratch;

/// Approximate length of a piece, in bytes.
///
/// At either end of a partition, its reader reads half a piece too much of each run. With 64 partitions and runs of 64
/// MiB, that adds a quarter.
const PIECE_BYTES: usize = 4 * FRAME_BYTES;

/// Maximum length of a first record that a piece in a file keeps in memory, in bytes.
const MAX_FIRST_BYTES: usize = 1 << 10;

/// Records in order.
#[derive(Debug)]
pub(crate) struct SortedRun {
    pub(super) pieces: Vec<RunPiece>,
    /// Memory of the pieces.
    reservation: Reservation,
}

impl SortedRun {
    /// Creates a run from pieces in files.
    pub(super) fn of_files(pieces: Vec<RunPiece>, budget: &MemoryBudget) -> Self {
        Self {
            pieces,
            reservation: budget.reservation(),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.reservation.bytes()
    }

    pub(super) fn records(&self) -> u64 {
        self.pieces.iter().map(RunPiece::records).sum()
    }
}

/// A part of a run that can be found by its first record.
#[derive(Debug)]
pub(super) enum RunPiece {
    /// Records in the form of frames.
    Memory(Arc<Frames>),
    File {
        first: Option<Box<[u8]>>,
        run: Run,
    },
}

/// Records of a piece. `ends` has the end of each frame and its number of records.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    pub(super) bytes: Vec<u8>,
    ends: Vec<(usize, u32)>,
}

impl RunPiece {
    /// Returns the bytes of the first record.
    pub(super) fn first(&self) -> Result<Cow<'_, [u8]>> {
        match self {
            Self::Memory(frames) => {
                let first = record_at(&frames.bytes, 0).unwrap_or_default();
                Ok(Cow::Borrowed(&frames.bytes[first]))
            }
            Self::File {
                first: Some(first), ..
            } => Ok(Cow::Borrowed(first)),
            Self::File { first: None, run } => {
                let mut reader = run.reader();
                Ok(Cow::Owned(reader.next()?.unwrap_or_default().to_vec()))
            }
        }
    }

    pub(super) fn is_in_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    fn records(&self) -> u64 {
        match self {
            Self::Memory(frames) => frames.ends.iter().map(|end| u64::from(end.1)).sum(),
            Self::File { run, .. } => run.records(),
        }
    }
}

/// Builds a run from sorted records. It is in memory until the budget refuses more, or the limit is reached.
pub(super) struct RunBuilder<'b> {
    scratch: &'b Scratch,
    pieces: Vec<RunPiece>,
    /// The open piece: complete frames, and the records of the open frame.
    frames: Frames,
    frame_records: u32,
    /// Memory of the pieces.
    reservation: Reservation,
    /// Maximum memory of the pieces, in bytes.
    memory_bytes: usize,
    /// If any piece is in this file, all of them are.
    file: Option<RunFile>,
}

impl<'b> RunBuilder<'b> {
    /// Creates a builder of a run that takes at most `memory_bytes` of the budget; a longer run is moved to a file.
    pub(super) fn new(budget: &MemoryBudget, scratch: &'b Scratch, memory_bytes: usize) -> Self {
        Self {
            scratch,
            pieces: Vec::new(),
            frames: Frames::default(),
            frame_records: 0,
            reservation: budget.reservation(),
            memory_bytes,
            file: None,
        }
    }

    #[inline]
    pub(super) fn append(&mut self, record: &[u8]) -> Result<()> {
        check_length(record.len())?;
        push_record(&mut self.frames.bytes, record);
        self.frame_records += 1;
        let frame_start = self.frames.ends.last().map_or(0, |end| end.0);
        if self.frames.bytes.len() - frame_start >= FRAME_BYTES {
            self.end_frame()?;
        }
        Ok(())
    }

    /// Returns the run, or `None` if it has no records.
    pub(super) fn finish(mut self) -> Result<Option<Arc<SortedRun>>> {
        self.end_frame()?;
        self.end_piece()?;
        if self.pieces.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(SortedRun {
            pieces: self.pieces,
            reservation: self.reservation,
        })))
    }

    #[inline(never)]
    fn end_frame(&mut self) -> Result<()> {
        if self.frame_records > 0 {
            let end = self.frames.bytes.len();
            self.frames.ends.push((end, self.frame_records));
            self.frame_records = 0;
            if end >= PIECE_BYTES {
                self.end_piece()?;
            }
        }
        Ok(())
    }

    fn end_piece(&mut self) -> Result<()> {
        if self.frames.bytes.is_empty() {
            return Ok(());
        }
        let bytes = self.frames.bytes.len();
        if self.file.is_none() {
            let fits = self.reservation.bytes() + bytes <= self.memory_bytes;
            if fits && self.reservation.try_grow(bytes) {
                // A copy has exactly the length of its content. Buffers that grow and shrink would fragment the heap.
                let frames = Arc::new(self.frames.clone());
                self.pieces.push(RunPiece::Memory(frames));
            } else {
                self.move_to_file()?;
            }
        }
        if let Some(file) = &mut self.file {
            self.pieces.push(write(file, &self.frames)?);
        }
        self.frames.bytes.clear();
        self.frames.ends.clear();
        Ok(())
    }

    /// Moves the pieces in memory to a file. All later pieces are written to that file.
    #[cold]
    fn move_to_file(&mut self) -> Result<()> {
        let mut file = RunFile::create(self.scratch, "sort")?;
        for piece in &mut self.pieces {
            if let RunPiece::Memory(frames) = piece {
                *piece = write(&mut file, frames)?;
            }
        }
        self.reservation.clear();
        self.file = Some(file);
        Ok(())
    }
}

/// Writes a piece in memory as the next piece of a file.
pub(super) fn write(file: &mut RunFile, frames: &Frames) -> Result<RunPiece> {
    let mut writer = file.run();
    let mut start = 0;
    for &(end, records) in &frames.ends {
        writer.append_frame(&frames.bytes[start..end], records)?;
        start = end;
    }
    let run = writer.finish()?;
    let first = record_at(&frames.bytes, 0).map(|first| &frames.bytes[first]);
    let first = first.filter(|first| first.len() <= MAX_FIRST_BYTES);
    Ok(RunPiece::File {
        first: first.map(Into::into),
        run,
    })
}
