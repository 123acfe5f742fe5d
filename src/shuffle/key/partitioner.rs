//! Assigns keys to partitions by their hash.
//!
//! The hash is [rapidhash V3 micro](https://docs.rs/rapidhash) with its default seed, over the key's serialised bytes,
//! or the [tagged](Short::tagged) word of a short key. It is the same in every process, on every machine and in every
//! run. Hashing a word is branchless. Keys of different lengths would otherwise cause mispredicted branches.
//!
//! Partition `p` of `n` holds the `p`-th of `n` equal ranges of the 64-bit hash. The partitions are therefore in the
//! order of the hash, for any `n`.

use serde::{Deserialize, Serialize};

use rapidhash::v3::{DEFAULT_RAPID_SECRETS, rapidhash_v3_inline, rapidhash_v3_micro_inline};

use crate::error::Result;
use crate::pipeline::{Key, Peek};
use crate::storage::codec::Short;

/// Divides keys among partitions by ranges of their hash.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct HashPartitioner {
    partitions: usize,
}

/// KeyPosition of a key: its partition, and its hash rank within that partition. Ascending hashes have ascending
/// positions, and different hashes have different positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyPosition {
    pub(crate) partition: usize,
    pub(crate) rank: HashRank,
}

/// Hash rank: the part of a key's hash that its partition does not determine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HashRank(pub(crate) u64);

impl HashPartitioner {
    pub(crate) const fn new(partitions: usize) -> Self {
        assert!(partitions > 0, "a shuffle needs a partition");
        Self { partitions }
    }

    pub(crate) fn partitions(self) -> usize {
        self.partitions
    }

    #[inline(always)]
    pub(crate) fn position(self, key: &[u8]) -> KeyPosition {
        self.position_of_first(key, key.len())
    }

    /// Like [`position`](Self::position), for a key that is the first `len` of `bytes`.
    #[inline(always)]
    pub(crate) fn position_of_first(self, bytes: &[u8], len: usize) -> KeyPosition {
        self.position_of(Short::first_of(bytes, len), &bytes[..len])
    }

    /// Like [`position`](Self::position), for a key that has been inspected: `short` is its short form, if it has one.
    #[inline(always)]
    pub(crate) fn position_of(self, short: Option<Short>, key: &[u8]) -> KeyPosition {
        match short {
            Some(key) => self.short_position(key),
            None => self.position_of_hash(long_hash(key)),
        }
    }

    /// Like [`position`](Self::position), for a short key.
    #[inline(always)]
    pub(crate) fn short_position(self, key: Short) -> KeyPosition {
        self.position_of_hash(short_hash(key))
    }

    #[inline(always)]
    fn position_of_hash(self, hash: u64) -> KeyPosition {
        // The hash as a fraction of 2^64, times the number of partitions: its integer part and its fractional part.
        let scaled = u128::from(hash) * self.partitions as u128;
        KeyPosition {
            partition: (scaled >> 64) as usize,
            rank: HashRank(scaled as u64),
        }
    }
}

/// Returns the hash of a key.
#[inline]
pub(crate) fn hash_of<K: Key + ?Sized>(key: Peek<'_, K>) -> Result<u64> {
    match K::short(key) {
        Some(key) => Ok(short_hash(key)),
        None => K::with_bytes(key, &mut Vec::new(), long_hash),
    }
}

/// Returns the hash of `bytes` by which keys are partitioned: rapidhash V3, as [specified](crate#hash).
///
/// It is the same on every machine and in every version of this library. Use it where results depend on a hash, for
/// example in MinHash, or to find the partition of a key. The hash of a `String` key is that of its bytes.
///
/// # Examples
///
/// ```
/// assert_eq!(holdall::stable_hash("holdall"), 3227071661443217181);
///
/// let words = holdall::from_vec(vec!["a".to_owned(), "b".to_owned()]).distinct();
/// let partition = (u128::from(holdall::stable_hash("b")) * 64 >> 64) as usize;
/// assert_eq!(words.select_partitions([partition]).collect()?, ["b"]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn stable_hash(bytes: impl AsRef<[u8]>) -> u64 {
    let bytes = bytes.as_ref();
    Short::new(bytes).map_or_else(|| long_hash(bytes), short_hash)
}

/// Hashes a short key. All variants of V3 return the same hash for 16 bytes; this one can be inlined.
#[inline(always)]
fn short_hash(key: Short) -> u64 {
    rapidhash_v3_inline::<true, false, false>(&key.tagged().to_le_bytes(), &DEFAULT_RAPID_SECRETS)
}

#[inline(never)]
fn long_hash(key: &[u8]) -> u64 {
    rapidhash_v3_micro_inline::<true, false>(key, &DEFAULT_RAPID_SECRETS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::codec::SHORT_BYTES;

    fn hash(key: &[u8]) -> u64 {
        HashPartitioner::new(1).position(key).rank.0
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(
            [&b""[..], b"a", b"holdall", &[7; 16], &[7; 100]].map(hash),
            [
                7334292928256936313,
                3347682354474590186,
                3227071661443217181,
                11319092796645465109,
                5014345482301248962
            ]
        );
    }

    #[test]
    fn short_keys_are_hashed_as_sixteen_bytes() {
        for len in 0..=SHORT_BYTES {
            let bytes: Vec<u8> = (1..=40).collect();
            let mut padded = [0; 16];
            padded[..len].copy_from_slice(&bytes[..len]);
            padded[SHORT_BYTES] = len as u8 + 1;
            assert_eq!(hash(&bytes[..len]), long_hash(&padded));
        }
    }

    #[test]
    fn a_key_belongs_to_the_same_place_wherever_it_stands() {
        let partitioner = HashPartitioner::new(7);
        let bytes: Vec<u8> = (1..=60).collect();
        for len in 0..40 {
            let position = partitioner.position(&bytes[..len]);
            assert_eq!(partitioner.position_of_first(&bytes, len), position);
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
