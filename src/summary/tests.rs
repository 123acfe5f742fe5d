//! Tests of the arithmetic of summaries.

use super::*;

/// A pseudorandom number (xorshift).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn exact(numbers: &[f64]) -> f64 {
    numbers.iter().copied().collect::<ExactSum>().to_f64()
}

#[test]
fn the_sum_of_one_number_is_that_number() {
    let mut state = 1;
    let random = (0..20_000).map(|_| f64::from_bits(next(&mut state)));
    let special = [
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        f64::from_bits(1),
        f64::from_bits((1 << 52) - 1),
        1.0,
        0.0,
    ];
    for number in random.chain(special) {
        for number in [number, -number] {
            let sum = exact(&[number]);
            assert!(
                sum == number || sum.is_nan() && number.is_nan(),
                "{sum:e} {number:e}"
            );
        }
    }
}

#[test]
fn the_sum_of_two_numbers_is_rounded_as_by_the_processor() {
    let mut state = 7;
    for _ in 0..50_000 {
        let a = f64::from_bits(next(&mut state));
        // Of similar size, so that the sum has digits of both.
        let exponent = (a.to_bits() >> 52 & 0x7ff) as i64 + next(&mut state) as i64 % 60;
        let exponent = exponent.clamp(0, 0x7fe) as u64;
        let b = f64::from_bits(next(&mut state) & !(0x7ff << 52) | exponent << 52);
        if a.is_finite() {
            assert_eq!(exact(&[a, b]), a + b, "{a:e} {b:e}");
        }
    }
}

#[test]
fn the_exact_sum_of_any_numbers_is_the_same_in_any_order_and_grouping() {
    let mut state = 3;
    for size in [3, 10, 3_000, 10_000] {
        // Numbers of all sizes, and their negatives: what is left is one number.
        let mut numbers: Vec<f64> = (0..size)
            .map(|_| f64::from_bits(next(&mut state)))
            .filter(|number| number.is_finite() && number.abs() < 1e300)
            .collect();
        numbers.extend(numbers.clone().iter().map(|number| -number));
        numbers.push(f64::from_bits(12345));
        for _ in 0..3 {
            for at in (1..numbers.len()).rev() {
                numbers.swap(at, next(&mut state) as usize % (at + 1));
            }
            assert_eq!(exact(&numbers), f64::from_bits(12345));
            let mut merged = ExactSum::default();
            for some in numbers.chunks(next(&mut state) as usize % 50 + 1) {
                merged.merge(some.iter().copied().collect());
            }
            assert_eq!(merged.to_f64(), f64::from_bits(12345));
        }
    }
}

#[test]
fn many_numbers_of_one_sign_are_summed_exactly() {
    for (number, times) in [
        (1.0 - f64::EPSILON, 1 << 20),
        (-0.75, 1 << 20),
        (f64::MAX, 1 << 13),
    ] {
        let sum = exact(&vec![number; times]);
        assert_eq!(sum, number * times as f64);
    }
    assert_eq!(exact(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
    assert_eq!(exact(&[f64::MAX, f64::MAX]), f64::INFINITY);
}

#[test]
fn infinities_and_nan_are_those_of_a_plain_sum() {
    let infinity = f64::INFINITY;
    assert_eq!(exact(&[1.0, infinity]), infinity);
    assert_eq!(exact(&[-infinity, 1e300]), -infinity);
    assert!(exact(&[-infinity, infinity]).is_nan());
    assert!(exact(&[f64::NAN, 1.0]).is_nan());
    assert_eq!(exact(&[]), 0.0);
}

#[test]
fn the_variance_is_stable_for_numbers_far_from_zero() {
    for far in [0.0, 1e9, -1e9, 1e12] {
        let numbers = [4.0, 7.0, 13.0, 16.0].map(|number| far + number);
        let all: Stats = numbers.into_iter().collect();
        assert_eq!(all.variance(), Some(22.5), "{far}");
        assert_eq!(all.sample_variance(), Some(30.0), "{far}");
        for at in 0..=4 {
            let (first, second) = numbers.split_at(at);
            let mut merged: Stats = first.iter().copied().collect();
            merged.merge(&second.iter().copied().collect());
            assert_eq!(merged.variance(), Some(22.5), "{far}, {at}");
            assert_eq!((merged.mean(), merged.count()), (all.mean(), 4));
            assert_eq!((merged.min(), merged.max()), (all.min(), all.max()));
        }
    }
}

#[test]
fn statistics_of_few_numbers_are_none() {
    let none = Stats::default();
    assert_eq!((none.count(), none.sum()), (0, 0.0));
    for value in [
        none.mean(),
        none.min(),
        none.max(),
        none.variance(),
        none.stdev(),
    ] {
        assert_eq!(value, None);
    }
    let one: Stats = [3_u8].into_iter().collect();
    assert_eq!((one.variance(), one.sample_variance()), (Some(0.0), None));
    assert_eq!(one.sample_stdev(), None);
    assert_eq!(one.to_string(), "count 1, mean 3, stdev 0, min 3, max 3");
    assert_eq!(none.to_string(), "count 0");
}
