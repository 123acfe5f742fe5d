//! Keys of one partition, each with a value: a hash table whose order is nearly that of the hashes.
//!
//! ```text
//!  slot      0         1         2         3     …  capacity   …  slots.len()
//!        ┌─────────┬─────────┬─────────┬─────────┬────────────┬────────────┐
//!        │ key     │         │ key     │ key     │            │ the slots that
//!        │ place   │  empty  │ place   │ place   │            │ overflow the last
//!        │ value   │         │ value   │ value   │            │ home slots
//!        └─────────┴─────────┴─────────┴─────────┴────────────┴────────────┘
//!  home slot of a key = its place >> shift; probing goes to the right and never wraps
//! ```
//!
//! So a key lies in the run of full slots that covers its home slot, and sorting each run by itself sorts the table.
//! Growing, merging and writing out go through memory from one end to the other.

use std::borrow::BorrowMut;
use std::marker::PhantomData;

use super::arena::Arena;
use super::partitioner::Place;
use super::slot::{Packed, Slot, Slots};

/// Slots of a table that has keys at all.
const LEAST_SLOTS: usize = 16;

/// Slots to the right of the last home slot, at the least.
const LEAST_OVERFLOW: usize = 16;

/// How many slots before they are taken their keys are asked for.
const PREFETCHED_SLOTS: usize = 32;

/// The keys of one partition, each with a value.
pub(crate) struct Table<V> {
    slots: Slots<V>,
    arena: Arena,
    /// Home slots; a power of two, or 0.
    capacity: usize,
    /// A place, shifted to the right by this, is a home slot.
    shift: u32,
    len: usize,
}

/// A key on its way into a table: looked at once, while its bytes are in the cache.
#[derive(Clone, Copy)]
pub(crate) struct Probe {
    place: Place,
    /// Of a key that does not fit into a slot: no address, but the length.
    key: Packed,
}

impl Probe {
    #[inline(always)]
    pub(crate) fn new(place: Place, key: &[u8]) -> Self {
        let key = Packed::new(key);
        Self { place, key }
    }

    /// The length of a key whose bytes have to be shown to [`Table::upsert`]; 0 for one that is whole in here.
    #[inline(always)]
    pub(crate) fn long_len(&self) -> usize {
        self.key.long_len()
    }
}

/// Where a search ended.
enum Search {
    /// At the key.
    Found(usize),
    /// At the empty slot that the key belongs in.
    Vacant(usize),
    /// The table must grow first.
    Full,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            slots: Slots::new(0),
            arena: Arena::default(),
            capacity: 0,
            shift: u64::BITS,
            len: 0,
        }
    }
}

impl<V> Table<V> {
    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn home(&self, place: Place) -> usize {
        // Only a table without slots has a shift of all bits.
        place.0.checked_shr(self.shift).unwrap_or(0) as usize
    }

    /// Asks the processor to fetch the slot that `probe` begins at.
    #[inline(always)]
    pub(crate) fn prefetch(&self, probe: &Probe) {
        if let Some(slot) = self.slots.as_slice().get(self.home(probe.place)) {
            super::kernel::prefetch(slot);
        }
    }

    /// Replaces the value of a key by what `update` makes of it, or puts in what `create` gives for a new key.
    /// `long` has the key's bytes if they did not fit into the probe. Where [room](Self::make_room) must be made
    /// first, `extra` comes back. After a panic of `update` the key is gone.
    #[inline(always)]
    pub(crate) fn upsert<X>(
        &mut self,
        probe: &Probe,
        long: &[u8],
        extra: X,
        create: impl FnOnce(X) -> V,
        update: impl FnOnce(V, X) -> V,
    ) -> Result<(), X> {
        match self.search(probe, long) {
            Search::Found(at) => {
                self.slots.as_mut_slice()[at].update(|value| update(value, extra));
                Ok(())
            }
            Search::Vacant(at) => {
                let mut key = probe.key;
                if key.long_len() > 0 {
                    match self.arena.put(long) {
                        Some(address) => key = key.at(address),
                        None => return Err(extra),
                    }
                }
                self.slots.as_mut_slice()[at].put((key, probe.place, create(extra)));
                self.len += 1;
                Ok(())
            }
            Search::Full => Err(extra),
        }
    }

    #[inline(always)]
    fn search(&self, probe: &Probe, long: &[u8]) -> Search {
        let slots = self.slots.as_slice();
        let mut at = self.home(probe.place);
        while let Some(slot) = slots.get(at) {
            if slot.is_empty() {
                return if self.is_crowded() {
                    Search::Full
                } else {
                    Search::Vacant(at)
                };
            }
            if slot.place() == probe.place && slot.key().is(&self.arena, probe.key, long) {
                return Search::Found(at);
            }
            at += 1;
        }
        Search::Full
    }

    /// Whether one more key would make the probing long.
    #[inline(always)]
    fn is_crowded(&self) -> bool {
        self.len * 8 >= self.capacity * 5
    }

    /// The bytes that [`make_room`](Self::make_room) would take, before it gives others back.
    pub(crate) fn room_bytes(&self, long: &[u8]) -> usize {
        let (capacity, overflow) = self.next_size();
        let slots = if self.needs_slots() {
            capacity + overflow
        } else {
            0
        };
        slots * size_of::<Slot<V>>() + self.arena.room_bytes(long.len())
    }

    /// The bytes that so many keys take at the most, but for long ones.
    pub(crate) fn bytes_for(keys: usize) -> usize {
        keys * 16 / 5 * size_of::<Slot<V>>()
    }

    /// The bytes that the keys take, and the slots for more of them.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot<V>>() + self.arena.memory_bytes()
    }

    /// Makes room for a key that [`upsert`](Self::upsert) had none for.
    #[cold]
    #[inline(never)]
    pub(crate) fn make_room(&mut self, long: &[u8]) {
        if self.needs_slots() {
            let (capacity, overflow) = self.next_size();
            self.resize(capacity, overflow);
        }
        self.arena.make_room(long.len());
    }

    /// Whether the slots are why there is no room: there are too few, or those to the right of the last home slot are
    /// full because many keys share a home.
    fn needs_slots(&self) -> bool {
        let last = self.slots.as_slice().last();
        self.is_crowded() || last.is_none_or(|last| !last.is_empty())
    }

    /// The home slots and those to their right that come next.
    fn next_size(&self) -> (usize, usize) {
        if self.is_crowded() {
            ((self.capacity * 2).max(LEAST_SLOTS), LEAST_OVERFLOW)
        } else {
            (self.capacity, (self.slots.len() - self.capacity) * 2)
        }
    }

    /// Moves all keys to new slots, in their order, so that both sides are gone through from one end to the other.
    fn resize(&mut self, capacity: usize, overflow: usize) {
        self.shift = u64::BITS - capacity.trailing_zeros();
        self.capacity = capacity;
        let mut old = std::mem::replace(&mut self.slots, Slots::new(capacity + overflow));
        for full in old.as_mut_slice().iter_mut().filter_map(Slot::take) {
            let home = self.home(full.1);
            let free = self.slots.as_slice()[home..]
                .iter()
                .position(Slot::is_empty);
            let at = free.map_or(self.slots.len(), |distance| home + distance);
            if at == self.slots.len() {
                self.extend_overflow();
            }
            self.slots.as_mut_slice()[at].put(full);
        }
    }

    /// Twice the slots to the right of the last home slot.
    #[cold]
    fn extend_overflow(&mut self) {
        let overflow = self.slots.len() - self.capacity;
        let mut old = std::mem::replace(&mut self.slots, Slots::new(self.capacity + overflow * 2));
        for (to, from) in self.slots.as_mut_slice().iter_mut().zip(old.as_mut_slice()) {
            if let Some(full) = from.take() {
                to.put(full);
            }
        }
    }

    /// The values, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.slots.as_slice().iter().filter_map(Slot::value)
    }

    /// Calls `f` with some key and its value, if there is one.
    pub(crate) fn first<R>(&self, f: impl FnOnce(&[u8], &V) -> R) -> Option<R> {
        let slots = self.slots.as_slice().iter();
        let (slot, value) = slots
            .filter_map(|slot| Some((slot, slot.value()?)))
            .next()?;
        Some(slot.key().with_bytes(&self.arena, |key| f(key, value)))
    }

    /// The keys in ascending order of place, then of their bytes. Taking them all leaves the table empty, with its
    /// memory.
    pub(crate) fn sorted(&mut self) -> Sorted<&mut Self, V> {
        Sorted::new(self)
    }

    /// The keys in ascending order of place, then of their bytes.
    pub(crate) fn into_sorted(self) -> Sorted<Self, V> {
        Sorted::new(self)
    }

    /// Sorts the run of full slots that begins at `start`. Empty slots stay where they are, so the table stays one.
    fn sort_run(&mut self, start: usize) -> usize {
        let slots = &mut self.slots.as_mut_slice()[start..];
        let len = slots.iter().position(Slot::is_empty).unwrap_or(slots.len());
        if len > 1 {
            let arena = &self.arena;
            slots[..len].sort_unstable_by(|a, b| {
                a.place().cmp(&b.place()).then_with(|| {
                    let b = b.key();
                    a.key()
                        .with_bytes(arena, |a| b.with_bytes(arena, |b| a.cmp(b)))
                })
            });
        }
        start + len
    }
}

/// Takes the keys of a table one by one, in ascending order of place, then of their bytes.
pub(crate) struct Sorted<T, V> {
    table: T,
    /// The next slot, the end of the sorted run it is in, and the first slot whose key has not been asked for.
    at: usize,
    run_end: usize,
    ahead: usize,
    values: PhantomData<V>,
}

impl<T: BorrowMut<Table<V>>, V> Sorted<T, V> {
    fn new(table: T) -> Self {
        let mut sorted = Self {
            table,
            at: 0,
            run_end: 0,
            ahead: 0,
            values: PhantomData,
        };
        sorted.find_next();
        sorted
    }

    /// Moves on to the next slot with a key, if there is one.
    #[inline]
    fn find_next(&mut self) {
        self.prefetch_keys();
        if self.at < self.run_end {
            return;
        }
        let table = self.table.borrow_mut();
        let rest = &table.slots.as_slice()[self.at..];
        match rest.iter().position(|slot| !slot.is_empty()) {
            Some(empty) => {
                self.at += empty;
                self.run_end = table.sort_run(self.at);
            }
            None => {
                self.at = table.slots.len();
                table.len = 0;
                table.arena.clear();
            }
        }
    }

    /// Asks the processor for keys that are to be taken soon: those in the arena are in the order they came in.
    #[inline]
    fn prefetch_keys(&mut self) {
        let table = self.table.borrow();
        while self.ahead < self.at + PREFETCHED_SLOTS {
            let Some(slot) = table.slots.as_slice().get(self.ahead) else {
                return;
            };
            slot.key().prefetch(&table.arena);
            self.ahead += 1;
        }
    }

    /// The place of the next key.
    #[inline]
    pub(crate) fn place(&self) -> Option<Place> {
        let slot = self.table.borrow().slots.as_slice().get(self.at)?;
        Some(slot.place())
    }

    /// Takes the next key and its value.
    #[inline]
    pub(crate) fn take<R>(&mut self, f: impl FnOnce(&[u8], V) -> R) -> Option<R> {
        let table = self.table.borrow_mut();
        let (key, _, value) = table.slots.as_mut_slice().get_mut(self.at)?.take()?;
        let result = key.with_bytes(&table.arena, |bytes| f(bytes, value));
        self.at += 1;
        self.find_next();
        Some(result)
    }
}
