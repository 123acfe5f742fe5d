//! Pseudorandom numbers that depend only on a seed and on the place of a record, so that they are the same on every
//! executor.

/// The pseudorandom numbers of one partition: a counter with a mixing function, `SplitMix64` (Steele, Lea and Flood,
/// Fast splittable pseudorandom number generators, 2014).
#[derive(Clone)]
pub(crate) struct Chance(u64);

/// Maximum mean of a Poisson distribution of which a number is computed at once. With a larger mean, more terms are
/// summed for each uniform number, and e to the power of minus the mean loses its digits.
const MAX_POISSON_MEAN: f64 = 16.0;

impl Chance {
    pub(crate) fn new(seed: u64, partition: usize) -> Self {
        // Mix again: otherwise one partition has the random numbers of another, shifted by a few records.
        Self(mix(mix(seed).wrapping_add(partition as u64)))
    }

    /// Returns the next 64 random bits.
    #[inline]
    pub(crate) fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Returns the next number in `0.0..1.0`.
    #[inline]
    pub(crate) fn next(&mut self) -> f64 {
        // An `f64` has 53 significant bits.
        (self.next_bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns the next number in `0..end`, by multiplication and shift (Lemire, Fast random integer generation in an
    /// interval, 2019), without the rejection that would remove a bias of less than `end / 2^64`.
    pub(crate) fn next_below(&mut self, end: u64) -> u64 {
        // The high half of the product is less than `end`.
        ((u128::from(self.next_bits()) * u128::from(end)) >> 64) as u64
    }

    /// Returns the next number of a Poisson distribution: the sum of numbers with smaller means, each by inversion
    /// (Devroye, Non-uniform random variate generation, 1986, X.3.3).
    pub(crate) fn next_poisson(&mut self, mean: f64) -> u64 {
        let mut left = mean;
        let mut count = 0;
        while left > 0.0 {
            let mean = left.min(MAX_POISSON_MEAN);
            left -= mean;
            let number = self.next();
            let mut probability = (-mean).exp();
            let mut sum = probability;
            let mut n = 0;
            // Rounded, the probabilities may sum up to less than the number, but they end at 0.
            while number >= sum && probability > 0.0 {
                n += 1;
                probability *= mean / n as f64;
                sum += probability;
            }
            count += n;
        }
        count
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

    #[test]
    fn poisson_numbers_have_their_mean_and_variance() {
        for mean in [0.1_f64, 1.0, 5.5, 16.0, 40.0] {
            let mut chance = Chance::new(3, 5);
            let numbers: Vec<_> = (0..20_000)
                .map(|_| chance.next_poisson(mean) as f64)
                .collect();
            let average = numbers.iter().sum::<f64>() / 20_000.0;
            let squares = numbers.iter().map(|n| (n - average).powi(2));
            let variance = squares.sum::<f64>() / 20_000.0;
            // Five standard errors, and for the variance somewhat more.
            let error = 5.0 * (mean / 20_000.0).sqrt();
            assert!((average - mean).abs() < error, "{mean}: {average}");
            assert!(
                (variance - mean).abs() < error * (2.0 * mean + 1.0).sqrt(),
                "{mean}: {variance}"
            );
        }
        assert_eq!(Chance::new(0, 0).next_poisson(0.0), 0);
    }

    #[test]
    fn numbers_below_an_end_are_spread_evenly() {
        let mut chance = Chance::new(1, 2);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[chance.next_below(7) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_500..10_500).contains(count)),
            "{counts:?}"
        );
        assert!((0..100).all(|_| chance.next_below(1) == 0));
    }
}
