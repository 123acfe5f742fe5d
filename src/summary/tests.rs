//! Tests of the arithmetic of summaries.

use std::collections::BTreeMap;

use super::*;
use crate::storage::codec;

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
fn sums_of_zeros_have_the_sign_that_those_of_iterators_have() {
    fn of<S: Summary<f64>>(summary: &S, parts: &[&[f64]]) -> S::Output {
        let mut merged = summary.start();
        for numbers in parts {
            let mut part = summary.start();
            numbers
                .iter()
                .for_each(|number| summary.add(&mut part, number));
            summary.merge(&mut merged, part);
        }
        summary.finish(merged)
    }
    let cases: [&[&[f64]]; 6] = [
        &[],
        &[&[-0.0]],
        &[&[-0.0, -0.0], &[], &[-0.0]],
        &[&[-0.0], &[0.0]],
        &[&[0.0]],
        &[&[1.0], &[-1.0]],
    ];
    for parts in cases {
        let numbers = parts.concat();
        let bits = numbers.iter().sum::<f64>().to_bits();
        let mean = (!numbers.is_empty()).then_some(bits);
        let stats = of(&stats(), parts);
        assert_eq!(of(&sum(), parts).to_bits(), bits, "{parts:?}");
        assert_eq!(stats.sum().to_bits(), bits, "{parts:?}");
        for found in [of(&super::mean(), parts), stats.mean()] {
            assert_eq!(found.map(f64::to_bits), mean, "{parts:?}");
        }
    }
}

#[test]
fn the_sum_of_one_number_is_stored_as_that_number() {
    for number in [0.1, -1e300, f64::from_bits(1), f64::MAX] {
        let sum: ExactSum = std::iter::once(number).collect();
        let mut bytes = Vec::new();
        codec::encode_into(&sum, &mut bytes).unwrap();
        assert_eq!(bytes.len(), 1 + size_of::<f64>());
        let decoded: ExactSum = codec::decode(&bytes).unwrap();
        assert_eq!(decoded.to_f64(), number);
        // It is a part of longer sums on either side, and of special ones.
        for others in [
            vec![],
            vec![-number],
            vec![1.0, 1e-9],
            vec![0.0],
            vec![f64::INFINITY],
        ] {
            let all = [&[number], &others[..]].concat();
            let others: ExactSum = others.into_iter().collect();
            for (mut first, later) in [
                (decoded.clone(), others.clone()),
                (others.clone(), decoded.clone()),
            ] {
                first.merge(later);
                assert_eq!(first.to_f64(), exact(&all), "{all:?}");
            }
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
        // Numbers of all sizes, and their negatives: the sum is one number.
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

#[test]
fn estimates_of_distinct_numbers_are_within_their_error() {
    for bits in [0.1, 0.03, 0.01] {
        let summary = count_distinct_approx(bits);
        let mut sketch = start(&summary);
        let mut next = 0_u64;
        for count in [0, 1, 10, 100, 1_000, 5_000, 20_000, 100_000, 300_000] {
            while next < count {
                // Each number twice.
                Summary::<u64>::add(&summary, &mut sketch, &next);
                Summary::<u64>::add(&summary, &mut sketch, &next);
                next += 1;
            }
            let copy = codec::decode(&encoded(&sketch)).unwrap();
            let found = Summary::<u64>::finish(&summary, copy) as f64;
            let error = (found - count as f64).abs() / count.max(1) as f64;
            assert!(error <= 3.0 * bits, "{found} of {count}, {bits}");
            assert!(error == 0.0 || count as f64 > 0.06 / bits / bits);
        }
    }
}

#[test]
fn estimates_of_distinct_numbers_do_not_depend_on_the_grouping() {
    let summary = count_distinct_approx(0.05);
    let sketch = |numbers: std::ops::Range<u64>| {
        let mut sketch = start(&summary);
        numbers.for_each(|n| Summary::<u64>::add(&summary, &mut sketch, &n));
        sketch
    };
    for size in [3, 20, 1_000, 50_000] {
        let whole = encoded(&sketch(0..size));
        for at in [0, 1, size / 3, size] {
            let mut first = sketch(0..at);
            Summary::<u64>::merge(&summary, &mut first, sketch(at / 2..size));
            assert!(encoded(&first) == whole, "{at} of {size}");
        }
    }
}

fn start(summary: &ApproxDistinctSummary) -> <ApproxDistinctSummary as Summary<u64>>::Part {
    Summary::<u64>::start(summary)
}

fn encoded<T: crate::pipeline::Data>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode_into(value, &mut bytes).unwrap();
    bytes
}

#[test]
fn frequent_records_have_their_counts_between_the_bounds() {
    let mut state = 11;
    // A few numbers are frequent.
    let numbers: Vec<u64> = (0..50_000)
        .map(|_| (next(&mut state) % 1_000).pow(3) / 20_000_000)
        .collect();
    let mut counts = BTreeMap::<u64, u64>::new();
    numbers
        .iter()
        .for_each(|n| *counts.entry(*n).or_default() += 1);
    for capacity in [1, 3, 50, 10_000] {
        let summary = heavy_hitters(capacity);
        for together in [50_000, 7_000, 100] {
            let mut merged = Summary::<u64>::start(&summary);
            for some in numbers.chunks(together) {
                let mut part = Summary::<u64>::start(&summary);
                some.iter()
                    .for_each(|n| Summary::<u64>::add(&summary, &mut part, n));
                Summary::<u64>::merge(&summary, &mut merged, part);
            }
            let found = Summary::<u64>::finish(&summary, merged);
            let most_lost = numbers.len() as u64 / (capacity as u64 + 1);
            assert!(found.len() <= capacity);
            for (number, frequency) in &found {
                let count = counts[number];
                assert!((frequency.at_least..=frequency.at_most).contains(&count));
                assert!(frequency.at_most - frequency.at_least <= most_lost);
            }
            let frequent = counts.iter().filter(|(_, count)| **count > most_lost);
            for (number, _) in frequent {
                assert!(found.iter().any(|(found, _)| found == number), "{number}");
            }
        }
    }
}

#[test]
fn ranks_of_estimated_quantiles_are_within_their_error() {
    let at: Vec<f64> = (0..=20).map(|n| f64::from(n) / 20.0).collect();
    let mut state = 5;
    for (size, error) in [
        (0, 0.1),
        (1, 0.1),
        (150, 0.1),
        (200_000, 0.1),
        (100_000, 0.02),
    ] {
        let numbers: Vec<u64> = (0..size)
            .map(|_| next(&mut state) % 1_000_000_000)
            .collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        let summary = quantiles_approx(&at, error);
        for together in [usize::MAX, 5_000, 90] {
            let mut merged = Summary::<u64>::start(&summary);
            for some in numbers.chunks(together) {
                let mut part = Summary::<u64>::start(&summary);
                some.iter()
                    .for_each(|n| Summary::<u64>::add(&summary, &mut part, n));
                Summary::<u64>::merge(&summary, &mut merged, part);
            }
            let found = Summary::<u64>::finish(&summary, merged);
            assert!(found.error() <= error, "{} of {size}", found.error());
            assert_eq!(found.values().len(), if size == 0 { 0 } else { at.len() });
            for (at, value) in at.iter().zip(found.values()) {
                let rank = sorted.partition_point(|n| n < value) as f64;
                let wanted = at * size as f64;
                let most = found.error() * size as f64 + 1.0;
                assert!((rank - wanted).abs() <= most, "{rank}, {wanted}, {most}");
            }
        }
    }
}

#[test]
fn stored_statistics_are_those_that_were_stored() {
    let lists = [
        vec![],
        vec![0.1],
        vec![-0.0],
        vec![f64::NAN],
        vec![f64::INFINITY],
        vec![3.0, 0.1],
    ];
    for numbers in lists {
        let stats: Stats = numbers.iter().copied().collect();
        let read: Stats = codec::decode(&encoded(&stats)).unwrap();
        assert_eq!(format!("{read:?}"), format!("{stats:?}"));
        let is_one = numbers.len() == 1 && !numbers[0].is_nan();
        assert_eq!(encoded(&stats).len() < 16, is_one);
    }
}

#[test]
fn stored_exact_sums_are_those_that_were_stored() {
    let lists = [
        vec![],
        vec![0.1, 0.2],
        vec![-1.0, 0.25],
        vec![1e300, 1e-300, -7.0],
        vec![f64::INFINITY, 1.0],
        vec![1.0, -1.0],
        vec![f64::MAX; 5000],
    ];
    let stored = |numbers: &[f64]| -> ExactSum {
        let sum: ExactSum = numbers.iter().copied().collect();
        codec::decode(&encoded(&sum)).unwrap()
    };
    for numbers in &lists {
        assert_eq!(stored(numbers).to_f64(), exact(numbers), "{numbers:?}");
        for others in &lists {
            let mut sum = stored(numbers);
            sum.merge(stored(others));
            let all = [&numbers[..], others].concat();
            assert_eq!(sum.to_f64(), exact(&all), "{numbers:?} {others:?}");
        }
    }
    // Numbers of similar size need no memory of their own.
    assert!(encoded(&stored(&[0.5, 1e6, -3.0])).len() < 24);
}

/// In any order and grouping, stored or not.
#[test]
fn an_exact_sum_of_zero_is_negative_only_if_all_numbers_are() {
    let kinds = [-0.0, 0.0, 1.5, -1.5];
    for code in 0..4_usize.pow(4) {
        let numbers: Vec<f64> = (0..4).map(|at| kinds[code >> (2 * at) & 3]).collect();
        for len in 0..=4 {
            let (numbers, sum) = (&numbers[..len], numbers[..len].iter().sum::<f64>());
            let expected = if len == 0 { 0.0 } else { sum };
            assert_eq!(exact(numbers).to_bits(), expected.to_bits(), "{numbers:?}");
            for at in 0..=len {
                let (left, right) = numbers.split_at(at);
                let sum_of = |numbers: &[f64]| numbers.iter().copied().collect::<ExactSum>();
                let (mut left, right) = (sum_of(left), sum_of(right));
                let mut stored: ExactSum = codec::decode(&encoded(&left)).unwrap();
                stored.merge(codec::decode(&encoded(&right)).unwrap());
                left.merge(right);
                for sum in [left, stored] {
                    assert_eq!(sum.to_f64().to_bits(), expected.to_bits(), "{numbers:?}");
                }
            }
        }
    }
}
