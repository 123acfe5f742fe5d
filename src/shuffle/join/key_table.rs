//! A small bag as a table of short keys, whose values have one length in a form that is faster to decode.
//!
//! The keys are in the order of their hash. For each prefix of the hash, a directory has the position of the first key,
//! and a small Bloom filter. Most absent keys are found missing by one read. The others take one more for the key, and
//! one for the value. Finding a key in an [index](super::lookup) takes three reads, each of which waits for the one
//! before it, and more mispredicted branches. The layout is that of Birler, Schmidt, Fent and Neumann, "Simple,
//! Efficient, and Robust Hash Tables for Join Processing" (2024).

use crate::error::Result;
use crate::shuffle::key::partitioner::HashPartitioner;
use crate::shuffle::memory::hints::prefetch;
use crate::storage::codec::Short;
use crate::storage::memory::Reservation;
use crate::task::Resources;

/// Maximum length of a value, in bytes. Longer values take longer to copy than to find.
const MAX_WIDTH: usize = 64;

/// Minimum number of prefixes for each key. With more, fewer keys share one; with fewer, more of the directory is in the
/// cache.
const PREFIXES_PER_KEY: usize = 2;

/// Maximum part of the memory budget that a table takes, as a divisor. The index alone suffices.
const MAX_OF_BUDGET: usize = 16;

/// A key, and the range of its values.
#[derive(Clone, Copy, Debug)]
struct TableKey {
    /// Both halves of the [tagged](Short::tagged) key.
    key: [u64; 2],
    /// Position of the first value, in bytes.
    start: u32,
    values: u32,
}

/// Short keys and their values.
#[derive(Debug)]
pub(crate) struct KeyTable {
    /// For each prefix, the position of its first key in the lower half, and the filter in the upper half; then the end.
    directory: Vec<u64>,
    /// Number of bits of a hash that are not in its prefix.
    shift: u32,
    keys: Vec<TableKey>,
    /// The values of each key, in order.
    values: Vec<u8>,
    /// Length of each value.
    width: usize,
    _reservation: Reservation,
}

impl KeyTable {
    /// Creates a table of entries in the order of their hash, in which the entries of a key are neighbours. `convert`
    /// appends a value in the other form, or returns `false`. Returns `None` for entries that do not fit into a table, or
    /// if there is no memory.
    pub(crate) fn of<'e>(
        entries: impl Iterator<Item = (&'e [u8], &'e [u8])> + Clone,
        resources: &Resources,
        convert: impl Fn(&[u8], &mut Vec<u8>) -> bool,
    ) -> Result<Option<Self>> {
        let mut first = Vec::new();
        let is_fixed = entries
            .clone()
            .next()
            .is_some_and(|(_, value)| convert(value, &mut first));
        let width = first.len();
        if !is_fixed || width > MAX_WIDTH {
            return Ok(None);
        }
        let (mut count, mut keys, mut last) = (0, 0, None);
        for (key, _) in entries.clone() {
            count += 1;
            keys += usize::from(last.replace(key) != Some(key));
        }
        let prefixes = (keys * PREFIXES_PER_KEY).next_power_of_two();
        let bytes = prefixes * size_of::<u64>() + keys * size_of::<TableKey>() + count * width;
        let most = (resources.budget.limit_bytes() / MAX_OF_BUDGET).min(u32::MAX as usize);
        let Some(reservation) = (bytes <= most)
            .then(|| resources.budget.try_reserve(bytes))
            .flatten()
        else {
            return Ok(None);
        };
        let mut table = Self {
            directory: vec![0; prefixes + 1],
            shift: u64::BITS - prefixes.ilog2(),
            keys: Vec::with_capacity(keys),
            values: Vec::with_capacity(count * width),
            width,
            _reservation: reservation,
        };
        let is_filled = table.fill(entries, resources, convert)?;
        Ok(is_filled.then_some(table))
    }

    /// Adds all entries. Returns `false` if they do not fit.
    fn fill<'e>(
        &mut self,
        entries: impl Iterator<Item = (&'e [u8], &'e [u8])>,
        resources: &Resources,
        convert: impl Fn(&[u8], &mut Vec<u8>) -> bool,
    ) -> Result<bool> {
        let mut checks = resources.stop.checks();
        // Prefixes before this one have their position.
        let mut next = 0;
        for (key, value) in entries {
            checks.count()?;
            let start = self.values.len();
            let Some(key) = Short::new(key) else {
                return Ok(false);
            };
            if !convert(value, &mut self.values) || self.values.len() - start != self.width {
                return Ok(false);
            }
            let probe = TableProbe::of(key);
            if let Some(last) = self.keys.last_mut()
                && last.key == probe.key
            {
                last.values += 1;
                continue;
            }
            let prefix = self.prefix(probe);
            if prefix >= next {
                self.directory[next..=prefix].fill(self.keys.len() as u64);
                next = prefix + 1;
            }
            let first = self.directory[prefix] as u32 as usize;
            // The index may have the entries of two keys with almost the same hash in turn.
            if prefix + 1 < next
                || self.keys[first..]
                    .iter()
                    .any(|other| other.key == probe.key)
            {
                return Ok(false);
            }
            self.directory[prefix] |= probe.filter();
            self.keys.push(TableKey {
                key: probe.key,
                start: start as u32,
                values: 1,
            });
        }
        self.directory[next..].fill(self.keys.len() as u64);
        Ok(true)
    }

    /// Returns how to find a key, and prefetches the part of the directory for it.
    #[inline(always)]
    pub(crate) fn probe(&self, key: Short) -> TableProbe {
        let probe = TableProbe::of(key);
        prefetch(self.directory.as_ptr().wrapping_add(self.prefix(probe)));
        probe
    }

    #[inline(always)]
    fn prefix(&self, probe: TableProbe) -> usize {
        (probe.hash >> self.shift) as usize
    }

    /// Returns whether a key may be in the table, and prefetches where it would be.
    #[inline(always)]
    pub(crate) fn may_have(&self, probe: TableProbe) -> bool {
        let entry = self.directory[self.prefix(probe)];
        prefetch(self.keys.as_ptr().wrapping_add(entry as u32 as usize));
        entry & probe.filter() == probe.filter()
    }

    /// Returns the values of a key, in order.
    #[inline(always)]
    pub(crate) fn find(&self, probe: TableProbe) -> FixedMatches<'_> {
        let prefix = self.prefix(probe);
        let start = self.directory[prefix] as u32 as usize;
        let end = self.directory[prefix + 1] as u32 as usize;
        let mut keys = self.keys[start..end].iter();
        let (values, left) = match keys.find(|other| other.key == probe.key) {
            Some(key) => (&self.values[key.start as usize..], key.values),
            None => (&[][..], 0),
        };
        FixedMatches {
            values,
            width: self.width,
            left,
        }
    }
}

/// A key and its hash.
#[derive(Clone, Copy)]
pub(crate) struct TableProbe {
    /// Both halves of the [tagged](Short::tagged) key.
    key: [u64; 2],
    hash: u64,
}

impl TableProbe {
    #[inline(always)]
    fn of(key: Short) -> Self {
        const PARTITIONER: HashPartitioner = HashPartitioner::new(1);
        let hash = PARTITIONER.short_position(key).rank.0;
        let key = key.tagged();
        Self {
            key: [key as u64, (key >> u64::BITS) as u64],
            hash,
        }
    }

    /// Returns the bits of the key in the filter of its prefix.
    #[inline(always)]
    fn filter(self) -> u64 {
        1 << (32 | self.hash & 31) | 1 << (32 | self.hash >> 5 & 31)
    }
}

/// The values of a key in a [`KeyTable`].
pub(crate) struct FixedMatches<'a> {
    /// The values, and those of later keys.
    values: &'a [u8],
    width: usize,
    left: u32,
}

impl<'a> Iterator for FixedMatches<'a> {
    type Item = &'a [u8];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let (value, rest) = self.values.split_at(self.width);
        self.values = rest;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory::MemoryBudget;

    type Entry = (Vec<u8>, Vec<u8>);

    /// Returns entries of `keys` keys, in the order of their hash. Key `n` has the values `10 * n`, `10 * n + 1` and so on,
    /// `n % 4 + 1` of them.
    fn entries(keys: u32) -> Vec<Entry> {
        let entry = |n: u32, value| (n.to_le_bytes().to_vec(), vec![(10 * n + value) as u8; 3]);
        let all = (0..keys).flat_map(|n| (0..=n % 4).map(move |value| entry(n, value)));
        let mut all: Vec<Entry> = all.collect();
        all.sort_by_key(|(key, _)| TableProbe::of(Short::new(key).unwrap()).hash);
        all
    }

    fn table(entries: &[Entry], resources: &Resources) -> Option<KeyTable> {
        let entries = entries.iter().map(|(key, value)| (&key[..], &value[..]));
        let convert = |value: &[u8], bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(value);
            true
        };
        KeyTable::of(entries, resources, convert).unwrap()
    }

    #[test]
    fn a_key_has_its_values_in_order_and_others_have_none() {
        let resources = Resources::unlimited();
        for keys in [1, 2, 3, 1000] {
            let table = table(&entries(keys), &resources).unwrap();
            let values = |n: u32| -> Vec<u8> {
                let probe = table.probe(Short::new(&n.to_le_bytes()).unwrap());
                let values: Vec<&[u8]> = table.find(probe).collect();
                assert!(values.is_empty() || table.may_have(probe));
                assert!(values.iter().all(|value| *value == [value[0]; 3]));
                values.iter().map(|value| value[0]).collect()
            };
            for n in 0..keys {
                let expected: Vec<u8> = (0..=n % 4).map(|value| (10 * n + value) as u8).collect();
                assert_eq!(values(n), expected);
            }
            assert!((keys..5 * keys).all(|n| values(n).is_empty()));
        }
    }

    #[test]
    fn values_may_have_no_bytes() {
        let all: Vec<Entry> = entries(100)
            .into_iter()
            .map(|(key, _)| (key, vec![]))
            .collect();
        let table = table(&all, &Resources::unlimited()).unwrap();
        for n in 0..200_u32 {
            let probe = table.probe(Short::new(&n.to_le_bytes()).unwrap());
            let expected = if n < 100 { n % 4 + 1 } else { 0 };
            assert_eq!(table.find(probe).count(), expected as usize);
        }
    }

    #[test]
    fn entries_that_do_not_fit_make_no_table() {
        let resources = Resources {
            budget: MemoryBudget::new(1 << 20),
            ..Resources::unlimited()
        };
        let good = entries(100);
        assert!(table(&good, &resources).is_some());
        assert!(table(&[], &resources).is_none());
        assert!(table(&entries(10_000), &resources).is_none());
        let with = |key: &[u8], value: &[u8]| {
            let entry = (key.to_vec(), value.to_vec());
            table(&[&good[..], &[entry]].concat(), &resources)
        };
        // A value of another length, a long key, and a key whose entries are not neighbours.
        assert!(with(&good[199].0, &[1; 4]).is_none());
        assert!(with(&[7; 20], &[1; 3]).is_none());
        assert!(with(&good[0].0, &[1; 3]).is_none());
        assert_eq!(resources.budget.used_bytes(), 0);
    }
}
