//! Reads the records of a sorted run one after another, from any of them on, and finds the first record of a partition.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::Sort;
use super::run::{Frames, RunPiece, SortedRun};
use crate::error::Result;
use crate::storage::merge::MergeInput;
use crate::storage::run::{FrameMark, RunReader, record_at};

/// WalkPosition of a record in a run: its piece, and its number in that piece. Also the end of the run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WalkPosition {
    pub(super) piece: usize,
    pub(super) record: u64,
    place: ReadFrom,
}

/// WalkPosition from which to read to reach a record.
#[derive(Clone, Copy, Debug, Default)]
enum ReadFrom {
    #[default]
    StartOfPiece,
    /// Byte offset in a piece in memory.
    Byte(usize),
    /// Frame of a piece in a file.
    Frame(FrameMark),
}

impl WalkPosition {
    pub(super) fn start_of_piece(piece: usize) -> Self {
        Self {
            piece,
            ..Self::default()
        }
    }

    #[inline]
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        (self.piece, self.record).cmp(&(other.piece, other.record))
    }
}

/// Iterates over the records of a run.
pub(super) struct Walk {
    run: Arc<SortedRun>,
    piece: usize,
    /// Number of the next record in the piece.
    next: u64,
    reader: Reader,
}

enum Reader {
    /// No record has been requested yet, so a waiting reader holds no file open.
    Unopened(ReadFrom),
    None,
    File(RunReader),
    Memory(Arc<Frames>, Range<usize>),
}

impl Walk {
    /// Starts before the record at `position`.
    pub(super) fn from(run: &Arc<SortedRun>, position: WalkPosition) -> Self {
        Self {
            run: Arc::clone(run),
            piece: position.piece,
            next: position.record,
            reader: Reader::Unopened(position.place),
        }
    }

    /// Opens the current piece, if there is one, before its next record.
    #[cold]
    fn open(&mut self, place: ReadFrom) -> Result<()> {
        self.reader = match (self.run.pieces.get(self.piece), place) {
            (Some(RunPiece::Memory(frames)), place) => {
                let start = match place {
                    ReadFrom::Byte(start) => start,
                    _ => 0,
                };
                Reader::Memory(Arc::clone(frames), start..start)
            }
            (Some(RunPiece::File { run, .. }), ReadFrom::Frame(mark)) => {
                let mut reader = run.reader_from(mark);
                for _ in mark.records()..self.next {
                    reader.advance()?;
                }
                Reader::File(reader)
            }
            (Some(RunPiece::File { run, .. }), _) => Reader::File(run.reader()),
            (None, _) => Reader::None,
        };
        Ok(())
    }

    /// Advances to the next record of the piece. Returns `false` if there is none.
    #[inline]
    fn step_in_piece(&mut self) -> Result<bool> {
        if let Reader::Unopened(place) = self.reader {
            self.open(place)?;
        }
        let is_at = match &mut self.reader {
            Reader::Unopened(_) | Reader::None => false,
            Reader::File(reader) => reader.advance()?,
            Reader::Memory(frames, current) => match record_at(&frames.bytes, current.end) {
                Some(next) => {
                    *current = next;
                    true
                }
                None => false,
            },
        };
        self.next += u64::from(is_at);
        Ok(is_at)
    }

    /// Advances to the next record, if it is before `end`.
    #[inline(always)]
    pub(super) fn step_before(&mut self, end: &WalkPosition) -> Result<bool> {
        if (self.piece, self.next) < (end.piece, end.record)
            && let Reader::Memory(frames, current) = &mut self.reader
            && let Some(next) = record_at(&frames.bytes, current.end)
        {
            *current = next;
            self.next += 1;
            return Ok(true);
        }
        self.step_to_open(end)
    }

    /// Advances to the next record, which may be in a file or in a later piece, if it is before `end`.
    #[inline(never)]
    fn step_to_open(&mut self, end: &WalkPosition) -> Result<bool> {
        loop {
            if self.piece >= end.piece && (self.piece > end.piece || self.next >= end.record) {
                return Ok(false);
            }
            if let Reader::Unopened(place) = self.reader {
                self.open(place)?;
                self.read_ahead(end)?;
            }
            if self.step_in_piece()? {
                return Ok(true);
            }
            self.piece += 1;
            self.next = 0;
            self.reader = Reader::Unopened(ReadFrom::StartOfPiece);
        }
    }

    /// Prefetches the piece after the open one, if some of it is before `end`.
    fn read_ahead(&self, end: &WalkPosition) -> Result<()> {
        let next = self.piece + 1;
        let is_wanted = next < end.piece || next == end.piece && end.record > 0;
        match self.run.pieces.get(next) {
            Some(RunPiece::File { run, .. }) if is_wanted => run.read_ahead(),
            _ => Ok(()),
        }
    }

    /// Returns the bytes of the current record.
    #[inline]
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match &self.reader {
            Reader::Unopened(_) | Reader::None => None,
            Reader::File(reader) => reader.current(),
            Reader::Memory(frames, current) => frames.bytes.get(current.clone()),
        }
    }

    /// Closes the open piece.
    pub(super) fn close(&mut self) {
        self.reader = Reader::None;
    }

    /// Returns the position of the current record.
    pub(super) fn position(&self) -> WalkPosition {
        let place = match &self.reader {
            Reader::Unopened(_) | Reader::None => ReadFrom::StartOfPiece,
            Reader::File(reader) => ReadFrom::Frame(reader.mark()),
            // The length precedes the record.
            Reader::Memory(_, current) => ReadFrom::Byte(current.start - size_of::<u32>()),
        };
        WalkPosition {
            piece: self.piece,
            record: self.next - 1,
            place,
        }
    }
}

/// Returns the position of the first record at or after `from` for which `is_before` returns `false`. It must then
/// return `false` for all later records, too. If it does not, the result is the position of some record at or after
/// `from`.
pub(super) fn find<S: Sort>(
    sort: &S,
    run: &Arc<SortedRun>,
    from: WalkPosition,
    is_before: impl Fn(&S::Head) -> bool,
) -> Result<WalkPosition> {
    let pieces = &run.pieces;
    if from.piece >= pieces.len() {
        return Ok(from);
    }
    // The record is in the last piece that begins before it, or is the first of the next.
    let (mut start, mut end) = (from.piece + 1, pieces.len());
    while start < end {
        let middle = start.midpoint(end);
        let bytes = pieces[middle].first()?;
        let mut slot = S::Decoded::default();
        sort.load(&bytes, &mut slot)?;
        if S::head(&bytes, &slot).is_some_and(&is_before) {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    let last = start - 1;
    let from = match last == from.piece {
        true => from,
        false => WalkPosition::start_of_piece(last),
    };
    let mut walk = Walk::from(run, from);
    let mut slot = S::Decoded::default();
    while walk.step_in_piece()? {
        let bytes = walk.bytes().unwrap_or_default();
        sort.load(bytes, &mut slot)?;
        if !S::head(bytes, &slot).is_some_and(&is_before) {
            return Ok(walk.position());
        }
    }
    Ok(WalkPosition::start_of_piece(start))
}
