//! Buffers keys while their slots are fetched.
//!
//! A slot of a table that is larger than the cache comes from memory, which takes as long as processing a dozen keys.
//! So the slot is prefetched when its key arrives, and accessed after some more keys have arrived.

use super::hash_table::HashedKey;

/// Number of keys in a full batch.
pub(crate) const BATCH_KEYS: usize = 32;

pub(crate) struct ProbeBatch<X> {
    probes: Vec<(HashedKey, X)>,
    /// Bytes of the keys that do not fit into a probe, back to back.
    long_keys: Vec<u8>,
}

impl<X> Default for ProbeBatch<X> {
    fn default() -> Self {
        Self {
            probes: Vec::new(),
            long_keys: Vec::new(),
        }
    }
}

impl<X> ProbeBatch<X> {
    /// Adds a key, with the data to process it. Returns whether the batch is now full.
    #[inline(always)]
    pub(crate) fn push(&mut self, hashed: HashedKey, key: &[u8], extra: X) -> bool {
        if hashed.long_len() > 0 {
            self.long_keys.extend_from_slice(key);
        }
        self.probes.push((hashed, extra));
        self.probes.len() == BATCH_KEYS
    }

    /// Returns the buffered keys, in the order of arrival.
    pub(crate) fn probes(&self) -> impl Iterator<Item = &(HashedKey, X)> {
        self.probes.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.probes.len()
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.probes.is_empty()
    }

    /// Calls `each` with the keys in the order of arrival, and empties the batch. For a key that fits into its probe,
    /// the bytes are empty.
    #[inline(always)]
    pub(crate) fn drain<E>(
        &mut self,
        mut each: impl FnMut(&HashedKey, &[u8], X) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut long_keys = &self.long_keys[..];
        for (hashed, extra) in self.probes.drain(..) {
            let (long, rest) = long_keys.split_at(hashed.long_len());
            long_keys = rest;
            each(&hashed, long, extra)?;
        }
        self.long_keys.clear();
        Ok(())
    }
}
