//! Entries in memory to sorted runs, and many runs to few.

use super::entry::encode_run;
use super::group_outputs::{Segment, Share};
use super::group_stream::{EntrySource, RunSource, merge_of};
use super::grouper::slice_bits;
use super::partitioner::HashPartitioner;
use super::sorted::{Chunk, SORT_BYTES, Sorted};
use super::sorted_cursor::SortedCursor;
use crate::error::Result;
use crate::storage::memory::Reservation;
use crate::storage::run::{READER_BYTES, Run, RunFile};
use crate::task::Resources;

/// So many entries may be sorted at a time whatever the budget says: half a megabyte.
const LEAST_SORTED_ENTRIES: usize = 16 << 10;
const MOST_SORTED_ENTRIES: usize = 4 << 20;

/// So many runs may be merged at a time whatever the budget says.
const LEAST_MERGED_RUNS: usize = 8;
const MOST_MERGED_RUNS: usize = 128;

/// Files that the readers of all threads together may have open.
const OPEN_FILES: usize = 512;

/// Writes sorted runs of any partitions into one file.
pub(crate) struct Spill {
    file: RunFile,
    partitioner: HashPartitioner,
    slice_bits: u32,
    /// How many entries are sorted at a time.
    most_entries: usize,
    _reservation: Reservation,
    record: Vec<u8>,
}

/// As many entries as are sorted at a time.
#[derive(Default)]
struct Piece {
    chunks: Vec<Chunk>,
    entries: usize,
    shares: Vec<Share>,
}

impl Spill {
    pub(crate) fn new(partitioner: HashPartitioner, resources: &Resources) -> Result<Self> {
        let budget = &resources.budget;
        let mut most_entries = (resources.share_bytes() / 16 / SORT_BYTES)
            .clamp(LEAST_SORTED_ENTRIES, MOST_SORTED_ENTRIES);
        let mut reservation = budget.reservation();
        while !reservation.try_resize(most_entries * SORT_BYTES)
            && most_entries > LEAST_SORTED_ENTRIES
        {
            most_entries = (most_entries / 2).max(LEAST_SORTED_ENTRIES);
        }
        Ok(Self {
            file: RunFile::create(&resources.scratch, "group")?,
            partitioner,
            slice_bits: slice_bits(partitioner, resources),
            most_entries,
            _reservation: reservation,
            record: Vec::new(),
        })
    }

    /// Writes segments of one partition, in any order, and gives back their memory piece by piece.
    pub(crate) fn write(&mut self, segments: Vec<(Segment, Option<Share>)>) -> Result<Vec<Run>> {
        let mut segments = segments;
        segments.sort_by_key(|(segment, _)| segment.order());
        let mut runs = Vec::new();
        let mut piece = Piece::default();
        for (segment, share) in segments {
            for chunk in segment.chunks {
                if piece.entries > 0 && piece.entries + chunk.entries > self.most_entries {
                    runs.push(self.write_piece(std::mem::take(&mut piece))?);
                }
                piece.entries += chunk.entries;
                piece.chunks.push(chunk);
            }
            piece.shares.extend(share);
        }
        if !piece.chunks.is_empty() {
            runs.push(self.write_piece(piece)?);
        }
        Ok(runs)
    }

    fn write_piece(&mut self, piece: Piece) -> Result<Run> {
        let sorted = Sorted::new(
            piece.chunks,
            self.slice_bits,
            self.partitioner,
            piece.shares,
        );
        let mut cursor = SortedCursor::new(&sorted, None);
        let mut run = self.file.run();
        while cursor.advance() {
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

/// Merges runs until few enough are left to be merged at once, and gives the memory for that.
pub(crate) fn merge_down(
    runs: &mut Vec<Run>,
    partitioner: HashPartitioner,
    resources: &Resources,
) -> Result<Reservation> {
    let most = (OPEN_FILES / resources.threads).clamp(LEAST_MERGED_RUNS, MOST_MERGED_RUNS);
    let mut at_once = runs.len().min(most);
    let mut reservation = resources.budget.reservation();
    while !reservation.try_resize(at_once * READER_BYTES) && at_once > LEAST_MERGED_RUNS {
        at_once = (at_once / 2).max(LEAST_MERGED_RUNS);
    }
    while runs.len() > at_once {
        // The shortest first. Each entry says whose it is, so any of them may be merged.
        runs.sort_by_key(|run| std::cmp::Reverse(run.bytes()));
        let merged = at_once.min(runs.len() - at_once + 1);
        let shortest = runs.split_off(runs.len() - merged);
        runs.push(merge(&shortest, partitioner, resources)?);
    }
    Ok(reservation)
}

fn merge(runs: &[Run], partitioner: HashPartitioner, resources: &Resources) -> Result<Run> {
    let sources = runs
        .iter()
        .map(|run| EntrySource::Run(RunSource::new(run, partitioner)));
    let mut merge = merge_of(sources);
    let mut file = RunFile::create(&resources.scratch, "merge")?;
    let mut merged = file.run();
    while let Some(EntrySource::Run(source)) = merge.next()? {
        merged.append(source.record())?;
    }
    merged.finish()
}
