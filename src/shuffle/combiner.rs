//! One value for each key: on the map side as records come, on the reduce side of what the map tasks left.

use std::sync::{Arc, Mutex, PoisonError};

use super::partitioner::HashPartitioner;
use super::table::{Probe, Table};
use crate::error::Result;
use crate::pipeline::{Data, Key, Owned, Peek, Record, Ref};
use crate::storage::codec;
use crate::task::Flow;

/// How the values of a key become one.
pub(crate) trait Combine: Send + Sync + 'static {
    /// What comes in.
    type In: Record + ?Sized;
    type Key: Key + ?Sized;
    type Value;
    /// What the values of a key become.
    type Combined: Data;

    /// Whether the result is the same, to the bit, in whatever order values are combined. One table then serves all
    /// tasks of a thread.
    const COMMUTES: bool;

    /// The key and the value of a record.
    fn key_value<R>(
        record: Ref<'_, Self::In>,
        f: impl FnOnce(Peek<'_, Self::Key>, Self::Value) -> R,
    ) -> R;

    /// What a first value becomes.
    fn create(&self, value: Self::Value) -> Self::Combined;

    /// Takes one more value in.
    fn add(&self, combined: Self::Combined, value: Self::Value) -> Self::Combined;

    /// Takes in what later values became.
    fn merge(&self, combined: Self::Combined, later: Self::Combined) -> Self::Combined;
}

/// How many records wait for their slots to be fetched.
const BATCH_RECORDS: usize = 32;

/// The map side: a table for each partition of the next stage.
pub(crate) struct Combiner<'c, C: Combine> {
    combine: &'c C,
    partitioner: HashPartitioner,
    tables: Vec<Table<C::Combined>>,
    /// Records whose slots are being fetched, and the bytes of those keys that do not fit into a slot.
    batch: Vec<(usize, Probe, C::Value)>,
    long_keys: Vec<u8>,
    key_buffer: Vec<u8>,
}

impl<'c, C: Combine> Combiner<'c, C> {
    pub(crate) fn new(combine: &'c C, partitioner: HashPartitioner) -> Self {
        Self {
            combine,
            partitioner,
            tables: empty_tables(partitioner),
            batch: Vec::with_capacity(BATCH_RECORDS),
            long_keys: Vec::new(),
            key_buffer: Vec::new(),
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
            self.flush();
        }
        Ok(())
    }

    /// Takes in the records that wait.
    #[inline(never)]
    pub(crate) fn flush(&mut self) {
        let mut long_keys = &self.long_keys[..];
        for (partition, probe, value) in self.batch.drain(..) {
            let (long, rest) = long_keys.split_at(probe.long_len());
            long_keys = rest;
            self.tables[partition].upsert(
                &probe,
                long,
                value,
                |value| self.combine.create(value),
                |combined, value| self.combine.add(combined, value),
            );
        }
        self.long_keys.clear();
    }

    /// Hands over what came together since the last time. `order` is the place of these records among all.
    pub(crate) fn commit(&mut self, order: usize, outputs: &CombinerOutputs<C::Combined>) {
        self.flush();
        let tables = std::mem::replace(&mut self.tables, empty_tables(self.partitioner));
        for (table, partition) in tables.into_iter().zip(&outputs.partitions) {
            if table.len() > 0 {
                let mut partition = partition.lock().unwrap_or_else(PoisonError::into_inner);
                partition.tables.push((order, table));
            }
        }
    }
}

fn empty_tables<V>(partitioner: HashPartitioner) -> Vec<Table<V>> {
    (0..partitioner.partitions())
        .map(|_| Table::default())
        .collect()
}

/// What the map tasks left, for each partition of the next stage.
pub(crate) struct CombinerOutputs<V> {
    partitions: Vec<Mutex<PartitionOutput<V>>>,
}

struct PartitionOutput<V> {
    /// Not yet merged, in no order.
    tables: Vec<(usize, Table<V>)>,
    /// Merged and encoded, once it is known that several will read it.
    encoded: Option<Arc<Vec<u8>>>,
    /// How often this partition will be read.
    readers: usize,
}

impl<V: Data> CombinerOutputs<V> {
    /// For `readers` readers of each partition.
    pub(crate) fn new(partitions: usize, readers: usize) -> Self {
        let output = || PartitionOutput {
            tables: Vec::new(),
            encoded: None,
            readers,
        };
        Self {
            partitions: (0..partitions).map(|_| Mutex::new(output())).collect(),
        }
    }

    /// Calls `each` with every key of a partition and its value, in ascending order of (hash, key).
    pub(crate) fn read<C: Combine<Combined = V>>(
        &self,
        partition: usize,
        combine: &C,
        mut each: impl FnMut(Owned<C::Key>, V) -> Flow,
    ) -> Result<Flow> {
        let mut output = self.partitions[partition]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if output.readers == 1 {
            let tables = std::mem::take(&mut output.tables);
            drop(output);
            let mut outcome = Ok(());
            let flow = merged(tables, combine).drain(|key, value| match C::Key::from_bytes(key) {
                Ok(key) => each(key, value),
                Err(error) => {
                    outcome = Err(error);
                    Flow::Break(())
                }
            });
            return outcome.map(|()| flow);
        }
        // Values need not be `Clone`; their encoded form can be read as often as one likes.
        if output.encoded.is_none() {
            let tables = std::mem::take(&mut output.tables);
            output.encoded = Some(Arc::new(encode(merged(tables, combine))?));
        }
        let encoded = output.encoded.clone().unwrap_or_default();
        drop(output);
        let mut bytes = &encoded[..];
        while !bytes.is_empty() {
            let key: &[u8] = codec::decode_prefix(&mut bytes)?;
            let value = codec::decode_prefix(&mut bytes)?;
            if each(C::Key::from_bytes(key)?, value).is_break() {
                return Ok(Flow::Break(()));
            }
        }
        Ok(Flow::Continue(()))
    }
}

/// The tables as one, merged in their order.
fn merged<C: Combine>(
    mut tables: Vec<(usize, Table<C::Combined>)>,
    combine: &C,
) -> Table<C::Combined> {
    if C::COMMUTES {
        // Any order will do, so the least is moved.
        tables.sort_by_key(|(_, table)| std::cmp::Reverse(table.len()));
    } else {
        tables.sort_by_key(|(order, _)| *order);
    }
    let mut tables = tables.into_iter().map(|(_, table)| table);
    let mut all = tables.next().unwrap_or_default();
    for table in tables {
        all.absorb(table, |combined, later| combine.merge(combined, later));
    }
    all
}

fn encode<V: Data>(table: Table<V>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut outcome = Ok(());
    let _ = table.drain(|key, value| {
        outcome = codec::encode_into(key, &mut bytes)
            .and_then(|()| codec::encode_into(&value, &mut bytes));
        if outcome.is_ok() {
            Flow::Continue(())
        } else {
            Flow::Break(())
        }
    });
    outcome.map(|()| bytes)
}
