//! Adaptive map-side combining: decides, while the tables fill, whether combining saves enough.

/// Number of distinct keys in a thread's tables at which savings are first evaluated. More keys than this exceed the
/// CPU cache.
pub(crate) const FIRST_CHECK_KEYS: usize = 1 << 19;

/// The early check first runs after `check_keys / EARLIER` records, and again whenever the number of records has
/// doubled.
const EARLIER: usize = 16;

/// The early check abandons the tables if the estimated number of distinct keys exceeds this many quarters of
/// `check_keys`. With more keys in random order, more than half of the records have a new key until the full check,
/// which would then abandon larger tables.
const MANY_QUARTERS: usize = 5;

/// Minimum number of repeats at the previous check; the early check does not decide on fewer.
const MIN_REPEATS: usize = 32;

/// State of the evaluation for the tables of a thread.
pub(crate) struct Savings {
    check_keys: usize,
    /// Number of records at which the next check runs.
    next_look: usize,
    /// Number of repeats at the last check, while there were fewer keys than `check_keys`.
    repeats: usize,
    /// Number of records, and of keys, at the last check with at least `check_keys` keys.
    records: usize,
    keys: usize,
}

impl Savings {
    /// Starts with empty tables. The first full check runs when they have `check_keys` keys. If `check_keys` is
    /// `usize::MAX`, savings are never evaluated.
    pub(crate) fn new(check_keys: usize) -> Self {
        Self {
            check_keys,
            next_look: match check_keys {
                usize::MAX => usize::MAX,
                _ => check_keys / EARLIER,
            },
            repeats: 0,
            records: 0,
            keys: 0,
        }
    }

    pub(crate) fn check_keys(&self) -> usize {
        self.check_keys
    }

    #[inline]
    pub(crate) fn is_time_to_look(&self, records: usize) -> bool {
        records >= self.next_look
    }

    /// Evaluates tables with `records` records and `keys` keys. Returns `true` if they save too little: more than half
    /// of the records since the last evaluation had a new key.
    pub(crate) fn are_little(&mut self, records: usize, keys: usize) -> bool {
        self.next_look = records * 2;
        if keys < self.check_keys {
            let before = std::mem::replace(&mut self.repeats, records - keys);
            self.next_look = self.next_look.min(records + (self.check_keys - keys));
            return self.show_many_keys(records, before);
        }
        let are_little = (keys - self.keys) * 2 > records - self.records;
        (self.records, self.keys) = (records, keys);
        are_little
    }

    /// Returns `true` if the first records indicate far more distinct keys than tables can handle.
    ///
    /// In random order, twice the records have four times the repeats. If keys recur in a cycle, there are no repeats
    /// before its end; if each record occurs twice in a row, twice the records have twice the repeats. Neither case
    /// tells how many keys there are.
    fn show_many_keys(&self, records: usize, before: usize) -> bool {
        let has_no_order = before >= MIN_REPEATS && self.repeats >= 3 * before;
        has_no_order && keys_in_all(records, self.repeats) > self.check_keys / 4 * MANY_QUARTERS
    }
}

/// Estimates the number of distinct keys from `records` records in random order that had `repeats` repeats.
///
/// With D keys, two records share a key with probability 1/D. The n²/2 pairs of n records thus give r = n²/2D repeats,
/// so D = n²/2r (the birthday problem). If some keys are more frequent than others, there are even more keys than this.
pub(crate) fn keys_in_all(records: usize, repeats: usize) -> usize {
    records.saturating_mul(records) / (2 * repeats).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Returns the number of records after which tables with these keys are abandoned.
    fn given_up(keys: impl Iterator<Item = u64>) -> Option<usize> {
        let mut savings = Savings::new(FIRST_CHECK_KEYS);
        let mut seen = HashSet::new();
        (1..).zip(keys).find_map(|(records, key)| {
            seen.insert(key);
            let is_time = savings.is_time_to_look(records);
            (is_time && savings.are_little(records, seen.len())).then_some(records)
        })
    }

    /// Numbers in random order.
    fn numbers(count: u64) -> impl Iterator<Item = u64> {
        let mut state = 1_u64;
        (0..count).map(move |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 32
        })
    }

    #[test]
    fn many_keys_in_no_order_show_early() {
        let records = given_up(numbers(100_000).map(|n| n % 10_000_000));
        assert_eq!(records, Some(FIRST_CHECK_KEYS / 8));
        // Half of the records have a tenth of the keys.
        let most = |n: u64| if n >> 31 == 0 { 10_000_000 } else { 1_000_000 };
        let skewed = numbers(200_000).map(|n| n % most(n));
        assert!(given_up(skewed).is_some());
        // Only with all records is it known that there are no repeats.
        assert_eq!(given_up(0..1_000_000), Some(FIRST_CHECK_KEYS));
    }

    #[test]
    fn keys_that_come_again_stay_in_tables() {
        assert_eq!(given_up(numbers(900_000).map(|n| n % 400_000)), None);
        // In a cycle, and with some records twice.
        assert_eq!(given_up((0..900_000).map(|n| n % 300_000)), None);
        assert_eq!(given_up((0..500_000).map(|n| n - n % 500 / 499)), None);
        // Like words: the n-th has 1/n of the frequency of the first.
        assert_eq!(
            given_up(numbers(900_000).map(|n| (1 << 32) / (n + 1))),
            None
        );
    }
}
