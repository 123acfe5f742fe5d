//! Values of keys of one byte, such as small numbers, ASCII characters and `bool`s: an array, without a hash.

/// Maximum size of a value, in bytes. Larger ones would take memory that is not reserved.
const MAX_VALUE_BYTES: usize = 64;

/// The values of up to 256 keys.
pub(crate) struct ByByte<V> {
    /// Empty until the first key arrives.
    values: Vec<Option<V>>,
    records: usize,
}

impl<V> Default for ByByte<V> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            records: 0,
        }
    }
}

impl<V> ByByte<V> {
    /// Whether values of this type may be held here.
    pub(crate) const IS_SMALL: bool =
        !std::mem::needs_drop::<V>() && size_of::<V>() <= MAX_VALUE_BYTES;

    /// Returns the value of a key for one more record; `None` for a new key.
    #[inline(always)]
    pub(crate) fn value(&mut self, key: u8) -> &mut Option<V> {
        if self.values.is_empty() {
            self.values.resize_with(256, || None);
        }
        self.records += 1;
        &mut self.values[usize::from(key)]
    }

    /// Removes all values, and returns the number of records and the keys with their values.
    pub(crate) fn take(&mut self) -> (usize, impl Iterator<Item = (u8, V)> + use<V>) {
        let Self { values, records } = std::mem::take(self);
        let pairs = (0..=u8::MAX).zip(values);
        (
            records,
            pairs.filter_map(|(key, value)| Some((key, value?))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_with_their_keys() {
        let mut sums = ByByte::default();
        for key in [7, 255, 0, 7, 0, 7] {
            *sums.value(key).get_or_insert(0) += u32::from(key) + 1;
        }
        let (records, pairs) = sums.take();
        assert_eq!(records, 6);
        assert!(pairs.eq([(0, 2), (7, 24), (255, 256)]));
        let (records, mut pairs) = sums.take();
        assert_eq!((records, pairs.next()), (0, None));
    }
}
