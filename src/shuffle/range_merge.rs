//! Tables and runs of one partition merged, range of hashes by range of hashes.
//!
//! All of them are in the order of the hash. So a range of hashes small enough for its keys to fit into the cache is
//! taken from each source in turn and put into a small table, which is then written out; then comes the next range.
//! Each source is gone through once, from one end to the other. A heap of sources, the other way to do it, compares
//! each record with several others.

use std::borrow::BorrowMut;
use std::sync::Arc;

use super::combine::Combine;
use super::partitioner::{HashPartitioner, Place};
use super::table::{Probe, Sorted, Table};
use crate::error::Result;
use crate::pipeline::Data;
use crate::storage::codec;
use crate::storage::memory::Reservation;
use crate::storage::merge::Source as _;
use crate::storage::run::{Run, RunReader};
use crate::task::Flow;

/// What the keys of one range should take: a part of the second-level cache.
const RANGE_BYTES: usize = 512 << 10;

/// Keys, each with a value, in ascending order of (place, key).
pub(crate) enum Source<V> {
    Table {
        keys: Sorted<Table<V>, V>,
        len: usize,
        _reservation: Arc<Reservation>,
    },
    Run {
        reader: RunReader,
        len: usize,
        /// As it is stored, so long keys and values show in it.
        bytes: usize,
        /// None before the first one is read, and after the last one was.
        next: Option<Next<V>>,
        is_open: bool,
    },
}

/// The record of a run that comes next.
pub(crate) struct Next<V> {
    place: Place,
    /// Where the key begins in the record.
    key_start: usize,
    value: V,
}

impl<V: Data> Source<V> {
    pub(crate) fn table(table: Table<V>, reservation: Arc<Reservation>) -> Self {
        Self::Table {
            len: table.len(),
            keys: table.into_sorted(),
            _reservation: reservation,
        }
    }

    pub(crate) fn run(run: &Run) -> Self {
        Self::Run {
            reader: run.reader(),
            len: run.records() as usize,
            bytes: run.bytes() as usize,
            next: None,
            is_open: false,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Table { len, .. } | Self::Run { len, .. } => *len,
        }
    }

    /// Takes the keys whose places are not above `last`.
    fn take_range(
        &mut self,
        last: Place,
        partitioner: HashPartitioner,
        mut each: impl FnMut(Place, &[u8], V),
    ) -> Result<()> {
        match self {
            Self::Table { keys, .. } => {
                while let Some(place) = keys.place().filter(|place| *place <= last) {
                    let _ = keys.take(|key, value| each(place, key, value));
                }
            }
            Self::Run {
                reader,
                next,
                is_open,
                ..
            } => {
                if !*is_open {
                    *is_open = true;
                    *next = advance(reader, partitioner)?;
                }
                while let Some(ready) = next.take_if(|ready| ready.place <= last) {
                    let record = reader.current().unwrap_or_default();
                    each(ready.place, &record[ready.key_start..], ready.value);
                    *next = advance(reader, partitioner)?;
                }
            }
        }
        Ok(())
    }
}

/// Reads the next record of a run, whose key is then the rest of the reader's current record.
fn advance<V: Data>(
    reader: &mut RunReader,
    partitioner: HashPartitioner,
) -> Result<Option<Next<V>>> {
    if !reader.advance()? {
        return Ok(None);
    }
    let record = reader.current().unwrap_or_default();
    let mut key = record;
    let value = codec::decode_prefix(&mut key)?;
    Ok(Some(Next {
        place: partitioner.position(key).place,
        key_start: record.len() - key.len(),
        value,
    }))
}

/// Calls `each` with every key of the sources, in ascending order of (place, key), and with its values merged in the
/// order of the sources.
pub(crate) fn merge<C: Combine>(
    mut sources: Vec<Source<C::Combined>>,
    combine: &C,
    partitioner: HashPartitioner,
    mut each: impl FnMut(&[u8], C::Combined) -> Flow,
) -> Result<Flow> {
    if let [Source::Table { keys, .. }] = &mut sources[..] {
        return Ok(drain(keys, &mut each));
    }
    let bits = range_bits::<C::Combined>(&sources);
    let mut table = Table::default();
    for range in 0..1_u64 << bits {
        // Of each place the first `bits` bits are those of the range.
        let last = Place((range << (63 - bits) << 1) | u64::MAX.checked_shr(bits).unwrap_or(0));
        for source in &mut sources {
            source.take_range(last, partitioner, |place, key, value| {
                // In the table the bits behind them say where a key lies.
                let probe = Probe::new(Place(place.0 << bits), key);
                put(&mut table, &probe, key, value, combine);
            })?;
        }
        if drain(&mut table.sorted(), &mut each).is_break() {
            return Ok(Flow::Break(()));
        }
    }
    Ok(Flow::Continue(()))
}

/// The number of ranges is a power of two: this one.
fn range_bits<V: Data>(sources: &[Source<V>]) -> u32 {
    let keys: usize = sources.iter().map(Source::len).sum();
    let run_bytes = sources.iter().map(|source| match source {
        Source::Table { .. } => 0,
        Source::Run { bytes, .. } => *bytes,
    });
    // Slots take more than short keys and values do in a file, and long ones more than their slots.
    let bytes = Table::<V>::bytes_for(keys).max(run_bytes.sum());
    let ranges = bytes.div_ceil(RANGE_BYTES);
    ranges.next_power_of_two().trailing_zeros().min(32)
}

fn put<C: Combine>(
    table: &mut Table<C::Combined>,
    probe: &Probe,
    key: &[u8],
    mut value: C::Combined,
    combine: &C,
) {
    let long = if probe.long_len() > 0 { key } else { &[] };
    let merge = |combined, later| combine.merge(combined, later);
    while let Err(again) = table.upsert(probe, long, value, |value| value, merge) {
        value = again;
        table.make_room(long);
    }
}

fn drain<T: BorrowMut<Table<V>>, V>(
    keys: &mut Sorted<T, V>,
    each: &mut impl FnMut(&[u8], V) -> Flow,
) -> Flow {
    while let Some(flow) = keys.take(&mut *each) {
        flow?;
    }
    Flow::Continue(())
}
