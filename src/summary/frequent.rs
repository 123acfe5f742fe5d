//! The most frequent records, in little memory.
//!
//! The summary of Misra and Gries (Finding repeated elements, 1982), merged as by Agarwal, Cormode, Huang, Phillips, Wei
//! and Yi (Mergeable summaries, 2012). Instead of decrementing the counters for each new record, they are cut to the
//! capacity when there are twice as many, which has the same bound.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::definition::Summary;
use super::records::{ClonedRecord, OrderedRecord};
use crate::pipeline::Record;
use crate::portable::portable;

/// Returns candidates for the most frequent records, most frequent first, with bounds of their counts. Each record that
/// is more than 1 / (`capacity` + 1) of all records is among them, and the bounds of a count differ by at most this part
/// of all records. Needs memory for 2 `capacity` records.
///
/// Returns up to `capacity` records. If there are no more distinct ones, the counts are exact. The records and bounds may
/// depend on the partitioning, but not on the run.
///
/// # Panics
///
/// Panics if `capacity` is 0.
///
/// # Examples
///
/// ```
/// use holdall::summary::heavy_hitters;
///
/// let numbers = holdall::range(0..100_000).map(|n| if n % 3 == 0 { 7 } else { n });
/// let frequent = numbers.summarize(heavy_hitters(100))?;
/// let (number, count) = frequent[0];
/// assert_eq!(number, 7);
/// assert!(count.at_least <= 33_334 && 33_334 <= count.at_most);
/// assert!(count.at_most - count.at_least <= 100_000 / 101);
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn heavy_hitters(capacity: usize) -> HeavyHittersSummary {
    assert!(capacity > 0, "frequent records need a capacity");
    let records = PhantomData;
    HeavyHittersSummary { capacity, records }
}

/// The most frequent records. Created by [`heavy_hitters`].
#[derive(Clone, Copy, Debug)]
pub struct HeavyHittersSummary {
    capacity: usize,
    records: PhantomData<()>,
}

portable! { [] HeavyHittersSummary { capacity: data, records: part } }

/// Bounds of the count of a record. Returned by [`heavy_hitters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Frequency {
    /// The record occurs at least this often.
    pub at_least: u64,
    /// The record occurs at most this often.
    pub at_most: u64,
}

/// Counters of the records that may be frequent.
#[derive(Serialize, Deserialize)]
#[serde(bound(
    serialize = "T::Owned: Serialize",
    deserialize = "T::Owned: Deserialize<'de> + Ord"
))]
pub struct FrequentSketch<T: Record + ?Sized> {
    counts: BTreeMap<T::Owned, u64>,
    /// Maximum that was subtracted from every counter.
    subtracted: u64,
}

impl<T: Record + ?Sized> std::fmt::Debug for FrequentSketch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrequentSketch").finish_non_exhaustive()
    }
}

impl<T: Record<Owned: Ord> + ?Sized> FrequentSketch<T> {
    /// Leaves at most `capacity` counters.
    fn cut(&mut self, capacity: usize) {
        if self.counts.len() <= capacity {
            return;
        }
        let mut counts: Vec<_> = self.counts.values().copied().collect();
        // The greatest count that is dropped is subtracted from all: from more than `capacity` counters.
        let (_, most, _) = counts.select_nth_unstable_by_key(capacity, |count| Reverse(*count));
        let most = *most;
        self.subtracted += most;
        self.counts.retain(|_, count| {
            *count = count.saturating_sub(most);
            *count > 0
        });
    }
}

impl<T: ClonedRecord + OrderedRecord + ?Sized> Summary<T> for HeavyHittersSummary {
    type Part = FrequentSketch<T>;
    type Output = Vec<(T::Owned, Frequency)>;

    fn start(&self) -> Self::Part {
        FrequentSketch {
            counts: BTreeMap::new(),
            subtracted: 0,
        }
    }

    #[inline]
    fn add(&self, sketch: &mut Self::Part, record: T::Peek<'_>) {
        if let Some(count) = T::value_mut(&mut sketch.counts, record) {
            *count += 1;
            return;
        }
        sketch.counts.insert(T::cloned(record), 1);
        if sketch.counts.len() >= self.capacity.saturating_mul(2) {
            sketch.cut(self.capacity);
        }
    }

    fn merge(&self, sketch: &mut Self::Part, later: Self::Part) {
        for (record, count) in later.counts {
            *sketch.counts.entry(record).or_default() += count;
        }
        sketch.subtracted += later.subtracted;
        sketch.cut(self.capacity);
    }

    fn finish(&self, mut sketch: Self::Part) -> Self::Output {
        sketch.cut(self.capacity);
        let subtracted = sketch.subtracted;
        let bounds = |(record, count)| {
            let frequency = Frequency {
                at_least: count,
                at_most: count + subtracted,
            };
            (record, frequency)
        };
        let mut found: Vec<_> = sketch.counts.into_iter().map(bounds).collect();
        // Stable: of equally frequent records, the smallest comes first.
        found.sort_by_key(|(_, count)| Reverse(count.at_least));
        found
    }
}
