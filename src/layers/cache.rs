//! Values that a worker has computed or read from a file, for its next tasks: without reading and decoding.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::value::Value;
use crate::error::Result;
use crate::storage::memory::Reservation;
use crate::task::{ReclaimMemory, Resources};

/// Part of a worker's memory that the cache may use.
const PART: usize = 2;

/// File of a value, and its offset there. Names of files are never used again.
pub(super) type InFileKey = (PathBuf, u64);

/// The values that were used last.
#[derive(Default)]
pub(super) struct ValueCache(Mutex<CacheState>);

#[derive(Default)]
struct CacheState {
    values: HashMap<InFileKey, CachedValue>,
    /// The keys by their last use.
    by_use: BTreeMap<u64, InFileKey>,
    bytes: usize,
    /// Memory of the values, once there was one.
    reservation: Option<Reservation>,
    /// Number of uses so far.
    uses: u64,
}

struct CachedValue {
    value: Value,
    bytes: usize,
    /// The last use.
    used: u64,
}

impl ValueCache {
    fn lock(&self) -> MutexGuard<'_, CacheState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &InFileKey) -> Option<Value> {
        let state = &mut *self.lock();
        let cached = state.values.get_mut(key)?;
        state.uses += 1;
        if let Some(key) = state.by_use.remove(&cached.used) {
            state.by_use.insert(state.uses, key);
        }
        cached.used = state.uses;
        Some(Arc::clone(&cached.value))
    }

    /// Adds a value of `bytes` bytes, if the budget allows. Values that were not used for longest leave.
    pub(super) fn put(
        self: &Arc<Self>,
        key: InFileKey,
        value: Value,
        bytes: usize,
        resources: &Resources,
    ) {
        let limit_bytes = resources.budget.limit_bytes() / PART;
        if bytes > limit_bytes {
            return;
        }
        // Dropping a value may run code of the user, so it waits until the lock is released.
        let mut left = Vec::new();
        let mut state = self.lock();
        if state.reservation.is_none() {
            state.reservation = Some(resources.budget.reservation());
            let holder: Arc<dyn ReclaimMemory> = Arc::<Self>::clone(self);
            resources.reclaimer.add(&holder);
        }
        loop {
            let all_bytes = state.bytes + bytes;
            if all_bytes <= limit_bytes && state.reserve(all_bytes) {
                break;
            }
            match state.take_oldest() {
                Some(oldest) => left.push(oldest),
                None => return,
            }
        }
        state.uses += 1;
        let used = state.uses;
        let cached = CachedValue { value, bytes, used };
        state.bytes += bytes;
        state.by_use.insert(used, key.clone());
        if let Some(before) = state.values.insert(key, cached) {
            state.by_use.remove(&before.used);
            state.bytes -= before.bytes;
            left.push(before.value);
        }
        drop(state);
        drop(left);
    }
}

impl CacheState {
    fn reserve(&mut self, bytes: usize) -> bool {
        let reservation = self.reservation.as_mut();
        reservation.is_some_and(|reservation| reservation.try_resize(bytes))
    }

    fn take_oldest(&mut self) -> Option<Value> {
        let (_, key) = self.by_use.pop_first()?;
        let cached = self.values.remove(&key)?;
        self.bytes -= cached.bytes;
        Some(cached.value)
    }
}

impl ReclaimMemory for ValueCache {
    fn reclaim(&self) -> Result<bool> {
        let mut state = self.lock();
        let values = std::mem::take(&mut state.values);
        state.by_use.clear();
        state.bytes = 0;
        state.reserve(0);
        drop(state);
        Ok(!values.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory::MemoryBudget;

    #[test]
    fn the_values_that_were_used_last_stay() {
        let resources = Resources {
            budget: MemoryBudget::new(2_000),
            ..Resources::unlimited()
        };
        let cache = Arc::new(ValueCache::default());
        let key = |n: u64| (PathBuf::from("file"), n);
        let put = |n, bytes| cache.put(key(n), Arc::new(n), bytes, &resources);
        put(1, 400);
        put(2, 400);
        assert!(cache.get(&key(1)).is_some());
        put(3, 400);
        put(4, 1_001);
        let found = [1, 2, 3, 4].map(|n| cache.get(&key(n)).is_some());
        assert_eq!(found, [true, false, true, false]);
        assert!(resources.budget.used_bytes() >= 800);

        // Others need the memory.
        let other = resources.budget.try_reserve(1_100);
        put(5, 200);
        let found = [1, 3, 5].map(|n| cache.get(&key(n)).is_some());
        assert_eq!(found, [false, true, true]);
        assert!(resources.reclaimer.ask().unwrap());
        assert!(!resources.reclaimer.ask().unwrap());
        drop(other);
        assert_eq!(resources.budget.used_bytes(), 0);
    }
}
