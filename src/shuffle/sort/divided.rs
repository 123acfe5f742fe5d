//! Sorts of many items that have a number, in parts: each is sorted without a branch, and a stopped job waits for one
//! part only.

use std::mem;

use crate::shuffle::memory::hints::reserve_populated;
use crate::shuffle::memory::radix_sort::{divide_by, radix_sort_by};
use crate::task::Interrupt;

/// Maximum number of items that are sorted by one call of the standard library, which takes some 50 ms. More items are
/// first divided by a digit of `DIGIT_BITS` bits. For lines of which most begin with the same characters, to divide them
/// down to 65,536 takes twice as long as the sort.
const MAX_SORTED_ITEMS: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };
const DIGIT_BITS: u32 = 8;
const DIGITS: usize = 1 << DIGIT_BITS;

/// Minimum number of items for a radix sort. For fewer items, comparing takes less time than the second buffer.
pub(super) const MIN_RADIX_ITEMS: usize = if cfg!(test) { 64 } else { 512 };

/// Binary logarithm of the number of items in a part, if numbers are spread evenly. These fit into the cache.
const PART_BITS: u32 = if cfg!(test) { 8 } else { 13 };

/// Maximum number of items in a part. More are divided.
const MAX_PART_ITEMS: usize = 8 << PART_BITS;

/// Fraction of the items for which there is a third buffer, as a divisor: it fits into the cache, and its memory is
/// negligible.
const CACHED_OF_ITEMS: usize = 8;

/// Maximum number of bits of the digit that divides the items. More would access too many pages at once.
const MAX_RADIX_BITS: u32 = 11;

/// Sorts items, whose order begins with that of `number`, by a radix sort, with a second buffer of the same length. Items
/// that agree in many bits are compared.
///
/// The items are first divided by the top bits of their numbers, so that the other passes run in the cache: of 2.5
/// million words, each pass over all of them takes 8 ns per word. A buffer of 2^32 items or more, whose positions need
/// more bits, is sorted in place.
pub(super) fn radix_sort_in_parts<T: Copy + Ord>(
    items: &mut Vec<T>,
    interrupt: Interrupt<'_>,
    number: impl Fn(&T) -> u64 + Copy,
) {
    interrupt.check();
    if items.len() < MIN_RADIX_ITEMS {
        return items.sort_unstable();
    }
    if u32::try_from(items.len()).is_err() {
        return sort_divided(items, interrupt, number, |part| part.sort_unstable());
    }
    let mut other = Vec::new();
    reserve_populated(&mut other, items.len());
    other.extend_from_slice(items);
    let cached_items = match items.len() {
        0..=MAX_PART_ITEMS => 0,
        len => (len / CACHED_OF_ITEMS).min(MAX_PART_ITEMS),
    };
    let mut cached = items[..cached_items].to_vec();
    // Most parts are divided once, and then sorted where they are.
    sort_between(items, &mut other, true, &mut cached, interrupt, number);
    mem::swap(items, &mut other);
}

/// Sorts the items `from`. The result is in `to` if `moves`, otherwise in `from`; the other is overwritten. `cached` is
/// memory for small parts.
fn sort_between<T: Copy + Ord>(
    from: &mut [T],
    to: &mut [T],
    moves: bool,
    cached: &mut [T],
    interrupt: Interrupt<'_>,
    number: impl Fn(&T) -> u64 + Copy,
) {
    interrupt.check();
    let same_bits = same_bits(from, number);
    if from.len() <= MAX_PART_ITEMS || same_bits == u64::BITS {
        // What is not the result need not leave the cache.
        let to = match cached.get_mut(..from.len()) {
            Some(cached) if !moves => cached,
            _ => to,
        };
        match (radix_sort_by(from, to, same_bits, number), moves) {
            (true, false) => from.copy_from_slice(to),
            (false, true) => to.copy_from_slice(from),
            _ => {}
        }
        return;
    }
    let digit_bits = from.len().ilog2().saturating_sub(PART_BITS);
    let digit_bits = digit_bits.clamp(1, MAX_RADIX_BITS);
    let digit = (same_bits.min(u64::BITS - digit_bits), digit_bits);
    let mut start = 0;
    for end in divide_by(from, to, digit, number) {
        let part = start..end as usize;
        start = part.end;
        sort_between(
            &mut to[part.clone()],
            &mut from[part],
            !moves,
            cached,
            interrupt,
            number,
        );
    }
}

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
fn same_bits<T>(items: &[T], number: impl Fn(&T) -> u64 + Copy) -> u32 {
    let first = items.first().map_or(0, number);
    let differing = items
        .iter()
        .fold(0, |bits, item| bits | (number(item) ^ first));
    differing.leading_zeros()
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
