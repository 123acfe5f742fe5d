//! A sort of many items that have a number, in parts: the standard library sorts each without a branch, and a stopped
//! job waits for one part only.

use crate::task::Interrupt;

/// Maximum number of items that are sorted by one call of the standard library, which takes some 50 ms. More items are
/// first divided by a digit of `DIGIT_BITS` bits. For lines of which most begin with the same characters, to divide them
/// down to 65,536 takes twice as long as the sort.
const MAX_SORTED_ITEMS: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };
const DIGIT_BITS: u32 = 8;
const DIGITS: usize = 1 << DIGIT_BITS;

/// Sorts items by `number`, and calls `sort` for parts that are small enough or have the same number.
///
/// A check for the stop in each comparison would keep the sort from working without branches; so it comes before each
/// part.
pub(super) fn sort_divided<T>(
    items: &mut [T],
    interrupt: Interrupt<'_>,
    number: impl Fn(&T) -> u64 + Copy,
    sort: impl Fn(&mut [T]) + Copy,
) {
    interrupt.check();
    if items.len() <= MAX_SORTED_ITEMS {
        return sort(items);
    }
    let differing_bits = u64::BITS - same_bits(items, number);
    if differing_bits == 0 {
        return sort(items);
    }
    let shift = differing_bits.saturating_sub(DIGIT_BITS);
    let mut rest = items;
    for len in divide(rest, |item| (number(item) >> shift) as usize % DIGITS) {
        let (part, others) = rest.split_at_mut(len);
        sort_divided(part, interrupt, number, sort);
        rest = others;
    }
}

/// Returns the number of top bits in which the numbers of all items agree.
pub(super) fn same_bits<T>(items: &[T], number: impl Fn(&T) -> u64 + Copy) -> u32 {
    let numbers = || items.iter().map(number);
    let (least, greatest) = (numbers().min(), numbers().max());
    (least.unwrap_or(0) ^ greatest.unwrap_or(0)).leading_zeros()
}

/// Orders items by a digit, in place, and returns the number of items with each. This is one pass of the American flag
/// sort (McIlroy, Bostic and McIlroy, "Engineering Radix Sort", 1993).
fn divide<T>(items: &mut [T], digit: impl Fn(&T) -> usize) -> [usize; DIGITS] {
    let mut lens = [0; DIGITS];
    for item in &*items {
        lens[digit(item)] += 1;
    }
    let mut next = [0; DIGITS];
    for at in 1..DIGITS {
        next[at] = next[at - 1] + lens[at - 1];
    }
    let mut end = 0;
    for at in 0..DIGITS {
        end += lens[at];
        while next[at] < end {
            let to = digit(&items[next[at]]);
            items.swap(next[at], next[to]);
            next[to] += 1;
        }
    }
    lens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::task::StopFlag;

    /// Sorts pairs by their first numbers, and those with equal ones by their second numbers.
    fn sorted(pairs: &mut [(u64, usize)], stop: &StopFlag) -> Result<()> {
        stop.interruptible(|interrupt| {
            sort_divided(pairs, interrupt, |pair| pair.0, |part| part.sort_unstable());
        })
    }

    fn sorts(numbers: impl Iterator<Item = u64>) {
        let mut pairs: Vec<_> = numbers.zip((0..).map(|n: usize| n * 7919 % 1000)).collect();
        let mut expected = pairs.clone();
        expected.sort_unstable();
        let stop = StopFlag::default();
        assert!(sorted(&mut pairs, &stop).is_ok());
        assert!(pairs == expected);
        stop.set();
        assert!(sorted(&mut pairs, &stop).is_err_and(|error| error.is_cancelled()));
    }

    #[test]
    fn numbers_of_any_distribution_are_sorted() {
        const LEN: u64 = 3 * MAX_SORTED_ITEMS as u64;
        let hashed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        sorts((0..LEN).map(hashed));
        sorts((0..LEN).map(|n| hashed(n) >> 60)); // few
        sorts((0..LEN).map(|n| (hashed(n) >> 20) << 3 | 5 << 61)); // the same at both ends
        sorts((0..LEN).map(|n| hashed(n) | u64::MAX << 9)); // one digit and a bit
        sorts((0..LEN).map(|_| 7));
        sorts((0..LEN).map(|n| if n == 9 { u64::MAX } else { n / 2 })); // nearly all in one part
    }
}
