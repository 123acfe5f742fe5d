//! A radix sort of numbers whose top bits are spread evenly, such as hashes, and of items that have such numbers.

use std::array;

/// Maximum number of bits of a digit. The counters for this many bits fit into the first-level cache.
const DIGIT_BITS: u32 = 11;

/// Number of bits that the digits have in addition to those needed to count the numbers. With these, almost no two
/// different numbers agree in all digits, so almost no comparisons remain.
const MORE_BITS: u32 = 6;

/// Minimum binary logarithm of the number of numbers for a radix sort. For fewer numbers, comparing is faster.
const MIN_BITS: u32 = 5;

/// Number of numbers that are inspected to find a prefix that most numbers have. At most `1 << MIN_BITS`.
const SAMPLES: usize = 16;

/// Sorts numbers that agree in their top `same_bits` bits. `scratch` provides memory for the same number of numbers.
pub(crate) fn radix_sort(numbers: &mut Vec<u64>, scratch: &mut Vec<u64>, same_bits: u32) {
    let heavy = Digits::of(numbers.len(), same_bits)
        .and_then(|digits| Some((digits.lowest, heavy_prefix(numbers, digits.lowest)?)));
    let Some((lowest, heavy)) = heavy else {
        return radix_sort_all(numbers, scratch, same_bits);
    };
    // Numbers with this prefix stay where they are. Every pass would wait for the counter of one digit.
    scratch.clear();
    numbers.retain(|number| {
        let is_heavy = number >> lowest == heavy;
        if !is_heavy {
            scratch.push(*number);
        }
        is_heavy
    });
    sort_alike(numbers, |number| number >> lowest);
    // A third buffer of their length fits into the memory of two only if they are the lesser part.
    if scratch.len() <= numbers.len() {
        radix_sort_all(scratch, &mut Vec::new(), same_bits);
    } else {
        scratch.sort_unstable();
    }
    let before = scratch.partition_point(|number| number >> lowest < heavy);
    let (before, after) = scratch.split_at(before);
    numbers.splice(..0, before.iter().copied());
    numbers.extend_from_slice(after);
}

/// Like [`radix_sort`], whether or not most numbers have the same prefix.
fn radix_sort_all(numbers: &mut Vec<u64>, scratch: &mut Vec<u64>, same_bits: u32) {
    scratch.clear();
    scratch.resize(numbers.len(), 0);
    if radix_sort_by(numbers, scratch, same_bits, |number| *number) {
        std::mem::swap(numbers, scratch);
    }
}

/// Returns the prefix, from bit `lowest` up, that most numbers of a sample have, if there is one.
fn heavy_prefix(numbers: &[u64], lowest: u32) -> Option<u64> {
    let step = numbers.len() / SAMPLES;
    let sample = |at: usize| numbers[at * step] >> lowest;
    let mut prefixes: [u64; SAMPLES] = array::from_fn(sample);
    prefixes.sort_unstable();
    let heavy = prefixes[SAMPLES / 2];
    let alike = prefixes.iter().filter(|prefix| **prefix == heavy).count();
    (alike > SAMPLES / 2).then_some(heavy)
}

/// The digits by which numbers are sorted.
struct Digits {
    passes: u32,
    bits: u32,
    /// First bit of the lowest digit.
    lowest: u32,
}

impl Digits {
    /// Returns `None` if comparing is faster.
    fn of(len: usize, same_bits: u32) -> Option<Self> {
        let len_bits = len.checked_ilog2().unwrap_or(0);
        let differing_bits = u64::BITS - same_bits;
        if len_bits < MIN_BITS || differing_bits == 0 || u32::try_from(len).is_err() {
            return None;
        }
        let sorted_bits = (len_bits + MORE_BITS).min(differing_bits);
        // Another pass for a few bits does not pay.
        let passes = sorted_bits.saturating_sub(MORE_BITS / 2);
        let passes = passes.div_ceil(DIGIT_BITS).max(1);
        let bits = sorted_bits.div_ceil(passes).min(DIGIT_BITS);
        Some(Self {
            passes,
            bits,
            lowest: differing_bits.saturating_sub(bits * passes),
        })
    }
}

/// Sorts items, whose order begins with that of a number. The numbers agree in their top `same_bits` bits. `scratch` has
/// the same length. Returns `true` if the result is there instead of in `items`.
pub(crate) fn radix_sort_by<T: Copy + Ord>(
    items: &mut [T],
    scratch: &mut [T],
    same_bits: u32,
    number: impl Fn(&T) -> u64 + Copy,
) -> bool {
    let Some(digits) = Digits::of(items.len(), same_bits) else {
        items.sort_unstable();
        return false;
    };
    let Digits { bits, lowest, .. } = digits;
    let mut starts = count_digits(items, number, lowest, bits, digits.passes);
    let (mut from, mut to) = (items, scratch);
    for (pass, starts) in (0..digits.passes).zip(starts.chunks_exact_mut(1 << bits)) {
        let shift = lowest + bits * pass;
        scatter(from, to, |item| number(item) >> shift, starts);
        std::mem::swap(&mut from, &mut to);
    }
    sort_alike(from, |item| number(item) >> lowest);
    digits.passes % 2 == 1
}

/// Copies items to `to`, which has the same length, in the order of the digit of `digit_bits` bits that follows the top
/// `same_bits` bits of a number. Returns the end position of each digit value.
pub(crate) fn divide_by<T: Copy>(
    items: &[T],
    to: &mut [T],
    (same_bits, digit_bits): (u32, u32),
    number: impl Fn(&T) -> u64 + Copy,
) -> Vec<u32> {
    let lowest = u64::BITS - same_bits - digit_bits;
    let mut ends = count_digits(items, number, lowest, digit_bits, 1);
    scatter(items, to, |item| number(item) >> lowest, &mut ends);
    ends
}

/// Returns the start position of each digit value, for all digits, the lowest digit first.
fn count_digits<T>(
    items: &[T],
    number: impl Fn(&T) -> u64,
    lowest: u32,
    digit_bits: u32,
    passes: u32,
) -> Vec<u32> {
    let digits = 1 << digit_bits;
    let mut starts = vec![0; digits * passes as usize];
    for item in items {
        let mut rest = number(item) >> lowest;
        for counts in starts.chunks_exact_mut(digits) {
            counts[rest as usize & (digits - 1)] += 1;
            rest >>= digit_bits;
        }
    }
    for counts in starts.chunks_exact_mut(digits) {
        let mut start = 0;
        for count in counts {
            start += std::mem::replace(count, start);
        }
    }
    starts
}

/// Moves `from` to `to` in the order of the lowest digit of a number. Replaces the start positions by the end positions.
fn scatter<T: Copy>(from: &[T], to: &mut [T], number: impl Fn(&T) -> u64, starts: &mut [u32]) {
    let digits = starts.len();
    for item in from {
        let next = &mut starts[number(item) as usize & (digits - 1)];
        to[*next as usize] = *item;
        *next += 1;
    }
}

/// Completes the sort: items that agree in `number` may still be out of order.
fn sort_alike<T: Ord>(items: &mut [T], number: impl Fn(&T) -> u64) {
    let mut start = 0;
    while let Some(sorted) = items[start..].windows(2).position(|pair| pair[0] > pair[1]) {
        let at = start + sorted;
        let is_alike = |item: &&T| number(item) == number(&items[at]);
        let before = items[..at].iter().rev().take_while(is_alike).count();
        let end = at + items[at..].iter().take_while(is_alike).count();
        items[at - before..end].sort_unstable();
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_whatever_they_are() {
        let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for len in [0, 1, 2, 31, 32, 1000, 70_000, 300_000] {
            for same_bits in [0, 4] {
                let of: [&dyn Fn(u64) -> u64; 6] = [
                    &|n| spread(n) >> same_bits,
                    // Few different numbers, and many that differ only in their last bits.
                    &|n| spread(n % 13) >> same_bits,
                    &|n| spread(n % 13) >> same_bits >> 20 << 20 | spread(n) >> 44,
                    // Most have the same top bits.
                    &|n| if n % 10 == 0 { spread(n) } else { spread(5) >> 40 << 40 | n } >> same_bits,
                    &|n| n,
                    &|n| len - n,
                ];
                for number in of {
                    let mut numbers: Vec<_> = (0..len).map(number).collect();
                    let mut expected = numbers.clone();
                    expected.sort_unstable();
                    radix_sort(&mut numbers, &mut Vec::new(), same_bits);
                    assert!(numbers == expected, "{len} numbers, {same_bits} bits");
                }
            }
        }
    }
}
