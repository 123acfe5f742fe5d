//! Records that are sorted by a comparison: values in memory, encoded with their place in the bag when stored.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;

use super::Sort;
use super::stretches::{self, Stretch};
use crate::error::Result;
use crate::pipeline::{Data, Key, Owned, Peek, Record, Ref};
use crate::portable::{Portable, portable};
use crate::shuffle::HashPartitioner;
use crate::storage::codec;
use crate::storage::merge::Order;

/// What the allocator keeps beside an allocation, about.
const ALLOCATION_BYTES: usize = 16;

/// So many items are about what the processor's cache holds with the memory they have.
const STRETCH_ITEMS: usize = 1 << 14;

/// What is sorted, and by which comparison.
pub(crate) trait TypedSort: Portable + Send + Sync + 'static {
    type Record: Record + ?Sized;
    /// A record with what is computed of it once.
    type Item: Data;

    /// Whether the bounds of the partitions come from samples of the records.
    const SAMPLED: bool = true;

    fn item(&self, record: Ref<'_, Self::Record>) -> Result<Self::Item>;

    fn record(item: Self::Item) -> Owned<Self::Record>;

    fn compare(&self, first: &Self::Item, second: &Self::Item) -> Ordering;

    /// Whether an item belongs before a partition, which begins at `bound`.
    #[inline]
    fn is_before(&self, item: &Self::Item, _partition: usize, bound: Option<&Self::Item>) -> bool {
        bound.is_some_and(|bound| self.compare(item, bound).is_lt())
    }
}

/// Sorts records by a comparison.
pub(crate) struct ByComparison<T: ?Sized, S, F> {
    pub(crate) state: Arc<S>,
    pub(crate) compare: F,
    pub(crate) records: PhantomData<fn(&T)>,
}

portable! {
    [T: ?Sized, S: Data + Sync, F] ByComparison<T, S, F> {
        state: state, compare: code, records: part,
    }
}

impl<T, S, F> TypedSort for ByComparison<T, S, F>
where
    T: Record<Owned: Data> + ?Sized,
    S: Data + Sync,
    F: for<'a, 'b> Fn(&S, Peek<'a, T>, Peek<'b, T>) -> Ordering + Send + Sync + 'static,
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
        (self.compare)(&self.state, T::peek_owned(first), T::peek_owned(second))
    }
}

/// Sorts records by a key that is computed once for each and stored with it.
pub(crate) struct ByCachedKey<T: ?Sized, K, S, F> {
    pub(crate) state: Arc<S>,
    pub(crate) key_of: F,
    pub(crate) types: PhantomData<fn(&T) -> K>,
}

portable! {
    [T: ?Sized, K, S: Data + Sync, F] ByCachedKey<T, K, S, F> {
        state: state, key_of: code, types: part,
    }
}

impl<T, K, S, F> TypedSort for ByCachedKey<T, K, S, F>
where
    T: Record<Owned: Data> + ?Sized,
    K: Data + Ord,
    S: Data + Sync,
    F: for<'a> Fn(&S, Peek<'a, T>) -> K + Send + Sync + 'static,
{
    type Record = T;
    type Item = (K, Owned<T>);

    #[inline]
    fn item(&self, record: Ref<'_, T>) -> Result<(K, Owned<T>)> {
        let key = (self.key_of)(&self.state, T::peek(&record));
        Ok((key, T::into_owned(record)))
    }

    #[inline]
    fn record((_, record): (K, Owned<T>)) -> Owned<T> {
        record
    }

    #[inline]
    fn compare(&self, first: &(K, Owned<T>), second: &(K, Owned<T>)) -> Ordering {
        first.0.cmp(&second.0)
    }
}

/// Sorts pairs by the partition that the hash of their key belongs to, then by the key.
pub(crate) struct ByPartition<K, V> {
    pub(crate) partitioner: HashPartitioner,
    pub(crate) pairs: PhantomData<fn(K, V)>,
}

portable! {
    [K, V] ByPartition<K, V> { partitioner: data, pairs: part }
}

impl<K: Data + Ord, V: Data> TypedSort for ByPartition<K, V> {
    type Record = (K, V);
    type Item = (usize, K, V);

    const SAMPLED: bool = false;

    fn item(&self, (key, value): (K, V)) -> Result<(usize, K, V)> {
        let mut bytes = Vec::new();
        let position = K::with_bytes(&key, &mut bytes, |key| self.partitioner.position(key))?;
        Ok((position.partition, key, value))
    }

    #[inline]
    fn record((_, key, value): (usize, K, V)) -> (K, V) {
        (key, value)
    }

    #[inline]
    fn compare(&self, first: &(usize, K, V), second: &(usize, K, V)) -> Ordering {
        (first.0, &first.1).cmp(&(second.0, &second.1))
    }

    #[inline]
    fn is_before(&self, item: &(usize, K, V), partition: usize, _: Option<&Self::Item>) -> bool {
        item.0 < partition
    }
}

/// The sort by a comparison of items.
pub(crate) struct Typed<C>(pub(crate) C);

portable! {
    [C: Portable] Typed<C> { 0: part }
}

/// Where in the bag an item comes from: the task, and the run it was written to. In a run, those of one task stand in
/// order already.
type Place = (usize, usize);

/// The first two bytes of a place have the low bits of the task, and say whether more of them follow, and whether the run
/// does, as it is not the first. Mostly they are all: with varints records of more tasks would be longer, which takes a
/// sort more time than the tasks do.
const TASK_BITS: u32 = 14;
const LONG_TASK: u16 = 1 << TASK_BITS;
const LATER_RUN: u16 = 2 << TASK_BITS;

#[inline]
fn push_place((task, run): Place, bytes: &mut Vec<u8>) -> Result<()> {
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

/// The place that `bytes` start with, which then start after it.
#[inline]
fn take_place(bytes: &mut &[u8]) -> Result<Place> {
    let head = u16::from_le_bytes(codec::decode_prefix(bytes)?);
    let (mut task, mut run) = (usize::from(head & (LONG_TASK - 1)), 0);
    if head & LONG_TASK != 0 {
        task |= codec::decode_prefix::<usize>(bytes)? << TASK_BITS;
    }
    if head & LATER_RUN != 0 {
        run = codec::decode_prefix(bytes)?;
    }
    Ok((task, run))
}

/// Items as they came.
pub(crate) struct TypedBuffer<T> {
    items: Vec<(usize, T)>,
    /// What they have allocated, about.
    heap_bytes: usize,
    /// Whether one has been through the codec and back.
    is_checked: bool,
    encoded: Vec<u8>,
}

impl<C: TypedSort> Sort for Typed<C> {
    type Record = C::Record;
    type Buffer = TypedBuffer<C::Item>;
    type Head = (Place, C::Item);
    type Slot = Option<(Place, C::Item)>;

    const SAMPLED: bool = C::SAMPLED;

    fn buffer(&self, _: usize) -> TypedBuffer<C::Item> {
        TypedBuffer {
            items: Vec::new(),
            heap_bytes: 0,
            is_checked: false,
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
        if !buffer.is_checked {
            codec::check(&item)?;
            buffer.is_checked = true;
        }
        if mem::needs_drop::<C::Item>() {
            // Each, not one of many: an item may be as large as all others together.
            buffer.encoded.clear();
            codec::encode_into(&item, &mut buffer.encoded)?;
            buffer.heap_bytes += buffer.encoded.len() + ALLOCATION_BYTES;
        }
        if buffer.items.len() == buffer.items.capacity() {
            // Not left to doubling, which would take the memory of two runs for one.
            let more = (buffer.items.len() / 4).max(256);
            buffer.items.reserve_exact(more);
        }
        buffer.items.push((task, item));
        Ok(())
    }

    #[inline]
    fn bytes(buffer: &TypedBuffer<C::Item>) -> usize {
        // A stable sort moves half of what it sorts aside.
        let sorted_at_once = buffer.items.len().min(stretch_items::<C::Item>());
        let items = buffer.items.capacity() + sorted_at_once / 2;
        items * size_of::<(usize, C::Item)>() + buffer.heap_bytes + buffer.encoded.capacity()
    }

    fn is_empty(buffer: &TypedBuffer<C::Item>) -> bool {
        buffer.items.is_empty()
    }

    fn drain(
        &self,
        buffer: &mut TypedBuffer<C::Item>,
        run: usize,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut encoded = mem::take(&mut buffer.encoded);
        for_each_sorted(&self.0, &mut buffer.items, |(task, item)| {
            encoded.clear();
            push_place((*task, run), &mut encoded)?;
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
                push_place((0, 0), bytes)?;
                codec::encode_into(item, bytes)
            }
            None => Ok(()),
        }
    }

    #[inline]
    fn load(&self, bytes: &[u8], slot: &mut Self::Slot) -> Result<()> {
        let mut bytes = bytes;
        let place = take_place(&mut bytes)?;
        *slot = Some((place, codec::decode(bytes)?));
        Ok(())
    }

    #[inline]
    fn head<'a>(_: &'a [u8], slot: &'a Self::Slot) -> Option<&'a Self::Head> {
        slot.as_ref()
    }

    #[inline]
    fn take<R>(
        &self,
        _: &[u8],
        slot: &mut Self::Slot,
        f: impl FnOnce(Ref<'_, C::Record>) -> R,
    ) -> Option<R> {
        let (_, item) = slot.take()?;
        Some(<C::Record as Record>::lend(C::record(item), f))
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

/// How many items are sorted at once.
///
/// To compare items that have memory of their own is to fetch that, and a sort of millions of them does so in no order,
/// many times each. So stretches are sorted that fit into the cache with it, and merged, which fetches each once more:
/// 10 million names take 7.7 s, not 13.3. Items without are compared where they stand, and a sort is faster for them.
fn stretch_items<T>() -> usize {
    match mem::needs_drop::<T>() {
        true => STRETCH_ITEMS,
        false => usize::MAX,
    }
}

/// Calls `each` with the items in order. It is stable: items come in the order of the bag, as far as one thread sees it.
fn for_each_sorted<C: TypedSort>(
    sort: &C,
    items: &mut [Tagged<C::Item>],
    each: impl FnMut(&Tagged<C::Item>) -> Result<()>,
) -> Result<()> {
    let len = stretch_items::<C::Item>();
    for stretch in items.chunks_mut(len) {
        stretch.sort_by(|a, b| sort.compare(&a.1, &b.1));
    }
    // Stretches that follow each other already are one, so that nothing is merged of what came in order.
    let starts_anew = |at: &usize| sort.compare(&items[at - 1].1, &items[*at].1).is_gt();
    let ends = (len..items.len()).step_by(len).filter(starts_anew);
    let mut start = 0;
    let ends = ends.chain([items.len()]);
    let stretches = ends.map(|end| Stretch::new(&items[mem::replace(&mut start, end)..end]));
    stretches::merge(stretches, ByItem(sort), each)
}

struct ByItem<'c, C>(&'c C);

impl<C: TypedSort> Order<Tagged<C::Item>> for ByItem<'_, C> {
    #[inline]
    fn compare(&self, first: &Tagged<C::Item>, second: &Tagged<C::Item>) -> Ordering {
        self.0.compare(&first.1, &second.1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    type Name = (String, usize);

    const COUNT: usize = STRETCH_ITEMS * 5 / 2;

    /// Sorts by the name; says how often it compared, too.
    fn sorted(mut items: Vec<Tagged<Name>>) -> (Vec<Tagged<Name>>, usize) {
        let sort = ByComparison {
            state: Arc::new(AtomicUsize::new(0)),
            compare: |compared: &AtomicUsize, a: &Name, b: &Name| {
                compared.fetch_add(1, Relaxed);
                a.0.cmp(&b.0)
            },
            records: PhantomData::<fn(&Name)>,
        };
        let mut found = Vec::new();
        let each = |item: &Tagged<Name>| {
            found.push(item.clone());
            Ok(())
        };
        for_each_sorted(&sort, &mut items, each).unwrap();
        (found, sort.state.load(Relaxed))
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
                push_place((task, run), &mut bytes).unwrap();
                assert_eq!(bytes.len() == 2, task < 0x4000 && run == 0);
                bytes.push(7);
                let mut bytes = &bytes[..];
                assert_eq!(take_place(&mut bytes).unwrap(), (task, run));
                assert_eq!(bytes, [7]);
            }
        }
        assert!(take_place(&mut &[1][..]).is_err());
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
