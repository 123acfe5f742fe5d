//! Which partition a key belongs to.
//!
//! The hash is [rapidhash V3 micro](https://docs.rs/rapidhash) with its default seed, over the key's serialised bytes: the
//! same in every process, on every machine and in every run. Partition `p` of `n` holds the `p`-th of `n` equal ranges
//! of the 64-bit hash, so that the partitions in order are in the order of the hash, however many there are.

use serde::{Deserialize, Serialize};

use rapidhash::v3::{DEFAULT_RAPID_SECRETS, rapidhash_v3_inline, rapidhash_v3_micro_inline};

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
        // The hash as a fraction of 2^64, times the number of partitions: the whole part and the rest of it.
        let scaled = u128::from(hash(key)) * self.partitions as u128;
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

#[inline(never)]
fn long_hash(key: &[u8]) -> u64 {
    rapidhash_v3_micro_inline::<true, false>(key, &DEFAULT_RAPID_SECRETS)
}

#[cfg(test)]
mod tests {
    use super::*;

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
