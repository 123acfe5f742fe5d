//! The reduce side of combining: what the map tasks left for a partition, merged within a memory budget.

use std::borrow::BorrowMut;

use super::combine::Combine;
use super::map_outputs::{Content, InMemory, MapOutputs};
use super::partitioner::HashPartitioner;
use super::range_merge::{self, Source};
use super::table::{Sorted, Table};
use crate::error::Result;
use crate::pipeline::{Data, Key, Owned};
use crate::storage::codec;
use crate::storage::run::{READER_BYTES, Run, RunFile};
use crate::task::{Flow, Resources};

/// Runs that are read at once even where the budget has no room for them.
const LEAST_RUNS: usize = 4;

/// What the map tasks left: tables, or runs in ascending order of (place, key). A record of a run is the encoded value,
/// then the key's bytes.
pub(crate) type CombinerOutputs<V> = MapOutputs<Table<V>>;

impl<V: Data> InMemory for Table<V> {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn write(&mut self, file: &mut RunFile) -> Result<Run> {
        write_run(file, self.sorted())
    }
}

impl<V: Data> CombinerOutputs<V> {
    /// Calls `each` with every key of a partition and its value, in ascending order of (hash, key).
    pub(crate) fn read<C: Combine<Combined = V>>(
        &self,
        partition: usize,
        combine: &C,
        partitioner: HashPartitioner,
        resources: &Resources,
        mut each: impl FnMut(Owned<C::Key>, V) -> Flow,
    ) -> Result<Flow> {
        let sources = self
            .open(partition)
            .into_iter()
            .map(|content| match content {
                Content::Memory(table, reservation) => Source::table(table, reservation),
                Content::File(run) => Source::run(&run),
            });
        let sources = fewer(sources.collect(), combine, partitioner, resources)?;
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
}
/// As few sources that the runs among them can be read at once: neighbours are merged to one, as often as need be.
///
/// Where it shows how values are grouped, as in sums of floating-point numbers, the first ones are merged, and then
/// what came of them with the next: so the values of a key are merged from the first to the last in any case. Where it
/// does not, all of them are merged in rounds, and a record is written as often as the logarithm of their number says.
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
        let mut file = RunFile::create(&resources.scratch, "combine")?;
        let mut too_many = sources.len() - most;
        let mut left = sources.into_iter();
        sources = Vec::new();
        // In the last round no more than are too many.
        while too_many > 0 {
            let neighbours: Vec<_> = left.by_ref().take(most.min(too_many + 1)).collect();
            match neighbours.len() {
                0 => break,
                1 => sources.extend(neighbours),
                n => {
                    too_many -= n - 1;
                    let merged = merge_to_run(neighbours, combine, partitioner, &mut file)?;
                    sources.push(Source::run(&merged));
                }
            }
            if !C::COMMUTES {
                break;
            }
        }
        sources.extend(left);
    }
    Ok(sources)
}

fn merge_to_run<C: Combine>(
    sources: Vec<Source<C::Combined>>,
    combine: &C,
    partitioner: HashPartitioner,
    file: &mut RunFile,
) -> Result<Run> {
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
    writer.finish()
}

fn write_run<T, V: Data>(file: &mut RunFile, mut keys: Sorted<T, V>) -> Result<Run>
where
    T: BorrowMut<Table<V>>,
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
