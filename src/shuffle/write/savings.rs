//! Whether combining on the map side saves anything: looked at from time to time, while tables fill.

/// With so many keys in tables it is looked at for the first time whether that saves anything: more would no longer be
/// in the processor's cache.
pub(crate) const FIRST_CHECK_KEYS: usize = 1 << 19;

/// Signs of far more keys are looked for before that: first when there are so many times fewer records, and each time
/// that they have doubled.
const EARLIER: usize = 16;

/// So many times as many keys are far more.
const MANY_FOR_CHECKED: usize = 4;

/// Fewer repeats of keys are no sign.
const LEAST_REPEATS: usize = 32;

/// What is known of the tables of a thread.
pub(crate) struct Savings {
    check_keys: usize,
    /// With so many records it is looked at again.
    next_look: usize,
    /// How many records had repeated a key at the last look, while there were fewer keys than `check_keys`.
    repeats: usize,
    /// How much there was at the last look, once there were so many keys.
    records: usize,
    keys: usize,
}

impl Savings {
    /// Looks at empty tables, for the first time in earnest when they have `check_keys`; never if those are as many as
    /// a number can be.
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

    /// Looks at tables with so many records and keys, and says whether they save too little to go on.
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

    /// Whether the first records show that there are far more keys than tables are good for.
    ///
    /// Where keys come in turn, nothing can be said before each has come. There are no repeats then, or those of records
    /// that come twice, which become twice as many with twice the records; in no order they become four times as many.
    fn show_many_keys(&self, records: usize, before: usize) -> bool {
        let has_no_order = before >= LEAST_REPEATS && self.repeats >= 3 * before;
        has_no_order && keys_in_all(records, self.repeats) > MANY_FOR_CHECKED * self.check_keys
    }
}

/// How many keys there are, where so many records in no order had so many repeats.
///
/// Of D keys in no order, two records have the same with a chance of 1/D. So among the n²/2 pairs of n records there
/// are r = n²/2D repeats, and it follows that D = n²/2r (the birthday problem). Where some keys are more frequent than
/// others, more pairs are repeats: then there are even more keys than that.
pub(crate) fn keys_in_all(records: usize, repeats: usize) -> usize {
    records.saturating_mul(records) / (2 * repeats).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// After how many records tables with these keys are given up.
    fn given_up(keys: impl Iterator<Item = u64>) -> Option<usize> {
        let mut savings = Savings::new(FIRST_CHECK_KEYS);
        let mut seen = HashSet::new();
        (1..).zip(keys).find_map(|(records, key)| {
            seen.insert(key);
            let is_time = savings.is_time_to_look(records);
            (is_time && savings.are_little(records, seen.len())).then_some(records)
        })
    }

    /// Numbers in no order.
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
        // Only with all of them can it be said that there are no repeats.
        assert_eq!(given_up(0..1_000_000), Some(FIRST_CHECK_KEYS));
    }

    #[test]
    fn keys_that_come_again_stay_in_tables() {
        assert_eq!(given_up(numbers(900_000).map(|n| n % 400_000)), None);
        // In turn, and with some records twice.
        assert_eq!(given_up((0..900_000).map(|n| n % 300_000)), None);
        assert_eq!(given_up((0..500_000).map(|n| n - n % 500 / 499)), None);
        // As words: the n-th is as frequent as the first by n.
        assert_eq!(
            given_up(numbers(900_000).map(|n| (1 << 32) / (n + 1))),
            None
        );
    }
}
