//! How the values of a key become one: what tells one combining operator from another.

use crate::pipeline::{Data, Key, Peek, Record, Ref};
use crate::portable::Portable;

/// How the values of a key become one.
pub(crate) trait Combine: Portable + Send + Sync + 'static {
    /// What comes in.
    type In: Record + ?Sized;
    type Key: Key + ?Sized;
    type Value;
    /// What the values of a key become.
    type Combined: Data;

    /// Whether the result is the same, to the bit, in whatever order values are combined. Then one set of tables serves
    /// all tasks of a thread ([`Combiner`](crate::shuffle::Combiner)), else each task begins anew
    /// ([`OrderedCombiner`](crate::shuffle::OrderedCombiner)).
    const COMMUTES: bool;

    /// The key and the value of a record.
    fn key_value<R>(
        record: Ref<'_, Self::In>,
        f: impl FnOnce(Peek<'_, Self::Key>, Self::Value) -> R,
    ) -> R;

    /// What a first value becomes.
    fn create(&self, value: Self::Value) -> Self::Combined;

    /// Takes one more value in.
    fn add(&self, combined: Self::Combined, value: Self::Value) -> Self::Combined;

    /// Takes in what later values became.
    fn merge(&self, combined: Self::Combined, later: Self::Combined) -> Self::Combined;
}
