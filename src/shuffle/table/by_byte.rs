//! Values of keys of one byte, such as small numbers, ASCII characters and `bool`s: an array, without a hash.

/// Maximum size of a value, in bytes. Larger ones would take memory that is not reserved.
const MAX_VALUE_BYTES: usize = 64;

/// The values of 256 keys, if they are kept here.
pub(crate) struct ByByte<V>(Option<Box<[OfByte<V>; 256]>>);

/// The value of a key, and the number of its records. If there were one number for all keys, each record would have to
/// wait until the one before it has been counted.
struct OfByte<V> {
    records: usize,
    value: Option<V>,
}

impl<V> ByByte<V> {
    /// Whether values of this type may be held here.
    pub(crate) const IS_SMALL: bool =
        !std::mem::needs_drop::<V>() && size_of::<V>() <= MAX_VALUE_BYTES;

    pub(crate) fn new(is_used: bool) -> Self {
        let empty = |_| OfByte {
            records: 0,
            value: None,
        };
        // Collected, and not as an array on the stack: values of other types may be large, and the stack frame of this
        // function is for an array of them even if it is not used.
        let all = || (0..=u8::MAX).map(empty).collect::<Box<[_]>>();
        Self(is_used.then(all).and_then(|all| all.try_into().ok()))
    }

    /// Returns the value of a key for one more record; `None` inside for a new key. Returns `None` if the values are not
    /// kept here.
    #[inline(always)]
    pub(crate) fn value(&mut self, key: u8) -> Option<&mut Option<V>> {
        let of_byte = &mut self.0.as_mut()?[usize::from(key)];
        of_byte.records += 1;
        Some(&mut of_byte.value)
    }

    /// Takes all values, and returns the number of records and the keys with their values. From now on, values are not
    /// kept here.
    pub(crate) fn take(&mut self) -> (usize, Vec<(u8, V)>) {
        // A vector, because an array would be moved through the stack.
        let of_bytes = self.0.take().map(|all| <[OfByte<V>]>::into_vec(all));
        let of_bytes = of_bytes.unwrap_or_default();
        let records = of_bytes.iter().map(|of_byte| of_byte.records).sum();
        let pairs = (0..=u8::MAX).zip(of_bytes);
        let pairs = pairs.filter_map(|(key, of_byte)| Some((key, of_byte.value?)));
        (records, pairs.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_with_their_keys() {
        let mut sums = ByByte::new(true);
        for key in [7, 255, 0, 7, 0, 7] {
            let sum = sums.value(key).unwrap();
            *sum.get_or_insert(0) += u32::from(key) + 1;
        }
        let (records, pairs) = sums.take();
        assert_eq!(records, 6);
        assert_eq!(pairs, [(0, 2), (7, 24), (255, 256)]);
        assert_eq!(sums.take(), (0, Vec::new()));
        assert_eq!(sums.value(7), None);
    }

    #[test]
    fn large_values_that_are_not_kept_here_need_no_stack() {
        let work = || ByByte::<[u64; 4096]>::new(false).take().1.len();
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(work);
        assert_eq!(thread.unwrap().join().unwrap(), 0);
    }
}
