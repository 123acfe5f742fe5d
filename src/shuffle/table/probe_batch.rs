//! Keys that wait for the slots they belong in.
//!
//! A slot of a table that is larger than the cache comes from memory, which takes as long as a dozen keys do. So it is
//! asked for when its key comes, and looked at when some more have come.

use super::hash_table::Probe;

/// How many keys wait.
pub(crate) const BATCH_KEYS: usize = 32;

pub(crate) struct ProbeBatch<X> {
    probes: Vec<(Probe, X)>,
    /// The bytes of those keys that do not fit into a probe, one behind the other.
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
    /// Takes a key, and what is to be done with it; true if the batch is full then.
    #[inline(always)]
    pub(crate) fn push(&mut self, probe: Probe, key: &[u8], extra: X) -> bool {
        if probe.long_len() > 0 {
            self.long_keys.extend_from_slice(key);
        }
        self.probes.push((probe, extra));
        self.probes.len() == BATCH_KEYS
    }

    /// The keys that wait, as they came.
    pub(crate) fn probes(&self) -> impl Iterator<Item = &(Probe, X)> {
        self.probes.iter()
    }

    /// Calls `each` with the keys as they came, and leaves none. A key that fits into its probe is given as no bytes.
    #[inline(always)]
    pub(crate) fn drain<E>(
        &mut self,
        mut each: impl FnMut(&Probe, &[u8], X) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut long_keys = &self.long_keys[..];
        for (probe, extra) in self.probes.drain(..) {
            let (long, rest) = long_keys.split_at(probe.long_len());
            long_keys = rest;
            each(&probe, long, extra)?;
        }
        self.long_keys.clear();
        Ok(())
    }
}
