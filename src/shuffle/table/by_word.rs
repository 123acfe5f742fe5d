//! Values of keys that are integers or characters: a hash map of the numbers, which are neither encoded nor compared as
//! bytes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::shuffle::write::savings::keys_in_all;

/// Maximum memory of a map, in bytes. With more, most records would wait for memory; those of a table do not, because
/// their slots are prefetched.
const MAX_BYTES: usize = 16 << 20;

/// Number of keys that the smallest map has room for.
const MIN_KEYS: usize = 7;

/// Number of keys from which on the number of all keys is estimated before a map grows.
const MIN_CHECKED_KEYS: usize = 3 << 10;

/// Maximum number of keys whose values own memory. With more, a combine group would allocate and encode a value for every
/// few records, and it is better not to combine them.
const MAX_OWNERS: usize = 1 << 14;

/// Maximum number of keys in a combine group if values are larger than `MAX_NARROW_BYTES` bytes. The map of more such values
/// would not fit into the CPU cache, and their entries cost more than those of a few records: for 100,000 keys in 2 million
/// records, statistics took 1.7 times as long. It is larger than the number of keys below which records would stay in the
/// tables, because both numbers are compared with estimates.
const MAX_WIDE: usize = 3 << 14;
const MAX_NARROW_BYTES: usize = 16;

/// Maximum number of buckets per word for a map to be used again. Emptying it visits all of them.
const MAX_BUCKETS_OF_WORD: usize = 16;

/// Maximum size of a value, in bytes. Larger ones are moved too much when the map grows.
const MAX_VALUE_BYTES: usize = 128;

/// What a map takes for each bucket besides the entry, in bytes.
const CONTROL_BYTES: usize = 1;

/// The values of keys that have a word.
pub(crate) struct ByWord<V> {
    values: ValuesByWord<V>,
    records: usize,
}

type ValuesByWord<V> = HashMap<u64, V, BuildHasherDefault<WordHasher>>;

impl<V> Default for ByWord<V> {
    fn default() -> Self {
        Self {
            values: ValuesByWord::default(),
            records: 0,
        }
    }
}

impl<V> ByWord<V> {
    const BUCKET_BYTES: usize = size_of::<(u64, V)>() + CONTROL_BYTES;

    /// Whether values of this type may be held here, if they own no memory.
    pub(crate) const IS_SMALL: bool = size_of::<V>() <= MAX_VALUE_BYTES;

    /// Calls `update` with the value of a word, or inserts the result of `create` for a new one. If there is no
    /// [capacity](Self::next_bytes), returns `extra` as the error.
    #[inline(always)]
    pub(crate) fn upsert<X>(
        &mut self,
        word: u64,
        extra: X,
        create: impl FnOnce(X) -> V,
        update: impl FnOnce(&mut V, X),
    ) -> Result<(), X> {
        if let Some(value) = self.values.get_mut(&word) {
            update(value, extra);
        } else if self.values.len() < self.values.capacity() {
            self.values.insert(word, create(extra));
        } else {
            return Err(extra);
        }
        self.records += 1;
        Ok(())
    }

    /// Returns the memory of the next larger map, in bytes. Returns `None` if the values should move to tables instead:
    /// if the map would take more than `most_bytes`, or is likely to become too large before most records find their
    /// keys.
    ///
    /// As long as there is memory, this depends on the records alone: when values move is visible in what bypasses the
    /// tables of a combine group. `is_of_group` is `true` if the map only serves one of these.
    pub(crate) fn next_bytes(
        &self,
        most_bytes: usize,
        owns_memory: bool,
        is_of_group: bool,
    ) -> Option<usize> {
        let keys = self.values.len();
        let most_keys = if owns_memory {
            MAX_OWNERS
        } else if is_of_group && size_of::<V>() > MAX_NARROW_BYTES {
            MAX_WIDE
        } else {
            // Between 7 of 8 and 7 of 16 buckets are full.
            MAX_BYTES / Self::BUCKET_BYTES / 2
        };
        let has_many_keys =
            keys >= MIN_CHECKED_KEYS && keys_in_all(self.records, self.records - keys) > most_keys;
        let bytes = Self::bytes_for(keys + 1);
        (!has_many_keys && bytes <= most_bytes.min(MAX_BYTES)).then_some(bytes)
    }

    /// Returns the memory of a map for `keys` keys, in bytes.
    fn bytes_for(keys: usize) -> usize {
        let keys = keys.max(MIN_KEYS);
        (keys * 8).div_ceil(7).next_power_of_two() * Self::BUCKET_BYTES
    }

    /// Grows the map. Returns `false` if the system has no memory for it.
    pub(crate) fn grow(&mut self) -> bool {
        let more = MIN_KEYS.saturating_sub(self.values.len()).max(1);
        self.values.try_reserve(more).is_ok()
    }

    /// Returns the memory of the map, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self.values.capacity() {
            0 => 0,
            capacity => Self::bytes_for(capacity),
        }
    }

    /// Returns the number of records.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.values.values()
    }

    /// Returns the number of words.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Removes all words, in no order, and returns them with their values. The map keeps its memory.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (u64, V)> + use<'_, V> {
        self.records = 0;
        self.values.drain()
    }

    /// Returns whether the map has so much memory for `words` words that emptying it takes longer than growing a new one.
    pub(crate) fn is_sparse_for(&self, words: usize) -> bool {
        self.values.capacity() > MAX_BUCKETS_OF_WORD * words.max(MIN_KEYS)
    }
}

/// Hashes a word by one multiplication, whose halves both depend on all bits of the word.
#[derive(Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    #[inline(always)]
    fn write_u64(&mut self, word: u64) {
        /// An odd number without a pattern: the fractional part of the golden ratio.
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(word ^ FACTOR.rotate_left(32)) * u128::from(FACTOR);
        self.0 = (product >> u64::BITS) as u64 ^ product as u64;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are words");
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums the words, each once for each time that it comes.
    fn sums(words: impl Iterator<Item = u64>, most_bytes: usize) -> ByWord<u64> {
        let mut by_word = ByWord::default();
        for word in words {
            let mut push = || by_word.upsert(word, word, |word| word, |sum, word| *sum += word);
            if push().is_err() {
                let bytes = by_word.next_bytes(most_bytes, false, true);
                if bytes.is_none() {
                    return by_word;
                }
                assert!(by_word.grow());
                assert_eq!(bytes, Some(by_word.memory_bytes()));
                let mut push = || by_word.upsert(word, word, |word| word, |sum, word| *sum += word);
                push().unwrap();
            }
        }
        by_word
    }

    const RANDOM: usize = 300_000;

    /// Numbers in random order.
    fn random() -> impl Iterator<Item = u64> {
        let next = |state: &mut u64| {
            *state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            Some(*state >> 32)
        };
        std::iter::repeat_n((), RANDOM).scan(1, move |state, ()| next(state))
    }

    #[test]
    fn values_come_back_with_their_words() {
        let mut by_word = sums((0..30).map(|n| n % 10), MAX_BYTES);
        assert_eq!((by_word.records(), by_word.len()), (30, 10));
        let mut values: Vec<_> = by_word.drain().collect();
        values.sort_unstable();
        assert_eq!(values, (0..10).map(|n| (n, 3 * n)).collect::<Vec<_>>());
    }

    #[test]
    fn many_words_move_to_tables() {
        // As many as fit.
        assert_eq!(sums(0..1_000_000, 1 << 10).records(), 28);
        // As soon as there are likely to be too many.
        let records = sums(random().map(|n| n % 4_000_000), MAX_BYTES).records();
        assert!(records < 4 * MIN_CHECKED_KEYS, "{records}");
        // Fewer stay.
        let few = sums(random().map(|n| n % 50_000), MAX_BYTES);
        assert_eq!(few.records(), RANDOM);
    }
}
