//! A few keys with values, in a list. For so few, comparing them one by one takes less time than creating and visiting a
//! table.

use std::cmp::Ordering;

use super::hash_table::HashedKey;

/// Maximum number of records that are combined in a list. With more, comparing their keys takes longer than a table.
pub(crate) const MAX_FEW: usize = 32;

/// The keys in the order of arrival.
pub(crate) struct FewKeys<V>(Vec<FewKey<V>>);

struct FewKey<V> {
    hashed: HashedKey,
    /// Bytes of a key that does not fit into `hashed`.
    long: Vec<u8>,
    /// `None` only while it is being combined.
    value: Option<V>,
}

impl<V> FewKey<V> {
    fn bytes(&self) -> &[u8] {
        self.hashed.bytes(&self.long)
    }

    fn order(&self, other: &Self) -> Ordering {
        let by_rank = self.hashed.rank().cmp(&other.hashed.rank());
        by_rank.then_with(|| self.bytes().cmp(other.bytes()))
    }
}

impl<V> FewKeys<V> {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(MAX_FEW))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Calls `update` with the value of a key, or inserts the result of `create` for a new key. `long` has the bytes of
    /// the key if they do not fit into `hashed`.
    #[inline]
    pub(crate) fn upsert<X>(
        &mut self,
        hashed: HashedKey,
        long: &[u8],
        extra: X,
        create: impl FnOnce(X) -> V,
        update: impl FnOnce(&mut Option<V>, X),
    ) {
        // Without the first check, most comparisons would be of no bytes, which is slow: glibc then reads from the address
        // of an empty `Vec`, and the CPU has to suppress the page fault.
        let is_long = |known: &FewKey<V>| long.is_empty() || known.long == long;
        let mut keys = self.0.iter_mut();
        match keys.find(|known| known.hashed.is(&hashed) && is_long(known)) {
            Some(known) => update(&mut known.value, extra),
            None => self.0.push(FewKey {
                hashed,
                long: long.to_vec(),
                value: Some(create(extra)),
            }),
        }
    }

    /// Sorts the keys by (hash rank, key).
    pub(crate) fn sort(&mut self) {
        self.0.sort_unstable_by(FewKey::order);
    }

    /// Removes all keys, in order, and calls `each` with every key and its value until it fails.
    pub(crate) fn drain<E>(self, mut each: impl FnMut(&[u8], V) -> Result<(), E>) -> Result<(), E> {
        for mut key in self.0 {
            if let Some(value) = key.value.take() {
                each(key.bytes(), value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::shuffle::key::partitioner::HashRank;

    #[test]
    fn a_few_keys_are_those_of_a_map() {
        let (mut few, mut expected) = (FewKeys::new(), BTreeMap::<_, Vec<usize>>::new());
        for n in 0..MAX_FEW {
            // Short and long keys, and different keys of one hash rank.
            let key = n.wrapping_mul(7919).to_string().repeat(1 + n % 2 * 9);
            let key = &key.as_bytes()[..key.len().min(17)];
            let rank = HashRank(n as u64 % 3);
            let hashed = HashedKey::new(rank, key);
            let long = &key[..hashed.long_len()];
            let add = |list: &mut Option<Vec<usize>>, n| list.as_mut().unwrap().push(n);
            for n in [n, n + 100] {
                few.upsert(hashed, long, n, |n| vec![n], add);
                expected.entry((rank, key.to_vec())).or_default().push(n);
            }
        }
        assert_eq!(few.len(), expected.len());
        few.sort();
        let mut expected = expected.into_iter();
        let drained = few.drain(|key, list| {
            let ((_, expected_key), expected_list) = expected.next().unwrap();
            assert_eq!((key, list), (&*expected_key, expected_list));
            Ok::<(), ()>(())
        });
        assert!(drained.is_ok() && expected.next().is_none());
    }
}
