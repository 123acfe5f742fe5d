//! Parts of the programs that [`wide`](crate::wide) compares with: threads that have a state of their own, and hash
//! tables in shards, which are merged in parallel.

use std::hash::{BuildHasher, Hash};
use std::mem;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

const PIECES: u64 = 64;
const SHARDS: usize = 32;

/// Divides the numbers below `records` into pieces.
pub(crate) fn pieces(records: u64) -> Vec<Range<u64>> {
    let piece = |piece| records * piece / PIECES..records * (piece + 1) / PIECES;
    (0..PIECES).map(piece).collect()
}

/// Runs `work` on all items, and returns the states of the threads. A thread takes items until none are left.
pub(crate) fn on_threads<I: Sync, S: Send>(
    items: &[I],
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &I) + Sync,
) -> Vec<S> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut state = state();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(&mut state, item);
        }
        state
    };
    thread::scope(|scope| {
        let threads = 0..rayon::current_num_threads();
        let threads: Vec<_> = threads.map(|_| scope.spawn(run)).collect();
        let states = threads.into_iter().map(|thread| thread.join());
        states.map(|state| state.expect("no panic")).collect()
    })
}

/// A hash table in shards.
pub(crate) struct Sharded<K, V> {
    shards: Vec<HashTable<(K, V)>>,
    hasher: DefaultHashBuilder,
}

impl<K: Hash + Eq + Send, V: Default + Send> Sharded<K, V> {
    pub(crate) fn new(hasher: DefaultHashBuilder) -> Self {
        let shards = (0..SHARDS).map(|_| HashTable::new()).collect();
        Self { shards, hasher }
    }

    /// Calls `update` with the value of a key, which is the default at first.
    #[inline]
    pub(crate) fn update(&mut self, key: K, update: impl FnOnce(&mut V)) {
        let hash = self.hasher.hash_one(&key);
        let shard = &mut self.shards[(hash >> 40) as usize % SHARDS];
        update(value_of(shard, &self.hasher, hash, key));
    }

    /// Combines the values of the pairs of all numbers below `records` by key, on all threads. Returns the sum of the
    /// results of `each` for every key and its value.
    pub(crate) fn combine<X>(
        records: u64,
        pair: impl Fn(u64) -> (K, X) + Sync,
        add: impl Fn(&mut V, X) + Sync,
        merge: impl Fn(&mut V, V) + Sync,
        each: impl Fn(K, V) -> u64 + Sync,
    ) -> u64 {
        let hasher = DefaultHashBuilder::default();
        let tables = on_threads(
            &pieces(records),
            || Self::new(hasher.clone()),
            |table, numbers| {
                for (key, value) in numbers.clone().map(&pair) {
                    table.update(key, |combined| add(combined, value));
                }
            },
        );
        let mut by_shard: Vec<_> = (0..SHARDS).map(|_| Mutex::new(Vec::new())).collect();
        for table in tables {
            for (shard, all) in table.shards.into_iter().zip(&mut by_shard) {
                all.get_mut().expect("no panic").push(shard);
            }
        }
        let sums = on_threads(&by_shard, u64::default, |sum, shards| {
            let mut shards = mem::take(&mut *shards.lock().expect("no panic"));
            shards.sort_by_key(HashTable::len);
            let mut all = shards.pop().unwrap_or_default();
            for (key, value) in shards.into_iter().flatten() {
                let hash = hasher.hash_one(&key);
                merge(value_of(&mut all, &hasher, hash, key), value);
            }
            let results = all.into_iter().map(|(key, value)| each(key, value));
            *sum = results.fold(*sum, u64::wrapping_add);
        });
        sums.into_iter().fold(0, u64::wrapping_add)
    }
}

/// Returns the value of a key in a shard, which is the default at first.
#[inline]
fn value_of<'t, K: Hash + Eq, V: Default>(
    shard: &'t mut HashTable<(K, V)>,
    hasher: &DefaultHashBuilder,
    hash: u64,
    key: K,
) -> &'t mut V {
    let entry = shard.entry(
        hash,
        |(its_key, _)| *its_key == key,
        |(key, _)| hasher.hash_one(key),
    );
    let occupied = match entry {
        Entry::Occupied(occupied) => occupied,
        Entry::Vacant(vacant) => vacant.insert((key, V::default())),
    };
    &mut occupied.into_mut().1
}
