//! The map side of a shuffle that keeps every record: entries by partition, in the order of arrival.
//!
//! ```text
//!  records -> chunks of partition 0 | 1 | .. | n     in slabs, within the thread's share
//!                 | end of some tasks            | share full, or the budget refuses more
//!                 v                              v
//!             kept for the readers           each partition sorted, one run for each in one file
//!             (spilled later if others need the memory)
//! ```

use super::group_bucket::{Bucket, empty_buckets};
use super::task_batch::TaskBatch;
use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::pipeline::Ref;
use crate::shuffle::key::encode::Encode;
use crate::shuffle::key::entry::{EntrySeq, MAX_HEADER_BYTES};
use crate::shuffle::key::entry_batch::EntryBatch;
use crate::shuffle::key::entry_value::EntryValue;
use crate::shuffle::key::partitioner::{HashPartitioner, KeyPosition};
use crate::shuffle::key::short_entry::ShortEntry;
use crate::shuffle::key::slices::{SliceLayout, bucket_of, group_share_bytes};
use crate::shuffle::memory::slab::{SlabSpan, Slabs};
use crate::shuffle::outputs::group_outputs::GroupOutputs;
use crate::shuffle::outputs::part::PartSeq;
use crate::shuffle::outputs::segment::{CHUNK_BYTES, Chunk, MAX_CHUNK_BYTES, Segment};
use crate::shuffle::outputs::shuffle_outputs::ShuffleOutputs;
use crate::storage::codec::{Room, Sampling, Short};
use crate::storage::memory::Reservation;
use crate::storage::run::MAX_RECORD_BYTES;
use crate::task::Resources;

/// Minimum length of a chunk, in bytes. Chunks grow with the slabs that hold them.
const MIN_CHUNK_BYTES: usize = 512;

/// Maximum number of slab lists per thread. Neighbouring partitions share a list, and a slab is freed when all of its
/// chunks have been read. With more lists, more memory would be almost unused.
const MAX_SLAB_LISTS: usize = 8;

/// Maximum length of a slab, in bytes. The slabs of a list double up to this length. If the thread's share is small,
/// they double only up to a fraction of it, so that partly filled slabs waste little: at most 1/`OPEN_SLABS_OF_SHARE`
/// of the share, over all lists.
const MAX_SLAB_BYTES: usize = 2 << 20;
const OPEN_SLABS_OF_SHARE: usize = 8;

/// Memory that a thread holds even if the budget refuses it, in bytes. With less, runs would have only a few records,
/// and cost more than they save.
const FLOOR_BYTES: usize = 256 << 10;

/// Number of pairs that are not tried as short entries after one that was too long. A failed attempt encodes the value in
/// vain, and an attempt that succeeds must first add the longer entries before it, which are then few.
const TRY_SHORT_AFTER: u8 = 32;

/// Number of pairs that are buffered after one that could not be encoded in its bucket although there was `DIRECT_BYTES`
/// of room.
const TRY_DIRECT_AFTER: u8 = 32;
const DIRECT_BYTES: usize = 160;

/// Partitions the records of one thread's tasks.
pub(crate) struct Grouper<'o> {
    outputs: &'o ShuffleOutputs<Segment>,
    resources: Resources,
    partitioner: HashPartitioner,
    /// For each partition, one bucket for each of its radix partitions. These are the hash ranks that start with the
    /// same bits.
    buckets: Vec<Bucket>,
    slice_bits: u32,
    /// Records on their way to the buckets.
    entries: EntryBatch,
    /// Number of pairs that will not be tried as short entries.
    skip_short: u8,
    /// Number of pairs that will not be tried to be encoded in their buckets.
    skip_direct: u8,
    /// `true` once the first record has been encoded and decoded without a change.
    sampling: Sampling,

    // Memory.
    slabs: Vec<Slabs>,
    /// Number of buckets that share a list of slabs.
    buckets_of_list: usize,
    /// Length of the slabs that do not belong to committed chunks, in bytes.
    slab_bytes: usize,
    most_slab_bytes: usize,
    share_bytes: usize,
    /// `true` if a slab has no part of the budget.
    is_over: bool,

    // The current task, and the tasks before it that are committed with it.
    first_task: usize,
    tasks: TaskBatch,
    /// Number of chunks of each partition that have been committed.
    chunks_given: Vec<u64>,
    /// Number of records that have not been committed, and their length in bytes.
    records: u64,
    bytes: usize,
}

impl<'o> Grouper<'o> {
    pub(crate) fn new(outputs: &'o GroupOutputs, resources: &Resources) -> Self {
        let outputs = &outputs.parts;
        let SliceLayout {
            partitioner,
            slice_bits,
        } = outputs.layout();
        let partitions = partitioner.partitions();
        let share_bytes = match outputs.is_in_memory() {
            // Entries that cannot be spilled may all come from one task.
            true => resources.budget.limit_bytes() / 2,
            false => group_share_bytes(resources),
        };
        let buckets = empty_buckets(partitions << slice_bits);
        let buckets_of_list = partitions.div_ceil(MAX_SLAB_LISTS) << slice_bits;
        let mut slabs = Vec::new();
        slabs.resize_with(buckets.len().div_ceil(buckets_of_list), Slabs::default);
        Self {
            outputs,
            resources: resources.clone(),
            partitioner,
            buckets,
            slice_bits,
            entries: EntryBatch::default(),
            skip_short: 0,
            skip_direct: 0,
            sampling: Sampling::default(),
            most_slab_bytes: (share_bytes / (OPEN_SLABS_OF_SHARE * slabs.len()))
                .min(MAX_SLAB_BYTES),
            slabs,
            buckets_of_list,
            slab_bytes: 0,
            share_bytes,
            is_over: false,
            first_task: 0,
            tasks: TaskBatch::default(),
            chunks_given: vec![0; partitions],
            records: 0,
            bytes: 0,
        }
    }

    /// Announces that the next records are those of `task`.
    pub(crate) fn begin_task(&mut self, task: usize) -> Result<()> {
        if self.tasks.begins_with(task, self.bytes, self.share_bytes) {
            self.hand_over()?;
            self.first_task = task;
        }
        Ok(())
    }

    /// Adds one record, if its key is wanted. It may stay buffered until the end of the task.
    #[inline]
    pub(crate) fn push<E: Encode>(
        &mut self,
        record: Ref<'_, E::In>,
        is_wanted: &mut impl FnMut(KeyPosition) -> bool,
    ) -> Result<()> {
        self.sampling.check(|| E::check(&record))?;
        if is_due(&mut self.skip_short) {
            if let Some((key, value)) = E::encode_short(&record)
                && let Some(entry) = ShortEntry::of_chunk(key, value)
            {
                return self.push_short(key, entry, is_wanted);
            }
            self.skip_short = TRY_SHORT_AFTER;
        }
        if self.entries.push_record::<E>(record)? {
            self.flush(is_wanted)?;
        }
        Ok(())
    }

    /// Adds a short entry to its bucket immediately, if its key is wanted.
    #[inline(always)]
    fn push_short(
        &mut self,
        key: Short,
        entry: ShortEntry,
        is_wanted: &mut impl FnMut(KeyPosition) -> bool,
    ) -> Result<()> {
        if self.entries.len() > 0 {
            // Earlier records may have the same key.
            self.flush(is_wanted)?;
        }
        let position = self.partitioner.short_position(key);
        if !is_wanted(position) {
            return Ok(());
        }
        let number = bucket_of(position, self.slice_bits);
        let bucket = &mut self.buckets[number];
        if bucket.open.push_short(entry) {
            bucket.open_entries += 1;
        } else {
            let (bytes, len) = entry.bytes();
            self.push_entry(number, &bytes[..len])?;
        }
        // A spill for its memory does not include the entry.
        self.records += 1;
        self.bytes += entry.len();
        Ok(())
    }

    /// Adds a short key and its value, if the value is short as well.
    #[inline(always)]
    pub(crate) fn push_short_pair<V: EntryValue>(
        &mut self,
        key: Short,
        value: &V,
    ) -> Option<Result<()>> {
        let entry = ShortEntry::of_chunk(key, value.encode_short()?)?;
        Some(self.push_short(key, entry, &mut any_key))
    }

    /// Adds a key that is already bytes, and its value.
    #[inline]
    pub(crate) fn push_pair<V: EntryValue>(&mut self, key: &[u8], value: &V) -> Result<()> {
        match Short::new(key) {
            Some(short) => self.push_short_key(short, value),
            None => self.push_buffered(key, value),
        }
    }

    /// Adds a short key, and its value.
    #[inline]
    pub(crate) fn push_short_key<V: EntryValue>(&mut self, key: Short, value: &V) -> Result<()> {
        if is_due(&mut self.skip_short) {
            if let Some(pushed) = self.push_short_pair(key, value) {
                return pushed;
            }
            self.skip_short = TRY_SHORT_AFTER;
        }
        if self.push_direct(key, value)? {
            return Ok(());
        }
        self.push_buffered(&key.word().to_le_bytes()[..key.len()], value)
    }

    #[inline(always)]
    fn push_buffered<V: EntryValue>(&mut self, key: &[u8], value: &V) -> Result<()> {
        if self.entries.push_pair(key, value)? {
            self.flush(&mut any_key)?;
        }
        Ok(())
    }

    /// Encodes a value in the bucket of its short key. Returns `false` if that is not possible.
    #[inline(always)]
    fn push_direct<V: EntryValue>(&mut self, key: Short, value: &V) -> Result<bool> {
        if !is_due(&mut self.skip_direct) {
            return Ok(false);
        }
        if self.entries.len() > 0 {
            // Earlier records may have the same key.
            self.flush(&mut any_key)?;
        }
        let number = bucket_of(self.partitioner.short_position(key), self.slice_bits);
        let bucket = &mut self.buckets[number];
        if bucket.open.left_bytes() < DIRECT_BYTES {
            return Ok(false);
        }
        let encode = |room: &mut Room<'_>| value.encode_to(room);
        let Some(bytes) = bucket.open.push_encoded(key, encode) else {
            self.skip_direct = TRY_DIRECT_AFTER;
            return Ok(false);
        };
        bucket.open_entries += 1;
        self.records += 1;
        self.bytes += bytes;
        Ok(true)
    }

    /// Adds the buffered records of the task.
    pub(crate) fn end_task(
        &mut self,
        is_wanted: &mut impl FnMut(KeyPosition) -> bool,
    ) -> Result<()> {
        self.flush(is_wanted)
    }

    #[inline(never)]
    fn flush(&mut self, is_wanted: &mut impl FnMut(KeyPosition) -> bool) -> Result<()> {
        let mut entries = std::mem::take(&mut self.entries);
        for (key, entry) in entries.entries() {
            let position = self.partitioner.position(key);
            if !is_wanted(position) {
                continue;
            }
            let number = bucket_of(position, self.slice_bits);
            let bucket = &mut self.buckets[number];
            if bucket.open.push(entry) {
                bucket.open_entries += 1;
            } else {
                self.push_entry(number, entry)?;
            }
            self.records += 1;
            self.bytes += entry.len();
        }
        entries.clear();
        self.entries = entries;
        Ok(())
    }

    /// Appends an entry to a bucket that has no capacity left.
    #[cold]
    #[inline(never)]
    fn push_entry(&mut self, number: usize, entry: &[u8]) -> Result<()> {
        let needed_bytes = MAX_HEADER_BYTES + entry.len();
        if needed_bytes > MAX_RECORD_BYTES {
            return Err(Error::new(ErrorKind::RecordTooLong {
                bytes: needed_bytes,
                limit_bytes: MAX_RECORD_BYTES,
                context: ErrorContext::default(),
            }));
        }
        let list = number / self.buckets_of_list;
        let least = entry.len().max(MIN_CHUNK_BYTES);
        let mut piece = loop {
            let slabs = &mut self.slabs[list];
            let usual = (slabs.last_bytes() / (2 * self.buckets_of_list)).min(MAX_CHUNK_BYTES);
            if let Some(piece) = slabs.piece(usual.max(least)) {
                break piece;
            }
            if let Some(piece) = slabs.piece(least) {
                break piece;
            }
            self.add_slab(list, least)?;
        };
        let _ = piece.push(entry);
        let bucket = &mut self.buckets[number];
        let full = std::mem::replace(&mut bucket.open, piece);
        let entries = std::mem::replace(&mut bucket.open_entries, 1);
        if entries > 0 {
            bucket.full.push((full, entries));
        }
        Ok(())
    }

    /// Adds memory to a list of slabs, if necessary by spilling.
    fn add_slab(&mut self, list: usize, least_bytes: usize) -> Result<()> {
        let first_bytes = MIN_CHUNK_BYTES * self.buckets_of_list;
        let mut bytes = (self.slabs[list].last_bytes() * 2)
            .max(first_bytes)
            .min(self.most_slab_bytes)
            .max(least_bytes);
        let reservation = self.reserve(bytes)?;
        if reservation.is_none() {
            self.outputs.check_may_spill(&self.resources)?;
            if self.records > 0 && self.slab_bytes >= FLOOR_BYTES {
                return self.spill();
            }
            // Below the floor, hold it even beyond the budget.
            self.is_over = true;
            bytes = bytes.min(first_bytes).max(least_bytes);
        }
        self.slabs[list].add(bytes, reservation);
        self.slab_bytes += bytes;
        Ok(())
    }

    /// Reserves `bytes` more, if necessary by spilling committed records.
    fn reserve(&self, bytes: usize) -> Result<Option<Reservation>> {
        if self.slab_bytes + bytes > self.share_bytes {
            return Ok(None);
        }
        let mut reservation = self.resources.budget.reservation();
        let is_granted = self.resources.reserve(&mut reservation, bytes, || {
            self.outputs.reclaim(self.slab_bytes, &self.resources)
        })?;
        reservation.trim();
        Ok(is_granted.then_some(reservation))
    }

    /// Frees memory for others: spills committed records and, unless there are few, the uncommitted ones.
    pub(crate) fn reclaim(&mut self) -> Result<()> {
        self.outputs.reclaim(0, &self.resources)?;
        if self.records > 0 && self.slab_bytes >= FLOOR_BYTES {
            self.spill()?;
        }
        Ok(())
    }

    /// Writes the uncommitted records to runs.
    fn spill(&mut self) -> Result<()> {
        let mut segments = self.take_segments();
        self.outputs
            .write(&mut segments, PartSeq::default(), &self.resources)?;
        self.forget_slabs();
        Ok(())
    }

    /// Commits the remaining records, after the last task.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.hand_over()?;
        self.forget_slabs();
        Ok(())
    }

    fn hand_over(&mut self) -> Result<()> {
        if self.records == 0 {
            return Ok(());
        }
        if let Some(lists) = self.reserve_to_keep()? {
            // Each entry records its order.
            let segments = self.take_segments();
            self.outputs.keep(segments, PartSeq::default(), lists);
            self.slabs.iter_mut().for_each(Slabs::forget_full);
            self.slab_bytes = self.slabs.iter().map(Slabs::last_bytes).sum();
        } else {
            self.spill()?;
        }
        self.chunks_given.fill(0);
        Ok(())
    }

    /// Returns the memory for the lists of chunks, if the uncommitted records may be kept.
    fn reserve_to_keep(&self) -> Result<Option<Reservation>> {
        let (outputs, resources) = (self.outputs, &self.resources);
        let chunks = self.buckets.iter().map(Bucket::chunks).sum::<usize>();
        let mut lists = resources.budget.reservation();
        if self.is_over || !resources.reserve(&mut lists, chunks * CHUNK_BYTES, || Ok(()))? {
            outputs.check_may_spill(resources)?;
            return Ok(None);
        }
        lists.trim();
        let may_keep = outputs.may_keep(self.bytes, resources)?;
        Ok(may_keep.then_some(lists))
    }

    /// Takes the entries out of the buckets: a segment for each partition.
    fn take_segments(&mut self) -> Vec<Segment> {
        let progress = &self.resources.progress;
        let bytes = std::mem::take(&mut self.bytes);
        progress.add_shuffled(std::mem::take(&mut self.records), bytes as u64);
        let task = self.first_task as u64;
        let slices = 1 << self.slice_bits;
        let mut segments = Vec::with_capacity(self.chunks_given.len());
        for (partition, buckets) in self.buckets.chunks_mut(slices).enumerate() {
            let mut chunks = Vec::with_capacity(buckets.iter().map(Bucket::chunks).sum());
            for (slice, bucket) in buckets.iter_mut().enumerate() {
                for (bytes, entries) in bucket.take() {
                    let chunk = self.chunks_given[partition];
                    self.chunks_given[partition] += 1;
                    chunks.push(Chunk {
                        bytes,
                        entries,
                        slice,
                        order: EntrySeq { task, chunk },
                    });
                }
            }
            segments.push(Segment::new(chunks));
        }
        segments
    }

    fn forget_slabs(&mut self) {
        for bucket in &mut self.buckets {
            bucket.open = SlabSpan::default();
        }
        self.slabs.iter_mut().for_each(Slabs::forget);
        self.slab_bytes = 0;
        self.is_over = false;
    }
}

/// Counts down. Returns whether nothing is left to be skipped.
#[inline(always)]
fn is_due(skip: &mut u8) -> bool {
    let is_due = *skip == 0;
    *skip = skip.saturating_sub(1);
    is_due
}

/// Accepts any key, for a [`Grouper`].
pub(crate) fn any_key(_: KeyPosition) -> bool {
    true
}
