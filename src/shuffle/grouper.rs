//! The map side of a shuffle that keeps every record: entries by partition, as they come.
//!
//! ```text
//!  records -> chunks of partition 0 | 1 | .. | n     in memory, within the thread's share
//!                 | end of some tasks            | share full, or the budget refuses more
//!                 v                              v
//!             kept for the readers           each partition sorted, one run for each in one file
//!             (spilled later if others need the memory)
//! ```

use super::entry::Order;
use super::entry_batch::EntryBatch;
use super::group_outputs::{GroupOutputs, Segment};
use super::group_spill::Spill;
use super::partitioner::{HashPartitioner, Position};
use super::sorted::Chunk;
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Record, Ref};
use crate::storage::memory::Reservation;
use crate::storage::run::MAX_RECORD_BYTES;
use crate::task::Resources;

/// How a record becomes a key and a value, in bytes.
pub(crate) trait Encode: Send + Sync + 'static {
    type In: Record + ?Sized;

    /// Appends the key and then the value to `bytes`, and gives the length of the key.
    fn encode(record: Ref<'_, Self::In>, bytes: &mut Vec<u8>) -> Result<usize>;

    /// Fails if a record like this would not come back as it was.
    fn check(record: &Ref<'_, Self::In>) -> Result<()>;
}

/// Chunks of one partition double up to this length.
pub(super) const MOST_CHUNK_BYTES: usize = 32 << 10;
const LEAST_CHUNK_BYTES: usize = 512;

/// Slices of all partitions together, and of one.
const MOST_BUCKETS: usize = 1024;
const MOST_SLICES: usize = 16;

/// So much of a thread's share there must be for each slice.
const SLICE_BYTES: usize = 2 * MOST_CHUNK_BYTES;

/// A thread holds so much even if the budget refuses it: runs of a few records would cost more than they save.
const FLOOR_BYTES: usize = 256 << 10;

/// Tasks that follow each other are handed over together until they have so much: chunks of each alone would be hardly
/// begun where tasks are small, and there is one for each bucket.
const LEAST_COMMIT_BYTES: usize = 4 << 20;

/// Memory that a segment takes besides its chunks.
pub(super) const SEGMENT_BYTES: usize = 160;

/// The entries of one slice of a partition since the last commit.
#[derive(Default)]
struct Bucket {
    /// The chunk that is being filled, and how many entries it has.
    open: Vec<u8>,
    open_entries: usize,
    full: Vec<(Vec<u8>, usize)>,
}

/// Divides the records of one thread's tasks among partitions.
pub(crate) struct Grouper<'o> {
    outputs: &'o GroupOutputs,
    resources: Resources,
    partitioner: HashPartitioner,
    /// For each partition, one for each slice of its places: all that start with the same bits.
    buckets: Vec<Bucket>,
    slice_bits: u32,
    /// Records on their way there.
    entries: EntryBatch,

    // Memory.
    /// The capacity of all chunks; the reservation is as long, or shorter below the floor.
    bytes: usize,
    share_bytes: usize,
    reservation: Reservation,
    /// The length of first chunks: as much as the last task needed for one bucket, so that most need no second.
    first_chunk_bytes: usize,

    // The task at hand, and those before it that are handed over with it.
    first_task: usize,
    last_task: Option<usize>,
    /// How many chunks of each partition have been handed over.
    chunks_given: Vec<u64>,
    /// How many records have come that were not handed over yet.
    records: u64,
    is_checked: bool,
}

impl<'o> Grouper<'o> {
    pub(crate) fn new(outputs: &'o GroupOutputs, resources: &Resources) -> Self {
        let partitioner = outputs.partitioner();
        let slice_bits = slice_bits(partitioner, resources);
        Self {
            outputs,
            resources: resources.clone(),
            partitioner,
            buckets: empty_buckets(partitioner.partitions() << slice_bits),
            slice_bits,
            entries: EntryBatch::default(),
            bytes: 0,
            // What cannot be spilled may all be of one task.
            share_bytes: match outputs.is_in_memory() {
                true => resources.budget.limit_bytes() / 2,
                false => share_bytes(resources),
            },
            reservation: resources.budget.reservation(),
            first_chunk_bytes: LEAST_CHUNK_BYTES,
            first_task: 0,
            last_task: None,
            chunks_given: vec![0; partitioner.partitions()],
            records: 0,
            is_checked: false,
        }
    }

    /// Says that the records to come are those of `task`.
    pub(crate) fn begin_task(&mut self, task: usize) -> Result<()> {
        let follows = self.last_task.is_some_and(|last| last + 1 == task);
        if !follows || self.bytes >= LEAST_COMMIT_BYTES.min(self.share_bytes / 2) {
            self.commit()?;
            self.first_task = task;
        }
        self.last_task = Some(task);
        self.is_checked = false;
        Ok(())
    }

    /// Takes in one record, if its key is wanted; it may take effect only with the end of the task.
    #[inline]
    pub(crate) fn push<E: Encode>(
        &mut self,
        record: Ref<'_, E::In>,
        is_wanted: impl FnMut(Position) -> bool,
    ) -> Result<()> {
        if !self.is_checked {
            E::check(&record)?;
            self.is_checked = true;
        }
        if self.entries.push_record::<E>(record)? {
            self.flush(is_wanted)?;
        }
        Ok(())
    }

    /// Takes in the records of the task that wait.
    pub(crate) fn end_task(&mut self, is_wanted: impl FnMut(Position) -> bool) -> Result<()> {
        self.flush(is_wanted)
    }

    #[inline(never)]
    fn flush(&mut self, mut is_wanted: impl FnMut(Position) -> bool) -> Result<()> {
        let mut entries = std::mem::take(&mut self.entries);
        for (key, entry) in entries.entries() {
            let position = self.partitioner.position(key);
            if !is_wanted(position) {
                continue;
            }
            let slice = slice_of(position.place.0, self.slice_bits);
            let number = position.partition << self.slice_bits | slice;
            let bucket = &mut self.buckets[number];
            if bucket.open.capacity() - bucket.open.len() < entry.len() {
                self.add_chunk(number, entry.len())?;
            }
            let bucket = &mut self.buckets[number];
            bucket.open.extend_from_slice(entry);
            bucket.open_entries += 1;
            self.records += 1;
        }
        entries.clear();
        self.entries = entries;
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn add_chunk(&mut self, number: usize, needed_bytes: usize) -> Result<()> {
        if needed_bytes > MAX_RECORD_BYTES {
            return Err(Error::new(ErrorKind::RecordTooLong {
                bytes: needed_bytes,
                limit_bytes: MAX_RECORD_BYTES,
            }));
        }
        let usual = self.buckets[number].open.capacity() * 2;
        let bytes = usual
            .clamp(self.first_chunk_bytes, MOST_CHUNK_BYTES)
            .max(needed_bytes);
        self.make_room(bytes)?;
        self.bytes += bytes;
        let bucket = &mut self.buckets[number];
        let full = std::mem::replace(&mut bucket.open, Vec::with_capacity(bytes));
        let entries = std::mem::take(&mut bucket.open_entries);
        if entries > 0 {
            bucket.full.push((full, entries));
        }
        Ok(())
    }

    /// Asks for memory for `bytes` more; spills where it is refused.
    fn make_room(&mut self, bytes: usize) -> Result<()> {
        let wanted = self.bytes + bytes;
        if wanted <= self.share_bytes && self.reservation.try_resize(wanted) {
            return Ok(());
        }
        if wanted <= self.share_bytes
            && self.resources.relief.ask()?
            && self.reservation.try_resize(wanted)
        {
            return Ok(());
        }
        self.outputs.check_may_spill(&self.resources)?;
        if wanted <= self.share_bytes
            && self.outputs.kept_bytes() > self.bytes
            && self.outputs.spill_kept(&self.resources)?
            && self.reservation.try_resize(wanted)
        {
            return Ok(());
        }
        if self.bytes >= FLOOR_BYTES {
            self.spill()?;
        }
        // Refused or not: below the floor it is held all the same.
        let _ = self.reservation.try_resize(self.bytes + bytes);
        Ok(())
    }

    /// Writes what is here to runs.
    fn spill(&mut self) -> Result<()> {
        let mut spill = Spill::new(self.partitioner, &self.resources)?;
        for (partition, segment) in self.segments() {
            let runs = spill.write(vec![(segment, None)])?;
            self.outputs.add_runs(partition, runs);
        }
        self.forget();
        Ok(())
    }

    /// Hands over what came since the last time, after the last task.
    pub(crate) fn commit(&mut self) -> Result<()> {
        if self.records == 0 {
            return Ok(());
        }
        self.shrink_chunks();
        // With the overhead of what is handed over.
        let used = self.buckets.iter().filter(|bucket| bucket.open_entries > 0);
        let used = used.count();
        let most_bytes = (self.share_bytes / self.buckets.len() / 2).min(MOST_CHUNK_BYTES);
        if most_bytes > LEAST_CHUNK_BYTES && used > 0 {
            let mean_bytes = self.bytes / used;
            self.first_chunk_bytes =
                (mean_bytes + mean_bytes / 8).clamp(LEAST_CHUNK_BYTES, most_bytes);
        }
        let bytes = self.bytes + used * SEGMENT_BYTES;
        self.reservation.clear();
        let mut is_kept = self.outputs.try_keep(bytes, &self.resources);
        if !is_kept {
            self.outputs.check_may_spill(&self.resources)?;
            if self.outputs.kept_bytes() > bytes {
                is_kept = self.outputs.spill_kept(&self.resources)?
                    && self.outputs.try_keep(bytes, &self.resources);
            }
        }
        if is_kept {
            for (partition, segment) in self.segments() {
                self.outputs.keep(partition, segment, &self.resources);
            }
            self.forget();
        } else {
            self.spill()?;
        }
        self.chunks_given.fill(0);
        Ok(())
    }

    /// Gives back what the last chunks have too much.
    fn shrink_chunks(&mut self) {
        for bucket in &mut self.buckets {
            let capacity = bucket.open.capacity();
            if capacity - bucket.open.len() > capacity / 8 {
                bucket.open.shrink_to_fit();
                self.bytes -= capacity - bucket.open.capacity();
            }
        }
    }

    /// Takes the entries out of the buckets.
    fn segments(&mut self) -> Vec<(usize, Segment)> {
        let progress = &self.resources.progress;
        progress.add_shuffled(std::mem::take(&mut self.records), self.bytes as u64);
        let task = self.first_task as u64;
        let slices = 1 << self.slice_bits;
        let mut segments = Vec::new();
        for (partition, buckets) in self.buckets.chunks_mut(slices).enumerate() {
            let mut chunks = Vec::new();
            let mut overhead_bytes = 0;
            for (slice, bucket) in buckets.iter_mut().enumerate() {
                let Bucket {
                    open,
                    open_entries,
                    full,
                } = std::mem::take(bucket);
                if open_entries > 0 {
                    overhead_bytes += SEGMENT_BYTES;
                }
                let last = (open_entries > 0).then_some((open, open_entries));
                for (bytes, entries) in full.into_iter().chain(last) {
                    let chunk = self.chunks_given[partition];
                    self.chunks_given[partition] += 1;
                    chunks.push(Chunk {
                        bytes,
                        entries,
                        slice,
                        order: Order { task, chunk },
                    });
                }
            }
            if !chunks.is_empty() {
                segments.push((partition, Segment::new(chunks, overhead_bytes)));
            }
        }
        segments
    }

    fn forget(&mut self) {
        self.bytes = 0;
        self.reservation.clear();
    }
}

fn empty_buckets(count: usize) -> Vec<Bucket> {
    let mut buckets = Vec::new();
    buckets.resize_with(count, Bucket::default);
    buckets
}

fn share_bytes(resources: &Resources) -> usize {
    resources.budget.limit_bytes() / (2 * resources.threads.max(1))
}

/// How many bits of a place say which slice of its partition it belongs to.
///
/// A slice of many records is to fit into the cache when it is sorted. More slices than this are more places to write
/// to than the processor keeps track of; and where memory is short, many chunks that are hardly begun are a waste.
pub(crate) fn slice_bits(partitioner: HashPartitioner, resources: &Resources) -> u32 {
    let most = (share_bytes(resources) / SLICE_BYTES).min(MOST_BUCKETS);
    let slices = (most / partitioner.partitions()).clamp(1, MOST_SLICES);
    slices.ilog2()
}

/// Which slice of its partition a place belongs to.
#[inline]
pub(super) fn slice_of(place: u64, slice_bits: u32) -> usize {
    // Shifted in two steps, since there may be no bits to be left.
    ((place >> 1) >> (u64::BITS - 1 - slice_bits)) as usize
}
