//! Sorting records by a comparison: values in memory, which are stored encoded, with their position in the bag.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::mem;

use super::Sort;
use super::divided::radix_sort_in_parts;
use super::guess::{self, for_each_guessed};
use super::natural_runs::{self, NaturalRun};
use crate::error::{Error, Result};
use crate::pipeline::{Call, Data, Owned, Peek, Record, Ref};
use crate::portable::{Portable, portable};
use crate::shuffle::memory::hints::{prefetch, reserve_populated};
use crate::storage::codec::{self, Sampling};
use crate::storage::merge::MergeOrder;
use crate::task::StopFlag;

/// Approximate overhead of the allocator per allocation, in bytes.
const ALLOCATION_BYTES: usize = 16;

/// Number of items that are sorted in one batch if they own memory. This many, with the memory that they own, fit into
/// the CPU cache.
const STRETCH_ITEMS: usize = 1 << 14;

/// Defines the items that are sorted, and their comparison.
pub(crate) trait TypedSort: Portable + Send + Sync + 'static {
    type Record: Record + ?Sized;
    /// A record, with the values that are computed once from it.
    type Item: Data;

    /// `true` if the bounds of the partitions come from samples of the records.
    const SAMPLED: bool = true;

    fn item(&self, record: Ref<'_, Self::Record>) -> Result<Self::Item>;

    fn record(item: Self::Item) -> Owned<Self::Record>;

    fn compare(&self, first: &Self::Item, second: &Self::Item) -> Ordering;

    /// `false` if there are no ranks for any items, so that the code that uses them need not be compiled.
    const MAY_BE_RANKED: bool = false;

    /// Whether [`rank`](Self::rank) distinguishes items.
    #[inline]
    fn is_ranked() -> bool {
        false
    }

    /// Returns a number that approximates the order: of two items, the one with the lower rank comes first.
    #[inline]
    fn rank(&self, _item: &Self::Item) -> u64 {
        0
    }

    /// Returns whether an item belongs before a partition, which begins at `bound`.
    #[inline]
    fn is_before(&self, item: &Self::Item, _partition: usize, bound: Option<&Self::Item>) -> bool {
        bound.is_some_and(|bound| self.compare(item, bound).is_lt())
    }
}

/// Sorts records by a comparison.
pub(crate) struct ByComparison<T: ?Sized, C> {
    pub(crate) compare: C,
    pub(crate) records: PhantomData<fn(&T)>,
}

portable! {
    [T: ?Sized, C: Portable] ByComparison<T, C> { compare: part, records: part }
}

impl<T, C> TypedSort for ByComparison<T, C>
where
    T: Record<Owned: Data> + ?Sized,
    C: for<'a, 'b> Call<(Peek<'a, T>, Peek<'b, T>), Out = Ordering>,
{
    type Record = T;
    type Item = Owned<T>;

    #[inline]
    fn item(&self, record: Ref<'_, T>) -> Result<Owned<T>> {
        Ok(T::into_owned(record))
    }

    #[inline]
    fn record(item: Owned<T>) -> Owned<T> {
        item
    }

    #[inline]
    fn compare(&self, first: &Owned<T>, second: &Owned<T>) -> Ordering {
        let (first, second) = (T::peek_owned(first), T::peek_owned(second));
        self.compare.call((first, second))
    }
}

/// Sorts items by a comparison.
pub(crate) struct Typed<C>(pub(crate) C);

portable! {
    [C: Portable] Typed<C> { 0: part }
}

/// WalkPosition of an item in the bag: the task, and the number of its run. Within a run, items of one task are already in
/// order.
type SortedOrigin = (usize, usize);

/// The first two bytes of a position hold the low bits of the task, and two flags. `LONG_TASK` is set if more bits of
/// the task follow, and `LATER_RUN` if the run follows, because it is not the first. In most cases there are only these
/// two bytes. With varints, the records of later tasks would be longer, and the time of the sort would grow with the
/// number of tasks.
const TASK_BITS: u32 = 14;
const LONG_TASK: u16 = 1 << TASK_BITS;
const LATER_RUN: u16 = 2 << TASK_BITS;

#[inline(always)]
fn push_origin((task, run): SortedOrigin, bytes: &mut Vec<u8>) -> Result<()> {
    if task < usize::from(LONG_TASK) && run == 0 {
        bytes.extend_from_slice(&(task as u16).to_le_bytes());
        return Ok(());
    }
    push_long_origin((task, run), bytes)
}

#[inline(never)]
fn push_long_origin((task, run): SortedOrigin, bytes: &mut Vec<u8>) -> Result<()> {
    let (low, high) = (task as u16 & (LONG_TASK - 1), task >> TASK_BITS);
    let long_task = if high > 0 { LONG_TASK } else { 0 };
    let later_run = if run > 0 { LATER_RUN } else { 0 };
    bytes.extend_from_slice(&(low | long_task | later_run).to_le_bytes());
    if high > 0 {
        codec::encode_into(&high, bytes)?;
    }
    if run > 0 {
        codec::encode_into(&run, bytes)?;
    }
    Ok(())
}

/// Removes the position at the start of `bytes` and returns it.
///
/// The short way is inlined: a call would return the position through memory, which takes longer than the rest.
#[inline(always)]
fn take_origin(bytes: &mut &[u8]) -> Result<SortedOrigin> {
    let Some((head, rest)) = bytes.split_first_chunk() else {
        return Err(Error::internal("a position is cut short".to_owned()));
    };
    *bytes = rest;
    let head = u16::from_le_bytes(*head);
    if head < LONG_TASK {
        return Ok((head.into(), 0));
    }
    take_long_origin(head, bytes)
}

/// Removes what follows the first bytes of a position, and returns the position.
#[inline(never)]
fn take_long_origin(head: u16, bytes: &mut &[u8]) -> Result<SortedOrigin> {
    let (mut task, mut run) = (usize::from(head & (LONG_TASK - 1)), 0);
    if head & LONG_TASK != 0 {
        task |= codec::decode_prefix::<usize>(bytes)? << TASK_BITS;
    }
    if head & LATER_RUN != 0 {
        run = codec::decode_prefix(bytes)?;
    }
    Ok((task, run))
}

/// Items in the order of arrival.
pub(crate) struct TypedBuffer<T> {
    items: Vec<(usize, T)>,
    /// Approximate memory that the items own, in bytes.
    heap_bytes: usize,
    /// `true` once an item has been encoded and decoded without a change.
    sampling: Sampling,
    encoded: Vec<u8>,
}

impl<C: TypedSort> Sort for Typed<C> {
    type Record = C::Record;
    type Buffer = TypedBuffer<C::Item>;
    type Head = (SortedOrigin, C::Item);
    type Decoded = Option<(SortedOrigin, C::Item)>;

    const SAMPLED: bool = C::SAMPLED;

    fn buffer(&self, _: usize) -> TypedBuffer<C::Item> {
        TypedBuffer {
            items: Vec::new(),
            heap_bytes: 0,
            sampling: Sampling::default(),
            encoded: Vec::new(),
        }
    }

    #[inline]
    fn push(
        &self,
        buffer: &mut TypedBuffer<C::Item>,
        task: usize,
        record: Ref<'_, C::Record>,
    ) -> Result<()> {
        let item = self.0.item(record)?;
        buffer.sampling.check(|| codec::check(&item))?;
        if mem::needs_drop::<C::Item>() {
            // Measure each item, not one of many: an item may be as large as all others together.
            buffer.encoded.clear();
            codec::encode_into(&item, &mut buffer.encoded)?;
            buffer.heap_bytes += buffer.encoded.len() + ALLOCATION_BYTES;
        }
        if buffer.items.len() == buffer.items.capacity() {
            // Do not let the vector double: one run would take the memory of two.
            let more = (buffer.items.len() / 4).max(256);
            reserve_populated(&mut buffer.items, more);
        }
        buffer.items.push((task, item));
        Ok(())
    }

    #[inline]
    fn bytes(buffer: &TypedBuffer<C::Item>) -> usize {
        let items_bytes = buffer.items.capacity() * size_of::<Tagged<C::Item>>();
        let sort_bytes = match C::is_ranked() {
            // The sort needs a second buffer.
            true => buffer.items.len() * 2 * size_of::<RankedItem>(),
            false => guess::sort_bytes::<C::Item>(buffer.items.len()).unwrap_or_else(|| {
                // A stable sort needs a buffer for half of its input.
                let sorted_at_once = buffer.items.len().min(natural_run_items::<C::Item>());
                sorted_at_once / 2 * size_of::<Tagged<C::Item>>()
            }),
        };
        items_bytes + sort_bytes + buffer.heap_bytes + buffer.encoded.capacity()
    }

    fn is_empty(buffer: &TypedBuffer<C::Item>) -> bool {
        buffer.items.is_empty()
    }

    fn drain(
        &self,
        buffer: &mut TypedBuffer<C::Item>,
        run: usize,
        stop: &StopFlag,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut encoded = mem::take(&mut buffer.encoded);
        for_each_sorted(&self.0, &mut buffer.items, stop, |(task, item)| {
            encoded.clear();
            push_origin((*task, run), &mut encoded)?;
            codec::encode_into(item, &mut encoded)?;
            each(&encoded)
        })?;
        buffer.items.clear();
        buffer.heap_bytes = 0;
        Ok(())
    }

    fn sample(&self, buffer: &TypedBuffer<C::Item>, bytes: &mut Vec<u8>) -> Result<()> {
        match buffer.items.last() {
            Some((_, item)) => {
                push_origin((0, 0), bytes)?;
                codec::encode_into(item, bytes)
            }
            None => Ok(()),
        }
    }

    #[inline]
    fn load(&self, bytes: &[u8], slot: &mut Self::Decoded) -> Result<()> {
        let mut bytes = bytes;
        let origin = take_origin(&mut bytes)?;
        *slot = Some((origin, codec::decode(bytes)?));
        Ok(())
    }

    #[inline]
    fn head<'a>(_: &'a [u8], slot: &'a Self::Decoded) -> Option<&'a Self::Head> {
        slot.as_ref()
    }

    #[inline]
    fn take<R>(
        &self,
        _: &[u8],
        slot: &mut Self::Decoded,
        f: impl FnOnce(Ref<'_, C::Record>) -> R,
    ) -> Option<R> {
        let (_, item) = slot.take()?;
        Some(<C::Record as Record>::lend(C::record(item), f))
    }

    #[inline]
    fn rank(&self, head: &Self::Head) -> u64 {
        match C::is_ranked() {
            true => self.0.rank(&head.1),
            false => 0,
        }
    }

    #[inline]
    fn compare(&self, first: &Self::Head, second: &Self::Head) -> Ordering {
        self.0.compare(&first.1, &second.1)
    }

    #[inline]
    fn compare_places(first: &Self::Head, second: &Self::Head) -> Ordering {
        first.0.cmp(&second.0)
    }

    #[inline]
    fn is_before(&self, head: &Self::Head, partition: usize, bound: Option<&Self::Head>) -> bool {
        let bound = bound.map(|(_, item)| item);
        self.0.is_before(&head.1, partition, bound)
    }
}

/// An item with its task.
type Tagged<T> = (usize, T);

/// Returns the number of items that are sorted in one batch.
///
/// Comparing items that own memory means fetching that memory. A sort of millions of them fetches each many times, in
/// random order. So batches that fit into the cache with their memory are sorted and then merged, which fetches each
/// item again: 10 million names take 7.7 s instead of 13.3. Other items are compared in place, and sorting all of them
/// together is faster.
fn natural_run_items<T>() -> usize {
    match mem::needs_drop::<T>() {
        true => STRETCH_ITEMS,
        false => usize::MAX,
    }
}

/// Prefetch distance, in items: the sorted items are scattered over the buffer.
const PREFETCH_DISTANCE: usize = 16;

/// Rank and index of an item.
type RankedItem = (u64, usize);

/// Like [`for_each_sorted`], but sorts the ranks. Items stay where they are, and only those of the same rank are compared.
fn for_each_ranked<C: TypedSort>(
    sort: &C,
    items: &[Tagged<C::Item>],
    stop: &StopFlag,
    mut each: impl FnMut(&Tagged<C::Item>) -> Result<()>,
) -> Result<()> {
    let ranks = items.iter().map(|(_, item)| sort.rank(item));
    let mut ranked: Vec<RankedItem> = ranks.zip(0..).collect();
    stop.interruptible(|interrupt| {
        radix_sort_in_parts(&mut ranked, interrupt, |(rank, _)| *rank);
        for alike in ranked.chunk_by_mut(|a, b| a.0 == b.0) {
            alike.sort_by(|a, b| {
                interrupt.check();
                sort.compare(&items[a.1].1, &items[b.1].1)
            });
        }
    })?;
    for (at, (_, index)) in ranked.iter().enumerate() {
        if let Some((_, ahead)) = ranked.get(at + PREFETCH_DISTANCE) {
            prefetch(&raw const items[*ahead]);
        }
        each(&items[*index])?;
    }
    Ok(())
}

/// Calls `each` with the items in order. Stable: equal items keep the order in which this thread received them.
fn for_each_sorted<C: TypedSort>(
    sort: &C,
    items: &mut Vec<Tagged<C::Item>>,
    stop: &StopFlag,
    mut each: impl FnMut(&Tagged<C::Item>) -> Result<()>,
) -> Result<()> {
    if C::MAY_BE_RANKED && C::is_ranked() {
        return for_each_ranked(sort, items, stop, each);
    }
    if for_each_guessed(items, stop, |a, b| sort.compare(a, b), &mut each)? {
        return Ok(());
    }
    let len = natural_run_items::<C::Item>();
    stop.interruptible(|interrupt| {
        for natural_run in items.chunks_mut(len) {
            natural_run.sort_by(|a, b| {
                interrupt.check();
                sort.compare(&a.1, &b.1)
            });
        }
    })?;
    // Neighbouring batches that are already in order count as one, so that sorted input is not merged.
    let starts_anew = |at: &usize| sort.compare(&items[at - 1].1, &items[*at].1).is_gt();
    let ends = (len..items.len()).step_by(len).filter(starts_anew);
    let mut start = 0;
    let ends = ends.chain([items.len()]);
    let natural_runs = ends.map(|end| NaturalRun::new(&items[mem::replace(&mut start, end)..end]));
    natural_runs::merge(natural_runs, ByItem(sort), each)
}

struct ByItem<'c, C>(&'c C);

impl<C: TypedSort> MergeOrder<Tagged<C::Item>> for ByItem<'_, C> {
    #[inline]
    fn compare(&self, first: &Tagged<C::Item>, second: &Tagged<C::Item>) -> Ordering {
        self.0.compare(&first.1, &second.1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::pipeline::{ClosureState, Stated};

    type Name = (String, usize);

    const COUNT: usize = STRETCH_ITEMS * 5 / 2;

    /// Sorts by the name, and returns the number of comparisons, too.
    fn sorted(mut items: Vec<Tagged<Name>>) -> (Vec<Tagged<Name>>, usize) {
        let compared = Arc::new(AtomicUsize::new(0));
        let sort = ByComparison {
            compare: Stated(
                ClosureState::Given(Arc::clone(&compared)),
                |compared: &AtomicUsize, a: &Name, b: &Name| {
                    compared.fetch_add(1, Relaxed);
                    a.0.cmp(&b.0)
                },
            ),
            records: PhantomData::<fn(&Name)>,
        };
        let mut found = Vec::new();
        let each = |item: &Tagged<Name>| {
            found.push(item.clone());
            Ok(())
        };
        for_each_sorted(&sort, &mut items, &StopFlag::default(), each).unwrap();
        (found, compared.load(Relaxed))
    }

    fn items(name: impl Fn(usize) -> String) -> Vec<Tagged<Name>> {
        (0..COUNT).map(|n| (n / 100, (name(n), n))).collect()
    }

    #[test]
    fn places_of_few_tasks_are_two_bytes() {
        let ends = [
            0,
            1,
            0x3fff,
            0x4000,
            0x7fff,
            0x8000,
            0xffff,
            0x1_0000,
            usize::MAX,
        ];
        for task in ends {
            for run in ends {
                let mut bytes = Vec::new();
                push_origin((task, run), &mut bytes).unwrap();
                assert_eq!(bytes.len() == 2, task < 0x4000 && run == 0);
                bytes.push(7);
                let mut bytes = &bytes[..];
                assert_eq!(take_origin(&mut bytes).unwrap(), (task, run));
                assert_eq!(bytes, [7]);
            }
        }
        assert!(take_origin(&mut &[1][..]).is_err());
    }

    #[test]
    fn equal_items_of_all_stretches_come_in_the_order_of_the_bag() {
        let items = items(|n| (n * 7919 % 1000).to_string());
        let mut expected = items.clone();
        expected.sort_by(|a, b| a.1.0.cmp(&b.1.0));
        assert!(sorted(items).0 == expected);
        assert_eq!(sorted(Vec::new()).0, []);
    }

    #[test]
    fn what_came_in_order_is_not_merged() {
        let items = items(|n| format!("{n:09}"));
        let (found, compared) = sorted(items.clone());
        assert!(found == items);
        assert!(compared <= COUNT, "{compared} for {COUNT}");
    }
}
