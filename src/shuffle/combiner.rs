//! The map side of combining: a table for each partition of the next stage, within a memory budget.

use super::combine::Combine;
use super::combiner_outputs::CombinerOutputs;
use super::map_outputs::Order;
use super::partitioner::HashPartitioner;
use super::table::{Probe, Table};
use crate::error::Result;
use crate::pipeline::{Key, Ref};
use crate::storage::codec;
use crate::storage::memory::Reservation;
use crate::task::Resources;

/// How many records wait for their slots to be fetched.
const BATCH_RECORDS: usize = 32;

/// How many records go by before values that have memory of their own are measured for the first time.
const FIRST_MEASURE_RECORDS: usize = BATCH_RECORDS;

/// A thread may hold so much less than its equal share of the budget, for those that read while it does.
const SHARE_OF_BUDGET: f64 = 0.75;

/// Combines records, and hands over to [`CombinerOutputs`] what came of them.
pub(crate) struct Combiner<'c, C: Combine> {
    // Settings.
    combine: &'c C,
    partitioner: HashPartitioner,
    outputs: &'c CombinerOutputs<C::Combined>,
    resources: &'c Resources,
    most_bytes: usize,

    // What has been combined, and the memory for it.
    tables: Vec<Table<C::Combined>>,
    reservation: Reservation,
    order: Order,

    // Records whose slots are being fetched, and the bytes of those keys that do not fit into a slot.
    batch: Vec<(usize, Probe, C::Value)>,
    long_keys: Vec<u8>,
    key_buffer: Vec<u8>,

    // What values hold beside their slots.
    values_bytes: usize,
    records: usize,
    next_measure: usize,
    is_checked: bool,
}

impl<'c, C: Combine> Combiner<'c, C> {
    pub(crate) fn new(
        combine: &'c C,
        partitioner: HashPartitioner,
        outputs: &'c CombinerOutputs<C::Combined>,
        resources: &'c Resources,
    ) -> Self {
        let share = resources.budget.limit_bytes() / resources.threads;
        Self {
            combine,
            partitioner,
            outputs,
            resources,
            most_bytes: (share as f64 * SHARE_OF_BUDGET) as usize,
            tables: empty_tables(partitioner),
            reservation: resources.budget.reservation(),
            order: Order::default(),
            batch: Vec::with_capacity(BATCH_RECORDS),
            long_keys: Vec::new(),
            key_buffer: Vec::new(),
            values_bytes: 0,
            records: 0,
            next_measure: FIRST_MEASURE_RECORDS,
            is_checked: false,
        }
    }

    /// Says where the records to come stand among all.
    pub(crate) fn begin_task(&mut self, partition: usize) {
        if !C::COMMUTES {
            self.order = Order::of_task(partition);
        }
    }

    /// Takes one record in; it may take effect only with the next [`flush`](Self::flush).
    #[inline]
    pub(crate) fn push(&mut self, record: Ref<'_, C::In>) -> Result<()> {
        C::key_value(record, |key, value| {
            C::Key::with_bytes(key, &mut self.key_buffer, |key| {
                let position = self.partitioner.position(key);
                let probe = Probe::new(position.place, key);
                self.tables[position.partition].prefetch(&probe);
                if probe.long_len() > 0 {
                    self.long_keys.extend_from_slice(key);
                }
                self.batch.push((position.partition, probe, value));
            })
        })?;
        if self.batch.len() == BATCH_RECORDS {
            self.flush()?;
        }
        Ok(())
    }

    /// Takes in the records that wait.
    #[inline(never)]
    pub(crate) fn flush(&mut self) -> Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        let keys = std::mem::take(&mut self.long_keys);
        let mut long_keys = &keys[..];
        self.records += batch.len();
        for (partition, probe, value) in batch.drain(..) {
            let (long, rest) = long_keys.split_at(probe.long_len());
            long_keys = rest;
            let mut value = value;
            loop {
                let upserted = self.tables[partition].upsert(
                    &probe,
                    long,
                    value,
                    |value| self.combine.create(value),
                    |combined, value| self.combine.add(combined, value),
                );
                match upserted {
                    Ok(()) => break,
                    Err(again) => value = again,
                }
                self.make_room(partition, long)?;
            }
        }
        self.batch = batch;
        self.long_keys = keys;
        self.long_keys.clear();
        if self.records >= self.next_measure && std::mem::needs_drop::<C::Combined>() {
            // By the time of the next measure there may be twice as much.
            self.next_measure = self.records * 2;
            self.measure_values(2)?;
        }
        Ok(())
    }

    /// Makes room in a table for one more key, if need be by spilling what is there.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, partition: usize, long: &[u8]) -> Result<()> {
        let table = &self.tables[partition];
        let (before, more) = (table.memory_bytes(), table.room_bytes(long));
        if !self.reserve(more)? {
            let is_empty = self.tables.iter().all(|table| table.len() == 0);
            if !is_empty {
                return self.spill();
            }
            // With nothing to spill it is one key that has to be held, whatever it takes: one that is larger than the
            // budget, or the first of a budget that others hold.
            self.tables = empty_tables(self.partitioner);
            self.reservation.clear();
            self.tables[partition].make_room(long);
            return Ok(());
        }
        let table = &mut self.tables[partition];
        table.make_room(long);
        let after = table.memory_bytes();
        self.reservation
            .shrink((before + more).saturating_sub(after));
        Ok(())
    }

    /// Reserves `more` bytes, if this thread may have them; if need be by spilling what tasks before have left.
    fn reserve(&mut self, more: usize) -> Result<bool> {
        if self.reservation.bytes() + more > self.most_bytes {
            return Ok(false);
        }
        let bytes = self.reservation.bytes() + more;
        self.resources.reserve(&mut self.reservation, bytes, || {
            self.outputs.spill(self.resources)
        })
    }

    /// Takes account of what values hold beside their slots, by the length of their encoded form times `growth`. It is
    /// done again when twice as many records have come, so it costs each of them but once or twice, and at the end.
    #[cold]
    fn measure_values(&mut self, growth: usize) -> Result<()> {
        let mut buffer = Vec::new();
        let mut bytes = 0;
        for table in &self.tables {
            for value in table.values() {
                buffer.clear();
                codec::encode_into(value, &mut buffer)?;
                bytes += buffer.len();
            }
        }
        let more = (bytes * growth).saturating_sub(self.values_bytes);
        if self.reserve(more)? {
            self.values_bytes += more;
            Ok(())
        } else {
            self.spill()
        }
    }

    /// Writes what has been combined to a file, and begins anew in the same memory.
    #[cold]
    fn spill(&mut self) -> Result<()> {
        let bytes = self
            .outputs
            .write(&mut self.tables, self.order, self.resources)?;
        self.count(bytes);
        self.order = self.order.next();
        self.reservation.shrink(self.values_bytes);
        self.values_bytes = 0;
        self.records = 0;
        self.next_measure = FIRST_MEASURE_RECORDS;
        Ok(())
    }

    /// Hands over what came together since the last time.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.flush()?;
        self.check_codec()?;
        // Others will hold them, for as long as the stage lasts.
        if self.records > 0 && std::mem::needs_drop::<C::Combined>() {
            self.measure_values(1)?;
        }
        let bytes: usize = self.tables.iter().map(Table::memory_bytes).sum();
        self.count(bytes as u64);
        let tables = std::mem::replace(&mut self.tables, empty_tables(self.partitioner));
        let reservation =
            std::mem::replace(&mut self.reservation, self.resources.budget.reservation());
        self.outputs.keep(tables, self.order, reservation);
        self.order = self.order.next();
        self.values_bytes = 0;
        self.records = 0;
        self.next_measure = FIRST_MEASURE_RECORDS;
        Ok(())
    }

    /// Tells the job's summary what has come together to be `bytes`.
    fn count(&self, bytes: u64) {
        let progress = &self.resources.progress;
        progress.add_shuffled(self.records as u64, bytes);
    }

    /// Makes sure, once, that keys and values come back from the codec as they went in: better now than when it is
    /// first needed.
    fn check_codec(&mut self) -> Result<()> {
        if self.is_checked {
            return Ok(());
        }
        let first = self.tables.iter().find_map(|table| {
            table.first(|key, value| {
                C::Key::from_bytes(key)?;
                codec::round_trips(value)
            })
        });
        self.is_checked = first.is_some();
        first.unwrap_or(Ok(()))
    }
}

fn empty_tables<V>(partitioner: HashPartitioner) -> Vec<Table<V>> {
    (0..partitioner.partitions())
        .map(|_| Table::default())
        .collect()
}
