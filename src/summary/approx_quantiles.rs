//! Estimates of quantiles, in little memory.
//!
//! A hierarchy of buffers, as that of Manku, Rajagopalan and Lindsay (Approximate medians and other quantiles in one pass
//! and with limited memory, 1998): a full buffer is sorted, and every second record goes to the next level, where it
//! counts twice as much. That changes the rank of any record by at most the weight of one record of the level, so the
//! error is known. Buffers of several sketches are concatenated level by level.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::definition::Summary;
use super::order::{CompareBy, Natural, Order};
use super::records::ClonedRecord;
use crate::pipeline::Record;
use crate::portable::{Portable, portable};

/// Numeric of levels for which the error is guaranteed.
const LEVELS: f64 = 20.0;

/// Estimates the quantiles at fractions, in the natural order of the records; see
/// [`Bag::quantiles`](crate::Bag::quantiles), which is exact. The rank of each returned record is wrong by at most
/// `error` of all records, if there are fewer than about 20,000,000 / `error` of them. [`ApproxQuantiles::error`] returns
/// the error that is guaranteed, which is usually smaller.
///
/// Needs memory for 20 / `error` records on each of up to 20 levels. The result may depend on the partitioning, but not
/// on the run.
///
/// # Panics
///
/// Panics if a fraction is not in `0.0..=1.0`, or `error` not in `1e-6..1.0`.
///
/// # Examples
///
/// ```
/// use holdall::summary::quantiles_approx;
///
/// let numbers = holdall::range(0..100_000).map(|n| n * 7919 % 100_000);
/// let quantiles = numbers.summarize(quantiles_approx(&[0.5, 0.99], 0.01))?;
/// assert!(quantiles.error() <= 0.01);
/// assert!((49_000..=51_000).contains(&quantiles.values()[0]));
/// assert!((98_000..=100_000).contains(&quantiles.values()[1]));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn quantiles_approx(at: &[f64], error: f64) -> ApproxQuantilesSummary<Natural> {
    ApproxQuantilesSummary::new(at, error, Natural(PhantomData))
}

/// Estimates the quantiles at fractions in the order of `compare`, like [`quantiles_approx`].
///
/// # Panics
///
/// Panics if a fraction is not in `0.0..=1.0`, or `error` not in `1e-6..1.0`.
///
/// # Examples
///
/// ```
/// use holdall::summary::quantiles_approx_by;
///
/// let numbers = holdall::from_vec(vec![2.5, -1.0, 0.5]);
/// let median = numbers.summarize(quantiles_approx_by(&[0.5], 0.01, f64::total_cmp))?;
/// assert_eq!((median.values(), median.error()), (&[0.5][..], 0.0));
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn quantiles_approx_by<F>(
    at: &[f64],
    error: f64,
    compare: F,
) -> ApproxQuantilesSummary<CompareBy<F>> {
    ApproxQuantilesSummary::new(at, error, CompareBy(compare))
}

/// Estimates of quantiles. Created by [`quantiles_approx`] and [`quantiles_approx_by`].
#[derive(Clone, Debug)]
pub struct ApproxQuantilesSummary<O> {
    at: Vec<f64>,
    /// Maximum number of records of a level.
    capacity: usize,
    order: O,
}

portable! {
    [O: Portable] ApproxQuantilesSummary<O> { at: data, capacity: data, order: part }
}

impl<O> ApproxQuantilesSummary<O> {
    #[track_caller]
    fn new(at: &[f64], error: f64, order: O) -> Self {
        for fraction in at {
            assert!(
                (0.0..=1.0).contains(fraction),
                "a quantile is at a fraction from 0 to 1, not {fraction}"
            );
        }
        assert!(
            (1e-6..1.0).contains(&error),
            "quantiles have an error from 0.000001 to 1, not {error}"
        );
        Self {
            at: at.to_vec(),
            capacity: (LEVELS / error).ceil() as usize,
            order,
        }
    }
}

/// Estimates of quantiles, and their error. Returned by [`quantiles_approx`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApproxQuantiles<R> {
    values: Vec<R>,
    error: f64,
}

impl<R> ApproxQuantiles<R> {
    /// Returns a record for each fraction; none if there are no records at all.
    #[must_use]
    pub fn values(&self) -> &[R] {
        &self.values
    }

    /// Returns the records.
    #[must_use]
    pub fn into_values(self) -> Vec<R> {
        self.values
    }

    /// Returns by how much the rank of a record may be wrong, as a part of all records. 0 if the quantiles are exact.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.error
    }
}

/// Samples of the records.
#[derive(Serialize, Deserialize)]
#[serde(bound(
    serialize = "T::Owned: Serialize",
    deserialize = "T::Owned: Deserialize<'de>"
))]
pub struct QuantileSketch<T: Record + ?Sized> {
    count: u64,
    /// By how much ranks may be wrong.
    rank_error: u64,
    /// The records of each level, where a record stands for 2^level. Also whether the next cut of the level begins with
    /// its second record.
    levels: Vec<(Vec<T::Owned>, bool)>,
}

impl<T: Record + ?Sized> std::fmt::Debug for QuantileSketch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuantileSketch")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl<T: Record + ?Sized> QuantileSketch<T> {
    /// Moves every second record of full levels to the next level, from `level` on.
    fn cut(&mut self, capacity: usize, order: &impl Order<T>, from: usize) {
        let mut level = from;
        while self
            .levels
            .get(level)
            .is_some_and(|(records, _)| records.len() >= capacity.max(2))
        {
            if self.levels.len() == level + 1 {
                self.levels.push((Vec::new(), false));
            }
            let (records, begins_second) = &mut self.levels[level];
            records.sort_by(|a, b| order.compare(T::peek_owned(a), T::peek_owned(b)));
            // Pairs only: a single last record stays.
            let kept = records.split_off(records.len() & !1);
            let start = usize::from(*begins_second);
            *begins_second = !*begins_second;
            let pairs = std::mem::replace(records, kept).into_iter();
            let moved = pairs.skip(start).step_by(2);
            self.levels[level + 1].0.extend(moved);
            self.rank_error += 1 << level;
            level += 1;
        }
    }
}

impl<T, O> Summary<T> for ApproxQuantilesSummary<O>
where
    T: ClonedRecord + ?Sized,
    O: Order<T>,
{
    type Part = QuantileSketch<T>;
    type Output = ApproxQuantiles<T::Owned>;

    fn start(&self) -> Self::Part {
        QuantileSketch {
            count: 0,
            rank_error: 0,
            levels: vec![(Vec::new(), false)],
        }
    }

    #[inline]
    fn add(&self, sketch: &mut Self::Part, record: T::Peek<'_>) {
        sketch.count += 1;
        let first = &mut sketch.levels[0].0;
        first.push(T::cloned(record));
        if first.len() >= self.capacity {
            sketch.cut(self.capacity, &self.order, 0);
        }
    }

    fn merge(&self, sketch: &mut Self::Part, later: Self::Part) {
        sketch.count += later.count;
        sketch.rank_error += later.rank_error;
        for (level, (records, _)) in later.levels.into_iter().enumerate() {
            match sketch.levels.get_mut(level) {
                Some((own, _)) => own.extend(records),
                None => sketch.levels.push((records, false)),
            }
        }
        for level in 0..sketch.levels.len() {
            sketch.cut(self.capacity, &self.order, level);
        }
    }

    fn finish(&self, sketch: Self::Part) -> Self::Output {
        let mut weighted: Vec<_> = (0_u32..)
            .zip(&sketch.levels)
            .flat_map(|(level, (records, _))| {
                records.iter().map(move |record| (record, 1_u64 << level))
            })
            .collect();
        weighted.sort_by(|a, b| self.order.compare(T::peek_owned(a.0), T::peek_owned(b.0)));
        let mut end = 0;
        for (_, weight) in &mut weighted {
            end += *weight;
            *weight = end;
        }
        let value = |at: &f64| {
            let rank = (at * end as f64).ceil() as u64;
            let found = weighted.partition_point(|(_, end)| *end < rank);
            let found = weighted.get(found.min(weighted.len().saturating_sub(1)));
            found.map(|(record, _)| T::cloned(T::peek_owned(record)))
        };
        ApproxQuantiles {
            values: self.at.iter().filter_map(value).collect(),
            error: sketch.rank_error as f64 / sketch.count.max(1) as f64,
        }
    }
}
