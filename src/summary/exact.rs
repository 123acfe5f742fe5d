//! Exact sums of floating-point numbers, which do not depend on the order of the numbers.
//!
//! The accumulator is the small superaccumulator of Neal (Fast exact summation using small and large superaccumulators,
//! 2015): a fixed-point number wide enough for every `f64`, in digits of 32 bits that are stored in 64 bits each, so
//! that carries need not be propagated for 2,048 additions. Unlike Neal's, it stores only the digits between the
//! smallest and the greatest in use, so it is small if the numbers are of similar size.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

use super::definition::Summary;
use crate::pipeline::Data;
use crate::portable::portable;

/// Number of bits of a digit.
const DIGIT_BITS: u32 = 32;
const DIGIT: i64 = 1 << DIGIT_BITS;

/// Number of additions after which carries are propagated. Each changes a digit by less than 2^52.
const MAX_ADDS: u32 = 1 << 11;

/// Binary exponent of the lowest bit of digit 0. The lowest bit of an `f64` is 2^-1074.
const MIN_EXPONENT: i32 = -1075;

const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;

/// Sums numbers exactly, and rounds the sum to the nearest `f64` once, at the end. The result does not depend on the
/// order of the numbers, nor on the partitioning.
///
/// For `f64` and all types that convert to it without loss.
///
/// # Examples
///
/// ```
/// use holdall::summary::sum_exact;
///
/// let numbers = holdall::from_vec(vec![1e100, 1.0, -1e100]);
/// assert_eq!(numbers.sum::<f64>()?, 0.0);
/// assert_eq!(numbers.summarize(sum_exact())?, 1.0);
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn sum_exact() -> ExactSumSummary {
    ExactSumSummary(PhantomData)
}

/// The exact sum of numbers. Created by [`sum_exact`].
#[derive(Clone, Copy, Debug)]
pub struct ExactSumSummary(PhantomData<()>);

portable! { [] ExactSumSummary { 0: part } }

impl<T: Data + Copy + Into<f64>> Summary<T> for ExactSumSummary {
    const COMMUTES: bool = true;

    type Part = ExactSum;
    type Output = f64;

    fn start(&self) -> ExactSum {
        ExactSum::default()
    }

    #[inline]
    fn add(&self, sum: &mut ExactSum, number: &T) {
        sum.push((*number).into());
    }

    fn merge(&self, sum: &mut ExactSum, later: ExactSum) {
        sum.merge(later);
    }

    fn finish(&self, sum: ExactSum) -> f64 {
        sum.to_f64()
    }
}

/// An exact sum of `f64`s.
///
/// # Examples
///
/// ```
/// use holdall::summary::ExactSum;
///
/// let mut sum: ExactSum = [0.1; 10].into_iter().collect();
/// assert_eq!(sum.to_f64(), 1.0);
/// sum.push(-1.0);
/// // What remains is the error of 0.1, ten times.
/// assert_eq!(sum.to_f64(), 5.551115123125783e-17);
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "StoredSum", into = "StoredSum")]
pub struct ExactSum {
    /// Digits in ascending order. Digit `i` counts 2^(32 * (`first` + i) + `MIN_EXPONENT`).
    digits: Digits,
    first: u32,
    /// Number of additions since carries were propagated.
    adds: u32,
    /// Sum of the numbers that are infinite or NaN. A finite one, except 0.0, is the only number so far: while there are no
    /// others, it needs no digits. If keys are mostly distinct, the sums of single numbers are shuffled. -0.0 stands for
    /// one or more of it.
    special: f64,
}

/// Number of digits that a sum stores in place. With fewer, sums of numbers of similar size allocate memory; with more,
/// the tables of sums per key are larger.
const FEW: usize = 4;

#[derive(Clone, Debug)]
enum Digits {
    Few(usize, [i64; FEW]),
    Many(Vec<i64>),
}

impl Default for Digits {
    fn default() -> Self {
        Self::Few(0, [0; FEW])
    }
}

impl Digits {
    /// Adds zeros before and after the digits.
    fn extend(&mut self, before: usize, after: usize) {
        let (end, len) = (before + self.len(), before + self.len() + after);
        let mut extended = match len {
            ..=FEW => Self::Few(len, [0; FEW]),
            _ => Self::Many(vec![0; len]),
        };
        extended[before..end].copy_from_slice(self);
        *self = extended;
    }
}

impl Deref for Digits {
    type Target = [i64];

    #[inline]
    fn deref(&self) -> &[i64] {
        match self {
            Self::Few(len, digits) => &digits[..*len],
            Self::Many(digits) => digits,
        }
    }
}

impl DerefMut for Digits {
    #[inline]
    fn deref_mut(&mut self) -> &mut [i64] {
        match self {
            Self::Few(len, digits) => &mut digits[..*len],
            Self::Many(digits) => digits,
        }
    }
}

/// The serialised form: the position of the first digit, and the digits without carries.
#[derive(Serialize, Deserialize)]
enum StoredSum {
    Few(u32, [i64; FEW]),
    /// Also has the sum of the special numbers.
    Many(u32, Vec<i64>, f64),
    /// The only number, the sum of the special numbers if there are no others, or 0.0 for no numbers.
    One(f64),
}

impl From<ExactSum> for StoredSum {
    #[inline]
    fn from(mut sum: ExactSum) -> Self {
        if sum.digits.is_empty() {
            return Self::One(sum.special);
        }
        sum.propagate();
        match sum.digits {
            Digits::Few(_, digits) if sum.special == 0.0 => Self::Few(sum.first, digits),
            digits => Self::Many(sum.first, digits.to_vec(), sum.special),
        }
    }
}

impl From<StoredSum> for ExactSum {
    #[inline]
    fn from(stored: StoredSum) -> Self {
        let (first, digits, special) = match stored {
            StoredSum::Few(first, digits) => (first, Digits::Few(FEW, digits), 0.0),
            StoredSum::Many(first, digits, special) => (first, Digits::Many(digits), special),
            StoredSum::One(number) => (0, Digits::default(), number),
        };
        Self {
            digits,
            first,
            adds: 0,
            special,
        }
    }
}

/// Returns the two digits of a finite number, the lower one first, and the position of that.
#[inline(always)]
fn digits_of(number: f64) -> (u32, [i64; 2]) {
    let bits = number.to_bits();
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    // Numbers near 0 have no implicit bit, and the exponent of the next larger ones.
    let (fraction, exponent) = match (bits >> FRACTION_BITS) as u32 & 0x7ff {
        0 => (fraction, 1),
        exponent => (fraction | 1 << FRACTION_BITS, exponent),
    };
    let [low, high] = split(fraction, exponent % DIGIT_BITS);
    let sign = if number.is_sign_negative() { -1 } else { 1 };
    (exponent / DIGIT_BITS, [sign * low, sign * high])
}

impl ExactSum {
    /// Adds a number.
    #[inline]
    pub fn push(&mut self, number: f64) {
        if !number.is_finite() {
            self.special += number;
            return;
        }
        let (at, [low, high]) = digits_of(number);
        self.count_add();
        let index = at.wrapping_sub(self.first) as usize;
        if let Some([first, second]) = self
            .digits
            .get_mut(index..)
            .and_then(<[i64]>::first_chunk_mut)
        {
            *first += low;
            *second += high;
            return;
        }
        self.push_elsewhere(number);
    }

    /// Adds a finite number whose digits do not exist yet. The first one needs none, except 0.0, and -0.0 changes only the
    /// sum of no numbers.
    #[inline(never)]
    fn push_elsewhere(&mut self, number: f64) {
        let is_positive_zero = number.to_bits() == 0;
        if self.is_empty() && !is_positive_zero {
            self.special = number;
            return;
        }
        if number == 0.0 && !is_positive_zero {
            return;
        }
        self.add_only();
        self.add_digits(number);
    }

    /// Returns the only number so far, if it has no digits yet.
    #[inline]
    fn only(&self) -> Option<f64> {
        (self.special.to_bits() != 0 && self.special.is_finite()).then_some(self.special)
    }

    /// Whether the sum is that of no numbers.
    fn is_empty(&self) -> bool {
        self.digits.is_empty() && self.special.to_bits() == 0
    }

    /// Adds the digits of the only number so far.
    fn add_only(&mut self) {
        if let Some(number) = self.only() {
            self.special = 0.0;
            self.count_add();
            self.add_digits(number);
        }
    }

    fn add_digits(&mut self, number: f64) {
        if number == 0.0 {
            // Digits of 0 show that the sum is not that of -0.0. Others are probably near them.
            if self.digits.is_empty() {
                self.make_room(digits_of(1.0).0, 2);
            }
            return;
        }
        let (at, [low, high]) = digits_of(number);
        let digits = self.make_room(at, 2);
        digits[0] += low;
        digits[1] += high;
    }

    /// Counts an addition that changes each digit by less than 2^52.
    #[inline]
    fn count_add(&mut self) {
        if self.adds == MAX_ADDS {
            self.propagate();
        }
        self.adds += 1;
    }

    /// Ensures that `len` digits at `at` and after it exist, and returns them.
    fn make_room(&mut self, at: u32, len: usize) -> &mut [i64] {
        if self.digits.is_empty() {
            self.first = at;
        }
        let before = self.first.saturating_sub(at);
        self.first -= before;
        let (before, index) = (before as usize, (at - self.first) as usize);
        let after = (index + len).saturating_sub(before + self.digits.len());
        if before + after > 0 {
            self.digits.extend(before, after);
        }
        &mut self.digits[index..index + len]
    }

    /// Propagates carries: leaves digits from 0 to 2^32 - 1, except for the last one, which may be negative and has the
    /// sign of the sum.
    fn propagate(&mut self) {
        self.adds = 0;
        let mut carry = 0;
        for digit in self.digits.iter_mut() {
            let sum = *digit + carry;
            carry = sum >> DIGIT_BITS;
            *digit = sum & (DIGIT - 1);
        }
        match (carry, self.digits.last_mut()) {
            (0, _) => {}
            // The sign goes into the last digit, so that the number of digits does not grow.
            (-1, Some(last)) => *last -= DIGIT,
            _ => {
                self.digits.extend(0, 1);
                if let Some(last) = self.digits.last_mut() {
                    *last = carry;
                }
            }
        }
    }

    /// Adds the numbers of another sum.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::summary::ExactSum;
    ///
    /// let mut sum: ExactSum = [1e16, 1.0].into_iter().collect();
    /// sum.merge([-1e16, 1.0].into_iter().collect());
    /// assert_eq!(sum.to_f64(), 2.0);
    /// ```
    pub fn merge(&mut self, mut other: Self) {
        if let Some(number) = other.only() {
            return self.push(number);
        }
        if other.is_empty() {
            return;
        }
        self.add_only();
        self.special += other.special;
        if other.digits.iter().all(|digit| *digit == 0) {
            return self.add_digits(0.0);
        }
        // Digits without carries are as small as those that are added.
        other.propagate();
        self.count_add();
        let digits = self.make_room(other.first, other.digits.len());
        for (digit, more) in digits.iter_mut().zip(&*other.digits) {
            *digit += more;
        }
    }

    /// Returns the sum, rounded to the nearest `f64`; to the even one of two that are equally near. Returns infinity if
    /// the sum is larger than any `f64`, and NaN if one of the numbers is NaN or if infinities of both signs are among
    /// them. As with `+`, the sum of numbers that are all -0.0 is -0.0, and any other sum of 0 is 0.0.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        if self.special.is_nan() {
            // The other bits of a NaN depend on the order of the numbers.
            return f64::NAN;
        }
        if self.special.to_bits() != 0 {
            return self.special;
        }
        let mut sum = self.clone();
        sum.propagate();
        let is_negative = sum.digits.last().is_some_and(|last| *last < 0);
        if is_negative {
            sum.digits.iter_mut().for_each(|digit| *digit = -*digit);
            sum.propagate();
        }
        let magnitude = sum.magnitude();
        if is_negative { -magnitude } else { magnitude }
    }

    /// Returns the value of a sum that is not negative and has no carries.
    fn magnitude(&self) -> f64 {
        let Some(top) = self.digits.iter().rposition(|digit| *digit != 0) else {
            return 0.0;
        };
        // The first three digits hold at least 65 bits, more than an `f64` has.
        let digit = |below: usize| {
            top.checked_sub(below)
                .map_or(0, |at| self.digits[at] as u128)
        };
        let leading = digit(0) << 64 | digit(1) << 32 | digit(2);
        let rest = &self.digits[..top.saturating_sub(2)];
        let has_rest = rest.iter().any(|digit| *digit != 0);
        let exponent = DIGIT_BITS as i32 * (self.first as i32 + top as i32 - 2) + MIN_EXPONENT;

        // Cut off all but 53 bits, and round.
        let cut = u128::BITS - leading.leading_zeros() - f64::MANTISSA_DIGITS;
        let kept = (leading >> cut) as u64;
        let (lost, half) = (leading & ((1 << cut) - 1), 1_u128 << (cut - 1));
        let is_above_half = lost > half || lost == half && (has_rest || kept % 2 == 1);
        let rounded = (kept + u64::from(is_above_half)) as f64;
        let exponent = exponent + cut as i32;
        // Bits below the lowest one of an `f64` are 0, so these products are exact.
        let below = (MIN_EXPONENT + 1 - exponent).max(0);
        rounded * power_of_two(-below) * power_of_two(exponent + below)
    }
}

/// Shifts a fraction to the left, and divides it into two digits.
#[inline]
fn split(fraction: u64, shift: u32) -> [i64; 2] {
    let low = (fraction << shift) as u32;
    let high = fraction >> (DIGIT_BITS - shift);
    [i64::from(low), high as i64]
}

/// Returns 2^`exponent`; infinity if that is too large. The exponent of a bit of an `f64` is at least -1074.
fn power_of_two(exponent: i32) -> f64 {
    match exponent {
        ..-1022 => f64::from_bits(1 << (exponent + 1074)),
        -1022..=1023 => f64::from_bits(((exponent + 1023) as u64) << FRACTION_BITS),
        _ => f64::INFINITY,
    }
}

impl Extend<f64> for ExactSum {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, numbers: I) {
        numbers.into_iter().for_each(|number| self.push(number));
    }
}

impl FromIterator<f64> for ExactSum {
    fn from_iter<I: IntoIterator<Item = f64>>(numbers: I) -> Self {
        let mut sum = Self::default();
        sum.extend(numbers);
        sum
    }
}
