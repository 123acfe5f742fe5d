//! A radix sort of numbers whose top bits are spread evenly, such as hashes.

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
    let Some(digits) = Digits::of(numbers, same_bits) else {
        return numbers.sort_unstable();
    };
    let Some(heavy) = heavy_prefix(numbers, digits.lowest) else {
        return sort_by_digits(numbers, scratch, digits);
    };
    // Numbers with this prefix stay where they are. Every pass would wait for the counter of one digit.
    scratch.clear();
    numbers.retain(|number| {
        let is_heavy = number >> digits.lowest == heavy;
        if !is_heavy {
            scratch.push(*number);
        }
        is_heavy
    });
    sort_alike(numbers, digits.lowest);
    match Digits::of(scratch, same_bits) {
        Some(digits) => sort_by_digits(scratch, &mut Vec::new(), digits),
        None => scratch.sort_unstable(),
    }
    let before = scratch.partition_point(|number| number >> digits.lowest < heavy);
    let (before, after) = scratch.split_at(before);
    numbers.splice(..0, before.iter().copied());
    numbers.extend_from_slice(after);
}

/// The digits by which numbers are sorted.
#[derive(Clone, Copy)]
struct Digits {
    passes: u32,
    bits: u32,
    /// First bit of the lowest digit.
    lowest: u32,
}

impl Digits {
    /// Returns `None` if comparing is faster.
    fn of(numbers: &[u64], same_bits: u32) -> Option<Self> {
        let bits = numbers.len().checked_ilog2().unwrap_or(0);
        if bits < MIN_BITS || u32::try_from(numbers.len()).is_err() {
            return None;
        }
        // Another pass for a few bits does not pay.
        let passes = (bits + MORE_BITS / 2).div_ceil(DIGIT_BITS);
        let digit_bits = (bits + MORE_BITS).div_ceil(passes).min(DIGIT_BITS);
        let passes = passes.min((u64::BITS - same_bits) / digit_bits);
        Some(Self {
            passes,
            bits: digit_bits,
            lowest: u64::BITS - same_bits - digit_bits * passes,
        })
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

fn sort_by_digits(numbers: &mut Vec<u64>, scratch: &mut Vec<u64>, digits: Digits) {
    let Digits {
        passes,
        bits,
        lowest,
    } = digits;
    let mut starts = count_digits(numbers, lowest, bits, passes);
    scratch.clear();
    scratch.resize(numbers.len(), 0);
    for (pass, starts) in (0..passes).zip(starts.chunks_exact_mut(1 << bits)) {
        scatter(numbers, scratch, lowest + bits * pass, starts);
        std::mem::swap(numbers, scratch);
    }
    sort_alike(numbers, lowest);
}

/// Returns the start position of each digit value, for all digits, the lowest digit first.
fn count_digits(numbers: &[u64], lowest: u32, digit_bits: u32, passes: u32) -> Vec<u32> {
    let digits = 1 << digit_bits;
    let mut starts = vec![0; digits * passes as usize];
    for number in numbers {
        let mut rest = number >> lowest;
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

/// Moves `from` to `to` in the order of the digit that begins at bit `shift`.
fn scatter(from: &[u64], to: &mut [u64], shift: u32, starts: &mut [u32]) {
    let digits = starts.len();
    for number in from {
        let next = &mut starts[(number >> shift) as usize & (digits - 1)];
        to[*next as usize] = *number;
        *next += 1;
    }
}

/// Completes the sort: numbers that agree from bit `lowest` up may still be out of order.
fn sort_alike(numbers: &mut [u64], lowest: u32) {
    let mut start = 0;
    while let Some(sorted) = numbers[start..]
        .windows(2)
        .position(|pair| pair[0] > pair[1])
    {
        let at = start + sorted;
        let is_alike = |number: &&u64| *number >> lowest == numbers[at] >> lowest;
        let before = numbers[..at].iter().rev().take_while(is_alike).count();
        let end = at + numbers[at..].iter().take_while(is_alike).count();
        numbers[at - before..end].sort_unstable();
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
