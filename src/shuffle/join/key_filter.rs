//! A join filter: a Bloom filter over the keys of one side of a join, for the other side.
//!
//! It has false positives but no false negatives. Neither its answers nor its existence can therefore change a result;
//! they can only save work.
//!
//! Each key sets and tests three bits of one word, so a test costs one memory access.

use std::sync::{Mutex, PoisonError};

use crate::shuffle::key::partitioner::KeyPosition;
use crate::storage::memory::{MemoryBudget, Reservation};
use crate::task::Resources;

/// Number of bits per key. With three bits of one word set for each key, 3 % of absent keys pass.
const BITS_PER_KEY: usize = 10;

/// Maximum length of a filter, in bytes. A longer one would not fit into the cache of a core, and each record would
/// wait for memory.
const MAX_BYTES: usize = 1 << 20;
const MIN_BYTES: usize = 8 << 10;
pub(super) const MIN_WORDS: usize = MIN_BYTES / size_of::<u64>();

/// Words in which keys have set bits.
#[derive(Debug)]
pub(crate) struct KeyFilter {
    words: Vec<u64>,
    /// Number of keys that have set a bit.
    keys: usize,
    _reservation: Reservation,
}

impl KeyFilter {
    fn new(bytes: usize, budget: &MemoryBudget) -> Option<Self> {
        Some(Self {
            words: vec![0; bytes / size_of::<u64>()],
            keys: 0,
            _reservation: budget.try_reserve(bytes)?,
        })
    }

    /// Creates a filter without keys. `words` is a power of two.
    pub(super) fn empty(words: usize, budget: &MemoryBudget) -> Option<Self> {
        Self::new(words * size_of::<u64>(), budget)
    }

    /// Returns the number of words.
    pub(super) fn words(&self) -> usize {
        self.words.len()
    }

    /// Returns the number of keys that have set a bit.
    pub(super) fn keys(&self) -> usize {
        self.keys
    }

    /// Returns the words that are not 0, with their indices.
    pub(super) fn set_words(&self) -> impl Iterator<Item = (usize, u64)> {
        let words = self.words.iter().copied().enumerate();
        words.filter(|(_, word)| *word != 0)
    }

    /// Adds the keys of a filter of `words` words, which is at least as long as this one. The index of a word is the top
    /// bits of a hash, and that of a shorter filter has fewer of them.
    pub(super) fn add_words(
        &mut self,
        words: usize,
        keys: usize,
        set: impl Iterator<Item = (usize, u64)>,
    ) {
        let ratio = words / self.words.len();
        for (index, word) in set {
            self.words[index / ratio] |= word;
        }
        self.keys = self.keys.saturating_add(keys);
    }

    /// Returns whether it has so few keys that it drops most others.
    pub(super) fn is_useful(&self) -> bool {
        self.keys <= self.most_keys()
    }

    fn most_keys(&self) -> usize {
        self.words.len() * u64::BITS as usize / BITS_PER_KEY
    }

    /// Returns the index of the word for a key, and the bits in it.
    #[inline]
    fn word(&self, position: KeyPosition) -> (usize, u64) {
        // A hash rank lacks the top bits of the hash, which are in the number of the partition.
        let mixed = position
            .rank
            .0
            .wrapping_add(position.partition as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = mixed >> (u64::BITS - self.words.len().ilog2());
        let bits = 1 << (mixed >> 20 & 63) | 1 << (mixed >> 26 & 63) | 1 << (mixed >> 32 & 63);
        (word as usize, bits)
    }

    /// Adds a key. Returns `false` once there are too many keys for the filter to be useful.
    #[inline]
    fn add(&mut self, position: KeyPosition) -> bool {
        let (word, bits) = self.word(position);
        let word = &mut self.words[word];
        self.keys += usize::from(*word | bits != *word);
        *word |= bits;
        self.keys <= self.most_keys()
    }

    /// Returns whether a key may be in the bag.
    #[inline]
    pub(crate) fn may_have(&self, position: KeyPosition) -> bool {
        let (word, bits) = self.word(position);
        self.words[word] & bits == bits
    }

    fn merge(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
        self.keys += other.keys;
    }
}

/// Keys recorded by the threads of a stage, and the filter that they become.
#[derive(Debug, Default)]
pub(crate) struct SharedKeys {
    seen: Mutex<FilterKeys>,
    filter: Option<KeyFilter>,
    /// Whether the keys of all threads are known.
    is_finished: bool,
}

/// FilterKeys recorded by one thread.
#[derive(Debug, Default)]
pub(crate) enum FilterKeys {
    #[default]
    None,
    Some(KeyFilter),
    /// More keys than a filter can hold, or no memory for a filter.
    TooMany,
}

impl FilterKeys {
    /// Records the key of a record.
    #[inline]
    pub(crate) fn note(&mut self, position: KeyPosition, resources: &Resources) {
        match self {
            Self::Some(filter) => {
                if !filter.add(position) {
                    *self = Self::TooMany;
                }
            }
            Self::None => {
                let filter = KeyFilter::new(filter_bytes(resources), &resources.budget);
                *self = filter.map_or(Self::TooMany, Self::Some);
                self.note(position, resources);
            }
            Self::TooMany => {}
        }
    }
}

impl SharedKeys {
    /// Adds the keys that a thread has recorded.
    pub(crate) fn add(&self, keys: FilterKeys) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *all, &keys) {
            (_, FilterKeys::None) | (FilterKeys::TooMany, _) => {}
            (FilterKeys::Some(filter), FilterKeys::Some(other)) => filter.merge(other),
            (FilterKeys::None, _) | (_, FilterKeys::TooMany) => *all = keys,
        }
    }

    /// Builds the filter, unless there are too many keys. Call this once all threads have added theirs.
    pub(crate) fn finish(&mut self, resources: &Resources) {
        self.is_finished = true;
        let seen = self.seen.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.filter = match std::mem::take(seen) {
            FilterKeys::Some(filter) => filter.is_useful().then_some(filter),
            // No record needs to be shuffled.
            FilterKeys::None => KeyFilter::new(MIN_BYTES, &resources.budget),
            FilterKeys::TooMany => None,
        };
    }

    /// Returns keys that were recorded elsewhere, with their filter.
    pub(super) fn with(filter: Option<KeyFilter>) -> Self {
        Self {
            filter,
            is_finished: true,
            ..Self::default()
        }
    }

    /// Returns whether keys have been recorded, even if they are too many for a filter.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Returns the filter, if it has been built.
    pub(crate) fn filter(&self) -> Option<&KeyFilter> {
        self.filter.as_ref()
    }
}

/// Returns the length of the filter in bytes, a power of two. It may depend on the budget, because no result depends on
/// it.
fn filter_bytes(resources: &Resources) -> usize {
    let bytes = resources.share_bytes() / 16;
    1 << bytes.clamp(MIN_BYTES, MAX_BYTES).ilog2()
}

/// Number of records after which a task evaluates whether testing pays.
const TRIAL_RECORDS: u32 = 1024;

/// Tests the records of a task against a filter, until too few are dropped.
pub(crate) struct JoinFilter<'f> {
    filter: Option<&'f KeyFilter>,
    seen: u32,
    dropped: u32,
    dropped_of_task: u64,
}

impl<'f> JoinFilter<'f> {
    pub(crate) fn new(filter: Option<&'f KeyFilter>) -> Self {
        Self {
            filter,
            seen: 0,
            dropped: 0,
            dropped_of_task: 0,
        }
    }

    /// Returns whether a record with this key may be needed.
    #[inline]
    pub(crate) fn may_match(&mut self, position: KeyPosition) -> bool {
        let Some(filter) = self.filter else {
            return true;
        };
        let passes = filter.may_have(position);
        self.dropped += u32::from(!passes);
        self.seen += 1;
        if self.seen == TRIAL_RECORDS {
            self.end_trial();
        }
        passes
    }

    #[cold]
    fn end_trial(&mut self) {
        // A test costs about a thirtieth of shuffling a record.
        if self.dropped < self.seen / 32 {
            self.filter = None;
        }
        self.dropped_of_task += u64::from(self.dropped);
        (self.seen, self.dropped) = (0, 0);
    }

    /// Returns the number of records that were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped_of_task + u64::from(self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shuffle::HashPartitioner;

    fn resources(bytes: usize) -> Resources {
        Resources {
            budget: MemoryBudget::new(bytes),
            ..Resources::unlimited()
        }
    }

    fn keys(of: std::ops::Range<u32>, resources: &Resources) -> FilterKeys {
        let mut keys = FilterKeys::default();
        for position in positions(of) {
            keys.note(position, resources);
        }
        keys
    }

    fn positions(of: std::ops::Range<u32>) -> impl Iterator<Item = KeyPosition> {
        let partitioner = HashPartitioner::new(64);
        of.map(move |n| partitioner.position(&n.to_le_bytes()))
    }

    #[test]
    fn what_was_noted_passes_and_hardly_anything_else() {
        let resources = resources(16 << 20);
        let mut shared = SharedKeys::default();
        for start in [0, 250_000, 500_000] {
            shared.add(keys(start..start + 250_000, &resources));
        }
        shared.finish(&resources);
        let filter = shared.filter().unwrap();
        assert!(positions(0..750_000).all(|position| filter.may_have(position)));
        let strange = positions(1_000_000..1_100_000);
        let passed = strange
            .filter(|position| filter.may_have(*position))
            .count();
        assert!(passed < 6_000, "{passed}");
        drop(shared);
        assert_eq!(resources.budget.used_bytes(), 0);
    }

    #[test]
    fn too_many_keys_give_no_filter_and_none_give_one_that_lets_nothing_pass() {
        let resources = resources(16 << 20);
        for of in [[0..1_000_000, 0..1], [0..500_000, 500_000..1_000_000]] {
            let mut shared = SharedKeys::default();
            for of in of {
                shared.add(keys(of, &resources));
            }
            shared.finish(&resources);
            assert!(shared.filter().is_none());
        }
        let mut shared = SharedKeys::default();
        shared.add(keys(0..0, &resources));
        shared.finish(&resources);
        let filter = shared.filter().unwrap();
        assert!(!positions(0..1000).any(|position| filter.may_have(position)));
        // A key is counted once, however often it occurs.
        let mut same = FilterKeys::default();
        for _ in 0..2_000_000 {
            same.note(positions(7..8).next().unwrap(), &resources);
        }
        assert!(matches!(same, FilterKeys::Some(KeyFilter { keys: 1, .. })));
    }

    #[test]
    fn a_sieve_that_lets_all_pass_stops_asking() {
        let resources = resources(16 << 20);
        let mut shared = SharedKeys::default();
        shared.add(keys(0..1000, &resources));
        shared.finish(&resources);
        let filter = shared.filter().unwrap();
        let mut join_filter = JoinFilter::new(Some(filter));
        for _ in 0..2 {
            assert!(positions(0..1000).all(|position| join_filter.may_match(position)));
        }
        assert!(join_filter.filter.is_none());
        let mut join_filter = JoinFilter::new(Some(filter));
        let passed = positions(500..50_500).filter(|position| join_filter.may_match(*position));
        let passed = passed.count() as u64;
        assert!(join_filter.filter.is_some() && (500..5_000).contains(&passed));
        assert_eq!(join_filter.dropped(), 50_000 - passed);
    }
}
