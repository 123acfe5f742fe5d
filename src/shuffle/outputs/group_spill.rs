//! Writes entries in memory to sorted runs, and merges many runs into few.

use std::mem;

use super::keep_limit::KeepLimit;
use super::part::{MapPart, PartSeq};
use super::segment::{Chunk, Segment};
use crate::error::Result;
use crate::shuffle::key::entry::encode_run;
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::key::slices::SliceLayout;
use crate::shuffle::read::chunk_set::{ChunkSet, SORT_BYTES};
use crate::shuffle::read::compact::{compact, fan_in};
use crate::shuffle::read::group_stream::{EntrySource, RunSource, merge_of};
use crate::shuffle::read::sorted_cursor::SortedCursor;
use crate::storage::memory::Reservation;
use crate::storage::run::{Run, RunFile};
use crate::task::{Resources, StopFlag};

/// Minimum number of entries that are sorted in one batch, whatever the budget. Sorting this many takes 256 KiB.
const MIN_SORTED_ENTRIES: usize = 16 << 10;
const MAX_SORTED_ENTRIES: usize = 4 << 20;

/// Takes sorted runs of any partitions.
pub(crate) struct GroupFile {
    file: RunFile,
    layout: SliceLayout,
    /// Maximum number of entries that are sorted in one batch.
    most_entries: usize,
    _reservation: Reservation,
    record: Vec<u8>,
    stop: StopFlag,
}

impl MapPart for Segment {
    type Layout = SliceLayout;
    type File = GroupFile;

    const LIMIT: KeepLimit = KeepLimit::HalfInUse;

    fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    fn memory_bytes(&self) -> usize {
        self.bytes
    }

    fn create_file(layout: SliceLayout, resources: &Resources) -> Result<GroupFile> {
        let wanted_entries = (resources.share_bytes() / 16 / SORT_BYTES)
            .clamp(MIN_SORTED_ENTRIES, MAX_SORTED_ENTRIES);
        let (most_entries, reservation) =
            resources
                .budget
                .reserve_most(wanted_entries, MIN_SORTED_ENTRIES, SORT_BYTES);
        Ok(GroupFile {
            file: RunFile::create(&resources.scratch, "group")?,
            layout,
            most_entries,
            _reservation: reservation,
            record: Vec::new(),
            stop: resources.stop.clone(),
        })
    }

    /// Sorts the entries of all segments together, and releases their memory batch by batch. Each entry records its
    /// order, so the order of the runs does not matter.
    fn write<'p>(
        parts: impl Iterator<Item = (PartSeq, &'p mut Self)>,
        file: &mut GroupFile,
    ) -> Result<Vec<(PartSeq, Run)>> {
        let mut segments: Vec<_> = parts.map(|(_, segment)| segment).collect();
        segments.sort_by_key(|segment| segment.order());
        let mut runs = Vec::new();
        let (mut batch, mut entries) = (Vec::new(), 0);
        for segment in segments {
            for chunk in mem::take(&mut segment.chunks) {
                if entries > 0 && entries + chunk.entries > file.most_entries {
                    runs.push(file.write_batch(mem::take(&mut batch))?);
                    entries = 0;
                }
                entries += chunk.entries;
                batch.push(chunk);
            }
        }
        if !batch.is_empty() {
            runs.push(file.write_batch(batch)?);
        }
        Ok(runs
            .into_iter()
            .map(|run| (PartSeq::default(), run))
            .collect())
    }
}

impl GroupFile {
    /// Writes chunks that are sorted together.
    fn write_batch(&mut self, chunks: Vec<Chunk>) -> Result<Run> {
        let sorted = ChunkSet::new(chunks, self.layout, Vec::new());
        let mut cursor = SortedCursor::new(&sorted, None, &self.stop);
        let mut run = self.file.run();
        while cursor.advance()? {
            encode_run(
                cursor.key(),
                cursor.order(),
                cursor.value(),
                &mut self.record,
            );
            run.append(&self.record)?;
        }
        run.finish()
    }
}

/// Merges runs until all remaining runs can be merged concurrently, and returns the memory for that merge.
pub(crate) fn merge_down(
    runs: &mut Vec<Run>,
    partitioner: HashPartitioner,
    resources: &Resources,
) -> Result<Reservation> {
    let (fan_in, for_readers) = fan_in(runs.len(), resources);
    // Each entry records its order, so any runs may be merged.
    *runs = compact(mem::take(runs), fan_in, |some| {
        merge(&some, partitioner, resources).map(Some)
    })?;
    Ok(for_readers)
}

fn merge(runs: &[Run], partitioner: HashPartitioner, resources: &Resources) -> Result<Run> {
    let sources = runs
        .iter()
        .map(|run| EntrySource::Run(RunSource::new(run, partitioner)));
    let mut merge = merge_of(sources);
    let mut file = RunFile::create(&resources.scratch, "merge")?;
    let mut merged = file.run();
    let mut checks = resources.stop.checks();
    while let Some(EntrySource::Run(source)) = merge.next()? {
        merged.append(source.record())?;
        checks.count()?;
    }
    merged.finish()
}
