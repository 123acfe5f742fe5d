//! Sorting records by their bytes: the records are in one arena, and the sort moves an index. If the index has only a
//! few natural runs, they are merged instead.
//!
//! Records with equal bytes are indistinguishable, so their order in the bag need not be kept.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::Sort;
use super::divided::sort_divided;
use super::natural_runs::{merge, natural_runs};
use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::pipeline::{Peek, Record, Ref, owned_bytes, text_bytes};
use crate::portable::portable;
use crate::shuffle::memory::hints::{advise_huge_pages, prefetch};
use crate::storage::merge::{ByBytes, MergeOrder};
use crate::task::{Interrupt, StopFlag};

/// Maximum length of a record, in bytes. A buffer is emptied before it has
/// [`MAX_BUFFER_BYTES`](super::writer::MAX_BUFFER_BYTES), so its length plus one more record fits into a `u32`.
const MAX_RECORD_BYTES: usize = 1 << 31;

/// Maximum length of a record in a sample, in bytes. Longer ones are cut: a prefix of a key serves as a bound as well
/// as the key.
const MAX_SAMPLE_BYTES: usize = 256;

/// Maximum length of a common prefix that is sorted by eight bytes at a time, in bytes. Beyond it, the remaining bytes
/// are compared as a whole.
const MAX_DEPTH_BYTES: usize = 256;

/// Minimum number of records with the same prefix for a sort by the next eight bytes. Fewer are compared as a whole.
const FEW_RECORDS: usize = 8;

/// Prefetch distance, in records: the sorted records are scattered over the arena.
const PREFETCH_DISTANCE: usize = 16;

/// A record that is ordered by its bytes.
pub(crate) trait AsBytes: Record {
    fn as_bytes<'a>(record: &'a Peek<'_, Self>) -> &'a [u8];
    fn with_record<R>(bytes: &[u8], f: impl FnOnce(Ref<'_, Self>) -> R) -> R;
}

impl AsBytes for str {
    #[inline]
    fn as_bytes<'a>(record: &'a &str) -> &'a [u8] {
        str::as_bytes(record)
    }

    #[inline]
    fn with_record<R>(bytes: &[u8], f: impl FnOnce(&str) -> R) -> R {
        f(text_bytes::text(bytes))
    }
}

impl AsBytes for [u8] {
    #[inline]
    fn as_bytes<'a>(record: &'a &[u8]) -> &'a [u8] {
        record
    }

    #[inline]
    fn with_record<R>(bytes: &[u8], f: impl FnOnce(&[u8]) -> R) -> R {
        f(bytes)
    }
}

/// For types that turn out to be [`String`] or `Vec<u8>` only when the code is instantiated. Rust has no
/// specialisation.
impl<T: 'static> AsBytes for T {
    #[inline]
    fn as_bytes<'a>(record: &'a &T) -> &'a [u8] {
        match owned_bytes::as_bytes(*record) {
            Some(bytes) => bytes,
            None => unreachable!("other types are not sorted as bytes"),
        }
    }

    #[inline]
    fn with_record<R>(bytes: &[u8], f: impl FnOnce(T) -> R) -> R {
        match owned_bytes::from_bytes(bytes) {
            Some(record) => f(record),
            None => unreachable!("other types are not sorted as bytes"),
        }
    }
}

/// Orders records by their bytes.
pub(crate) struct Bytes<T: ?Sized>(pub(crate) PhantomData<fn(&T)>);

portable! {
    [T: ?Sized] Bytes<T> { 0: part }
}

/// WalkPosition of a record in the arena.
#[derive(Clone, Copy)]
struct Entry {
    /// The first eight bytes or, during the sort, the eight bytes at the current depth.
    prefix: u64,
    start: u32,
    len: u32,
}

/// Records in the order of arrival.
pub(crate) struct BytesBuffer {
    arena: Vec<u8>,
    index: Vec<Entry>,
}

/// Orders the records in the arena.
struct InArena<'a>(&'a [u8]);

impl MergeOrder<Entry> for InArena<'_> {
    #[inline]
    fn rank(&self, entry: &Entry) -> u64 {
        entry.prefix
    }

    #[inline]
    fn compare(&self, first: &Entry, second: &Entry) -> Ordering {
        let prefixes = first.prefix.cmp(&second.prefix);
        prefixes.then_with(|| slice(self.0, first).cmp(slice(self.0, second)))
    }
}

impl BytesBuffer {
    /// Calls `each` with every record, in order.
    fn each_sorted(
        &mut self,
        stop: &StopFlag,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let Self { arena, index } = self;
        let order = InArena(arena);
        let is_in_order = |first: &Entry, second: &Entry| order.compare(first, second).is_le();
        if let Some(natural_runs) = natural_runs(index, is_in_order) {
            return merge(natural_runs, order, |entry| each(slice(arena, entry)));
        }
        stop.interruptible(|interrupt| sort_from(arena, index, 0, interrupt))?;
        index.iter().enumerate().try_for_each(|(at, entry)| {
            let ahead = index.get(at + PREFETCH_DISTANCE);
            if let Some(byte) = ahead.and_then(|ahead| arena.get(ahead.start as usize)) {
                prefetch(byte);
            }
            each(slice(arena, entry))
        })
    }
}

#[inline]
fn prefix_of(bytes: &[u8]) -> u64 {
    ByBytes.rank(bytes)
}

#[inline]
fn slice<'a>(arena: &'a [u8], entry: &Entry) -> &'a [u8] {
    &arena[entry.start as usize..][..entry.len as usize]
}

/// Sorts records that have at least `depth` bytes and agree in the first `depth` of them.
///
/// First sorts by the next eight bytes as numbers, which needs neither branches nor accesses to the records. Then sorts
/// each group that agrees in these by the following eight bytes. A shorter record is padded with zeros. Among equal
/// prefixes, it comes before records that really have zeros there.
fn sort_from(arena: &[u8], index: &mut [Entry], depth: usize, interrupt: Interrupt<'_>) {
    let prefix = |entry: &Entry| entry.prefix;
    sort_divided(index, interrupt, prefix, |part| {
        part.sort_unstable_by_key(prefix)
    });
    for group in index.chunk_by_mut(|a, b| a.prefix == b.prefix) {
        if group.len() == 1 {
            continue;
        }
        if group.len() < FEW_RECORDS || depth >= MAX_DEPTH_BYTES {
            group.sort_unstable_by(|a, b| {
                // Only groups this deep may be large.
                if depth >= MAX_DEPTH_BYTES {
                    interrupt.check();
                }
                slice(arena, a)[depth..].cmp(&slice(arena, b)[depth..])
            });
            continue;
        }
        let deeper = depth + 8;
        group.sort_unstable_by_key(|entry| entry.len.min(deeper as u32 + 1));
        let ended = group.partition_point(|entry| entry.len as usize <= deeper);
        let longer = &mut group[ended..];
        for entry in &mut *longer {
            entry.prefix = prefix_of(&slice(arena, entry)[deeper..]);
        }
        if !longer.is_empty() {
            sort_from(arena, longer, deeper, interrupt);
        }
    }
}

impl<T: AsBytes + ?Sized> Sort for Bytes<T> {
    type Record = T;
    type Buffer = BytesBuffer;
    type Head = [u8];
    type Decoded = ();

    fn buffer(&self, bytes: usize) -> BytesBuffer {
        // This reserves only addresses; a page takes memory once it is written. Growing step by step would copy all
        // bytes each time.
        let mut arena = Vec::with_capacity(bytes);
        advise_huge_pages(
            NonNull::from(arena.spare_capacity_mut()).cast(),
            arena.capacity(),
        );
        let index = Vec::with_capacity(bytes / size_of::<Entry>());
        BytesBuffer { arena, index }
    }

    #[inline]
    fn push(&self, buffer: &mut BytesBuffer, _: usize, record: Ref<'_, T>) -> Result<()> {
        let record = T::peek(&record);
        let bytes = T::as_bytes(&record);
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(Error::new(ErrorKind::RecordTooLong {
                bytes: bytes.len(),
                limit_bytes: MAX_RECORD_BYTES,
                context: ErrorContext::default(),
            }));
        }
        buffer.index.push(Entry {
            prefix: prefix_of(bytes),
            start: buffer.arena.len() as u32,
            len: bytes.len() as u32,
        });
        buffer.arena.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn bytes(buffer: &BytesBuffer) -> usize {
        buffer.arena.len() + buffer.index.len() * size_of::<Entry>()
    }

    fn is_empty(buffer: &BytesBuffer) -> bool {
        buffer.index.is_empty()
    }

    fn drain(
        &self,
        buffer: &mut BytesBuffer,
        _: usize,
        stop: &StopFlag,
        each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let drained = buffer.each_sorted(stop, each);
        buffer.index.clear();
        buffer.arena.clear();
        drained
    }

    fn sample(&self, buffer: &BytesBuffer, bytes: &mut Vec<u8>) -> Result<()> {
        if let Some(last) = buffer.index.last() {
            let record = slice(&buffer.arena, last);
            bytes.extend_from_slice(&record[..record.len().min(MAX_SAMPLE_BYTES)]);
        }
        Ok(())
    }

    #[inline]
    fn load(&self, _: &[u8], (): &mut ()) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn head<'a>(bytes: &'a [u8], (): &'a ()) -> Option<&'a [u8]> {
        Some(bytes)
    }

    #[inline]
    fn take<R>(&self, bytes: &[u8], (): &mut (), f: impl FnOnce(Ref<'_, T>) -> R) -> Option<R> {
        Some(T::with_record(bytes, f))
    }

    #[inline]
    fn rank(&self, head: &[u8]) -> u64 {
        prefix_of(head)
    }

    #[inline]
    fn compare(&self, first: &[u8], second: &[u8]) -> Ordering {
        first.cmp(second)
    }
}
