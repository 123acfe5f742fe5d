//! The ways of combining the values of a key, for `combine_by_key`.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::num::Wrapping;
use std::ops::Add;

use super::ranked::Ranked;
use crate::pipeline::{Call, Data, Key, Peek, Ref};
use crate::portable::{Portable, portable};
use crate::shuffle::Combine;

/// `count_by_value`: the number of occurrences of each record.
pub(crate) struct CountByValue<T: ?Sized>(pub(crate) PhantomData<fn(&T)>);

portable! {
    [T: ?Sized] CountByValue<T> { 0: part }
}

impl<T: Key + ?Sized> Combine for CountByValue<T> {
    type In = T;
    type Key = T;
    type Value = ();
    type Combined = u64;

    const COMMUTES: bool = true;

    #[inline(always)]
    fn key_value<R>(record: Ref<'_, T>, f: impl FnOnce(Peek<'_, T>, ()) -> R) -> R {
        f(T::peek(&record), ())
    }

    #[inline(always)]
    fn create(&self, (): ()) -> u64 {
        1
    }

    #[inline(always)]
    fn add(&self, count: u64, (): ()) -> u64 {
        count + 1
    }

    #[inline(always)]
    fn merge(&self, count: u64, later: u64) -> u64 {
        count + later
    }
}

/// `count_by_key`: the number of occurrences of each key.
pub(crate) struct CountByKey<K, V>(pub(crate) PhantomData<fn(K, V)>);

portable! {
    [K, V] CountByKey<K, V> { 0: part }
}

impl<K: Data + Eq, V: 'static> Combine for CountByKey<K, V> {
    type In = (K, V);
    type Key = K;
    type Value = ();
    type Combined = u64;

    const COMMUTES: bool = true;

    #[inline(always)]
    fn key_value<R>((key, _): (K, V), f: impl FnOnce(Peek<'_, K>, ()) -> R) -> R {
        f(&key, ())
    }

    #[inline(always)]
    fn create(&self, (): ()) -> u64 {
        1
    }

    #[inline(always)]
    fn add(&self, count: u64, (): ()) -> u64 {
        count + 1
    }

    #[inline(always)]
    fn merge(&self, count: u64, later: u64) -> u64 {
        count + later
    }
}

/// `sum_by_key`: the sum of integers.
pub(crate) struct SumByKey<K, V>(pub(crate) PhantomData<fn(K, V)>);

portable! {
    [K, V] SumByKey<K, V> { 0: part }
}

impl<K: Data + Eq, V: Data + WholeNumber> Combine for SumByKey<K, V> {
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Combined = V;

    const COMMUTES: bool = true;

    #[inline(always)]
    fn key_value<R>((key, value): (K, V), f: impl FnOnce(Peek<'_, K>, V) -> R) -> R {
        f(&key, value)
    }

    #[inline(always)]
    fn create(&self, value: V) -> V {
        value
    }

    #[inline(always)]
    fn add(&self, sum: V, value: V) -> V {
        sum + value
    }

    #[inline(always)]
    fn merge(&self, sum: V, later: V) -> V {
        sum + later
    }
}

/// A number that can be summed in any order with the same result: an integer type, or [`Wrapping`] of one.
///
/// This trait is sealed: only this library implements it. Floating-point numbers are not among them, because their sum
/// depends on the order; use [`reduce_by_key`](crate::Bag::reduce_by_key), which adds values in the order of the bag.
///
/// ```compile_fail
/// let sums = holdall::from_vec(vec![("a", 0.5), ("a", 0.25)]).sum_by_key();
/// ```
///
/// # Examples
///
/// ```
/// use std::num::Wrapping;
///
/// // Sums that wrap around on overflow.
/// let sums = holdall::from_vec(vec![('a', u64::MAX), ('a', 3)]).map_values(Wrapping).sum_by_key();
/// assert_eq!(sums.collect()?, [('a', Wrapping(2))]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be summed in any order with the same result",
    note = "use `reduce_by_key(|a, b| a + b)`, which adds values in the order of the bag"
)]
pub trait WholeNumber: Sized + Add<Output = Self> + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! whole_number {
    ($($number:ty)*) => {$(
        impl sealed::Sealed for $number {}
        impl WholeNumber for $number {}
        impl sealed::Sealed for Wrapping<$number> {}
        impl WholeNumber for Wrapping<$number> {}
    )*};
}

whole_number!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

/// `distinct`: each record without a value.
pub(crate) struct Distinct<T: ?Sized>(pub(crate) PhantomData<fn(&T)>);

portable! {
    [T: ?Sized] Distinct<T> { 0: part }
}

impl<T: Key + ?Sized> Combine for Distinct<T> {
    type In = T;
    type Key = T;
    type Value = ();
    type Combined = ();

    const COMMUTES: bool = true;

    #[inline(always)]
    fn key_value<R>(record: Ref<'_, T>, f: impl FnOnce(Peek<'_, T>, ()) -> R) -> R {
        f(T::peek(&record), ())
    }

    #[inline(always)]
    fn create(&self, (): ()) {}

    #[inline(always)]
    fn add(&self, (): (), (): ()) {}

    #[inline(always)]
    fn merge(&self, (): (), (): ()) {}
}

/// `top` and `bottom` of `per_key`: the first `n` values of each key in the order of a comparison.
pub(crate) struct FirstRanked<K, V, C> {
    pub(crate) n: usize,
    pub(crate) compare: C,
    pub(crate) types: PhantomData<fn(K, V)>,
}

portable! {
    [K, V, C: Portable] FirstRanked<K, V, C> { n: data, compare: part, types: part }
}

impl<K, V, C> Combine for FirstRanked<K, V, C>
where
    K: Data + Eq,
    V: Data,
    C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
{
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Combined = Ranked<V>;

    /// Equal values keep the order of the bag.
    const COMMUTES: bool = false;

    #[inline(always)]
    fn key_value<R>((key, value): (K, V), f: impl FnOnce(Peek<'_, K>, V) -> R) -> R {
        f(&key, value)
    }

    #[inline(always)]
    fn create(&self, value: V) -> Ranked<V> {
        self.add(Ranked::new(self.n), value)
    }

    #[inline(always)]
    fn add(&self, mut ranked: Ranked<V>, value: V) -> Ranked<V> {
        ranked.offer(value, &|a, b| self.compare.call((a, b)));
        ranked
    }

    #[inline(always)]
    fn merge(&self, mut ranked: Ranked<V>, later: Ranked<V>) -> Ranked<V> {
        ranked.merge(later, &|a, b| self.compare.call((a, b)));
        ranked
    }
}

/// `reduce_by_key`, `fold_by_key`, `aggregate_by_key` and `combine_by_key`, and the extremes of `per_key`: combining by
/// closures.
pub(crate) struct ByClosures<K, V, C, Create, Add, Merge> {
    pub(crate) create: Create,
    pub(crate) add: Add,
    pub(crate) merge: Merge,
    pub(crate) types: PhantomData<fn(K, V) -> C>,
}

portable! {
    [K, V, C, Create: Portable, Add: Portable, Merge: Portable]
    ByClosures<K, V, C, Create, Add, Merge> {
        create: part, add: part, merge: part, types: part,
    }
}

impl<K, V, C, Create, Add, Merge> Combine for ByClosures<K, V, C, Create, Add, Merge>
where
    K: Data + Eq,
    V: 'static,
    C: Data,
    Create: Call<(V,), Out = C>,
    Add: Call<(C, V), Out = C>,
    Merge: Call<(C, C), Out = C>,
{
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Combined = C;

    const COMMUTES: bool = false;

    #[inline(always)]
    fn key_value<R>((key, value): (K, V), f: impl FnOnce(Peek<'_, K>, V) -> R) -> R {
        f(&key, value)
    }

    #[inline(always)]
    fn create(&self, value: V) -> C {
        self.create.call((value,))
    }

    #[inline(always)]
    fn add(&self, combined: C, value: V) -> C {
        self.add.call((combined, value))
    }

    #[inline(always)]
    fn merge(&self, combined: C, later: C) -> C {
        self.merge.call((combined, later))
    }
}
