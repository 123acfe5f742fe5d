//! Which partition a key belongs to.
//!
//! The hash is [rapidhash V3 micro](https://docs.rs/rapidhash) with its default seed, over the key's serialised bytes: the
//! same in every process, on every machine and in every run. Partition `p` of `n` holds the `p`-th of `n` equal ranges
//! of the 64-bit hash, so that the partitions in order are in the order of the hash, however many there are.

use serde::{Deserialize, Serialize};

use rapidhash::v3::{
    DEFAULT_RAPID_SECRETS, RapidSecrets, rapidhash_v3_inline, rapidhash_v3_micro_inline,
};

use crate::storage::codec::Short;

/// Divides keys among partitions by ranges of their hash.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct HashPartitioner {
    partitions: usize,
}

/// Where a key belongs: its partition, and its place among the keys of that partition. Hashes in ascending order have
/// places in ascending order; different hashes have different places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) partition: usize,
    pub(crate) place: Place,
}

/// The place of a key among the keys of its partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) u64);

impl HashPartitioner {
    pub(crate) const fn new(partitions: usize) -> Self {
        assert!(partitions > 0, "a shuffle needs a partition");
        Self { partitions }
    }

    pub(crate) fn partitions(self) -> usize {
        self.partitions
    }

    #[inline(always)]
    pub(crate) fn position(self, key: &[u8]) -> Position {
        self.position_of(hash(key))
    }

    /// The same of a short key.
    #[inline(always)]
    pub(crate) fn short_position(self, key: Short) -> Position {
        self.position_of(short_hash(key))
    }

    #[inline(always)]
    fn position_of(self, hash: u64) -> Position {
        // The hash as a fraction of 2^64, times the number of partitions: the whole part and the rest of it.
        let scaled = u128::from(hash) * self.partitions as u128;
        Position {
            partition: (scaled >> 64) as usize,
            place: Place(scaled as u64),
        }
    }
}

/// Short keys have the same hash in all variants of V3, and their part of the large one is inlined; of micro nothing is.
#[inline(always)]
fn hash(key: &[u8]) -> u64 {
    if key.len() <= 16 {
        rapidhash_v3_inline::<true, true, false>(key, &DEFAULT_RAPID_SECRETS)
    } else {
        long_hash(key)
    }
}

/// The same of a short key, whose bytes are in registers: what rapidhash does with so few.
#[inline(always)]
fn short_hash(key: Short) -> u64 {
    let RapidSecrets { seed, secrets } = DEFAULT_RAPID_SECRETS;
    let (word, len) = (key.word(), key.len());
    let byte = |at: usize| (word >> (8 * at)) as u64 & 0xff;
    let (a, b, seed) = match len {
        8.. => (
            word as u64,
            (word >> (8 * (len - 8))) as u64,
            seed ^ len as u64,
        ),
        4..8 => {
            let half = u64::from(u32::MAX);
            let last = (word >> (8 * (len - 4))) as u64 & half;
            (word as u64 & half, last, seed ^ len as u64)
        }
        1..4 => (byte(0) << 45 | byte(len - 1), byte(len / 2), seed),
        0 => (0, 0, seed),
    };
    let product = u128::from(a ^ secrets[1]) * u128::from(b ^ seed);
    let (low, high) = (product as u64, (product >> 64) as u64);
    let product =
        u128::from(low ^ 0xaaaa_aaaa_aaaa_aaaa) * u128::from(high ^ secrets[1] ^ len as u64);
    (product as u64) ^ (product >> 64) as u64
}

#[inline(never)]
fn long_hash(key: &[u8]) -> u64 {
    rapidhash_v3_micro_inline::<true, false>(key, &DEFAULT_RAPID_SECRETS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::codec::SHORT_BYTES;

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(
            [hash(b""), hash(b"a"), hash(b"holdall"), hash(&[7; 100])],
            [
                232177599295442350,
                6457959414642172395,
                7162430962720249247,
                5014345482301248962
            ]
        );
    }

    #[test]
    fn short_keys_have_the_hash_of_their_bytes() {
        for len in 0..=SHORT_BYTES {
            for first in 0..=255 {
                let key: Vec<u8> = (0..len as u8).map(|n| n.wrapping_mul(37) ^ first).collect();
                let short = Short::new(&key).unwrap();
                assert_eq!(short_hash(short), hash(&key), "{key:?}");
            }
        }
    }

    #[test]
    fn partitions_are_ranges_of_the_hash() {
        for partitions in [1, 2, 3, 64, 1000] {
            let partitioner = HashPartitioner::new(partitions);
            let mut keys: Vec<_> = (0..5000_u32).map(|n| n.to_le_bytes()).collect();
            keys.sort_by_key(|key| hash(key));
            let positions: Vec<_> = keys.iter().map(|key| partitioner.position(key)).collect();
            assert!(positions.is_sorted());
            assert!(
                positions
                    .iter()
                    .all(|position| position.partition < partitions)
            );
        }
    }
}
