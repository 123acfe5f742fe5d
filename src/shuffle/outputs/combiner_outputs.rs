//! The reduce side of combining in any order: merges the map output of a partition within a memory budget.

use super::keep_limit::KeepLimit;
use super::part::{Content, MapPart, PartFile, PartSeq};
use super::shuffle_outputs::ShuffleOutputs;
use crate::error::Result;
use crate::id::ShuffleId;
use crate::pipeline::{Data, Owned};
use crate::shuffle::key::blocks;
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::memory::slab::SlabSpan;
use crate::shuffle::read::merger::{Merger, TableSize};
use crate::shuffle::read::range_merge::RangeInput;
use crate::shuffle::table::hash_table::Table;
use crate::shuffle::write::combine::Combine;
use crate::storage::run::{Run, RunFile};
use crate::task::{Flow, MapBlock, MapBlocks, Outputs, Resources, StopFlag};

/// Map output of combining in any order: tables and blocks in memory, or runs of [blocks].
pub(crate) struct CombinerOutputs<V: Data> {
    pub(crate) parts: ShuffleOutputs<MapSideCombined<V>>,
    table_size: TableSize,
}

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

impl<V: Data> MapPart for MapSideCombined<V> {
    type Layout = ();
    type File = PartFile;

    const LIMIT: KeepLimit = KeepLimit::Granted;

    fn is_empty(&self) -> bool {
        match self {
            Self::Table(table) => table.len() == 0,
            Self::Blocks(pieces) => pieces.is_empty(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Table(table) => table.memory_bytes(),
            Self::Blocks(pieces) => pieces.iter().map(|piece| piece.capacity()).sum(),
        }
    }

    fn create_file((): (), resources: &Resources) -> Result<PartFile> {
        PartFile::create(resources)
    }

    fn write<'p>(
        parts: impl Iterator<Item = (PartSeq, &'p mut Self)>,
        file: &mut PartFile,
    ) -> Result<Vec<(PartSeq, Run)>>
    where
        Self: 'p,
    {
        file.write_each(parts, Self::write_run)
    }
}

impl<V: Data> MapSideCombined<V> {
    fn write_run(&mut self, file: &mut RunFile, stop: &StopFlag) -> Result<Run> {
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
    /// Creates outputs for `readers` readers of each partition.
    pub(crate) fn new(partitions: usize, readers: usize) -> Self {
        Self {
            parts: ShuffleOutputs::new(partitions, (), readers),
            table_size: TableSize::default(),
        }
    }

    /// Imports what other processes have exported. The result can be read any number of times.
    pub(crate) fn import(
        partitions: usize,
        blocks: MapBlocks<'_>,
        resources: &Resources,
    ) -> Result<Self> {
        Ok(Self {
            parts: ShuffleOutputs::import(partitions, (), blocks, resources)?,
            table_size: TableSize::default(),
        })
    }

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
            .parts
            .open(partition)
            .into_iter()
            .map(|content| match content {
                Content::Memory(MapSideCombined::Table(table), share) => {
                    RangeInput::table(table, share)
                }
                Content::Memory(MapSideCombined::Blocks(pieces), _) => RangeInput::blocks(pieces),
                Content::File(run) => RangeInput::run(&run),
            });
        let merger = Merger {
            combine: combine.merging(),
            partitioner,
            resources,
            table_size: &self.table_size,
            room: None,
        };
        merger.merge_all::<C::Key>(sources.collect(), |key, value| each((key, value)))
    }
}

impl<V: Data> Outputs for CombinerOutputs<V> {
    fn export(&self, shuffle: ShuffleId, resources: &Resources) -> Result<Vec<MapBlock>> {
        self.parts.export(shuffle, resources)
    }
}
