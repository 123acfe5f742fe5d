//! The tables of a thread, in which records are combined by key within a memory budget.
//!
//! There is one table for each partition. They grow at different times, so little memory exists twice.

mod apart;

use std::convert::Infallible;

use super::by_byte::ByByte;
use super::by_word::ByWord;
use super::few_keys::FewKeys;
use super::hash_table::{HashedKey, Table};
use super::probe_batch::{BATCH_KEYS, ProbeBatch};
use crate::error::Result;
use crate::pipeline::{Key, Peek};
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::write::combine::Combine;
use crate::storage::codec::{self, Sampling, Short};
use crate::storage::memory::Reservation;
use crate::task::Resources;

pub(crate) use apart::{flush_by_byte, flush_by_word, push_by_word};

/// Number of records after which values that own memory are first measured.
const FIRST_MEASURE_RECORDS: usize = BATCH_KEYS;

/// Maximum memory of tables whose slots are not prefetched, in bytes: a part of the second-level cache. With more,
/// records would wait for slots. With less, tables in the cache are filled in batches, which takes more time.
const MAX_CACHED_BYTES: usize = 1 << 20;

/// Maximum memory reserved for values that stays reserved when the tables are emptied, in bytes. If a thread may hold
/// little memory, it is at most 1/`KEPT_OF_MOST` of that memory.
const MAX_KEPT_BYTES: usize = 64 << 10;
const KEPT_OF_MOST: usize = 16;

/// Maximum factor by which the number of records may grow between two measurements. With a larger factor, the tables
/// would react too late to larger values.
const MAX_GROWTH: usize = 32;

/// Fraction of a thread's equal share of the budget that its tables may hold. The rest is for concurrent readers.
const SHARE_OF_BUDGET: f64 = 0.75;

pub(crate) struct Tables<'c, C: Combine> {
    combine: &'c C,
    partitioner: HashPartitioner,
    resources: &'c Resources,
    most_bytes: usize,

    // Combined values, and the memory for them.
    tables: Vec<Table<C::Combined>>,
    reservation: Reservation,

    /// Records whose slots are being prefetched, each with its partition.
    waiting: ProbeBatch<(usize, C::Value)>,
    /// Number of further records until the next flush.
    until_flush: usize,
    /// `true` if the tables fit into the cache, so that prefetching their slots would save nothing.
    is_cached: bool,
    /// Values that are not in the tables yet, because their keys need no hash. Only if the order does not matter.
    by_byte: ByByte<C::Combined>,
    /// Values that are not in the tables yet, because their keys are words. `None` once they have moved to the tables.
    by_word: Option<ByWord<C::Combined>>,
    word_reservation: Reservation,
    key_buffer: Vec<u8>,

    /// Number of records in the tables.
    records: usize,
    /// Memory reserved for what values own, in the tables or by word, in bytes.
    values_bytes: usize,
    /// Number of records from which on the memory of values must be measured.
    next_measure: usize,
}

impl<'c, C: Combine> Tables<'c, C> {
    pub(crate) fn new(
        combine: &'c C,
        partitioner: HashPartitioner,
        resources: &'c Resources,
    ) -> Self {
        Self {
            combine,
            partitioner,
            resources,
            most_bytes: (resources.share_bytes() as f64 * SHARE_OF_BUDGET) as usize,
            tables: empty(partitioner),
            reservation: resources.budget.reservation(),
            waiting: ProbeBatch::default(),
            until_flush: BATCH_KEYS,
            is_cached: false,
            by_byte: ByByte::new(const { Self::KEEPS_BYTES_APART }),
            by_word: Self::keeps_words_apart().then(ByWord::default),
            word_reservation: resources.budget.reservation(),
            key_buffer: Vec::new(),
            records: 0,
            values_bytes: 0,
            next_measure: FIRST_MEASURE_RECORDS,
        }
    }

    /// Returns the maximum memory of the thread, in bytes.
    pub(crate) fn most_bytes(&self) -> usize {
        self.most_bytes
    }

    /// Returns the part of that memory that these tables have reserved, in bytes.
    pub(crate) fn reserved_bytes(&self) -> usize {
        self.reservation.bytes() + self.word_reservation.bytes()
    }

    /// Returns the memory of keys and slots, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.tables.iter().map(Table::memory_bytes).sum()
    }

    pub(crate) fn slots(&self) -> usize {
        self.tables.iter().map(Table::slots).sum()
    }

    pub(crate) fn keys(&self) -> usize {
        self.tables.iter().map(Table::len).sum()
    }

    /// Returns the number of records in the tables.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Combines a record, or buffers it until its slot has been fetched. Returns whether it is time to
    /// [flush](flush_batch): after every [`BATCH_KEYS`] records, whatever the size of the tables.
    #[inline(always)]
    pub(crate) fn push(&mut self, key: Peek<'_, C::Key>, value: C::Value) -> Result<bool> {
        // A key in memory is hashed there.
        if !C::Key::is_bytes()
            && let Some(key) = C::Key::short(key)
        {
            let (partition, hashed) = HashedKey::of(self.partitioner, Some(key), &[]);
            return Ok(self.push_hashed(partition, hashed, &[], value));
        }
        // A key that is bytes needs no buffer.
        let mut buffer = match C::Key::is_bytes() {
            true => Vec::new(),
            false => std::mem::take(&mut self.key_buffer),
        };
        let is_time = C::Key::with_bytes(key, &mut buffer, |key| {
            let (partition, hashed) = HashedKey::of(self.partitioner, Short::new(key), key);
            self.push_hashed(partition, hashed, key, value)
        });
        if !C::Key::is_bytes() {
            self.key_buffer = buffer;
        }
        is_time
    }

    #[inline(always)]
    fn push_hashed(
        &mut self,
        partition: usize,
        hashed: HashedKey,
        key: &[u8],
        mut value: C::Value,
    ) -> bool {
        self.until_flush = self.until_flush.saturating_sub(1);
        if self.is_cached && self.waiting.is_empty() {
            match self.take_in_cached(partition, &hashed, key, value) {
                Ok(()) => return self.until_flush == 0,
                // There is no capacity for the key until the next flush.
                Err(again) => value = again,
            }
        }
        self.tables[partition].prefetch(&hashed);
        self.waiting.push(hashed, key, (partition, value));
        self.until_flush == 0
    }

    /// Like [`take_in`](Self::take_in), for tables in the cache.
    #[inline(always)]
    fn take_in_cached(
        &mut self,
        partition: usize,
        hashed: &HashedKey,
        long: &[u8],
        value: C::Value,
    ) -> Result<(), C::Value> {
        let combine = self.combine;
        let table = &mut self.tables[partition];
        match table.update_near(hashed, value, |slot, value| combine.add(slot, value)) {
            Ok(()) => {
                self.records += 1;
                Ok(())
            }
            Err(value) => self.take_in(partition, hashed, long, value),
        }
    }

    /// Combines a record of a partition. If there is no [capacity](Self::make_room), returns its value as the error.
    #[inline(always)]
    fn take_in(
        &mut self,
        partition: usize,
        hashed: &HashedKey,
        long: &[u8],
        value: C::Value,
    ) -> Result<(), C::Value> {
        self.tables[partition].upsert(
            hashed,
            long,
            value,
            |value| self.combine.create(value),
            |slot, value| self.combine.add(slot, value),
        )?;
        self.records += 1;
        Ok(())
    }

    /// If all records are still buffered, so that there are only a few, takes them. Returns their number, and their keys
    /// with combined values.
    pub(crate) fn take_few(&mut self) -> Option<(usize, FewKeys<C::Combined>)> {
        let records = self.waiting.len();
        if self.records > 0 || records == 0 {
            return None;
        }
        let (mut few, combine) = (FewKeys::new(), self.combine);
        let Ok(()) = self.waiting.drain(|hashed, long, (_, value)| {
            few.upsert(
                *hashed,
                long,
                value,
                |value| combine.create(value),
                |combined, value| combine.add(combined, value),
            );
            Ok::<(), Infallible>(())
        });
        self.until_flush = BATCH_KEYS;
        Some((records, few))
    }

    /// Ensures capacity for one more key in a table, if necessary by calling `reclaim` to reclaim memory. Returns
    /// `false` if the tables must first be emptied.
    #[cold]
    #[inline(never)]
    pub(crate) fn make_room(
        &mut self,
        partition: usize,
        long: &[u8],
        reclaim: impl FnOnce() -> Result<()>,
    ) -> Result<bool> {
        let table = &self.tables[partition];
        let (before, more) = (table.memory_bytes(), table.room_bytes(long));
        if self.reserve(more, reclaim)? {
            let table = &mut self.tables[partition];
            let has_room = table.try_make_room(long);
            let after = table.memory_bytes();
            self.reservation
                .shrink((before + more).saturating_sub(after));
            if has_room {
                return Ok(true);
            }
        }
        if self.keys() > 0 {
            return Ok(false);
        }
        // The tables are empty, so one key must be held even beyond the budget: it is larger than the budget, or others
        // hold all of it.
        self.release();
        self.tables[partition].make_room(long);
        Ok(true)
    }

    /// Reserves `more` bytes. Returns `false` if these tables may not have them.
    fn reserve(&mut self, more: usize, reclaim: impl FnOnce() -> Result<()>) -> Result<bool> {
        let bytes = self.reservation.bytes() + more;
        if bytes > self.most_bytes {
            return Ok(false);
        }
        self.resources
            .reserve(&mut self.reservation, bytes, reclaim)
    }

    /// Returns whether it is time to [measure values](Self::measure_values).
    #[inline]
    pub(crate) fn is_time_to_measure(&self) -> bool {
        self.records >= self.next_measure && self.combine.owns_memory()
    }

    /// Reserves memory for what values own outside of the slots: the length of their encoded form times `growth`.
    /// Returns `false` if the tables must first be emptied.
    ///
    /// The next measurement is due when the values may have grown to what is then reserved. With a `growth` of 2, most
    /// values are measured only once or twice. In short combine groups with similar values, only the first values of
    /// each group are measured.
    #[cold]
    pub(crate) fn measure_values(
        &mut self,
        growth: usize,
        reclaim: impl FnOnce() -> Result<()>,
    ) -> Result<bool> {
        let mut bytes = 0;
        let by_word = self.by_word.iter().flat_map(ByWord::values);
        for value in by_word.chain(self.tables.iter().flat_map(Table::values)) {
            bytes += codec::encoded_bytes(value)?;
        }
        let more = (bytes * growth).saturating_sub(self.values_bytes);
        let is_granted = self.reserve(more, reclaim)?;
        if is_granted {
            self.values_bytes += more;
        }
        let times = (self.values_bytes / bytes.max(1)).clamp(2, MAX_GROWTH);
        let by_word = self.by_word.as_ref().map_or(0, ByWord::records);
        self.next_measure = (self.records + by_word).saturating_mul(times);
        Ok(is_granted)
    }

    /// Checks that keys and values survive the codec unchanged. Returns `false` if there are none.
    pub(crate) fn check_codec(&self) -> Result<bool> {
        let mut sampling = Sampling::default();
        let check = |key: &[u8], value: &_| Ok(C::Key::check_bytes(key)? + codec::check(value)?);
        for table in self.tables.iter().filter(|table| table.len() > 0) {
            sampling.check(|| table.first(check).unwrap_or(Ok(0)))?;
        }
        Ok(self.keys() > 0)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Table<C::Combined>> {
        self.tables.iter_mut()
    }

    /// Takes the tables. Their memory stays reserved.
    pub(crate) fn take_tables(&mut self) -> Vec<Table<C::Combined>> {
        std::mem::replace(&mut self.tables, empty(self.partitioner))
    }

    /// Puts back tables that were taken and have been emptied.
    pub(crate) fn put_back(&mut self, tables: Vec<Table<C::Combined>>) {
        self.tables = tables;
        self.begin_anew();
    }

    /// Takes the tables and their reservation.
    pub(crate) fn take(&mut self) -> (Vec<Table<C::Combined>>, Reservation) {
        let reservation = self.reservation.take();
        let tables = self.take_tables();
        self.values_bytes = 0;
        self.begin_anew();
        (tables, reservation)
    }

    /// Drops the tables and their reservation. The tables must be empty, or have been taken.
    pub(crate) fn release(&mut self) {
        self.tables = empty(self.partitioner);
        self.reservation.clear();
        self.values_bytes = 0;
        self.begin_anew();
    }

    /// Starts again with empty tables. They keep their memory, and a part of the reservation for values.
    pub(crate) fn begin_anew(&mut self) {
        let most_kept = MAX_KEPT_BYTES.min(self.most_bytes / KEPT_OF_MOST);
        let kept = self.values_bytes.min(most_kept);
        self.reservation.shrink(self.values_bytes - kept);
        self.values_bytes = kept;
        self.records = 0;
        self.next_measure = FIRST_MEASURE_RECORDS;
        // A few records are combined in a list.
        self.is_cached = false;
    }
}

fn empty<V>(partitioner: HashPartitioner) -> Vec<Table<V>> {
    (0..partitioner.partitions())
        .map(|_| Table::default())
        .collect()
}

/// A combiner, whose records are combined in tables.
pub(crate) trait FillsTables<'c> {
    type Combine: Combine;

    fn tables(&mut self) -> &mut Tables<'c, Self::Combine>;

    /// Ensures capacity for one more key in a table, if necessary by emptying all tables.
    fn make_room(&mut self, table: usize, long: &[u8]) -> Result<()>;

    /// Calls [`Tables::make_room_for_words`].
    fn make_room_for_words(&mut self) -> Result<bool>;
}

/// Combines the buffered records.
#[inline(always)]
pub(crate) fn flush_batch<'c>(combiner: &mut impl FillsTables<'c>) -> Result<()> {
    let mut batch = std::mem::take(&mut combiner.tables().waiting);
    batch.drain(|hashed, long, (table, mut value)| -> Result<()> {
        while let Err(again) = combiner.tables().take_in(table, hashed, long, value) {
            value = again;
            combiner.make_room(table, long)?;
        }
        Ok(())
    })?;
    let tables = combiner.tables();
    tables.waiting = batch;
    tables.until_flush = BATCH_KEYS;
    tables.is_cached = tables.reservation.bytes() <= MAX_CACHED_BYTES;
    Ok(())
}
