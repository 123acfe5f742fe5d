//! The map side of a shuffle that keeps every record: entries by partition, as they come.
//!
//! ```text
//!  records -> chunks of partition 0 | 1 | .. | n     in memory, within the thread's share
//!                 | end of a task                | share full, or the budget refuses more
//!                 v                              v
//!             kept for the readers           each partition sorted, one run for each in one file
//!             (spilled later if others need the memory)
//! ```

use super::entry::{self, Order};
use super::group_outputs::{GroupOutputs, Segment};
use super::group_spill::Spill;
use super::partitioner::HashPartitioner;
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
const MOST_CHUNK_BYTES: usize = 32 << 10;
const LEAST_CHUNK_BYTES: usize = 512;

/// A thread holds so much even if the budget refuses it: runs of a few records would cost more than they save.
const FLOOR_BYTES: usize = 256 << 10;

/// Memory that a segment takes besides its chunks.
const SEGMENT_BYTES: usize = 160;

/// The entries of one partition since the last commit.
#[derive(Default)]
struct Bucket {
    /// The one that is being filled.
    open: Vec<u8>,
    full: Vec<Vec<u8>>,
    entries: usize,
}

/// Divides the records of one thread's tasks among partitions.
pub(crate) struct Grouper<'o> {
    outputs: &'o GroupOutputs,
    resources: Resources,
    partitioner: HashPartitioner,
    buckets: Vec<Bucket>,
    key_value: Vec<u8>,

    // Memory.
    /// The capacity of all chunks; the reservation is as long, or shorter below the floor.
    bytes: usize,
    share_bytes: usize,
    reservation: Reservation,

    // The task at hand.
    /// How many chunks of each partition have been handed over.
    chunks_given: Vec<u64>,
    is_checked: bool,
}

impl<'o> Grouper<'o> {
    pub(crate) fn new(outputs: &'o GroupOutputs, resources: &Resources) -> Self {
        let partitioner = outputs.partitioner();
        Self {
            outputs,
            resources: resources.clone(),
            partitioner,
            buckets: empty_buckets(partitioner),
            key_value: Vec::new(),
            bytes: 0,
            share_bytes: resources.budget.limit_bytes() / (2 * resources.threads.max(1)),
            reservation: resources.budget.reservation(),
            chunks_given: vec![0; partitioner.partitions()],
            is_checked: false,
        }
    }

    /// Takes in one record of the task with the number `task`.
    #[inline]
    pub(crate) fn push<E: Encode>(&mut self, record: Ref<'_, E::In>, task: usize) -> Result<()> {
        if !self.is_checked {
            E::check(&record)?;
            self.is_checked = true;
        }
        self.key_value.clear();
        let key_len = E::encode(record, &mut self.key_value)?;
        let partition = self
            .partitioner
            .position(&self.key_value[..key_len])
            .partition;
        let needed_bytes = entry::MAX_HEADER_BYTES + self.key_value.len();
        let bucket = &mut self.buckets[partition];
        if bucket.open.capacity() - bucket.open.len() < needed_bytes {
            self.add_chunk(partition, needed_bytes, task)?;
        }
        let bucket = &mut self.buckets[partition];
        entry::push(&mut bucket.open, key_len, &self.key_value);
        bucket.entries += 1;
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn add_chunk(&mut self, partition: usize, needed_bytes: usize, task: usize) -> Result<()> {
        if needed_bytes > MAX_RECORD_BYTES {
            return Err(Error::new(ErrorKind::RecordTooLong {
                bytes: needed_bytes,
                limit_bytes: MAX_RECORD_BYTES,
            }));
        }
        let usual = self.buckets[partition].open.capacity() * 2;
        let bytes = usual
            .clamp(LEAST_CHUNK_BYTES, MOST_CHUNK_BYTES)
            .max(needed_bytes);
        self.make_room(bytes, task)?;
        self.bytes += bytes;
        let bucket = &mut self.buckets[partition];
        let full = std::mem::replace(&mut bucket.open, Vec::with_capacity(bytes));
        if !full.is_empty() {
            bucket.full.push(full);
        }
        Ok(())
    }

    /// Asks for memory for `bytes` more; spills where it is refused.
    fn make_room(&mut self, bytes: usize, task: usize) -> Result<()> {
        let wanted = self.bytes + bytes;
        if wanted <= self.share_bytes && self.reservation.try_resize(wanted) {
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
            self.spill(task)?;
        }
        // Refused or not: below the floor it is held all the same.
        let _ = self.reservation.try_resize(self.bytes + bytes);
        Ok(())
    }

    /// Writes what is here to runs.
    fn spill(&mut self, task: usize) -> Result<()> {
        let mut spill = Spill::new(self.partitioner, &self.resources)?;
        for (partition, segment) in self.segments(task) {
            let runs = spill.write(vec![(segment, None)])?;
            self.outputs.add_runs(partition, runs);
        }
        self.forget();
        Ok(())
    }

    /// Hands over what came since the last time, at the end of a task.
    pub(crate) fn commit(&mut self, task: usize) -> Result<()> {
        self.shrink_chunks();
        // With the overhead of what is handed over.
        let used = self.buckets.iter().filter(|bucket| bucket.entries > 0);
        let bytes = self.bytes + used.count() * SEGMENT_BYTES;
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
            for (partition, segment) in self.segments(task) {
                self.outputs.keep(partition, segment, &self.resources);
            }
            self.forget();
        } else {
            self.spill(task)?;
        }
        self.chunks_given.fill(0);
        self.is_checked = false;
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
    fn segments(&mut self, task: usize) -> Vec<(usize, Segment)> {
        let buckets = std::mem::replace(&mut self.buckets, empty_buckets(self.partitioner));
        let task = task as u64;
        let mut segments = Vec::new();
        for (partition, bucket) in buckets.into_iter().enumerate() {
            if bucket.entries == 0 {
                continue;
            }
            let number = &mut self.chunks_given[partition];
            let chunks = bucket.full.into_iter().chain([bucket.open]).map(|bytes| {
                let chunk = *number;
                *number += 1;
                let order = Order { task, chunk };
                Chunk { bytes, order }
            });
            let segment = Segment::new(chunks.collect(), bucket.entries, SEGMENT_BYTES);
            segments.push((partition, segment));
        }
        segments
    }

    fn forget(&mut self) {
        self.bytes = 0;
        self.reservation.clear();
    }
}

fn empty_buckets(partitioner: HashPartitioner) -> Vec<Bucket> {
    let mut buckets = Vec::new();
    buckets.resize_with(partitioner.partitions(), Bucket::default);
    buckets
}
