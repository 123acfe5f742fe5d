//! `sample`: a random, but reproducible, selection of the records. Narrow.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::{Pipeline, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Task};

pub(crate) struct Sample<P> {
    pub(crate) parent: Arc<P>,
    pub(crate) fraction: f64,
    pub(crate) seed: u64,
}

portable! {
    [P: Portable] Sample<P> { parent: part, fraction: data, seed: data }
}

impl<P: Pipeline> Pipeline for Sample<P> {
    type Out = P::Out;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, P::Out>) -> Flow,
    {
        let mut chance = Chance::new(self.seed, partition.index);
        self.parent.run(partition, task, &mut |record| {
            if chance.next() < self.fraction {
                sink(record)
            } else {
                ControlFlow::Continue(())
            }
        })
    }
}

/// The pseudorandom numbers of one partition: a counter with a mixing function, `SplitMix64` (Steele, Lea and Flood,
/// Fast splittable pseudorandom number generators, 2014).
struct Chance(u64);

impl Chance {
    fn new(seed: u64, partition: usize) -> Self {
        // Mix again: otherwise one partition has the random numbers of another, shifted by a few records.
        Self(mix(mix(seed).wrapping_add(partition as u64)))
    }

    /// Returns the next number in `0.0..1.0`.
    #[inline]
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        // An `f64` has 53 significant bits.
        (mix(self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[inline]
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u64, partition: usize) -> Vec<f64> {
        let mut chance = Chance::new(seed, partition);
        (0..10_000).map(|_| chance.next()).collect()
    }

    #[test]
    fn numbers_are_spread_evenly_below_one() {
        let mut tenths = [0_u32; 10];
        for number in numbers(0, 0) {
            tenths[(number * 10.0) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|count| (900..1100).contains(count)),
            "{tenths:?}"
        );
    }

    #[test]
    fn seeds_and_partitions_have_numbers_of_their_own() {
        let all =
            [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(seed, partition)| numbers(seed, partition));
        let mut all: Vec<_> = all.concat().into_iter().map(f64::to_bits).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 40_000);
        assert_eq!(numbers(1, 1), numbers(1, 1));
    }
}
