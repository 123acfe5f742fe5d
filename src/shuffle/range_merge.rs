//! What map tasks left for one partition merged, range of hashes by range of hashes.
//!
//! All of it is in the order of the hash, or of its first bits. So a range of hashes small enough for its keys to fit
//! into the cache is taken from each source in turn and put into a small table, which is then written out; then comes
//! the next range. Each source is gone through once, from one end to the other. A heap of sources, the other way to do
//! it, compares each record with several others.

use std::borrow::BorrowMut;
use std::sync::Arc;

use super::blocks::{self, ALL_BITS, BlockReader};
use super::combine::Combine;
use super::combiner_outputs::fewer;
use super::partitioner::{HashPartitioner, Place};
use super::probe_batch::ProbeBatch;
use super::slab::Piece;
use super::table::{Probe, Sorted, Table};
use crate::error::Result;
use crate::pipeline::Data;
use crate::storage::memory::Reservation;
use crate::storage::run::{Run, RunFile};
use crate::task::{Flow, Resources};

/// What the keys of one range should take: a part of the second-level cache.
const RANGE_BYTES: usize = 512 << 10;

/// What they may take without asking for it. They may be more than is wanted where sources are in order of few bits.
const FLOOR_BYTES: usize = 4 * RANGE_BYTES;

/// The bits of a place that a range may have in common.
const MOST_BITS: u32 = 48;

/// The parts of a range that did not fit into memory have so many bits more in common.
const SPILLED_BITS: u32 = 4;

/// Keys, each with a value, in ascending order of place, or of its first bits.
pub(crate) enum Source<V> {
    /// In order of (place, key).
    Table {
        keys: Sorted<Table<V>, V>,
        len: usize,
        _reservation: Arc<Reservation>,
    },
    Blocks(BlockReader),
}

impl<V: Data> Source<V> {
    pub(crate) fn table(table: Table<V>, reservation: Arc<Reservation>) -> Self {
        Self::Table {
            len: table.len(),
            keys: table.into_sorted(),
            _reservation: reservation,
        }
    }

    pub(crate) fn blocks(pieces: Vec<Piece>) -> Self {
        Self::Blocks(BlockReader::memory(pieces))
    }

    pub(crate) fn run(run: &Run) -> Self {
        Self::Blocks(BlockReader::run(run))
    }

    /// Takes the keys whose places are not above `last`.
    #[inline]
    fn take_range(
        &mut self,
        last: Place,
        partitioner: HashPartitioner,
        mut each: impl FnMut(Place, &[u8], V) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Table { keys, .. } => {
                while let Some(place) = keys.place().filter(|place| *place <= last) {
                    if let Some(taken) = keys.take(|key, value| each(place, key, value)) {
                        taken?;
                    }
                }
                Ok(())
            }
            Self::Blocks(blocks) => blocks.take_to(last, partitioner, each),
        }
    }
}

/// Places that begin with the same bits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PlaceRange {
    prefix: u64,
    bits: u32,
}

impl PlaceRange {
    fn last(self) -> Place {
        let behind = u64::MAX.checked_shr(self.bits).unwrap_or(0);
        Place(self.prefix.checked_shl(u64::BITS - self.bits).unwrap_or(0) | behind)
    }

    /// The ranges with `bits` more of the same.
    fn parts(self, bits: u32) -> impl Iterator<Item = Self> {
        let first = self.prefix << bits;
        let bits_of_all = self.bits + bits;
        (first..first + (1 << bits)).map(move |prefix| Self {
            prefix,
            bits: bits_of_all,
        })
    }
}

/// Merges the sources of one partition.
pub(crate) struct Merger<'m, C> {
    pub(crate) combine: &'m C,
    pub(crate) partitioner: HashPartitioner,
    pub(crate) resources: &'m Resources,
}

impl<C: Combine> Merger<'_, C> {
    /// Calls `each` with every key of the sources, in ascending order of (place, key), and with its values merged in
    /// the order of the sources. All places must be in `within`.
    pub(crate) fn merge<F>(
        &self,
        sources: Vec<Source<C::Combined>>,
        within: PlaceRange,
        each: &mut F,
    ) -> Result<Flow>
    where
        F: FnMut(&[u8], C::Combined) -> Flow,
    {
        self.merge_in_parts(sources, within, 0, each)
    }

    /// The same, where `within` has parts of at least so many bits more.
    fn merge_in_parts<F>(
        &self,
        mut sources: Vec<Source<C::Combined>>,
        within: PlaceRange,
        least_bits: u32,
        each: &mut F,
    ) -> Result<Flow>
    where
        F: FnMut(&[u8], C::Combined) -> Flow,
    {
        if let [Source::Table { keys, .. }] = &mut sources[..] {
            return Ok(drain(keys, each));
        }
        let bits = range_bits(&mut sources, within)?.max(least_bits);
        let may_spill = within.bits + bits < MOST_BITS;
        let mut table = RangeTable::new(self, may_spill);
        for range in within.parts(bits) {
            let last = range.last();
            for source in &mut sources {
                source.take_range(last, self.partitioner, |place, key, value| {
                    // In the table the bits behind those of the range say where a key lies.
                    let probe = Probe::new(Place(place.0 << range.bits), key);
                    table.put(probe, key, value)
                })?;
            }
            table.flush()?;
            let runs = table.spilled()?;
            let flow = if runs.is_empty() {
                drain(&mut table.table.sorted(), each)
            } else {
                let sources = runs.iter().map(Source::run).collect();
                // What did not fit was more than could be seen, so it is divided further in any case.
                let sources = fewer(sources, self, range)?;
                self.merge_in_parts(sources, range, SPILLED_BITS, each)?
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(Flow::Continue(()))
    }
}

/// The number of ranges is a power of two: this one.
fn range_bits<V: Data>(sources: &mut [Source<V>], within: PlaceRange) -> Result<u32> {
    let (mut keys, mut block_bytes, mut most_bits) = (0, 0, u32::from(ALL_BITS));
    for source in sources {
        match source {
            Source::Table { len, .. } => keys += *len,
            Source::Blocks(blocks) => {
                let (bits, entries) = blocks.open()?;
                keys += entries;
                block_bytes += blocks.bytes();
                most_bits = most_bits.min(u32::from(bits));
            }
        }
    }
    // Slots take more than short keys and values do in a block, and long ones more than their slots.
    let bytes = Table::<V>::bytes_for(keys).max(block_bytes);
    let ranges = bytes.div_ceil(RANGE_BYTES);
    let bits = ranges.next_power_of_two().trailing_zeros();
    Ok(bits.min(most_bits.min(MOST_BITS).saturating_sub(within.bits)))
}

/// The keys of one range: in a table as far as there is memory for it, else in runs.
struct RangeTable<'m, C: Combine> {
    merger: &'m Merger<'m, C>,
    table: Table<C::Combined>,
    batch: ProbeBatch<C::Combined>,
    reservation: Reservation,
    runs: Vec<Run>,
    /// Not where all places are nearly the same.
    may_spill: bool,
}

impl<'m, C: Combine> RangeTable<'m, C> {
    fn new(merger: &'m Merger<'m, C>, may_spill: bool) -> Self {
        Self {
            may_spill,
            merger,
            table: Table::default(),
            batch: ProbeBatch::default(),
            reservation: merger.resources.budget.reservation(),
            runs: Vec::new(),
        }
    }

    /// Takes a key in; it is in the table after the next [`flush`](Self::flush).
    #[inline(always)]
    fn put(&mut self, probe: Probe, key: &[u8], value: C::Combined) -> Result<()> {
        self.table.prefetch(&probe);
        if self.batch.push(probe, key, value) {
            self.flush()?;
        }
        Ok(())
    }

    #[inline(never)]
    fn flush(&mut self) -> Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        let combine = self.merger.combine;
        batch.drain(|probe, long, mut value| {
            let merge = |combined, later| combine.merge(combined, later);
            while let Err(again) = self.table.upsert(probe, long, value, |value| value, merge) {
                value = again;
                self.make_room(long)?;
            }
            Ok(())
        })?;
        self.batch = batch;
        Ok(())
    }

    #[cold]
    fn make_room(&mut self, long: &[u8]) -> Result<()> {
        let wanted = self.table.memory_bytes() + self.table.room_bytes(long);
        let is_granted = wanted <= FLOOR_BYTES || self.reservation.try_resize(wanted);
        if !is_granted && self.may_spill && self.table.len() > 0 {
            return self.spill();
        }
        self.table.make_room(long);
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let mut file = RunFile::create(&self.merger.resources.scratch, "combine")?;
        self.runs
            .push(blocks::write_table(&mut file, &mut self.table)?);
        self.table = Table::default();
        self.reservation.clear();
        Ok(())
    }

    /// All that is here, if some of it is in runs.
    fn spilled(&mut self) -> Result<Vec<Run>> {
        if !self.runs.is_empty() && self.table.len() > 0 {
            self.spill()?;
        }
        Ok(std::mem::take(&mut self.runs))
    }
}

fn drain<T, V, F>(keys: &mut Sorted<T, V>, each: &mut F) -> Flow
where
    T: BorrowMut<Table<V>>,
    F: FnMut(&[u8], V) -> Flow,
{
    while let Some(flow) = keys.take(&mut *each) {
        flow?;
    }
    Flow::Continue(())
}
