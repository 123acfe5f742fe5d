//! Every 2^k-th record of a task, and the bounds of the partitions, which are computed from the samples of all tasks.
//!
//! A sample depends only on the records of its task, never on memory or time. The same program therefore partitions the
//! same bag in the same way in every run.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Number of sampled records per partition, over all samples. With 256, most partitions are within 6 % of the mean
/// size.
const RECORDS_OF_PARTITION: usize = 256;

/// Maximum number of records, and of bytes, of all samples together, unless there are very many tasks.
const TOTAL_RECORDS: usize = 64 << 10;
const TOTAL_BYTES: usize = 4 << 20;

/// Maximum size of the sample of one task.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct SampleSize {
    records: usize,
    bytes: usize,
}

impl SampleSize {
    /// Returns the size for `partitions` partitions and a stage of `tasks` tasks. `tasks` is `None` if their number is
    /// unknown.
    pub(crate) fn new(partitions: usize, tasks: Option<usize>) -> Self {
        let tasks = tasks.unwrap_or(256).max(1);
        let records = partitions.saturating_mul(RECORDS_OF_PARTITION);
        Self {
            records: (records.min(TOTAL_RECORDS) / tasks).clamp(4, 1024),
            bytes: (TOTAL_BYTES / tasks).clamp(4 << 10, 256 << 10),
        }
    }
}

/// The first record, and every `step`-th record after it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeySample {
    size: SampleSize,
    seen: u64,
    step: u64,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl KeySample {
    pub(crate) fn new(size: SampleSize) -> Self {
        Self {
            size,
            seen: 0,
            step: 1,
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Counts a record, and returns whether it must be sampled.
    #[inline]
    pub(crate) fn wants_next(&mut self) -> bool {
        let is_wanted = self.seen & (self.step - 1) == 0;
        self.seen += 1;
        is_wanted
    }

    /// Adds a record for which [`wants_next`](Self::wants_next) returned `true`.
    pub(crate) fn take<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        write(&mut self.bytes)?;
        self.ends.push(self.bytes.len());
        while self.ends.len() > self.size.records
            || (self.bytes.len() > self.size.bytes && self.ends.len() > 1)
        {
            self.thin();
        }
        Ok(())
    }

    /// Removes every second record: the remaining ones are those that a step twice as long would have sampled.
    fn thin(&mut self) {
        let (mut start, mut end, mut kept) = (0, 0, 0);
        for index in 0..self.ends.len() {
            let next = self.ends[index];
            if index % 2 == 0 {
                self.bytes.copy_within(start..next, end);
                end += next - start;
                self.ends[kept] = end;
                kept += 1;
            }
            start = next;
        }
        self.bytes.truncate(end);
        self.ends.truncate(kept);
        self.step *= 2;
    }

    /// Returns the records of the sample, each with the number of records that it represents.
    fn records(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts
            .zip(&self.ends)
            .map(|(&start, &end)| (&self.bytes[start..end], self.step))
    }
}

/// Returns the first records of all partitions except the first, so that all partitions have about the same size.
///
/// `load` prepares a record of a sample to be compared by `compare`. A record that represents many records may be
/// several bounds, which share its bytes; the partitions between them stay empty.
pub(crate) fn bounds<L, E>(
    samples: &[KeySample],
    partitions: usize,
    mut load: impl FnMut(&[u8]) -> Result<L, E>,
    compare: impl Fn((&[u8], &L), (&[u8], &L)) -> Ordering,
) -> Result<Vec<Arc<[u8]>>, E> {
    let mut records = Vec::new();
    for (bytes, weight) in samples.iter().flat_map(KeySample::records) {
        records.push((bytes, load(bytes)?, weight));
    }
    let mut order: Vec<_> = (0..records.len()).collect();
    sort_places(&mut order, &|a, b| {
        let [a, b] = [a, b].map(|place| &records[place]);
        compare((a.0, &a.1), (b.0, &b.1))
    });
    let total: u128 = records.iter().map(|(.., weight)| u128::from(*weight)).sum();
    let mut bounds = Vec::new();
    let mut before = 0;
    for place in order {
        let (bytes, _, weight) = &records[place];
        // This record represents those from the old value of `before` on. A bound among them is this record.
        before += u128::from(*weight);
        let reaches = (before * partitions as u128).div_ceil(total.max(1)) as usize;
        let bounds_now = (reaches - 1).min(partitions - 1);
        if bounds_now > bounds.len() {
            bounds.resize(bounds_now, Arc::from(*bytes));
        }
    }
    Ok(bounds)
}

/// Sorts places of records. Compiled once, not for each type: sorting is most of the code of [`bounds`], and samples are
/// small. Unstable is enough, because records that compare equal are the same bound.
fn sort_places(places: &mut [usize], compare: &dyn Fn(usize, usize) -> Ordering) {
    places.sort_unstable_by(|a, b| compare(*a, *b));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(records: impl Iterator<Item = u32>, size: SampleSize) -> KeySample {
        let mut sample = KeySample::new(size);
        for record in records {
            if sample.wants_next() {
                let written: Result<(), ()> = sample.take(|bytes| {
                    bytes.extend(record.to_be_bytes());
                    Ok(())
                });
                written.unwrap();
            }
        }
        sample
    }

    fn numbers(bounds: &[impl AsRef<[u8]>]) -> Vec<u32> {
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        bounds.iter().map(|bytes| number(bytes.as_ref())).collect()
    }

    fn bounds_of(samples: &[KeySample], partitions: usize) -> Vec<u32> {
        let load = |_: &[u8]| Ok::<(), ()>(());
        let bounds = bounds(samples, partitions, load, |a, b| a.0.cmp(b.0));
        numbers(&bounds.unwrap())
    }

    #[test]
    fn a_full_sample_is_thinned() {
        let size = SampleSize {
            records: 16,
            bytes: 1 << 20,
        };
        let sample = sample(0..1000, size);
        let records: Vec<_> = sample
            .records()
            .map(|(bytes, step)| (bytes.to_vec(), step))
            .collect();
        assert!((8..=16).contains(&records.len()), "{}", records.len());
        for (index, (bytes, step)) in records.iter().enumerate() {
            assert_eq!(*step, 64);
            assert_eq!(numbers(std::slice::from_ref(bytes)), [index as u32 * 64]);
        }
    }

    #[test]
    fn a_sample_of_large_records_is_small() {
        let size = SampleSize {
            records: 16,
            bytes: 3,
        };
        assert_eq!(sample(0..1000, size).records().count(), 1);
    }

    #[test]
    fn bounds_weigh_samples_by_their_steps() {
        let size = SampleSize::new(64, Some(64));
        // Ten times as many records below 100,000 as above.
        let samples = [sample(0..100_000, size), sample(100_000..110_000, size)];
        let bounds = bounds_of(&samples, 11);
        assert_eq!(bounds.len(), 10);
        for (index, bound) in (1..).zip(&bounds) {
            assert!(bound.abs_diff(index * 10_000) < 500, "{bounds:?}");
        }
    }

    #[test]
    fn what_comes_most_often_is_bound_after_bound() {
        let size = SampleSize::new(64, None);
        let records = (0..1000).map(|n| if n % 10 == 0 { n } else { 7 });
        let bounds = bounds_of(&[sample(records, size)], 4);
        assert_eq!(bounds, [7, 7, 7]);
        assert!(bounds_of(&[], 4).is_empty());
    }
}
