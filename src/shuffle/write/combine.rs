//! Combining the values of a key into one: the interface of the combining operators.

use crate::pipeline::{Data, Key, Peek, Record, Ref};
use crate::portable::{Portable, portable};
use crate::shuffle::key::entry_value::{EntryValue, RecordOrCombined};
use crate::shuffle::table::accumulator::Accumulator;

/// Combines the values of a key into one.
pub(crate) trait Combine: Portable + Send + Sync + 'static {
    /// Type of the input records.
    type In: Record + ?Sized;
    type Key: Key + ?Sized;
    type Value;
    /// Type of the combined value of a key.
    type Combined: Data;
    /// What is shuffled of a key if the order matters: a combined value or, if that would be larger, the value of a
    /// record that was not combined. The macro [`combined_entries!`] implements the former.
    type Entry: EntryValue;

    /// `true` if the result is the same, to the bit, in whatever order values are combined. In that case one set of
    /// tables serves all tasks of a thread ([`Combiner`](super::Combiner)). Otherwise, each combine group starts with
    /// empty tables ([`OrderedCombiner`](super::OrderedCombiner)).
    const COMMUTES: bool;

    /// Whether closures may fail. They then [store](crate::task::fail_task) their error for the task.
    const CAN_FAIL: bool = false;

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

    /// Returns whether [`add`](Self::add) may move the combined value out of its place and back, by
    /// [`Accumulator::replace`].
    fn replaces() -> bool {
        false
    }

    /// Returns whether combined values may own memory outside of their slots.
    fn owns_memory(&self) -> bool {
        std::mem::needs_drop::<Self::Combined>()
    }

    /// Creates the entry of a combined value.
    fn entry(combined: Self::Combined) -> Self::Entry;

    /// Creates the entry of a record that is not combined.
    #[inline(always)]
    fn entry_of(&self, value: Self::Value) -> Self::Entry {
        Self::entry(self.create(value))
    }

    /// Returns the combined value of an entry.
    fn combined(&self, entry: Self::Entry) -> Self::Combined;

    /// What merges combined values on the reduce side: `Self`, or something that does not depend on the type of the keys.
    type Merging: MergeCombined<Combined = Self::Combined, Entry = Self::Entry>;

    fn merging(&self) -> &Self::Merging;
}

/// Merges the combined values of a key, of whatever type the key is. The code that merges is compiled once for each such
/// type, not for each [`Combine`].
pub(crate) trait MergeCombined {
    type Combined: Data;
    type Entry: EntryValue;

    /// [`Combine::merge`].
    fn merge(&self, combined: &mut impl Accumulator<Self::Combined>, later: Self::Combined);

    /// [`Combine::combined`].
    fn combined(&self, entry: Self::Entry) -> Self::Combined;
}

impl<C: Combine> MergeCombined for C {
    type Combined = C::Combined;
    type Entry = C::Entry;

    #[inline(always)]
    fn merge(&self, combined: &mut impl Accumulator<C::Combined>, later: C::Combined) {
        Combine::merge(self, combined, later);
    }

    #[inline(always)]
    fn combined(&self, entry: C::Entry) -> C::Combined {
        Combine::combined(self, entry)
    }
}

/// Implements the entries of a [`Combine`] as combined values, and what merges them: `Self`, or the given constant of the
/// given type.
macro_rules! combined_entries {
    () => {
        type Merging = Self;

        #[inline(always)]
        fn merging(&self) -> &Self {
            self
        }

        combined_entries!(only);
    };
    ($merging:expr, $type:ty) => {
        type Merging = $type;

        #[inline(always)]
        fn merging(&self) -> &$type {
            &$merging
        }

        #[inline(always)]
        fn merge(
            &self,
            combined: &mut impl $crate::shuffle::Accumulator<Self::Combined>,
            later: Self::Combined,
        ) {
            $crate::shuffle::MergeCombined::merge(self.merging(), combined, later);
        }

        combined_entries!(only);
    };
    (only) => {
        type Entry = Self::Combined;

        #[inline(always)]
        fn entry(combined: Self::Combined) -> Self::Combined {
            combined
        }

        #[inline(always)]
        fn combined(&self, entry: Self::Combined) -> Self::Combined {
            entry
        }
    };
}
pub(crate) use combined_entries;

/// A [`Combine`] whose entries are the values of records, as long as these are not combined.
pub(crate) struct EntriesOfValues<C>(pub(crate) C);

portable! {
    [C: Portable] EntriesOfValues<C> { 0: part }
}

impl<C: Combine<Value: Data>> Combine for EntriesOfValues<C> {
    type In = C::In;
    type Key = C::Key;
    type Value = C::Value;
    type Combined = C::Combined;
    type Entry = RecordOrCombined<C::Value, C::Combined>;

    const COMMUTES: bool = C::COMMUTES;

    const CAN_FAIL: bool = C::CAN_FAIL;

    #[inline(always)]
    fn key_value<R>(record: Ref<'_, C::In>, f: impl FnOnce(Peek<'_, C::Key>, C::Value) -> R) -> R {
        C::key_value(record, f)
    }

    #[inline(always)]
    fn create(&self, value: C::Value) -> C::Combined {
        self.0.create(value)
    }

    #[inline(always)]
    fn add(&self, combined: &mut impl Accumulator<C::Combined>, value: C::Value) {
        self.0.add(combined, value);
    }

    #[inline(always)]
    fn merge(&self, combined: &mut impl Accumulator<C::Combined>, later: C::Combined) {
        self.0.merge(combined, later);
    }

    fn replaces() -> bool {
        C::replaces()
    }

    fn owns_memory(&self) -> bool {
        self.0.owns_memory()
    }

    #[inline(always)]
    fn entry(combined: C::Combined) -> Self::Entry {
        RecordOrCombined::Combined(combined)
    }

    #[inline(always)]
    fn entry_of(&self, value: C::Value) -> Self::Entry {
        let is_small = const {
            !std::mem::needs_drop::<C::Value>() && size_of::<C::Value>() < size_of::<C::Combined>()
        };
        match is_small {
            true => RecordOrCombined::Record(value),
            false => RecordOrCombined::Combined(self.0.create(value)),
        }
    }

    #[inline(always)]
    fn combined(&self, entry: Self::Entry) -> C::Combined {
        match entry {
            RecordOrCombined::Record(value) => self.0.create(value),
            RecordOrCombined::Combined(combined) => combined,
        }
    }

    type Merging = Self;

    #[inline(always)]
    fn merging(&self) -> &Self {
        self
    }
}

/// A [`Combine`] whose result does not depend on the order, because of the type of its values.
pub(crate) struct AnyOrder<C>(pub(crate) C);

portable! {
    [C: Portable] AnyOrder<C> { 0: part }
}

impl<C: Combine> Combine for AnyOrder<C> {
    type In = C::In;
    type Key = C::Key;
    type Value = C::Value;
    type Combined = C::Combined;

    const COMMUTES: bool = true;

    const CAN_FAIL: bool = C::CAN_FAIL;

    combined_entries!();

    #[inline(always)]
    fn key_value<R>(record: Ref<'_, C::In>, f: impl FnOnce(Peek<'_, C::Key>, C::Value) -> R) -> R {
        C::key_value(record, f)
    }

    #[inline(always)]
    fn create(&self, value: C::Value) -> C::Combined {
        self.0.create(value)
    }

    #[inline(always)]
    fn add(&self, combined: &mut impl Accumulator<C::Combined>, value: C::Value) {
        self.0.add(combined, value);
    }

    #[inline(always)]
    fn merge(&self, combined: &mut impl Accumulator<C::Combined>, later: C::Combined) {
        self.0.merge(combined, later);
    }

    fn replaces() -> bool {
        C::replaces()
    }

    fn owns_memory(&self) -> bool {
        self.0.owns_memory()
    }
}
