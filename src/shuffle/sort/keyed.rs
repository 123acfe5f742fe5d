//! Sorting records by a key, which a closure returns, and pairs by their key.

use std::cmp::Ordering;
use std::marker::PhantomData;

use super::typed::TypedSort;
use super::word::Word;
use crate::error::Result;
use crate::pipeline::{Call, Data, Key, Owned, Peek, Record, Ref, owned_bytes};
use crate::portable::{Portable, portable};
use crate::shuffle::HashPartitioner;
use crate::storage::merge::{ByBytes, MergeOrder};

/// Returns whether [`rank_of`] distinguishes keys of type `K`.
#[inline(always)]
fn is_ranked<K: 'static>() -> bool {
    owned_bytes::is_bytes::<K>() || u64::is_for::<K>() || u128::is_for::<K>()
}

/// Returns the first bytes of a key, or the key itself, as a number that has the order of the keys.
#[inline(always)]
fn rank_of<K: 'static>(key: &K) -> u64 {
    if let Some(bytes) = owned_bytes::as_bytes(key) {
        return ByBytes.rank(bytes);
    }
    let pair = || u128::of(key).map(Word::top);
    u64::of(key).or_else(pair).unwrap_or(0)
}

/// Sorts records by a key that is computed for each comparison of records that agree in its rank.
pub(crate) struct ByRankedKey<T: ?Sized, K, C> {
    pub(crate) key_of: C,
    pub(crate) types: PhantomData<fn(&T) -> K>,
}

portable! {
    [T: ?Sized, K, C: Portable] ByRankedKey<T, K, C> { key_of: part, types: part }
}

impl<T, K, C> TypedSort for ByRankedKey<T, K, C>
where
    T: Record<Owned: Data> + ?Sized,
    K: Ord + 'static,
    C: for<'a> Call<(Peek<'a, T>,), Out = K>,
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
        let key = |item| self.key_of.call((T::peek_owned(item),));
        key(first).cmp(&key(second))
    }

    const MAY_BE_RANKED: bool = true;

    #[inline]
    fn is_ranked() -> bool {
        is_ranked::<K>()
    }

    #[inline]
    fn rank(&self, item: &Owned<T>) -> u64 {
        rank_of(&self.key_of.call((T::peek_owned(item),)))
    }
}

/// Sorts records by a key that is computed once for each and stored with it.
pub(crate) struct ByCachedKey<T: ?Sized, K, C> {
    pub(crate) key_of: C,
    pub(crate) types: PhantomData<fn(&T) -> K>,
}

portable! {
    [T: ?Sized, K, C: Portable] ByCachedKey<T, K, C> { key_of: part, types: part }
}

impl<T, K, C> TypedSort for ByCachedKey<T, K, C>
where
    T: Record<Owned: Data> + ?Sized,
    K: Data + Ord,
    C: for<'a> Call<(Peek<'a, T>,), Out = K>,
{
    type Record = T;
    type Item = (K, Owned<T>);

    #[inline]
    fn item(&self, record: Ref<'_, T>) -> Result<(K, Owned<T>)> {
        let key = self.key_of.call((T::peek(&record),));
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

    const MAY_BE_RANKED: bool = true;

    #[inline]
    fn is_ranked() -> bool {
        is_ranked::<K>()
    }

    #[inline]
    fn rank(&self, item: &(K, Owned<T>)) -> u64 {
        rank_of(&item.0)
    }
}

/// Sorts pairs by the partition that the hash of their key determines, then by the key, then by a comparison of values.
pub(crate) struct ByPartition<K, V, C> {
    pub(crate) partitioner: HashPartitioner,
    pub(crate) compare: C,
    pub(crate) pairs: PhantomData<fn(K, V)>,
}

portable! {
    [K, V, C: Portable] ByPartition<K, V, C> { partitioner: data, compare: part, pairs: part }
}

impl<K, V, C> TypedSort for ByPartition<K, V, C>
where
    K: Data + Ord,
    V: Data,
    C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
{
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
        let by_key = (first.0, &first.1).cmp(&(second.0, &second.1));
        by_key.then_with(|| self.compare.call((&first.2, &second.2)))
    }

    #[inline]
    fn is_before(&self, item: &(usize, K, V), partition: usize, _: Option<&Self::Item>) -> bool {
        item.0 < partition
    }
}
