//! The entries of one range of hash ranks, ordered by a sort.
//!
//! If keys are mostly distinct, a table is a detour. Each lookup fails, at a slot that is not in the cache, and each
//! key is visited again when the table is taken apart. Here, entries are only appended, and the sort moves 8 bytes of
//! each.

use std::cmp::Ordering;

use crate::shuffle::key::partitioner::HashRank;
use crate::shuffle::memory::radix_sort::radix_sort;
use crate::task::Flow;

/// Minimum capacity, in entries. For the bytes of their keys, it is `MIN_KEY_BYTES`.
const MIN_ENTRIES: usize = 64;
const MIN_KEY_BYTES: usize = 1 << 10;

/// Prefetch distance, in entries, while entries are emitted. Keys are prefetched at half this distance.
const PREFETCH_ENTRIES: usize = 12;

/// A slot, which the sort moves: the top `PLACE_BITS` bits of an entry's hash rank, then the number of the entry. The
/// remaining bits hold any number of entries that fit into memory. Because of the number, the sort is stable.
type EntrySlot = u64;
const PLACE_BITS: u32 = 32;

/// Entries in the order of arrival.
pub(crate) struct RangeEntries<V> {
    /// Bytes of the keys, back to back.
    keys: Vec<u8>,
    entries: Vec<Entry<V>>,
    slots: Vec<EntrySlot>,
    scratch: Vec<EntrySlot>,
}

/// An entry. Its key ends where the key of the next entry starts.
struct Entry<V> {
    rank: HashRank,
    key_start: usize,
    /// `None` once it has been emitted.
    value: Option<V>,
}

impl<V> Default for RangeEntries<V> {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            entries: Vec::new(),
            slots: Vec::new(),
            scratch: Vec::new(),
        }
    }
}

impl<V> RangeEntries<V> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Memory of one entry, except for its key, in bytes.
    const ENTRY_BYTES: usize = size_of::<Entry<V>>() + 2 * size_of::<EntrySlot>();

    /// Returns the maximum memory for `entries` entries, except for their keys, in bytes.
    pub(crate) fn bytes_for(entries: usize) -> usize {
        2 * entries * Self::ENTRY_BYTES
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.keys.capacity() + self.entries.capacity() * Self::ENTRY_BYTES
    }

    /// Adds an entry. If there is no [capacity](Self::make_room), returns its value as the error.
    #[inline(always)]
    pub(crate) fn push(&mut self, rank: HashRank, key: &[u8], value: V) -> Result<(), V> {
        if !self.has_room(key.len()) {
            return Err(value);
        }
        let rank_bits = rank.0 >> (u64::BITS - PLACE_BITS) << (u64::BITS - PLACE_BITS);
        self.slots.push(rank_bits | self.entries.len() as u64);
        self.entries.push(Entry {
            rank,
            key_start: self.keys.len(),
            value: Some(value),
        });
        self.keys.extend_from_slice(key);
        Ok(())
    }

    #[inline(always)]
    fn has_room(&self, key_bytes: usize) -> bool {
        self.entries.len() < self.entries.capacity()
            && self.keys.capacity() - self.keys.len() >= key_bytes
    }

    /// Returns the capacity that [`make_room`](Self::make_room) would provide, in entries and in bytes of keys.
    fn next_size(&self, key_bytes: usize) -> (usize, usize) {
        let (mut entries, mut bytes) = (self.entries.capacity(), self.keys.capacity());
        if self.entries.len() == entries {
            entries = (2 * entries).max(MIN_ENTRIES);
        }
        if bytes - self.keys.len() < key_bytes {
            bytes = (2 * bytes).max(bytes + key_bytes).max(MIN_KEY_BYTES);
        }
        (entries, bytes)
    }

    /// Returns the total memory after [`make_room`](Self::make_room), in bytes.
    pub(crate) fn next_bytes(&self, key_bytes: usize) -> usize {
        let (entries, bytes) = self.next_size(key_bytes);
        entries * Self::ENTRY_BYTES + bytes
    }

    /// Ensures capacity for an entry with a key of `key_bytes` bytes.
    pub(crate) fn make_room(&mut self, key_bytes: usize) {
        let (entries, bytes) = self.next_size(key_bytes);
        self.keys.reserve_exact(bytes - self.keys.len());
        let more = entries - self.entries.len();
        self.entries.reserve_exact(more);
        self.slots.reserve_exact(more);
        self.scratch.clear();
        self.scratch.reserve_exact(entries);
    }

    /// Returns the number of distinct keys.
    pub(crate) fn count_keys(&mut self) -> usize {
        radix_sort(&mut self.slots, &mut self.scratch, 0);
        let (mut start, mut keys) = (0, 0);
        while start < self.slots.len() {
            (start, keys) = (self.end_of_key(start), keys + 1);
        }
        keys
    }

    /// Calls `each` with every key in ascending order of (hash rank, key), and with its values merged in the order of
    /// arrival. Removes all entries, and returns the number of keys.
    pub(crate) fn drain(
        &mut self,
        merge: impl Fn(&mut Option<V>, V),
        mut each: impl FnMut(HashRank, &[u8], V) -> Flow,
    ) -> (usize, Flow) {
        radix_sort(&mut self.slots, &mut self.scratch, 0);
        let (mut start, mut keys) = (0, 0);
        while start < self.slots.len() {
            let end = self.end_of_key(start);
            let first = number(self.slots[start]);
            let mut combined = self.entries[first].value.take();
            for next in start + 1..end {
                let later = number(self.slots[next]);
                if let Some(later) = self.entries[later].value.take() {
                    merge(&mut combined, later);
                }
            }
            let rank = self.entries[first].rank;
            let flow = combined.map_or(Flow::Continue(()), |value| {
                each(rank, self.key(first), value)
            });
            if flow.is_break() {
                return (keys, flow);
            }
            (start, keys) = (end, keys + 1);
        }
        self.clear();
        (keys, Flow::Continue(()))
    }

    /// Returns the end of the entries with the key at `start`. First orders different keys whose slots agree.
    #[inline(always)]
    fn end_of_key(&mut self, start: usize) -> usize {
        self.prefetch(start);
        match self.slots.get(start + 1) {
            Some(next) if is_alike(*next, self.slots[start]) => self.end_of_alike(start),
            _ => start + 1,
        }
    }

    /// Like [`end_of_key`](Self::end_of_key), if several entries agree in their slots.
    #[inline(never)]
    fn end_of_alike(&mut self, start: usize) -> usize {
        let mut slots = std::mem::take(&mut self.slots);
        let first = slots[start];
        let rest = slots[start..].iter();
        let len = rest.take_while(|slot| is_alike(**slot, first)).count();
        let alike = &mut slots[start..start + len];
        let is_same = |a: EntrySlot, b: EntrySlot| self.compare(a, b) == Ordering::Equal;
        let end = if alike.iter().all(|slot| is_same(*slot, first)) {
            start + len
        } else {
            sort_slots(alike, &|a, b| self.compare(a, b));
            start + alike.partition_point(|slot| is_same(*slot, alike[0]))
        };
        self.slots = slots;
        end
    }

    /// Compares two entries by hash rank, then by key.
    fn compare(&self, a: EntrySlot, b: EntrySlot) -> Ordering {
        let [a, b] = [a, b].map(|slot| (self.entries[number(slot)].rank, self.key(number(slot))));
        a.cmp(&b)
    }

    /// Prefetches the entries that will be emitted soon.
    #[inline(always)]
    fn prefetch(&self, start: usize) {
        let entry = |ahead: usize| {
            let slot = self.slots.get(start + ahead)?;
            self.entries.get(number(*slot))
        };
        if let Some(entry) = entry(PREFETCH_ENTRIES) {
            crate::shuffle::memory::hints::prefetch(entry);
        }
        let key = entry(PREFETCH_ENTRIES / 2).and_then(|entry| self.keys.get(entry.key_start));
        if let Some(byte) = key {
            crate::shuffle::memory::hints::prefetch(byte);
        }
    }

    #[inline(always)]
    fn key(&self, number: usize) -> &[u8] {
        let next = self.entries.get(number + 1);
        let end = next.map_or(self.keys.len(), |entry| entry.key_start);
        &self.keys[self.entries[number].key_start..end]
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.entries.clear();
        self.slots.clear();
    }
}

#[inline(always)]
fn number(slot: EntrySlot) -> usize {
    (slot & (u64::MAX >> PLACE_BITS)) as usize
}

/// Returns whether the slots of two entries agree in their hash rank.
#[inline(always)]
fn is_alike(a: EntrySlot, b: EntrySlot) -> bool {
    (a ^ b) >> (u64::BITS - PLACE_BITS) == 0
}

/// Sorts slots that agree, which few do. Compiled once, not for each type of values.
#[cold]
fn sort_slots(slots: &mut [EntrySlot], compare: &dyn Fn(EntrySlot, EntrySlot) -> Ordering) {
    slots.sort_by(|a, b| compare(*a, *b));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::shuffle::table::accumulator::Accumulator;

    fn push(entries: &mut RangeEntries<String>, rank: u64, key: &[u8], value: String) {
        let mut value = Some(value);
        while let Some(again) = value.take() {
            if let Err(again) = entries.push(HashRank(rank), key, again) {
                let bytes = entries.next_bytes(key.len());
                entries.make_room(key.len());
                assert_eq!(entries.memory_bytes(), bytes);
                value = Some(again);
            }
        }
    }

    /// Keys of 0 to 299 bytes, several for each hash rank, and most of them twice or more often.
    fn fill(entries: &mut RangeEntries<String>) -> BTreeMap<(u64, Vec<u8>), String> {
        let mut expected = BTreeMap::<_, String>::new();
        for n in 0..20_000_u64 {
            // Some hash ranks differ only in their last bit.
            let rank = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 1_000) << 54 | (n % 2);
            let key = vec![(n % 7) as u8; n as usize % 300];
            push(entries, rank, &key, format!("{n} "));
            *expected.entry((rank, key)).or_default() += &format!("{n} ");
        }
        expected
    }

    #[test]
    fn keys_come_in_order_and_their_values_as_they_came() {
        let mut entries = RangeEntries::default();
        let merge = |all: &mut Option<String>, later: String| all.get_mut().push_str(&later);
        for _ in 0..2 {
            let expected = fill(&mut entries);
            assert_eq!(entries.len(), 20_000);
            assert_eq!(entries.count_keys(), expected.len());
            let mut left = expected.iter();
            let (keys, flow) = entries.drain(merge, |rank, key, all| {
                let (of, expected_all) = left.next().unwrap();
                assert_eq!(((rank.0, key), &all), ((of.0, &of.1[..]), expected_all));
                Flow::Continue(())
            });
            assert!(flow.is_continue() && left.next().is_none());
            assert_eq!((keys, entries.len()), (expected.len(), 0));
        }
    }
}
