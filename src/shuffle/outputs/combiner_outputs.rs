//! The reduce side of combining in any order: merges the map output of a partition within a memory budget.

use super::map_outputs::{Content, InMemory, MapOutputs};
use crate::error::Result;
use crate::pipeline::{Data, Owned};
use crate::shuffle::key::blocks;
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::memory::slab::Piece;
use crate::shuffle::read::range_merge::{Merger, PlaceRange, Source};
use crate::shuffle::table::hash_table::Table;
use crate::shuffle::write::combine::Combine;
use crate::storage::run::{READER_BYTES, Run, RunFile};
use crate::task::{Flow, Resources};

/// Minimum number of runs that are read concurrently, even if the budget has no memory for their readers.
const LEAST_RUNS: usize = 4;

/// Map output, in memory or as runs of [blocks].
pub(crate) type CombinerOutputs<V> = MapOutputs<Combined<V>>;

/// Output of one map task for one partition, in memory.
pub(crate) enum Combined<V> {
    /// Each key once.
    Table(Table<V>),
    /// Mostly distinct keys: blocks in the order of the radix partitions.
    Blocks(Vec<Piece>),
}

impl<V> Combined<V> {
    pub(crate) fn into_table(self) -> Option<Table<V>> {
        match self {
            Self::Table(table) => Some(table),
            Self::Blocks(_) => None,
        }
    }
}

impl<V: Data> InMemory for Combined<V> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Table(table) => table.len() == 0,
            Self::Blocks(pieces) => pieces.is_empty(),
        }
    }

    fn write(&mut self, file: &mut RunFile) -> Result<Run> {
        match self {
            Self::Table(table) => blocks::write_table(file, table),
            Self::Blocks(pieces) => {
                let mut run = file.run();
                for piece in std::mem::take(pieces) {
                    run.append(&piece)?;
                }
                run.finish()
            }
        }
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
        mut each: impl FnMut((Owned<C::Key>, V)) -> Flow,
    ) -> Result<Flow> {
        let sources = self
            .open(partition)
            .into_iter()
            .map(|content| match content {
                Content::Memory(Combined::Table(table), reservation) => {
                    Source::table(table, reservation)
                }
                Content::Memory(Combined::Blocks(pieces), _) => Source::blocks(pieces),
                Content::File(run) => Source::run(&run),
            });
        let merger = Merger {
            combine,
            partitioner,
            resources,
            table_bytes: &self.table_bytes,
            room: None,
        };
        let sources = fewer(sources.collect(), &merger, PlaceRange::default())?;
        merger.merge_all(sources, |key, value| each((key, value)))
    }
}

/// Merges neighbouring sources until the runs among them can be read concurrently. It takes as many rounds as
/// necessary, so each record is written a number of times that is logarithmic in the number of sources.
pub(crate) fn fewer<C: Combine>(
    mut sources: Vec<Source<C::Combined>>,
    merger: &Merger<'_, C>,
    within: PlaceRange,
) -> Result<Vec<Source<C::Combined>>> {
    let Resources {
        budget,
        threads,
        scratch,
        ..
    } = merger.resources;
    let free = budget.limit_bytes().saturating_sub(budget.used_bytes());
    let most = (free / threads / READER_BYTES).max(LEAST_RUNS);
    while sources.len() > most {
        let mut file = RunFile::create(scratch, "combine")?;
        let mut too_many = sources.len() - most;
        let mut left = sources.into_iter();
        sources = Vec::new();
        // The last round merges no more sources than necessary.
        while too_many > 0 {
            let neighbours: Vec<_> = left.by_ref().take(most.min(too_many + 1)).collect();
            match neighbours.len() {
                0 => break,
                1 => sources.extend(neighbours),
                n => {
                    too_many -= n - 1;
                    let merged = merge_to_run(neighbours, merger, within, &mut file)?;
                    sources.push(Source::run(&merged));
                }
            }
        }
        sources.extend(left);
    }
    Ok(sources)
}

fn merge_to_run<C: Combine>(
    sources: Vec<Source<C::Combined>>,
    merger: &Merger<'_, C>,
    within: PlaceRange,
    file: &mut RunFile,
) -> Result<Run> {
    blocks::write_sorted(file, |writer| {
        let mut outcome = Ok(());
        let _ = merger.merge(sources, within, &mut |key, value| {
            blocks::go_on(writer.append(key, &value), &mut outcome)
        })?;
        outcome
    })
}
