//! Combining the values of a key into one: the interface of the combining operators.

use crate::pipeline::{Data, Key, Peek, Record, Ref};
use crate::portable::Portable;
use crate::shuffle::table::accumulator::Accumulator;

/// Combines the values of a key into one.
pub(crate) trait Combine: Portable + Send + Sync + 'static {
    /// Type of the input records.
    type In: Record + ?Sized;
    type Key: Key + ?Sized;
    type Value;
    /// Type of the combined value of a key.
    type Combined: Data;

    /// `true` if the result is the same, to the bit, in whatever order values are combined. In that case one set of
    /// tables serves all tasks of a thread ([`Combiner`](super::Combiner)). Otherwise, each combine group starts with
    /// empty tables ([`OrderedCombiner`](super::OrderedCombiner)).
    const COMMUTES: bool;

    /// Calls `f` with the key and the value of a record, and returns its result.
    fn key_value<R>(
        record: Ref<'_, Self::In>,
        f: impl FnOnce(Peek<'_, Self::Key>, Self::Value) -> R,
    ) -> R;

    /// Creates a combined value from the first value of a key.
    fn create(&self, value: Self::Value) -> Self::Combined;

    /// Adds a value to a combined value, which stays where it is.
    fn add(&self, combined: &mut impl Accumulator<Self::Combined>, value: Self::Value);

    /// Merges a combined value into another one. The values of `later` come after those of `combined`.
    fn merge(&self, combined: &mut impl Accumulator<Self::Combined>, later: Self::Combined);
}
