//! What the map tasks of a combining shuffle left, for each partition of the next stage.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::combine::Combine;
use super::partitioner::HashPartitioner;
use super::range_merge::{self, Source};
use super::table::{Sorted, Table};
use crate::error::Result;
use crate::pipeline::{Data, Key, Owned};
use crate::storage::codec;
use crate::storage::memory::Reservation;
use crate::storage::run::{READER_BYTES, Run, RunFile};
use crate::task::{Flow, Resources};

/// Runs that are read at once even where the budget has no room for them.
const LEAST_RUNS: usize = 4;

/// The place of a part among all: the task, and how often that had spilled before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    task: usize,
    sequence: usize,
}

impl Order {
    pub(crate) fn of_task(task: usize) -> Self {
        Self { task, sequence: 0 }
    }

    pub(crate) fn next(self) -> Self {
        Self {
            task: self.task,
            sequence: self.sequence + 1,
        }
    }
}

/// What the map tasks left.
pub(crate) struct CombinerOutputs<V> {
    partitions: Vec<Mutex<Vec<Part<V>>>>,
    /// How often each partition will be read.
    readers: usize,
}

/// Some keys of a partition, each with a value.
struct Part<V> {
    order: Order,
    content: Content<V>,
}

enum Content<V> {
    /// In memory, with its share in the reservation for the tables that were handed over together.
    Table(Table<V>, Arc<Reservation>),
    /// In a file, in ascending order of (place, key). A record is the encoded value, then the key's bytes.
    Run(Run),
}

impl<V: Data> CombinerOutputs<V> {
    pub(crate) fn new(partitions: usize, readers: usize) -> Self {
        Self {
            partitions: (0..partitions).map(|_| Mutex::default()).collect(),
            readers,
        }
    }

    /// Takes over tables, one for each partition, that `reservation` is for.
    pub(crate) fn keep(&self, tables: Vec<Table<V>>, order: Order, reservation: Reservation) {
        let reservation = Arc::new(reservation);
        for (table, partition) in tables.into_iter().zip(&self.partitions) {
            if table.len() > 0 {
                let content = Content::Table(table, Arc::clone(&reservation));
                lock(partition).push(Part { order, content });
            }
        }
    }

    /// Writes tables, one for each partition, to a file, and says how long it is. They are empty then, and keep their
    /// memory.
    pub(crate) fn write(
        &self,
        tables: &mut [Table<V>],
        order: Order,
        resources: &Resources,
    ) -> Result<u64> {
        let mut file = RunFile::create(&resources.scratch, "combine")?;
        for (table, partition) in tables.iter_mut().zip(&self.partitions) {
            if table.len() > 0 {
                let content = Content::Run(write_run(&mut file, table.sorted())?);
                lock(partition).push(Part { order, content });
            }
        }
        Ok(file.bytes())
    }

    /// Writes the tables that were taken over to a file, and frees their memory. False if there were none.
    pub(crate) fn spill(&self, resources: &Resources) -> Result<bool> {
        let mut file = None;
        for partition in &self.partitions {
            let is_table = |part: &mut Part<V>| matches!(part.content, Content::Table(..));
            let tables: Vec<_> = lock(partition).extract_if(.., is_table).collect();
            for Part { order, content } in tables {
                let Content::Table(table, _reservation) = content else {
                    continue;
                };
                let file = match &mut file {
                    Some(file) => file,
                    None => file.insert(RunFile::create(&resources.scratch, "combine")?),
                };
                let content = Content::Run(write_run(file, table.into_sorted())?);
                lock(partition).push(Part { order, content });
            }
        }
        Ok(file.is_some())
    }

    /// To be called once all map tasks are done, before the first partition is read.
    pub(crate) fn finish(&self, resources: &Resources) -> Result<()> {
        // Values need not be `Clone`, but what is in a file can be read as often as one likes.
        if self.readers > 1 {
            self.spill(resources)?;
        }
        Ok(())
    }

    /// Calls `each` with every key of a partition and its value, in ascending order of (hash, key).
    pub(crate) fn read<C: Combine<Combined = V>>(
        &self,
        partition: usize,
        combine: &C,
        partitioner: HashPartitioner,
        resources: &Resources,
        mut each: impl FnMut(Owned<C::Key>, V) -> Flow,
    ) -> Result<Flow> {
        let parts = self.open(partition);
        let sources = fewer(parts, combine, partitioner, resources)?;
        let mut outcome = Ok(());
        let flow =
            range_merge::merge(
                sources,
                combine,
                partitioner,
                |key, value| match C::Key::from_bytes(key) {
                    Ok(key) => each(key, value),
                    Err(error) => {
                        outcome = Err(error);
                        Flow::Break(())
                    }
                },
            )?;
        outcome.map(|()| flow)
    }

    /// The parts of a partition in their order; the last reader takes them away.
    fn open(&self, partition: usize) -> Vec<Source<V>> {
        let mut parts = lock(&self.partitions[partition]);
        if self.readers > 1 {
            parts.sort_by_key(|part| part.order);
            let runs = parts.iter().filter_map(|part| match &part.content {
                Content::Run(run) => Some(Source::run(run)),
                Content::Table(..) => None,
            });
            return runs.collect();
        }
        let mut parts = std::mem::take(&mut *parts);
        parts.sort_by_key(|part| part.order);
        let sources = parts.into_iter().map(|part| match part.content {
            Content::Run(run) => Source::run(&run),
            Content::Table(table, reservation) => Source::table(table, reservation),
        });
        sources.collect()
    }
}

/// As few sources that the runs among them can be read at once: the first ones are merged to one, as often as need be.
/// So the values of a key are merged from the first to the last in any case.
fn fewer<C: Combine>(
    mut sources: Vec<Source<C::Combined>>,
    combine: &C,
    partitioner: HashPartitioner,
    resources: &Resources,
) -> Result<Vec<Source<C::Combined>>> {
    let budget = &resources.budget;
    let free = budget.limit_bytes().saturating_sub(budget.used_bytes());
    let most = (free / resources.threads / READER_BYTES).max(LEAST_RUNS);
    while sources.len() > most {
        let rest = sources.split_off(most);
        let mut file = RunFile::create(&resources.scratch, "combine")?;
        let mut writer = file.run();
        let mut record = Vec::new();
        let mut outcome = Ok(());
        let _ = range_merge::merge(sources, combine, partitioner, |key, value| {
            outcome = encode(key, &value, &mut record).and_then(|()| writer.append(&record));
            if outcome.is_ok() {
                Flow::Continue(())
            } else {
                Flow::Break(())
            }
        })?;
        outcome?;
        sources = vec![Source::run(&writer.finish()?)];
        sources.extend(rest);
    }
    Ok(sources)
}

fn write_run<T, V: Data>(file: &mut RunFile, mut keys: Sorted<T, V>) -> Result<Run>
where
    T: std::borrow::BorrowMut<Table<V>>,
{
    let mut writer = file.run();
    let mut record = Vec::new();
    while let Some(written) = keys.take(|key, value| {
        encode(key, &value, &mut record)?;
        writer.append(&record)
    }) {
        written?;
    }
    writer.finish()
}

fn encode<V: Data>(key: &[u8], value: &V, record: &mut Vec<u8>) -> Result<()> {
    record.clear();
    codec::encode_into(value, record)?;
    record.extend_from_slice(key);
    Ok(())
}

/// Nothing can panic while a list of parts is locked.
fn lock<V>(partition: &Mutex<Vec<Part<V>>>) -> MutexGuard<'_, Vec<Part<V>>> {
    partition.lock().unwrap_or_else(PoisonError::into_inner)
}
