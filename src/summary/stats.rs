//! Count, sum, mean, variance, minimum and maximum of numbers, in one pass.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::adapt::{OfSummary, of};
use super::definition::Summary;
use super::number::Numeric;
use crate::portable::portable;

/// Computes the [`Stats`] of [numbers](Numeric).
///
/// # Examples
///
/// ```
/// use holdall::summary::stats;
///
/// let stats = holdall::from_vec(vec![4.0, 7.0, 13.0, 16.0]).summarize(stats())?;
/// assert_eq!((stats.mean(), stats.variance()), (Some(10.0), Some(22.5)));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn stats() -> StatsSummary {
    StatsSummary(PhantomData)
}

/// Computes the [`Stats`] of the [numbers](Numeric) that `number_of` returns.
///
/// # Examples
///
/// ```
/// use holdall::summary::stats_of;
///
/// let words = holdall::from_vec(vec!["a", "bag", "of", "words"]);
/// let lengths = words.summarize(stats_of(|word: &&str| word.len()))?;
/// assert_eq!(lengths.max(), Some(5.0));
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn stats_of<F>(number_of: F) -> OfSummary<F, StatsSummary> {
    of(number_of, stats())
}

/// The [`Stats`] of numbers. Created by [`stats`].
#[derive(Clone, Copy, Debug)]
pub struct StatsSummary(PhantomData<()>);

portable! { [] StatsSummary { 0: part } }

impl<T: Numeric> Summary<T> for StatsSummary {
    type Part = Stats;
    type Output = Stats;

    fn start(&self) -> Stats {
        Stats::default()
    }

    #[inline]
    fn add(&self, stats: &mut Stats, number: &T) {
        stats.push(number.to_f64());
    }

    #[inline]
    fn merge(&self, stats: &mut Stats, later: Stats) {
        stats.merge(&later);
    }

    fn finish(&self, stats: Stats) -> Stats {
        stats
    }
}

/// Statistics of numbers: their count, sum, mean, variance, minimum and maximum.
///
/// The variance is numerically stable: numbers are added by the method of Welford (Note on a method for calculating
/// corrected sums of squares and products, 1962), and parts are merged by that of Chan, Golub and LeVeque (Updating
/// formulae and a pairwise algorithm for computing sample variances, 1979). A NaN makes the sum, the mean and the
/// variance NaN; the minimum and the maximum ignore it.
///
/// # Examples
///
/// ```
/// use holdall::Stats;
///
/// let stats = holdall::from_vec(vec![2.0, 4.0, 4.0, 6.0]).stats()?;
/// assert_eq!(stats.mean(), Some(4.0));
/// assert_eq!(stats.stdev(), Some(2.0_f64.sqrt()));
/// assert_eq!(stats, [2.0, 4.0, 4.0, 6.0].into_iter().collect::<Stats>());
/// assert_eq!(stats.to_string(), "count 4, mean 4, stdev 1.4142135623730951, min 2, max 6");
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredStats", into = "StoredStats")]
pub struct Stats {
    count: u64,
    sum: f64,
    mean: f64,
    /// Sum of the squared differences from the mean.
    squares: f64,
    min: f64,
    max: f64,
}

/// The serialised form. One number is short: if keys are mostly distinct, the statistics of single numbers are shuffled.
#[derive(Serialize, Deserialize)]
enum StoredStats {
    One(f64),
    /// All fields, in order.
    Many(u64, f64, f64, f64, f64, f64),
}

impl From<Stats> for StoredStats {
    #[inline]
    fn from(stats: Stats) -> Self {
        let Stats {
            count,
            sum,
            mean,
            squares,
            min,
            max,
        } = stats;
        match count {
            1 if !sum.is_nan() => Self::One(min),
            _ => Self::Many(count, sum, mean, squares, min, max),
        }
    }
}

impl From<StoredStats> for Stats {
    #[inline]
    fn from(stored: StoredStats) -> Self {
        match stored {
            StoredStats::One(number) if number.is_finite() => Self {
                count: 1,
                sum: number,
                // -0.0 is added to 0.0.
                mean: 0.0 + number,
                squares: 0.0,
                min: number,
                max: number,
            },
            StoredStats::One(number) => std::iter::once(number).collect(),
            StoredStats::Many(count, sum, mean, squares, min, max) => Self {
                count,
                sum,
                mean,
                squares,
                min,
                max,
            },
        }
    }
}

impl Default for Stats {
    /// Returns the statistics of no numbers.
    fn default() -> Self {
        Self {
            count: 0,
            sum: f64::ZERO,
            mean: 0.0,
            squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Stats {
    /// Adds a number.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut stats = holdall::Stats::default();
    /// stats.push(0.5);
    /// assert_eq!((stats.count(), stats.mean()), (1, Some(0.5)));
    /// ```
    #[inline]
    pub fn push(&mut self, number: f64) {
        self.count += 1;
        self.sum += number;
        let difference = number - self.mean;
        // A signed number takes one instruction to convert.
        self.mean += difference / self.count.cast_signed() as f64;
        self.squares += difference * (number - self.mean);
        self.min = lesser(number, self.min);
        self.max = greater(number, self.max);
    }

    /// Adds the numbers of other statistics.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Stats;
    ///
    /// let mut stats: Stats = [1.0, 2.0].into_iter().collect();
    /// stats.merge(&[3.0, 6.0].into_iter().collect());
    /// assert_eq!((stats.sum(), stats.variance()), (12.0, Some(3.5)));
    /// ```
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        match other.count {
            0 => return,
            1 => return self.push(other.sum),
            _ => {}
        }
        let [count, others] = [self.count, other.count].map(|count| count.cast_signed() as f64);
        self.count += other.count;
        let share = others / (count + others);
        let difference = other.mean - self.mean;
        self.sum += other.sum;
        self.mean += difference * share;
        self.squares += other.squares + difference * difference * (count * share);
        self.min = lesser(other.min, self.min);
        self.max = greater(other.max, self.max);
    }

    /// Returns how many numbers there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Returns the arithmetic mean, or `None` if there are no numbers.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        // Only the sum has the sign of numbers all of which are -0.0.
        let mean = if self.sum == 0.0 && self.mean == 0.0 {
            self.sum
        } else {
            self.mean
        };
        (self.count > 0).then_some(mean)
    }

    /// Returns the smallest number, or `None` if there are no numbers.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// Returns the greatest number, or `None` if there are no numbers.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// Returns the variance of the numbers: the mean squared difference from their mean. Returns `None` if there are no
    /// numbers.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        (self.count > 0).then(|| self.squares / self.count as f64)
    }

    /// Returns an unbiased estimate of the variance of the population that the numbers are a sample of: divides by the
    /// count minus 1. Returns `None` if there are fewer than two numbers.
    #[must_use]
    pub fn sample_variance(&self) -> Option<f64> {
        (self.count > 1).then(|| self.squares / (self.count - 1) as f64)
    }

    /// Returns the standard deviation: the square root of the [variance](Stats::variance).
    #[must_use]
    pub fn stdev(&self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }

    /// Returns the standard deviation of a sample: the square root of the [sample variance](Stats::sample_variance).
    #[must_use]
    pub fn sample_stdev(&self) -> Option<f64> {
        self.sample_variance().map(f64::sqrt)
    }
}

/// Returns the lesser number; the second one if they are equal or if one is NaN. Unlike `f64::min`, this is one
/// instruction, and unlike an assignment under a condition, it is no branch, which would be mispredicted for the first
/// numbers of each key.
#[inline(always)]
fn lesser(number: f64, other: f64) -> f64 {
    if number < other { number } else { other }
}

/// Returns the greater number, like [`lesser`].
#[inline(always)]
fn greater(number: f64, other: f64) -> f64 {
    if number > other { number } else { other }
}

impl<N: Numeric> Extend<N> for Stats {
    fn extend<I: IntoIterator<Item = N>>(&mut self, numbers: I) {
        for number in numbers {
            self.push(number.to_f64());
        }
    }
}

impl<N: Numeric> FromIterator<N> for Stats {
    fn from_iter<I: IntoIterator<Item = N>>(numbers: I) -> Self {
        let mut stats = Self::default();
        stats.extend(numbers);
        stats
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "count {}", self.count)?;
        let others = [
            ("mean", self.mean()),
            ("stdev", self.stdev()),
            ("min", self.min()),
            ("max", self.max()),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                write!(f, ", {name} {value}")?;
            }
        }
        Ok(())
    }
}
