//! A hash table of the keys of one partition, almost in the order of their hashes.
//!
//! ```text
//!  slot      0         1         2         3     …  capacity   …  slots.len()
//!        ┌─────────┬─────────┬─────────┬─────────┬────────────┬────────────┐
//!        │ key     │         │ key     │ key     │            │ the slots that
//!        │ rank    │  empty  │ rank    │ rank    │            │ overflow the last
//!        │ value   │         │ value   │ value   │            │ home slots
//!        └─────────┴─────────┴─────────┴─────────┴────────────┴────────────┘
//!  home slot of a key = its hash rank as a fraction of 2^64, times the capacity; probing goes right, never wraps
//! ```
//!
//! A key is therefore in the run of full slots that covers its home slot, and sorting each run independently sorts the
//! table. Growing, merging and writing access the memory from start to end.

mod growth;
mod near;
#[cfg(test)]
mod tests;

use std::borrow::BorrowMut;
use std::marker::PhantomData;

use super::slot::{Packed, Slot, Slots};
use crate::shuffle::key::partitioner::{HashPartitioner, HashRank, KeyPosition};
use crate::shuffle::memory::arena::Arena;
use crate::storage::codec::Short;

/// Minimum number of slots, except for a table without keys.
const MIN_SLOTS: usize = 32;

/// Minimum number of slots to the right of the last home slot.
const MIN_OVERFLOW: usize = 16;

/// Number of slots from which keys are taken in one batch, in order.
const WINDOW_SLOTS: usize = 64;

/// The keys of one partition, each with a value.
pub(crate) struct Table<V> {
    slots: Slots<V>,
    arena: Arena,
    /// Number of home slots.
    capacity: usize,
    len: usize,
}

/// A hashed key: what a table needs of a key, computed once, while the bytes of the key are in the cache.
#[derive(Clone, Copy)]
pub(crate) struct HashedKey {
    rank: HashRank,
    /// For a key that does not fit into a slot, the length, and no address.
    key: Packed,
}

impl HashedKey {
    #[inline(always)]
    pub(crate) fn new(rank: HashRank, key: &[u8]) -> Self {
        let key = Packed::of_key(Short::new(key), key.len());
        Self { rank, key }
    }

    /// Returns the partition and the probe of a key that has been inspected: `short` is its short form, if it has one.
    #[inline(always)]
    pub(crate) fn of(
        partitioner: HashPartitioner,
        short: Option<Short>,
        key: &[u8],
    ) -> (usize, Self) {
        // Both calls match on `short`. A single match would pass its result through memory.
        let KeyPosition { partition, rank } = partitioner.position_of(short, key);
        let key = Packed::of_key(short, key.len());
        (partition, Self { rank, key })
    }

    #[inline(always)]
    pub(crate) fn rank(&self) -> HashRank {
        self.rank
    }

    /// Returns the same key relative to hash ranks that share their first `bits` bits. The remaining bits determine its
    /// slot.
    #[inline(always)]
    pub(crate) fn behind(self, bits: u32) -> Self {
        Self {
            rank: HashRank(self.rank.0 << bits),
            ..self
        }
    }

    /// Returns whether both are the same key, or long keys that agree in length and hash rank.
    #[inline(always)]
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.rank == other.rank && self.key == other.key
    }

    /// Returns the bytes of the key. `long` has them if they do not fit into the probe.
    pub(crate) fn bytes<'k>(&'k self, long: &'k [u8]) -> &'k [u8] {
        self.key.inline_bytes().unwrap_or(long)
    }

    /// Returns the length of a key whose bytes [`Table::upsert`] needs, or 0 for one that is stored in the probe.
    #[inline(always)]
    pub(crate) fn long_len(&self) -> usize {
        self.key.long_len()
    }
}

/// Result of a search.
enum Search {
    /// The slot of the key.
    Found(usize),
    /// The empty slot for the key.
    Vacant(usize),
    /// The table must grow first.
    Full,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            slots: Slots::none(),
            arena: Arena::default(),
            capacity: 0,
            len: 0,
        }
    }
}

impl<V> Table<V> {
    /// Returns the number of keys.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of slots, full and empty.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    #[inline(always)]
    fn home(&self, rank: HashRank) -> usize {
        ((u128::from(rank.0) * self.capacity as u128) >> u64::BITS) as usize
    }

    /// Prefetches the home slot of `probe`.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hashed: &HashedKey) {
        if let Some(slot) = self.slots.as_slice().get(self.home(hashed.rank)) {
            crate::shuffle::memory::hints::prefetch(slot);
        }
    }

    /// Calls `update` with the slot of a key, or inserts the result of `create` for a new key. `long` has the bytes of
    /// the key if they did not fit into the probe. If there is no [capacity](Self::make_room), returns `extra` as the
    /// error.
    #[inline(always)]
    pub(crate) fn upsert<X>(
        &mut self,
        hashed: &HashedKey,
        long: &[u8],
        extra: X,
        create: impl FnOnce(X) -> V,
        update: impl FnOnce(&mut Slot<V>, X),
    ) -> Result<(), X> {
        match self.search(hashed, long) {
            Search::Found(at) => {
                update(&mut self.slots.as_mut_slice()[at], extra);
                Ok(())
            }
            Search::Vacant(at) => {
                let mut key = hashed.key;
                if key.long_len() > 0 {
                    match self.arena.put(long) {
                        Some(address) => key = key.at(address),
                        None => return Err(extra),
                    }
                }
                self.slots.as_mut_slice()[at].put((key, hashed.rank, create(extra)));
                self.len += 1;
                Ok(())
            }
            Search::Full => Err(extra),
        }
    }

    /// Returns the slot of a key, if it has one. `long` has the bytes of the key if they did not fit into the probe.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, hashed: &HashedKey, long: &[u8]) -> Option<&mut Slot<V>> {
        match self.search(hashed, long) {
            Search::Found(at) => Some(&mut self.slots.as_mut_slice()[at]),
            Search::Vacant(_) | Search::Full => None,
        }
    }

    #[inline(always)]
    fn search(&self, hashed: &HashedKey, long: &[u8]) -> Search {
        let slots = self.slots.as_slice();
        let mut at = self.home(hashed.rank);
        while let Some(slot) = slots.get(at) {
            if slot.is_empty() {
                return if self.is_crowded() {
                    Search::Full
                } else {
                    Search::Vacant(at)
                };
            }
            if slot.rank() == hashed.rank && slot.key().is(&self.arena, hashed.key, long) {
                return Search::Found(at);
            }
            at += 1;
        }
        Search::Full
    }

    /// Returns whether one more key would make probe sequences long.
    #[inline(always)]
    fn is_crowded(&self) -> bool {
        self.len * 8 >= self.capacity * 5
    }

    /// Returns the number of bytes that [`make_room`](Self::make_room) allocates before it frees the old memory.
    pub(crate) fn room_bytes(&self, long: &[u8]) -> usize {
        let slots_bytes = match self.needs_slots() {
            true => self.slots.growth_bytes(self.next_size().1),
            false => 0,
        };
        slots_bytes + self.arena.room_bytes(long.len())
    }

    /// Returns the maximum memory for `keys` keys, except for long keys, in bytes.
    pub(crate) fn bytes_for(keys: usize) -> usize {
        keys * 16 / 5 * size_of::<Slot<V>>()
    }

    /// Returns the memory of keys and slots, full and empty, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots_bytes() + self.arena.memory_bytes()
    }

    /// Returns the memory of the slots, without long keys, in bytes.
    pub(crate) fn slots_bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot<V>>()
    }

    /// Provides the capacity that [`upsert`](Self::upsert) lacked for a key. Returns `false` if the system has no
    /// memory for it.
    #[cold]
    #[inline(never)]
    pub(crate) fn try_make_room(&mut self, long: &[u8]) -> bool {
        if self.needs_slots() {
            let (capacity, slots) = self.next_size();
            if !self.resize(capacity, slots) {
                return false;
            }
        }
        self.arena.make_room(long.len());
        true
    }

    /// Provides the capacity, or ends the process.
    pub(crate) fn make_room(&mut self, long: &[u8]) {
        if !self.try_make_room(long) {
            Slots::<V>::abort(self.next_size().1);
        }
    }

    /// Adds slots until they take `bytes` bytes.
    pub(crate) fn grow_to(&mut self, bytes: usize) {
        let slots = bytes / size_of::<Slot<V>>();
        if slots > self.slots.len().max(MIN_SLOTS) {
            // Slots for which there is no memory now are requested again, key by key.
            self.resize(slots - MIN_OVERFLOW, slots);
        }
    }

    /// Returns whether the capacity is exhausted because of the slots. Either there are too few, or those to the right
    /// of the last home slot are full because many keys share a home slot.
    fn needs_slots(&self) -> bool {
        let last = self.slots.as_slice().last();
        self.is_crowded() || last.is_none_or(|last| !last.is_empty())
    }

    /// Returns the next number of home slots, and of all slots. All slots together take a power of two of bytes, so
    /// that large tables fill huge pages.
    fn next_size(&self) -> (usize, usize) {
        let slots = self.slots.len();
        if !self.is_crowded() {
            return (self.capacity, slots + (slots - self.capacity));
        }
        let bytes = (slots * 2).max(MIN_SLOTS) * size_of::<Slot<V>>();
        let slots = bytes.next_power_of_two() / size_of::<Slot<V>>();
        (slots - MIN_OVERFLOW, slots)
    }

    /// Returns the values, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.as_slice().iter().filter_map(Slot::value)
    }

    /// Calls `f` with any one key and its value. Returns `None` if there is none.
    pub(crate) fn first<R>(&self, f: impl FnOnce(&[u8], &V) -> R) -> Option<R> {
        let slots = self.slots.as_slice().iter();
        let (slot, value) = slots
            .filter_map(|slot| Some((slot, slot.value()?)))
            .next()?;
        Some(f(slot.key().bytes(&self.arena), value))
    }

    /// Removes all keys, almost in order, and calls `each` with every key and its value. The table keeps its memory.
    pub(crate) fn drain<E>(
        &mut self,
        mut each: impl FnMut(&[u8], V) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut full = [0_u8; WINDOW_SLOTS];
        for start in (0..self.slots.len()).step_by(WINDOW_SLOTS) {
            self.prefetch_keys(start + WINDOW_SLOTS);
            let Self { slots, arena, .. } = self;
            let slots = &mut slots.as_mut_slice()[start..];
            let mut len = 0;
            for (at, slot) in slots.iter().take(WINDOW_SLOTS).enumerate() {
                // Branchless, as in `note_window`: whether a slot is empty cannot be predicted.
                full[len] = at as u8;
                len += usize::from(!slot.is_empty());
            }
            for at in &full[..len] {
                let taken = slots[usize::from(*at)].take_with(arena, &mut each);
                taken.unwrap_or(Ok(()))?;
            }
        }
        self.len = 0;
        self.arena.clear();
        Ok(())
    }

    /// Returns the keys in ascending order of hash rank, then of their bytes. If all are taken, the table is empty, and
    /// keeps its memory.
    pub(crate) fn sorted(&mut self) -> SortedKeys<&mut Self, V> {
        SortedKeys::new(self)
    }

    /// Returns the keys in ascending order of hash rank, then of their bytes.
    pub(crate) fn into_sorted(self) -> SortedKeys<Self, V> {
        SortedKeys::new(self)
    }

    /// Records the full slots of the window at `start`, and those of the run that continues past its end. Returns the
    /// first slot after them.
    fn note_window(&self, start: usize, window: &mut Vec<Full>) -> usize {
        let slots = self.slots.as_slice();
        let mut end = slots.len().min(start + WINDOW_SLOTS);
        window.resize(end - start, Full::default());
        let mut len = 0;
        for (at, slot) in (start..).zip(&slots[start..end]) {
            // Branchless: the next slot overwrites this one if it is empty.
            window[len] = Full {
                rank: slot.rank(),
                at,
            };
            len += usize::from(!slot.is_empty());
        }
        window.truncate(len);
        while let Some(slot) = slots.get(end).filter(|slot| !slot.is_empty()) {
            let rank = slot.rank();
            window.push(Full { rank, at: end });
            end += 1;
        }
        end
    }

    /// Sorts full slots that are almost in order.
    fn sort_window(&self, window: &mut [Full]) {
        for next in 1..window.len() {
            let full = window[next];
            let mut to = next;
            while to > 0 && self.is_before(full, window[to - 1]) {
                window[to] = window[to - 1];
                to -= 1;
            }
            window[to] = full;
        }
    }

    #[inline(always)]
    fn is_before(&self, a: Full, b: Full) -> bool {
        a.rank < b.rank || (a.rank == b.rank && self.has_lesser_key(a, b))
    }

    #[cold]
    fn has_lesser_key(&self, a: Full, b: Full) -> bool {
        let key = |full: Full| self.slots.as_slice()[full.at].key();
        key(a).bytes(&self.arena) < key(b).bytes(&self.arena)
    }

    /// Prefetches the keys of the window that begins at `start`. Keys in the arena are in the order of arrival, not of
    /// the slots.
    fn prefetch_keys(&self, start: usize) {
        if self.arena.memory_bytes() > 0 {
            let slots = self.slots.as_slice().iter().skip(start);
            for slot in slots.take(WINDOW_SLOTS) {
                slot.key().prefetch(&self.arena);
            }
        }
    }
}

/// A full slot of a window: its index, and the hash rank of its key.
#[derive(Clone, Copy, Default)]
struct Full {
    rank: HashRank,
    at: usize,
}

/// Takes the keys of a table one by one, in ascending order of hash rank, then of their bytes.
pub(crate) struct SortedKeys<T, V> {
    table: T,
    /// Full slots in order, and the number of those that have been taken.
    window: Vec<Full>,
    taken: usize,
    /// The first slot after the window.
    behind: usize,
    values: PhantomData<V>,
}

impl<T: BorrowMut<Table<V>>, V> SortedKeys<T, V> {
    fn new(table: T) -> Self {
        let mut sorted = Self {
            table,
            window: Vec::new(),
            taken: 0,
            behind: 0,
            values: PhantomData,
        };
        sorted.next_window();
        sorted
    }

    /// Advances to the next window with a key, if there is one.
    #[inline(never)]
    fn next_window(&mut self) {
        let table = self.table.borrow_mut();
        self.taken = 0;
        self.window.clear();
        while self.window.is_empty() && self.behind < table.slots.len() {
            self.behind = table.note_window(self.behind, &mut self.window);
        }
        if self.window.is_empty() {
            table.len = 0;
            table.arena.clear();
            return;
        }
        table.prefetch_keys(self.behind);
        table.sort_window(&mut self.window);
    }

    /// Returns the hash rank of the next key.
    #[inline(always)]
    pub(crate) fn rank(&self) -> Option<HashRank> {
        Some(self.window.get(self.taken)?.rank)
    }

    /// Takes the next key and its value, and calls `f` with them.
    #[inline(always)]
    pub(crate) fn take<R>(&mut self, f: impl FnOnce(&[u8], V) -> R) -> Option<R> {
        let at = self.window.get(self.taken)?.at;
        let Table { slots, arena, .. } = self.table.borrow_mut();
        let result = slots.as_mut_slice()[at].take_with(arena, f);
        self.taken += 1;
        if self.taken == self.window.len() {
            self.next_window();
        }
        result
    }
}
