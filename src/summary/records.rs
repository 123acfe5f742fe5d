//! Access of summaries to records that they only borrow.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::pipeline::{Data, Peek, Record};

/// A record that a summary can keep: data that is `Clone`, or text.
///
/// Only this library implements it.
#[diagnostic::on_unimplemented(
    message = "a summary cannot keep records of type `{Self}`",
    note = "derive `Clone` for them, and `Serialize` and `Deserialize` of serde"
)]
pub trait ClonedRecord: Record<Owned: Data> {
    /// Returns an owned copy of a record.
    #[doc(hidden)]
    fn cloned(record: Peek<'_, Self>) -> Self::Owned;

    /// Replaces an owned record by a copy of `record`, and uses its memory again if possible.
    #[doc(hidden)]
    fn clone_into(record: Peek<'_, Self>, owned: &mut Self::Owned);
}

impl<T: Data + Clone> ClonedRecord for T {
    #[inline]
    fn cloned(record: &T) -> T {
        record.clone()
    }

    #[inline]
    fn clone_into(record: &T, owned: &mut T) {
        owned.clone_from(record);
    }
}

/// A record with a natural order: a sized one that is `Ord`, or text.
///
/// Only this library implements it.
#[diagnostic::on_unimplemented(
    message = "records of type `{Self}` have no natural order",
    note = "use the function whose name ends in `_by`, such as `max_by(f64::total_cmp)`, or in `_by_key`"
)]
pub trait OrderedRecord: Record<Owned: Ord> {
    /// Compares two records.
    #[doc(hidden)]
    fn compare(a: Peek<'_, Self>, b: Peek<'_, Self>) -> Ordering;

    /// Returns whether `set` has the record.
    #[doc(hidden)]
    fn is_in(set: &BTreeSet<Self::Owned>, record: Peek<'_, Self>) -> bool;

    /// Returns the value of a record in `map`.
    #[doc(hidden)]
    fn value_mut<'m, V>(
        map: &'m mut BTreeMap<Self::Owned, V>,
        record: Peek<'_, Self>,
    ) -> Option<&'m mut V>;
}

impl<T: Ord + 'static> OrderedRecord for T {
    #[inline]
    fn compare(a: &T, b: &T) -> Ordering {
        a.cmp(b)
    }

    #[inline]
    fn is_in(set: &BTreeSet<T>, record: &T) -> bool {
        set.contains(record)
    }

    #[inline]
    fn value_mut<'m, V>(map: &'m mut BTreeMap<T, V>, record: &T) -> Option<&'m mut V> {
        map.get_mut(record)
    }
}

macro_rules! slice {
    ($slice:ty, $owned:ty) => {
        impl ClonedRecord for $slice {
            #[inline]
            fn cloned(record: &$slice) -> $owned {
                record.to_owned()
            }

            #[inline]
            fn clone_into(record: &$slice, owned: &mut $owned) {
                record.clone_into(owned);
            }
        }

        impl OrderedRecord for $slice {
            #[inline]
            fn compare(a: &$slice, b: &$slice) -> Ordering {
                a.cmp(b)
            }

            #[inline]
            fn is_in(set: &BTreeSet<$owned>, record: &$slice) -> bool {
                set.contains(record)
            }

            #[inline]
            fn value_mut<'m, V>(
                map: &'m mut BTreeMap<$owned, V>,
                record: &$slice,
            ) -> Option<&'m mut V> {
                map.get_mut(record)
            }
        }
    };
}

slice!(str, String);
slice!([u8], Vec<u8>);
