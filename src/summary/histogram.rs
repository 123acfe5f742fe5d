//! The distribution of numbers over buckets.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::definition::Summary;
use super::number::Numeric;
use crate::portable::portable;

/// Counts [numbers](Numeric) by buckets. Bucket `i` is the range from `edges[i]` to `edges[i + 1]`, without the upper
/// edge, except that the last bucket includes its upper edge.
///
/// # Panics
///
/// Panics if there are fewer than two edges, or if they do not ascend.
///
/// # Examples
///
/// ```
/// use holdall::summary::{count, histogram};
///
/// let numbers = holdall::range(0..100);
/// let (_, sizes) = numbers.summarize((count(), histogram(&[0.0, 10.0, 50.0])))?;
/// assert_eq!((sizes.counts(), sizes.above()), (&[10, 41][..], 49));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn histogram(edges: &[f64]) -> HistogramSummary {
    assert!(
        edges.len() >= 2 && edges.windows(2).all(|pair| pair[0] < pair[1]),
        "a histogram needs two or more edges in ascending order, not {edges:?}"
    );
    let edges = edges.to_vec();
    HistogramSummary { edges }
}

/// The [`Histogram`] of numbers. Created by [`histogram`].
#[derive(Clone, Debug)]
pub struct HistogramSummary {
    edges: Vec<f64>,
}

portable! { [] HistogramSummary { edges: data } }

impl HistogramSummary {
    /// Creates `buckets` buckets of equal width for numbers in a range, which are finite.
    pub(crate) fn even(range: Option<(f64, f64)>, buckets: usize) -> Self {
        let (min, max) = match range {
            Some((min, max)) if min < max => (min, max),
            Some((number, _)) => (number - 0.5, number + 0.5),
            None => (0.0, 1.0),
        };
        // Halves, because the width may be more than the greatest `f64`.
        let (low, width) = (min / 2.0, max / 2.0 - min / 2.0);
        let edge = |bucket| match bucket {
            0 => min,
            bucket if bucket == buckets => max,
            bucket => (2.0 * (low + width * (bucket as f64 / buckets as f64))).clamp(min, max),
        };
        // -0.0 becomes 0.0: which of the two is the minimum depends on their order.
        let edges = (0..=buckets).map(|bucket| edge(bucket) + 0.0);
        let edges = edges.collect();
        Self { edges }
    }
}

impl<T: Numeric> Summary<T> for HistogramSummary {
    type Part = Histogram;
    type Output = Histogram;

    fn start(&self) -> Histogram {
        Histogram {
            edges: self.edges.clone(),
            counts: vec![0; self.edges.len() - 1],
            below: 0,
            above: 0,
            nan: 0,
        }
    }

    #[inline]
    fn add(&self, histogram: &mut Histogram, number: &T) {
        histogram.add(number.to_f64());
    }

    fn merge(&self, histogram: &mut Histogram, later: Histogram) {
        let pairs = histogram.counts.iter_mut().zip(later.counts);
        pairs.for_each(|(count, later)| *count += later);
        histogram.below += later.below;
        histogram.above += later.above;
        histogram.nan += later.nan;
    }

    fn finish(&self, histogram: Histogram) -> Histogram {
        histogram
    }
}

/// Number of values in each bucket. Returned by [`Bag::histogram`](crate::Bag::histogram).
///
/// # Examples
///
/// ```
/// let histogram = holdall::from_vec(vec![0.5, 1.0, 2.0, 7.0]).histogram(&[0.0, 1.0, 2.0])?;
/// let buckets: Vec<_> = histogram.buckets().collect();
/// assert_eq!(buckets, [(0.0..1.0, 1), (1.0..2.0, 2)]);
/// assert_eq!(histogram.above(), 1);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    edges: Vec<f64>,
    counts: Vec<u64>,
    below: u64,
    above: u64,
    nan: u64,
}

impl Histogram {
    fn add(&mut self, number: f64) {
        let [first, .., last] = self.edges[..] else {
            return;
        };
        let count = if number < first {
            &mut self.below
        } else if number > last {
            &mut self.above
        } else if number.is_nan() {
            &mut self.nan
        } else {
            let after = self.edges.partition_point(|edge| *edge <= number);
            // The last edge belongs to the last bucket.
            &mut self.counts[after.min(self.edges.len() - 1) - 1]
        };
        *count += 1;
    }

    /// Returns the edges between the buckets, and those at both ends.
    #[must_use]
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// Returns how many numbers each bucket has.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Returns each bucket and its count. The last bucket includes the upper edge.
    pub fn buckets(&self) -> impl Iterator<Item = (Range<f64>, u64)> + '_ {
        let edges = self.edges.windows(2).map(|pair| pair[0]..pair[1]);
        edges.zip(self.counts.iter().copied())
    }

    /// Returns how many numbers are below the first edge.
    #[must_use]
    pub fn below(&self) -> u64 {
        self.below
    }

    /// Returns how many numbers are above the last edge.
    #[must_use]
    pub fn above(&self) -> u64 {
        self.above
    }

    /// Returns how many numbers are NaN.
    #[must_use]
    pub fn nan(&self) -> u64 {
        self.nan
    }
}
