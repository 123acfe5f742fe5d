//! Counts, sums, products and means.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::definition::Summary;
use super::number::Numeric;
use crate::pipeline::Record;
use crate::portable::portable;

/// Counts the records.
///
/// # Examples
///
/// ```
/// use holdall::summary::{count, max};
///
/// assert_eq!(holdall::range(1..4).summarize((count(), max()))?, (3, Some(3)));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn count() -> CountSummary {
    CountSummary(PhantomData)
}

/// The number of records. Created by [`count`].
#[derive(Clone, Copy, Debug)]
pub struct CountSummary(PhantomData<()>);

portable! { [] CountSummary { 0: part } }

impl<T: Record + ?Sized> Summary<T> for CountSummary {
    const COMMUTES: bool = true;

    type Part = u64;
    type Output = u64;

    fn start(&self) -> u64 {
        0
    }

    #[inline]
    fn add(&self, count: &mut u64, _: T::Peek<'_>) {
        *count += 1;
    }

    #[inline]
    fn merge(&self, count: &mut u64, later: u64) {
        *count += later;
    }

    fn finish(&self, count: u64) -> u64 {
        count
    }
}

/// Sums [numbers](Numeric). A floating-point sum depends on the partitioning, but not on the run;
/// [`sum_exact`](super::sum_exact) does not. As in [`Iterator::sum`], the floating-point sum of no numbers is -0.0, and so is
/// that of numbers all of which are -0.0.
///
/// # Examples
///
/// ```
/// use holdall::summary::{product, sum};
///
/// assert_eq!(holdall::range(1..5).summarize((sum(), product()))?, (10, 24));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn sum() -> SumSummary {
    SumSummary(PhantomData)
}

/// The sum of numbers. Created by [`sum`].
#[derive(Clone, Copy, Debug)]
pub struct SumSummary(PhantomData<()>);

portable! { [] SumSummary { 0: part } }

impl<T: Numeric> Summary<T> for SumSummary {
    const COMMUTES: bool = T::IS_WHOLE;

    type Part = T;
    type Output = T;

    fn start(&self) -> T {
        T::ZERO
    }

    #[inline]
    fn add(&self, sum: &mut T, number: &T) {
        *sum += *number;
    }

    fn merge(&self, sum: &mut T, later: T) {
        *sum += later;
    }

    fn finish(&self, sum: T) -> T {
        sum
    }
}

/// Multiplies [numbers](Numeric). The product of no numbers is 1.
///
/// # Examples
///
/// ```
/// use holdall::summary::product;
///
/// assert_eq!(holdall::from_vec(vec![0.5, 4.0, 8.0]).summarize(product())?, 16.0);
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn product() -> ProductSummary {
    ProductSummary(PhantomData)
}

/// The product of numbers. Created by [`product`].
#[derive(Clone, Copy, Debug)]
pub struct ProductSummary(PhantomData<()>);

portable! { [] ProductSummary { 0: part } }

impl<T: Numeric> Summary<T> for ProductSummary {
    type Part = T;
    type Output = T;

    fn start(&self) -> T {
        T::ONE
    }

    #[inline]
    fn add(&self, product: &mut T, number: &T) {
        *product *= *number;
    }

    fn merge(&self, product: &mut T, later: T) {
        *product *= later;
    }

    fn finish(&self, product: T) -> T {
        product
    }
}

/// Returns the arithmetic mean of [numbers](Numeric), or `None` if there are none.
///
/// The sum is as accurate as if it had been computed with twice the digits of an `f64` and then rounded.
///
/// # Examples
///
/// ```
/// use holdall::summary::mean;
///
/// assert_eq!(holdall::range(1..5).summarize(mean())?, Some(2.5));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn mean() -> MeanSummary {
    MeanSummary(PhantomData)
}

/// The arithmetic mean of numbers. Created by [`mean`].
#[derive(Clone, Copy, Debug)]
pub struct MeanSummary(PhantomData<()>);

portable! { [] MeanSummary { 0: part } }

impl<T: Numeric> Summary<T> for MeanSummary {
    type Part = MeanPart;
    type Output = Option<f64>;

    fn start(&self) -> MeanPart {
        MeanPart::default()
    }

    #[inline]
    fn add(&self, part: &mut MeanPart, number: &T) {
        part.count += 1;
        part.lost += add_with_error(&mut part.sum, number.to_f64());
    }

    #[inline]
    fn merge(&self, part: &mut MeanPart, later: MeanPart) {
        part.count += later.count;
        part.lost += add_with_error(&mut part.sum, later.sum) + later.lost;
    }

    fn finish(&self, MeanPart { count, sum, lost }: MeanPart) -> Option<f64> {
        // The error of a sum that is infinite is not a number. An error of 0.0 would change a sum of -0.0.
        let sum = match lost {
            _ if lost.is_finite() && lost != 0.0 => sum + lost,
            _ => sum,
        };
        (count > 0).then(|| sum / count as f64)
    }
}

/// The number of numbers, their sum, and what rounding has taken from the sum.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(from = "StoredMean", into = "StoredMean")]
pub struct MeanPart {
    count: u64,
    sum: f64,
    lost: f64,
}

impl Default for MeanPart {
    fn default() -> Self {
        Self {
            count: 0,
            sum: f64::ZERO,
            lost: 0.0,
        }
    }
}

/// The serialised form. One number is short: if keys are mostly distinct, the means of single numbers are shuffled.
#[derive(Serialize, Deserialize)]
enum StoredMean {
    One(f64),
    Many(u64, f64, f64),
}

impl From<MeanPart> for StoredMean {
    #[inline]
    fn from(MeanPart { count, sum, lost }: MeanPart) -> Self {
        match count {
            1 if lost == 0.0 => Self::One(sum),
            _ => Self::Many(count, sum, lost),
        }
    }
}

impl From<StoredMean> for MeanPart {
    #[inline]
    fn from(stored: StoredMean) -> Self {
        let (count, sum, lost) = match stored {
            StoredMean::One(number) => (1, number, 0.0),
            StoredMean::Many(count, sum, lost) => (count, sum, lost),
        };
        Self { count, sum, lost }
    }
}

/// Adds a number to `sum`, and returns the rounding error (`TwoSum` of Knuth; summed up as by Ogita, Rump and Oishi,
/// Accurate sum and dot product, 2005).
#[inline]
fn add_with_error(sum: &mut f64, number: f64) -> f64 {
    let new = *sum + number;
    let added = new - *sum;
    let error = (*sum - (new - added)) + (number - added);
    *sum = new;
    error
}
