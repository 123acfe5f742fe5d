//! Memory and spilled bytes of a job over time, in bounded memory.

use std::time::Duration;

/// Maximum number of samples. A chart has not many more pixels.
const MAX_SAMPLES: usize = 512;

/// Samples at equal distances. If there are too many, the distance is doubled, and each sample has the highest use of
/// memory in its time.
#[derive(Default)]
pub(super) struct MemorySamples {
    samples: Vec<MemorySample>,
    distance: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemorySample {
    /// Time since the start of the recorder.
    pub(super) time: Duration,
    /// Bytes that the jobs of the context hold of its memory budget.
    pub(super) used_bytes: usize,
    /// Bytes that the job has written to the spill directory so far.
    pub(super) spilled_bytes: u64,
}

impl MemorySamples {
    pub(super) fn add(&mut self, sample: MemorySample) {
        self.put(sample);
        if self.samples.len() > MAX_SAMPLES {
            let first = self
                .samples
                .first()
                .map_or(Duration::ZERO, |first| first.time);
            self.distance = 2 * (sample.time - first) / MAX_SAMPLES as u32;
            for sample in std::mem::take(&mut self.samples) {
                self.put(sample);
            }
        }
    }

    fn put(&mut self, sample: MemorySample) {
        match self.samples.last_mut() {
            Some(last) if sample.time < last.time + self.distance => {
                last.used_bytes = last.used_bytes.max(sample.used_bytes);
                last.spilled_bytes = last.spilled_bytes.max(sample.spilled_bytes);
            }
            _ => self.samples.push(sample),
        }
    }

    pub(super) fn samples(&self) -> &[MemorySample] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_few_and_keep_the_peak() {
        let mut samples = MemorySamples::default();
        for n in 0..100_000 {
            samples.add(MemorySample {
                time: Duration::from_micros(n),
                used_bytes: if n == 33_333 { 99 } else { 1 },
                spilled_bytes: n,
            });
            assert!(samples.samples().len() <= MAX_SAMPLES);
        }
        let samples = samples.samples();
        assert!(samples.len() >= MAX_SAMPLES / 4);
        assert_eq!(
            samples.iter().map(|sample| sample.used_bytes).max(),
            Some(99)
        );
        assert_eq!(samples[samples.len() - 1].spilled_bytes, 99_999);
        assert!(samples.is_sorted_by_key(|sample| sample.time));
    }
}
