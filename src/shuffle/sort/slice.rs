//! What one partition reads of a sorted run.

use std::ops::Range;
use std::sync::Arc;

use super::Sort;
use super::run::{Piece, SortedRun};
use crate::error::Result;
use crate::pipeline::Ref;
use crate::storage::merge::Source;
use crate::storage::run::{RunReader, record_at};

/// A partition, and the records that it and the next one begin with: `None` before the first and after the last.
pub(super) struct KeyRange<S: Sort> {
    pub(super) partition: usize,
    pub(super) partitions: usize,
    pub(super) lower: Option<Bound<S>>,
    pub(super) upper: Option<Bound<S>>,
}

/// A record that a partition begins with.
pub(super) struct Bound<S: Sort> {
    bytes: Vec<u8>,
    slot: S::Slot,
}

impl<S: Sort> Bound<S> {
    pub(super) fn new(sort: &S, bytes: &[u8]) -> Result<Self> {
        let mut slot = S::Slot::default();
        sort.load(bytes, &mut slot)?;
        let bytes = bytes.to_vec();
        Ok(Self { bytes, slot })
    }

    fn head(&self) -> Option<&S::Head> {
        S::head(&self.bytes, &self.slot)
    }
}

impl<S: Sort> KeyRange<S> {
    /// Whether a record belongs to an earlier partition.
    #[inline]
    fn is_after(&self, sort: &S, head: &S::Head) -> bool {
        let bound = self.lower.as_ref().and_then(Bound::head);
        self.partition > 0 && sort.is_before(head, self.partition, bound)
    }

    /// Whether a record belongs to this partition or an earlier one.
    #[inline]
    fn ends_after(&self, sort: &S, head: &S::Head) -> bool {
        let bound = self.upper.as_ref().and_then(Bound::head);
        self.partition + 1 == self.partitions || sort.is_before(head, self.partition + 1, bound)
    }
}

/// Reads the records of one partition from one run.
pub(super) struct Slice<'s, S: Sort> {
    sort: &'s S,
    /// None: all records of the run.
    range: Option<&'s KeyRange<S>>,
    run: Arc<SortedRun>,
    pieces: Range<usize>,
    reader: Reader,
    slot: S::Slot,
    /// Whether it is still among the records before the partition's.
    is_before: bool,
}

enum Reader {
    None,
    File(RunReader),
    Memory { piece: usize, current: Range<usize> },
}

impl Reader {
    #[inline]
    fn bytes<'a>(&'a self, run: &'a SortedRun) -> Option<&'a [u8]> {
        match self {
            Self::None => None,
            Self::File(reader) => reader.current(),
            Self::Memory { piece, current } => match &run.pieces[*piece] {
                Piece::Memory(frames) => frames.bytes.get(current.clone()),
                Piece::File { .. } => None,
            },
        }
    }
}

impl<'s, S: Sort> Slice<'s, S> {
    /// All records of a run.
    pub(super) fn whole(sort: &'s S, run: Arc<SortedRun>) -> Self {
        let pieces = 0..run.pieces.len();
        Self::of_pieces(sort, None, run, pieces)
    }

    /// The records of a partition; `None` if there are none for sure.
    pub(super) fn new(
        sort: &'s S,
        range: &'s KeyRange<S>,
        run: &Arc<SortedRun>,
    ) -> Result<Option<Self>> {
        let pieces = &run.pieces;
        let start = partition_point(pieces, |head| range.is_after(sort, head), sort)?;
        let end = partition_point(pieces, |head| range.ends_after(sort, head), sort)?;
        // The last piece that begins before the partition may reach into it.
        let pieces = start.saturating_sub(1)..end;
        if pieces.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self::of_pieces(
            sort,
            Some(range),
            Arc::clone(run),
            pieces,
        )))
    }

    fn of_pieces(
        sort: &'s S,
        range: Option<&'s KeyRange<S>>,
        run: Arc<SortedRun>,
        pieces: Range<usize>,
    ) -> Self {
        Self {
            sort,
            range,
            run,
            pieces,
            reader: Reader::None,
            slot: S::Slot::default(),
            is_before: range.is_some(),
        }
    }

    pub(super) fn is_in_file(&self) -> bool {
        self.run.pieces[self.pieces.clone()]
            .iter()
            .any(Piece::is_in_file)
    }

    /// The bytes of the record it is at.
    #[inline]
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.reader.bytes(&self.run)
    }

    /// Hands on the record it is at.
    #[inline]
    pub(super) fn take<R>(&mut self, f: impl FnOnce(Ref<'_, S::Record>) -> R) -> Option<R> {
        let bytes = self.reader.bytes(&self.run)?;
        self.sort.take(bytes, &mut self.slot, f)
    }

    /// Goes to the next record of the pieces, whether it belongs to the partition or not.
    #[inline]
    fn step(&mut self) -> Result<bool> {
        loop {
            let is_at = match &mut self.reader {
                Reader::None => false,
                Reader::File(reader) => reader.advance()?,
                Reader::Memory { piece, current } => match &self.run.pieces[*piece] {
                    Piece::Memory(frames) => match record_at(&frames.bytes, current.end) {
                        Some(next) => {
                            *current = next;
                            true
                        }
                        None => false,
                    },
                    Piece::File { .. } => false,
                },
            };
            if is_at || !self.open_next() {
                return Ok(is_at);
            }
        }
    }

    /// Opens the next piece, if there is one.
    #[cold]
    fn open_next(&mut self) -> bool {
        let Some(piece) = self.pieces.next() else {
            self.reader = Reader::None;
            return false;
        };
        self.reader = match &self.run.pieces[piece] {
            Piece::File { run, .. } => Reader::File(run.reader()),
            Piece::Memory(_) => Reader::Memory {
                piece,
                current: 0..0,
            },
        };
        true
    }

    /// Whether the record it is at belongs to the partition. In the middle of the slice that is not asked.
    fn is_within(&mut self, range: &KeyRange<S>) -> Option<bool> {
        let bytes = self.bytes()?;
        let head = S::head(bytes, &self.slot)?;
        if self.is_before && range.is_after(self.sort, head) {
            return Some(false);
        }
        let ends = self.pieces.is_empty() && !range.ends_after(self.sort, head);
        self.is_before = false;
        (!ends).then_some(true)
    }

    fn end(&mut self) {
        self.pieces = 0..0;
        self.reader = Reader::None;
        self.slot = S::Slot::default();
    }
}

impl<S: Sort> Source for Slice<'_, S> {
    type Record = S::Head;

    #[inline]
    fn advance(&mut self) -> Result<bool> {
        while self.step()? {
            let Some(bytes) = self.reader.bytes(&self.run) else {
                break;
            };
            self.sort.load(bytes, &mut self.slot)?;
            let Some(range) = self.range else {
                return Ok(true);
            };
            if !self.is_before && !self.pieces.is_empty() {
                return Ok(true);
            }
            match self.is_within(range) {
                Some(true) => return Ok(true),
                Some(false) => {}
                None => break,
            }
        }
        self.end();
        Ok(false)
    }

    #[inline]
    fn current(&self) -> Option<&S::Head> {
        S::head(self.bytes()?, &self.slot)
    }
}

/// The number of pieces at the start for whose first records `is_before` holds.
fn partition_point<S: Sort>(
    pieces: &[Piece],
    is_before: impl Fn(&S::Head) -> bool,
    sort: &S,
) -> Result<usize> {
    let (mut start, mut end) = (0, pieces.len());
    while start < end {
        let middle = start.midpoint(end);
        let bytes = pieces[middle].first()?;
        let mut slot = S::Slot::default();
        sort.load(&bytes, &mut slot)?;
        if S::head(&bytes, &slot).is_some_and(&is_before) {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    Ok(start)
}
