//! The reduce side of a shuffle of all records: entries in order, and the groups of equal keys among them.

use std::cmp::Ordering;
use std::sync::Arc;

use super::chunk_set::ChunkSet;
use super::sorted_cursor::{GroupValues, SortedGroups, TakenValues};
use crate::error::Result;
use crate::shuffle::key::entry::{self, EntrySeq, RunSpan};
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::storage::memory::Reservation;
use crate::storage::merge::{self, Merge, MergeInput};
use crate::storage::run::{Run, RunReader};
use crate::task::{StopCheck, StopFlag};

/// Reads the entries of a run.
#[derive(Debug)]
pub(crate) struct RunSource {
    reader: RunReader,
    run: Run,
    partitioner: HashPartitioner,
    rank: u64,
    span: RunSpan,
}

impl RunSource {
    pub(crate) fn new(run: &Run, partitioner: HashPartitioner) -> Self {
        Self {
            reader: run.reader(),
            run: run.clone(),
            partitioner,
            rank: 0,
            span: RunSpan::default(),
        }
    }

    #[inline]
    fn advance(&mut self) -> Result<bool> {
        if !self.reader.advance()? {
            return Ok(false);
        }
        let record = self.reader.current().unwrap_or_default();
        let Some(span) = entry::decode_run(record) else {
            return Err(self.run.corrupt("a record has no key"));
        };
        self.rank = self.partitioner.position(&record[span.key.clone()]).rank.0;
        self.span = span;
        Ok(true)
    }

    /// Returns the current record, in its run form.
    #[inline]
    pub(crate) fn record(&self) -> &[u8] {
        self.reader.current().unwrap_or_default()
    }
}

/// ChunkSet entries, read one after another.
#[derive(Debug)]
pub(crate) enum EntrySource {
    Run(RunSource),
    Memory(SortedGroups),
}

impl EntrySource {
    #[inline]
    pub(crate) fn rank(&self) -> u64 {
        match self {
            Self::Run(source) => source.rank,
            Self::Memory(cursor) => cursor.rank(),
        }
    }

    #[inline]
    fn order(&self) -> EntrySeq {
        match self {
            Self::Run(source) => source.span.order,
            Self::Memory(cursor) => cursor.order(),
        }
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Self::Run(source) => &source.record()[source.span.key.clone()],
            Self::Memory(cursor) => cursor.key(),
        }
    }

    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        match self {
            Self::Run(source) => &source.record()[source.span.value..],
            Self::Memory(cursor) => cursor.value(),
        }
    }
}

/// An [`EntrySource`] for a merge. It records whether there is a current entry.
#[derive(Debug)]
pub(crate) struct MergedSource {
    source: EntrySource,
    is_at_entry: bool,
}

impl MergeInput for MergedSource {
    type Record = EntrySource;

    #[inline]
    fn advance(&mut self) -> Result<bool> {
        self.is_at_entry = false;
        self.is_at_entry = match &mut self.source {
            EntrySource::Run(source) => source.advance()?,
            EntrySource::Memory(cursor) => cursor.advance()?,
        };
        Ok(self.is_at_entry)
    }

    #[inline]
    fn current(&self) -> Option<&EntrySource> {
        self.is_at_entry.then_some(&self.source)
    }
}

/// Orders entries by hash rank, then by key, then by the order of their records in the bag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByEntryKey;

impl merge::MergeOrder<EntrySource> for ByEntryKey {
    #[inline]
    fn rank(&self, entry: &EntrySource) -> u64 {
        entry.rank()
    }

    #[inline]
    fn compare(&self, first: &EntrySource, second: &EntrySource) -> Ordering {
        first
            .key()
            .cmp(second.key())
            .then_with(|| first.order().cmp(&second.order()))
    }
}

/// Returns the merge of sorted entries.
pub(crate) fn merge_of(
    sources: impl IntoIterator<Item = EntrySource>,
) -> Merge<MergedSource, ByEntryKey> {
    let sources = sources.into_iter().map(|source| MergedSource {
        source,
        is_at_entry: false,
    });
    Merge::by(ByEntryKey, sources)
}

/// Iterates over the groups of a partition, and over the values of each group. Values may be left unread.
#[derive(Debug)]
pub(crate) enum GroupCursor {
    Memory(SortedGroups),
    Merge(MergedGroups),
}

impl GroupCursor {
    pub(crate) fn merge(
        sources: impl IntoIterator<Item = EntrySource>,
        reservation: Reservation,
        stop: &StopFlag,
    ) -> Self {
        Self::Merge(MergedGroups {
            merge: merge_of(sources),
            key: Vec::new(),
            rank: 0,
            state: State::Start,
            checks: stop.checks(),
            _reservation: reservation,
        })
    }

    /// Allows slots for streaks, which take less time to sort. Not for [`in_memory`](Self::in_memory) and
    /// [`values_in_memory`](Self::values_in_memory).
    pub(crate) fn with_streaks(self) -> Self {
        match self {
            Self::Memory(cursor) => Self::Memory(cursor.with_streaks()),
            Self::Merge(groups) => Self::Merge(groups),
        }
    }

    /// Advances to the next group, past the unread values of this one. Returns `false` if there is none.
    #[inline]
    pub(crate) fn next_group(&mut self) -> Result<bool> {
        match self {
            Self::Memory(cursor) => cursor.next_group(),
            Self::Merge(groups) => groups.next_group(),
        }
    }

    /// Skips groups that come before the current group of `other`, if that costs almost nothing.
    #[inline]
    pub(crate) fn pass(&mut self, other: &Self) {
        if let (Self::Memory(cursor), Self::Memory(other)) = (self, other) {
            cursor.pass(other);
        }
    }

    /// Advances to the next value of the group. Returns `false` if there is none.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool> {
        match self {
            Self::Memory(cursor) => cursor.advance_in_group(),
            Self::Merge(groups) => groups.advance(),
        }
    }

    /// Advances past up to `most` values of the group, or past a streak, and returns them. Returns `None` at the end
    /// of the group, or if it is not in memory.
    #[inline]
    pub(crate) fn take_in_memory(&mut self, most: usize) -> Result<Option<TakenValues<'_>>> {
        match self {
            Self::Memory(cursor) => cursor.take(most),
            Self::Merge(_) => Ok(None),
        }
    }

    /// Returns the key of the current group.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Self::Memory(cursor) => cursor.key(),
            Self::Merge(groups) => &groups.key,
        }
    }

    /// Returns the current value, after [`advance`](Self::advance) has returned `true`.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        match self {
            Self::Memory(cursor) => cursor.value(),
            Self::Merge(groups) => groups.value(),
        }
    }

    /// Returns all entries, if they are in memory.
    pub(crate) fn entries(&self) -> Option<&Arc<ChunkSet>> {
        match self {
            Self::Memory(cursor) => Some(cursor.sorted()),
            Self::Merge(_) => None,
        }
    }

    /// Returns the cursor over the entries, if all of them are in memory.
    #[inline]
    pub(crate) fn in_memory(&mut self) -> Option<&mut SortedGroups> {
        match self {
            Self::Memory(cursor) => Some(cursor),
            Self::Merge(_) => None,
        }
    }

    /// Returns all values of the group, to be read any number of times, if they are in memory.
    #[inline]
    pub(crate) fn values_in_memory(&self) -> Option<GroupValues<'_>> {
        match self {
            Self::Memory(cursor) => Some(cursor.values()),
            Self::Merge(_) => None,
        }
    }

    /// Compares the current group with that of another cursor.
    #[inline]
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Memory(cursor), Self::Memory(other)) => cursor.compare(other),
            _ => {
                let by_place = self.rank().cmp(&other.rank());
                by_place.then_with(|| self.key().cmp(other.key()))
            }
        }
    }

    fn rank(&self) -> u64 {
        match self {
            Self::Memory(cursor) => cursor.rank(),
            Self::Merge(groups) => groups.rank,
        }
    }
}

/// Groups of merged entries.
#[derive(Debug)]
pub(crate) struct MergedGroups {
    merge: Merge<MergedSource, ByEntryKey>,
    /// Key of the current group.
    key: Vec<u8>,
    rank: u64,
    state: State,
    checks: StopCheck,
    /// Memory of the readers of the runs.
    _reservation: Reservation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first entry.
    Start,
    /// At the first entry of the group, which has not been returned yet.
    Head,
    /// At the entry of the group that was returned last.
    Inside,
    /// At the first entry of the next group.
    Behind,
    /// After the last entry.
    End,
}

impl MergedGroups {
    fn next_group(&mut self) -> Result<bool> {
        while matches!(self.state, State::Head | State::Inside) {
            self.advance()?;
        }
        if self.state == State::Start && !self.step()? || self.state == State::End {
            return Ok(false);
        }
        if let Some(entry) = self.merge.current() {
            self.rank = entry.rank();
            self.key.clear();
            self.key.extend_from_slice(entry.key());
        }
        self.state = State::Head;
        Ok(true)
    }

    fn advance(&mut self) -> Result<bool> {
        match self.state {
            State::Head => self.state = State::Inside,
            State::Inside => {
                if !self.step()? {
                    return Ok(false);
                }
                if !self.is_in_group() {
                    self.state = State::Behind;
                }
            }
            State::Start | State::Behind | State::End => {}
        }
        Ok(self.state == State::Inside)
    }

    fn step(&mut self) -> Result<bool> {
        let counted = self.checks.count();
        let is_at_entry = counted.and_then(|()| Ok(self.merge.next()?.is_some()));
        if !matches!(is_at_entry, Ok(true)) {
            self.state = State::End;
        }
        is_at_entry
    }

    /// Returns whether the current entry belongs to the group.
    #[inline]
    fn is_in_group(&self) -> bool {
        let entry = self.merge.current();
        entry.is_some_and(|entry| entry.rank() == self.rank && entry.key() == self.key)
    }

    #[inline]
    fn value(&self) -> &[u8] {
        self.merge.current().map_or(&[], EntrySource::value)
    }
}
