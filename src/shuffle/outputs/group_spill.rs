//! Writes entries in memory to sorted runs, and merges many runs into few.

use std::mem;

use super::segment::{Segment, Share};
use crate::error::Result;
use crate::shuffle::key::entry::encode_run;
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::outputs::segment::Chunk;
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

/// Writes sorted runs of any partitions to one file.
pub(crate) struct Spill {
    file: RunFile,
    partitioner: HashPartitioner,
    slice_bits: u32,
    /// Maximum number of entries that are sorted in one batch.
    most_entries: usize,
    _reservation: Reservation,
    record: Vec<u8>,
    stop: StopFlag,
}

/// Chunks that are sorted together.
#[derive(Default)]
struct Batch {
    chunks: Vec<Chunk>,
    entries: usize,
    shares: Vec<Share>,
}

impl Spill {
    pub(crate) fn new(
        partitioner: HashPartitioner,
        slice_bits: u32,
        resources: &Resources,
    ) -> Result<Self> {
        let wanted_entries = (resources.share_bytes() / 16 / SORT_BYTES)
            .clamp(MIN_SORTED_ENTRIES, MAX_SORTED_ENTRIES);
        let (most_entries, reservation) =
            resources
                .budget
                .reserve_most(wanted_entries, MIN_SORTED_ENTRIES, SORT_BYTES);
        Ok(Self {
            file: RunFile::create(&resources.scratch, "group")?,
            partitioner,
            slice_bits,
            most_entries,
            _reservation: reservation,
            record: Vec::new(),
            stop: resources.stop.clone(),
        })
    }

    /// Writes segments of one partition, in any order, and releases their memory batch by batch.
    pub(crate) fn write(&mut self, segments: Vec<(Segment, Option<Share>)>) -> Result<Vec<Run>> {
        let mut segments = segments;
        segments.sort_by_key(|(segment, _)| segment.order());
        let mut runs = Vec::new();
        let mut batch = Batch::default();
        for (segment, share) in segments {
            for chunk in segment.chunks {
                if batch.entries > 0 && batch.entries + chunk.entries > self.most_entries {
                    runs.push(self.write_batch(mem::take(&mut batch))?);
                }
                batch.entries += chunk.entries;
                batch.chunks.push(chunk);
            }
            batch.shares.extend(share);
        }
        if !batch.chunks.is_empty() {
            runs.push(self.write_batch(batch)?);
        }
        Ok(runs)
    }

    fn write_batch(&mut self, batch: Batch) -> Result<Run> {
        let sorted = ChunkSet::new(
            batch.chunks,
            self.slice_bits,
            self.partitioner,
            batch.shares,
        );
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
