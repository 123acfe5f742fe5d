//! Random parameters that are the same in every run.

use std::ops::Range;

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Draws random parameters. The same seed and the same calls result in the same values, in every run.
///
/// # Examples
///
/// ```
/// use holdall_learn::Sampler;
///
/// #[derive(Debug, PartialEq)]
/// struct Candidate { rate: f64, depth: u64, loss: &'static str }
///
/// let draw = || {
///     let mut sampler = Sampler::new(42);
///     let candidate = |_| Candidate {
///         rate: sampler.log_uniform(1e-5..1.0),
///         depth: sampler.integer(2..9),
///         loss: sampler.choose(&["squared", "absolute"]),
///     };
///     (0..20).map(candidate).collect::<Vec<_>>()
/// };
/// assert_eq!(draw(), draw());
/// assert!(draw().iter().all(|c| (1e-5..1.0).contains(&c.rate) && (2..9).contains(&c.depth)));
/// ```
#[derive(Clone, Debug)]
pub struct Sampler(Pcg64);

impl Sampler {
    /// Creates a sampler.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Pcg64::seed_from_u64(seed))
    }

    /// Returns a number from a range, all with the same probability.
    ///
    /// # Panics
    ///
    /// Panics if the range is empty or not finite.
    pub fn uniform(&mut self, range: Range<f64>) -> f64 {
        self.0.random_range(range)
    }

    /// Returns a number from a range, all orders of magnitude with the same probability.
    ///
    /// # Panics
    ///
    /// Panics if the range is empty, not finite, or does not begin above zero.
    pub fn log_uniform(&mut self, range: Range<f64>) -> f64 {
        assert!(range.start > 0.0, "{range:?} must begin above zero");
        let logarithm = self.uniform(range.start.ln()..range.end.ln());
        logarithm.exp().clamp(range.start, range.end.next_down())
    }

    /// Returns an integer from a range, all with the same probability.
    ///
    /// # Panics
    ///
    /// Panics if the range is empty.
    pub fn integer(&mut self, range: Range<u64>) -> u64 {
        self.0.random_range(range)
    }

    /// Returns one of several values, all with the same probability.
    ///
    /// # Panics
    ///
    /// Panics if there are no values.
    pub fn choose<T: Clone>(&mut self, values: &[T]) -> T {
        let value = values.choose(&mut self.0);
        value.expect("there is a value to choose").clone()
    }

    /// Returns `count` values of a list, each at most once, in random order. Returns all of them if there are fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_learn::Sampler;
    ///
    /// let mut chosen = Sampler::new(0).distinct(9, 0..10);
    /// chosen.sort();
    /// chosen.dedup();
    /// assert_eq!(chosen.len(), 9);
    /// ```
    pub fn distinct<T>(&mut self, count: usize, values: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut values: Vec<_> = values.into_iter().collect();
        self.shuffle(&mut values);
        values.truncate(count);
        values
    }

    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        values.shuffle(&mut self.0);
    }
}
