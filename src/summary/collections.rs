//! All records, and all distinct records.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use super::definition::Summary;
use super::records::{ClonedRecord, OrderedRecord};
use crate::portable::portable;

/// Returns all records in a vector, in the order of the bag. They must fit into memory, which the memory budget of the
/// context does not cover; for the values of a key it does.
///
/// # Examples
///
/// ```
/// use holdall::summary::to_vec;
///
/// let pairs = holdall::from_vec(vec![("a", 3), ("b", 1), ("a", 2)]);
/// let mut lists = pairs.per_key().summarize(to_vec()).collect()?;
/// lists.sort();
/// assert_eq!(lists, [("a", vec![3, 2]), ("b", vec![1])]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn to_vec() -> VecSummary {
    VecSummary(PhantomData)
}

/// All records in a vector. Created by [`to_vec`].
#[derive(Clone, Copy, Debug)]
pub struct VecSummary(PhantomData<()>);

portable! { [] VecSummary { 0: part } }

impl<T: ClonedRecord + ?Sized> Summary<T> for VecSummary {
    type Part = Vec<T::Owned>;
    type Output = Vec<T::Owned>;

    fn start(&self) -> Self::Part {
        Vec::new()
    }

    #[inline]
    fn add(&self, part: &mut Self::Part, record: T::Peek<'_>) {
        part.push(T::cloned(record));
    }

    fn merge(&self, part: &mut Self::Part, mut later: Self::Part) {
        part.append(&mut later);
    }

    fn finish(&self, part: Self::Part) -> Self::Output {
        part
    }
}

/// Returns each distinct record, in a set. They must fit into memory, as for [`to_vec`].
///
/// # Examples
///
/// ```
/// use holdall::summary::{count_distinct, to_set};
///
/// let remainders = holdall::range(0..1000).map(|n| n % 3);
/// let (set, count) = remainders.summarize((to_set(), count_distinct()))?;
/// assert_eq!((set, count), ([0, 1, 2].into(), 3));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn to_set() -> SetSummary {
    SetSummary(PhantomData)
}

/// The distinct records in a set. Created by [`to_set`].
#[derive(Clone, Copy, Debug)]
pub struct SetSummary(PhantomData<()>);

portable! { [] SetSummary { 0: part } }

impl<T: ClonedRecord + OrderedRecord + ?Sized> Summary<T> for SetSummary {
    type Part = BTreeSet<T::Owned>;
    type Output = BTreeSet<T::Owned>;

    fn start(&self) -> Self::Part {
        BTreeSet::new()
    }

    #[inline]
    fn add(&self, part: &mut Self::Part, record: T::Peek<'_>) {
        if !T::is_in(part, record) {
            part.insert(T::cloned(record));
        }
    }

    fn merge(&self, part: &mut Self::Part, mut later: Self::Part) {
        part.append(&mut later);
    }

    fn finish(&self, part: Self::Part) -> Self::Output {
        part
    }
}

/// Returns the number of distinct records, which must fit into memory, as for [`to_vec`]. To count the distinct records
/// of a whole bag within the memory budget, use [`Bag::count_distinct`](crate::Bag::count_distinct).
///
/// # Examples
///
/// See [`to_set`].
#[must_use]
pub fn count_distinct() -> DistinctSummary {
    DistinctSummary(PhantomData)
}

/// The number of distinct records. Created by [`count_distinct`].
#[derive(Clone, Copy, Debug)]
pub struct DistinctSummary(PhantomData<()>);

portable! { [] DistinctSummary { 0: part } }

impl<T: ClonedRecord + OrderedRecord + ?Sized> Summary<T> for DistinctSummary {
    const COMMUTES: bool = true;

    type Part = BTreeSet<T::Owned>;
    type Output = u64;

    fn start(&self) -> Self::Part {
        BTreeSet::new()
    }

    #[inline]
    fn add(&self, part: &mut Self::Part, record: T::Peek<'_>) {
        Summary::<T>::add(&to_set(), part, record);
    }

    fn merge(&self, part: &mut Self::Part, later: Self::Part) {
        Summary::<T>::merge(&to_set(), part, later);
    }

    fn finish(&self, part: Self::Part) -> u64 {
        part.len() as u64
    }
}
