//! The reduce side of combining in any order: merges the map output of a partition within a memory budget.

use super::map_outputs::{Content, InMemory, MapOutputs};
use crate::error::Result;
use crate::pipeline::{Data, Owned};
use crate::shuffle::key::blocks;
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::memory::slab::SlabSpan;
use crate::shuffle::read::merger::Merger;
use crate::shuffle::read::range_merge::RangeInput;
use crate::shuffle::table::hash_table::Table;
use crate::shuffle::write::combine::Combine;
use crate::storage::run::{Run, RunFile};
use crate::task::{Flow, Resources, StopFlag};

/// Map output, in memory or as runs of [blocks].
pub(crate) type CombinerOutputs<V> = MapOutputs<MapSideCombined<V>>;

/// Output of one map task for one partition, in memory.
pub(crate) enum MapSideCombined<V> {
    /// Each key once.
    Table(Table<V>),
    /// Mostly distinct keys: blocks in the order of the radix partitions.
    Blocks(Vec<SlabSpan>),
}

impl<V> MapSideCombined<V> {
    pub(crate) fn into_table(self) -> Option<Table<V>> {
        match self {
            Self::Table(table) => Some(table),
            Self::Blocks(_) => None,
        }
    }
}

impl<V: Data> InMemory for MapSideCombined<V> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Table(table) => table.len() == 0,
            Self::Blocks(pieces) => pieces.is_empty(),
        }
    }

    fn write(&mut self, file: &mut RunFile, stop: &StopFlag) -> Result<Run> {
        match self {
            Self::Table(table) => blocks::write_table(file, table, stop),
            Self::Blocks(pieces) => {
                let mut run = file.run();
                for piece in std::mem::take(pieces) {
                    stop.check()?;
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
                Content::Memory(MapSideCombined::Table(table), reservation) => {
                    RangeInput::table(table, reservation)
                }
                Content::Memory(MapSideCombined::Blocks(pieces), _) => RangeInput::blocks(pieces),
                Content::File(run) => RangeInput::run(&run),
            });
        let merger = Merger {
            combine,
            partitioner,
            resources,
            table_bytes: &self.table_bytes,
            room: None,
        };
        merger.merge_all(sources.collect(), |key, value| each((key, value)))
    }
}
