//! An estimate of the number of distinct records, in little memory.
//!
//! `HyperLogLog` (Flajolet, Fusy, Gandouet and Meunier, `HyperLogLog`: the analysis of a near-optimal cardinality
//! estimation algorithm, 2007) over the 64-bit hash of the crate, with the estimator of Ertl (New cardinality estimation
//! algorithms for `HyperLogLog` sketches, 2017), which is unbiased for all numbers. As long as there are few distinct
//! records, their hashes are kept themselves, so small numbers are exact and keys with few values are small.

use std::collections::BTreeSet;
use std::f64::consts::LN_2;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::definition::Summary;
use crate::pipeline::Key;
use crate::portable::portable;
use crate::shuffle::hash_of;

/// Minimum and maximum of the binary logarithm of the number of registers.
const MIN_BITS: u32 = 4;
const MAX_BITS: u32 = 18;

/// Hashes are kept themselves up to one for this number of registers. A hash takes eight times the memory of a register.
const REGISTERS_OF_HASH: usize = 16;

/// Estimates the number of distinct records with a relative standard error of `error`: about two of three estimates are
/// within this error, and 99.7 % are within three times this error. Needs 1.1 to 2.2 / `error`² bytes, a power of two: 16 KiB
/// for 0.01. If there are fewer than about 0.07 / `error`² distinct records, the number is exact, and less memory is needed.
///
/// The estimate depends only on which records there are. It is the same for any order and partitioning.
///
/// # Panics
///
/// Panics if `error` is not in `0.0021..1.0`.
///
/// # Examples
///
/// ```
/// use holdall::summary::{count, count_distinct_approx};
///
/// let numbers = holdall::range(0..200_000).map(|n| n % 50_000);
/// let (all, distinct) = numbers.summarize((count(), count_distinct_approx(0.01)))?;
/// assert_eq!(all, 200_000);
/// assert!((48_500..51_500).contains(&distinct));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn count_distinct_approx(error: f64) -> ApproxDistinctSummary {
    assert!(
        (0.0021..1.0).contains(&error),
        "an estimate has a relative error from 0.0021 to 1, not {error}"
    );
    let registers = (1.04 / error).powi(2);
    let bits = (registers.log2().ceil() as u32).clamp(MIN_BITS, MAX_BITS);
    let records = PhantomData;
    ApproxDistinctSummary { bits, records }
}

/// An estimate of the number of distinct records. Created by [`count_distinct_approx`].
#[derive(Clone, Copy, Debug)]
pub struct ApproxDistinctSummary {
    /// Binary logarithm of the number of registers.
    bits: u32,
    records: PhantomData<()>,
}

portable! { [] ApproxDistinctSummary { bits: data, records: part } }

/// The distinct records so far.
#[derive(Debug, Serialize, Deserialize)]
pub enum DistinctSketch {
    /// Their hashes.
    Hashes(BTreeSet<u64>),
    /// For each value of the first bits of a hash, the greatest rank of the others.
    Registers(Vec<u8>),
}

impl ApproxDistinctSummary {
    fn registers(self) -> usize {
        1 << self.bits
    }

    fn add_hash(self, sketch: &mut DistinctSketch, hash: u64) {
        match sketch {
            DistinctSketch::Hashes(hashes) => {
                if hashes.insert(hash) && hashes.len() > self.registers() / REGISTERS_OF_HASH {
                    let mut registers = vec![0; self.registers()];
                    hashes
                        .iter()
                        .for_each(|hash| self.note(&mut registers, *hash));
                    *sketch = DistinctSketch::Registers(registers);
                }
            }
            DistinctSketch::Registers(registers) => self.note(registers, hash),
        }
    }

    #[inline]
    fn note(self, registers: &mut [u8], hash: u64) {
        let register = (hash >> (u64::BITS - self.bits)) as usize;
        // The rank is the position of the first bit that is set. The added bit limits it.
        let rank = ((hash << self.bits) | 1 << (self.bits - 1)).leading_zeros() as u8 + 1;
        registers[register] = registers[register].max(rank);
    }

    fn estimate(self, registers: &[u8]) -> f64 {
        let most = (u64::BITS - self.bits) as usize;
        let mut counts = vec![0_u32; most + 2];
        for rank in registers {
            counts[usize::from(*rank)] += 1;
        }
        let all = registers.len() as f64;
        let mut sum = all * tau(1.0 - f64::from(counts[most + 1]) / all);
        for count in counts[1..=most].iter().rev() {
            sum = 0.5 * (sum + f64::from(*count));
        }
        sum += all * sigma(f64::from(counts[0]) / all);
        all * all / (2.0 * LN_2 * sum)
    }
}

/// The function of Ertl that corrects for registers without a record.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight *= 2.0;
        if sum <= before {
            return sum;
        }
    }
}

/// The function of Ertl that corrects for registers with the greatest rank.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

impl<T: Key + ?Sized> Summary<T> for ApproxDistinctSummary {
    const COMMUTES: bool = true;

    type Part = DistinctSketch;
    type Output = u64;

    fn start(&self) -> DistinctSketch {
        DistinctSketch::Hashes(BTreeSet::new())
    }

    #[inline]
    fn add(&self, sketch: &mut DistinctSketch, record: T::Peek<'_>) {
        match hash_of::<T>(record) {
            Ok(hash) => self.add_hash(sketch, hash),
            Err(error) => panic!("{error}"),
        }
    }

    fn merge(&self, sketch: &mut DistinctSketch, later: DistinctSketch) {
        match (&mut *sketch, later) {
            (_, DistinctSketch::Hashes(hashes)) => {
                hashes.iter().for_each(|hash| self.add_hash(sketch, *hash));
            }
            (DistinctSketch::Hashes(hashes), DistinctSketch::Registers(mut registers)) => {
                hashes
                    .iter()
                    .for_each(|hash| self.note(&mut registers, *hash));
                *sketch = DistinctSketch::Registers(registers);
            }
            (DistinctSketch::Registers(registers), DistinctSketch::Registers(later)) => {
                let pairs = registers.iter_mut().zip(later);
                pairs.for_each(|(rank, later)| *rank = later.max(*rank));
            }
        }
    }

    fn finish(&self, sketch: DistinctSketch) -> u64 {
        match sketch {
            DistinctSketch::Hashes(hashes) => hashes.len() as u64,
            DistinctSketch::Registers(registers) => self.estimate(&registers).round() as u64,
        }
    }
}
