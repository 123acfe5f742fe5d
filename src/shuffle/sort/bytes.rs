//! Records that are sorted as bytes: one arena, and an index that is sorted instead of them, or merged where it consists
//! of a few sorted stretches.
//!
//! Records that are equal as bytes cannot be told apart, so nothing is spent on keeping them in the order of the bag.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::Sort;
use super::stretches::{merge, stretches};
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Peek, Record, Ref, owned_bytes, text_bytes};
use crate::portable::portable;
use crate::shuffle::memory::hints::{advise_huge_pages, prefetch};
use crate::storage::merge::{ByBytes, Order};

/// A buffer is emptied before it has [`MAX_BUFFER_BYTES`](super::writer::MAX_BUFFER_BYTES), so that with one more record
/// its length is still one that a `u32` can say.
const MAX_RECORD_BYTES: usize = 1 << 31;

/// More of a record is not kept in a sample: a part of a key is a bound as good as the key.
const MAX_SAMPLE_BYTES: usize = 256;

/// Records equal this far are compared as a whole from there on.
const MAX_DEPTH_BYTES: usize = 256;

/// Fewer records than this with the same prefix are compared as a whole.
const FEW_RECORDS: usize = 8;

/// So many records before its turn a record is fetched: they stand anywhere in the arena.
const PREFETCH_DISTANCE: usize = 16;

/// A record whose order is that of its bytes.
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

/// For what is known to be [`String`] or `Vec<u8>` only once the type is put in: there is no specialisation.
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

/// The order of the bytes of records.
pub(crate) struct Bytes<T: ?Sized>(pub(crate) PhantomData<fn(&T)>);

portable! {
    [T: ?Sized] Bytes<T> { 0: part }
}

/// Where a record stands in the arena.
#[derive(Clone, Copy)]
struct Entry {
    /// The first eight bytes, or the eight from the depth on that is being sorted.
    prefix: u64,
    start: u32,
    len: u32,
}

/// Records as they came.
pub(crate) struct BytesBuffer {
    arena: Vec<u8>,
    index: Vec<Entry>,
}

/// The order of records in the arena.
struct InArena<'a>(&'a [u8]);

impl Order<Entry> for InArena<'_> {
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
    fn each_sorted(&mut self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let Self { arena, index } = self;
        let order = InArena(arena);
        let is_in_order = |first: &Entry, second: &Entry| order.compare(first, second).is_le();
        if let Some(stretches) = stretches(index, is_in_order) {
            return merge(stretches, order, |entry| each(slice(arena, entry)));
        }
        sort_from(arena, index, 0);
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

/// Sorts records that are equal in their first `depth` bytes, all of which have.
///
/// By the next eight bytes as numbers, which compares without a branch or a visit to the records; then each group that
/// is equal in these by the eight after them. A shorter record is filled up with zeros; among equal prefixes it comes
/// before those that have zeros there.
fn sort_from(arena: &[u8], index: &mut [Entry], depth: usize) {
    index.sort_unstable_by_key(|entry| entry.prefix);
    for group in index.chunk_by_mut(|a, b| a.prefix == b.prefix) {
        if group.len() == 1 {
            continue;
        }
        if group.len() < FEW_RECORDS || depth >= MAX_DEPTH_BYTES {
            group.sort_unstable_by(|a, b| slice(arena, a)[depth..].cmp(&slice(arena, b)[depth..]));
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
            sort_from(arena, longer, deeper);
        }
    }
}

impl<T: AsBytes + ?Sized> Sort for Bytes<T> {
    type Record = T;
    type Buffer = BytesBuffer;
    type Head = [u8];
    type Slot = ();

    fn buffer(&self, bytes: usize) -> BytesBuffer {
        // Addresses only: a page is memory once it is written to. Growing step by step would copy all of it each time.
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
        each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let drained = buffer.each_sorted(each);
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
    fn rank(head: &[u8]) -> u64 {
        prefix_of(head)
    }

    #[inline]
    fn compare(&self, first: &[u8], second: &[u8]) -> Ordering {
        first.cmp(second)
    }
}
