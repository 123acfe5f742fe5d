//! Run segments (slices): what one partition reads of a sorted run.

use std::sync::{Arc, OnceLock};

use super::Sort;
use super::run::{RunPiece, SortedRun};
use super::walk::{Walk, WalkPosition, find};
use crate::error::Result;
use crate::pipeline::Ref;
use crate::storage::merge::MergeInput;

/// First records of all partitions except the first.
pub(super) struct Bounds {
    pub(super) records: Arc<Vec<Arc<[u8]>>>,
    pub(super) partitions: usize,
}

impl Bounds {
    /// Returns a predicate that is `true` for a record of an earlier partition than `partition`, which must not be 0.
    fn is_before<'b, S: Sort>(
        &'b self,
        sort: &'b S,
        partition: usize,
    ) -> Result<impl Fn(&S::Head) -> bool + 'b> {
        let bytes = self.records.get(partition - 1);
        let mut slot = S::Decoded::default();
        if let Some(bytes) = bytes {
            sort.load(bytes, &mut slot)?;
        }
        Ok(move |head: &S::Head| {
            let bound = bytes.and_then(|bytes| S::head(bytes, &slot));
            sort.is_before(head, partition, bound)
        })
    }

    /// Returns the partition of a record, which is `first` or a later one.
    fn partition_of<S: Sort>(&self, sort: &S, head: &S::Head, first: usize) -> Result<usize> {
        let (mut start, mut end) = (first, self.partitions - 1);
        while start < end {
            let middle = start.midpoint(end) + 1;
            if self.is_before(sort, middle)?(head) {
                end = (start..middle)
                    .rev()
                    .find(|at| !self.are_same(*at, middle))
                    .unwrap_or(start);
            } else {
                start = (middle..=end)
                    .take_while(|at| self.are_same(*at, middle))
                    .last()
                    .unwrap_or(middle);
            }
        }
        Ok(start)
    }

    /// Returns whether two partitions are known to begin with the same record.
    fn are_same(&self, partition: usize, other: usize) -> bool {
        let bound = |partition: usize| self.records.get(partition.wrapping_sub(1));
        let bounds = bound(partition).zip(bound(other));
        bounds.is_some_and(|(bound, other)| Arc::ptr_eq(bound, other))
    }
}

/// A run, and its cuts.
///
/// Each cut is determined once, by the first reader that needs it, at or after the previous cut. Each record is
/// therefore in exactly one partition, even if the comparison is not a total order, or is inconsistent between calls.
#[derive(Debug)]
pub(super) struct CutRun {
    run: Arc<SortedRun>,
    records: u64,
    /// Start of the second and all later partitions.
    cuts: Box<[OnceLock<WalkPosition>]>,
}

/// Returns the position of a cut, which is `found` unless another reader has determined it.
fn start_at(cut: &OnceLock<WalkPosition>, found: WalkPosition) -> WalkPosition {
    *cut.get_or_init(|| found)
}

impl CutRun {
    pub(super) fn new(run: Arc<SortedRun>, partitions: usize) -> Self {
        let cuts = (1..partitions).map(|_| OnceLock::new()).collect();
        let records = run.records();
        Self { run, records, cuts }
    }

    pub(super) fn run(&self) -> &SortedRun {
        &self.run
    }

    /// Returns the start of a partition, computing it if necessary. The comparisons run without a lock.
    fn start_of<S: Sort>(
        &self,
        partition: usize,
        sort: &S,
        bounds: &Bounds,
    ) -> Result<WalkPosition> {
        if partition == bounds.partitions {
            return Ok(WalkPosition::start_of_piece(self.run.pieces.len()));
        }
        let (first, mut position) = self.last_start(partition);
        for index in first..partition {
            if !bounds.are_same(index, index + 1) {
                let is_before = bounds.is_before(sort, index + 1)?;
                let found = find(sort, &self.run, position, is_before)?;
                position = start_at(&self.cuts[index], found);
            } else {
                position = start_at(&self.cuts[index], position);
            }
        }
        Ok(position)
    }

    /// Returns the last partition up to this one whose start is known, and its start. Partitions are read in order, so the
    /// start of the previous one is almost always known.
    fn last_start(&self, partition: usize) -> (usize, WalkPosition) {
        let cuts = self.cuts[..partition].iter().enumerate().rev();
        let mut known = cuts.filter_map(|(index, cut)| Some((index + 1, *cut.get()?)));
        known.next().unwrap_or_default()
    }

    fn is_cut(&self) -> bool {
        self.cuts.last().is_none_or(|last| last.get().is_some())
    }

    /// Determines all cuts of a run that has fewer records than there are partitions, by finding the partition of each
    /// record. Finding the first record of each partition would read the same few records, which may be large, again and
    /// again.
    pub(super) fn cut_if_short<S: Sort>(&self, sort: &S, bounds: &Bounds) -> Result<()> {
        if self.is_cut() || self.records >= bounds.partitions as u64 {
            return Ok(());
        }
        let mut last = WalkPosition::default();
        let mut partition = 0;
        // Another thread may find other partitions at the same time, if the comparison is not a total order.
        let mut set = |cut: &OnceLock<WalkPosition>, found: WalkPosition| {
            let later = if last.cmp(&found).is_lt() {
                found
            } else {
                last
            };
            last = start_at(cut, later);
        };
        let mut records = RunSegment::whole(sort, &self.run);
        while records.advance()? {
            if self.is_cut() {
                return Ok(()); // another task was faster
            }
            if let Some(head) = records.current() {
                let found = records.walk.position();
                let before = partition;
                partition = bounds.partition_of(sort, head, before)?;
                self.cuts[before..partition]
                    .iter()
                    .for_each(|cut| set(cut, found));
            }
        }
        let end = WalkPosition::start_of_piece(self.run.pieces.len());
        self.cuts[partition..].iter().for_each(|cut| set(cut, end));
        Ok(())
    }

    /// Returns the records of a partition, or `None` if there are none.
    pub(super) fn slice<'s, S: Sort>(
        &self,
        partition: usize,
        sort: &'s S,
        bounds: &Bounds,
    ) -> Result<Option<RunSegment<'s, S>>> {
        let start = self.start_of(partition, sort, bounds)?;
        let end = self.start_of(partition + 1, sort, bounds)?;
        if start.cmp(&end).is_ge() {
            return Ok(None);
        }
        Ok(Some(RunSegment::new(sort, &self.run, start, end)))
    }
}

/// Reads the records of a run between two positions.
pub(super) struct RunSegment<'s, S: Sort> {
    sort: &'s S,
    walk: Walk,
    end: WalkPosition,
    is_in_file: bool,
    slot: S::Decoded,
}

impl<'s, S: Sort> RunSegment<'s, S> {
    /// Returns all records of a run.
    pub(super) fn whole(sort: &'s S, run: &Arc<SortedRun>) -> Self {
        let end = WalkPosition::start_of_piece(run.pieces.len());
        Self::new(sort, run, WalkPosition::default(), end)
    }

    fn new(sort: &'s S, run: &Arc<SortedRun>, start: WalkPosition, end: WalkPosition) -> Self {
        // The last piece is read up to `end`, if at all.
        let end_piece = end.piece + usize::from(end.record > 0);
        let is_in_file = run.pieces[start.piece..end_piece]
            .iter()
            .any(RunPiece::is_in_file);
        Self {
            sort,
            walk: Walk::from(run, start),
            end,
            is_in_file,
            slot: S::Decoded::default(),
        }
    }

    pub(super) fn is_in_file(&self) -> bool {
        self.is_in_file
    }

    /// Returns the bytes of the current record.
    #[inline]
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.walk.bytes()
    }

    /// Calls `f` with the current record.
    #[inline]
    pub(super) fn take<R>(&mut self, f: impl FnOnce(Ref<'_, S::Record>) -> R) -> Option<R> {
        let bytes = self.walk.bytes()?;
        self.sort.take(bytes, &mut self.slot, f)
    }
}

impl<S: Sort> MergeInput for RunSegment<'_, S> {
    type Record = S::Head;

    #[inline]
    fn advance(&mut self) -> Result<bool> {
        if self.walk.step_before(&self.end)?
            && let Some(bytes) = self.walk.bytes()
        {
            self.sort.load(bytes, &mut self.slot)?;
            return Ok(true);
        }
        self.walk.close();
        self.slot = S::Decoded::default();
        Ok(false)
    }

    #[inline]
    fn current(&self) -> Option<&S::Head> {
        S::head(self.bytes()?, &self.slot)
    }
}
