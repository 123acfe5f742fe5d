//! The ways in which the values of a key become one, for `combine_by_key`.

use std::marker::PhantomData;
use std::num::Wrapping;
use std::ops::Add;
use std::sync::Arc;

use crate::pipeline::{Data, Key, Peek, Ref};
use crate::portable::portable;
use crate::shuffle::Combine;

/// `count_by_value`: how often each record comes.
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

/// `count_by_key`: how often each key comes.
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

/// `sum_by_key`: the sum of whole numbers.
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

/// A number whose sums are the same in whatever order they are made: an integer type, or [`Wrapping`] of one.
///
/// Only this library implements it.
///
/// # Examples
///
/// ```
/// use std::num::Wrapping;
///
/// // Sums that may overflow, and then begin again.
/// let sums = holdall::from_vec(vec![('a', u64::MAX), ('a', 3)]).map_values(Wrapping).sum_by_key();
/// assert_eq!(sums.collect()?, [('a', Wrapping(2))]);
/// # Ok::<(), holdall::Error>(())
/// ```
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

/// `distinct`: that a record comes.
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

/// `combine_by_key`.
pub(crate) struct ByClosures<K, V, C, S, Create, Add, Merge> {
    pub(crate) state: Arc<S>,
    pub(crate) create: Create,
    pub(crate) add: Add,
    pub(crate) merge: Merge,
    pub(crate) types: PhantomData<fn(K, V) -> C>,
}

portable! {
    [K, V, C, S: Data + Sync, Create, Add, Merge] ByClosures<K, V, C, S, Create, Add, Merge> {
        state: state, create: code, add: code, merge: code, types: part,
    }
}

impl<K, V, C, S, Create, Add, Merge> Combine for ByClosures<K, V, C, S, Create, Add, Merge>
where
    K: Data + Eq,
    V: 'static,
    C: Data,
    S: Data + Sync,
    Create: Fn(&S, V) -> C + Send + Sync + 'static,
    Add: Fn(&S, C, V) -> C + Send + Sync + 'static,
    Merge: Fn(&S, C, C) -> C + Send + Sync + 'static,
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
        (self.create)(&self.state, value)
    }

    #[inline(always)]
    fn add(&self, combined: C, value: V) -> C {
        (self.add)(&self.state, combined, value)
    }

    #[inline(always)]
    fn merge(&self, combined: C, later: C) -> C {
        (self.merge)(&self.state, combined, later)
    }
}

/// `reduce_by_key`: one closure that takes in a value as it takes in what later values became.
pub(crate) struct Reduced<K, V, S, F> {
    pub(crate) state: Arc<S>,
    pub(crate) op: F,
    pub(crate) types: PhantomData<fn(K, V)>,
}

portable! {
    [K, V, S: Data + Sync, F] Reduced<K, V, S, F> { state: state, op: code, types: part }
}

impl<K, V, S, F> Combine for Reduced<K, V, S, F>
where
    K: Data + Eq,
    V: Data,
    S: Data + Sync,
    F: Fn(&S, V, V) -> V + Send + Sync + 'static,
{
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Combined = V;

    const COMMUTES: bool = false;

    #[inline(always)]
    fn key_value<R>((key, value): (K, V), f: impl FnOnce(Peek<'_, K>, V) -> R) -> R {
        f(&key, value)
    }

    #[inline(always)]
    fn create(&self, value: V) -> V {
        value
    }

    #[inline(always)]
    fn add(&self, combined: V, value: V) -> V {
        (self.op)(&self.state, combined, value)
    }

    #[inline(always)]
    fn merge(&self, combined: V, later: V) -> V {
        (self.op)(&self.state, combined, later)
    }
}

/// `fold_by_key`: the same, from an initial value on.
pub(crate) struct Folded<K, V, S, F> {
    pub(crate) initial: V,
    pub(crate) state: Arc<S>,
    pub(crate) op: F,
    pub(crate) types: PhantomData<fn(K)>,
}

portable! {
    [K, V: Data, S: Data + Sync, F] Folded<K, V, S, F> {
        initial: data, state: state, op: code, types: part,
    }
}

impl<K, V, S, F> Combine for Folded<K, V, S, F>
where
    K: Data + Eq,
    V: Data + Clone + Sync,
    S: Data + Sync,
    F: Fn(&S, V, V) -> V + Send + Sync + 'static,
{
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Combined = V;

    const COMMUTES: bool = false;

    #[inline(always)]
    fn key_value<R>((key, value): (K, V), f: impl FnOnce(Peek<'_, K>, V) -> R) -> R {
        f(&key, value)
    }

    #[inline(always)]
    fn create(&self, value: V) -> V {
        (self.op)(&self.state, self.initial.clone(), value)
    }

    #[inline(always)]
    fn add(&self, combined: V, value: V) -> V {
        (self.op)(&self.state, combined, value)
    }

    #[inline(always)]
    fn merge(&self, combined: V, later: V) -> V {
        (self.op)(&self.state, combined, later)
    }
}

/// `aggregate_by_key`: values are taken in by one closure, from an initial value on, and merged by another.
pub(crate) struct Aggregated<K, V, A, S, Op, Merge> {
    pub(crate) initial: A,
    pub(crate) state: Arc<S>,
    pub(crate) op: Op,
    pub(crate) merge: Merge,
    pub(crate) types: PhantomData<fn(K, V)>,
}

portable! {
    [K, V, A: Data, S: Data + Sync, Op, Merge] Aggregated<K, V, A, S, Op, Merge> {
        initial: data, state: state, op: code, merge: code, types: part,
    }
}

impl<K, V, A, S, Op, Merge> Combine for Aggregated<K, V, A, S, Op, Merge>
where
    K: Data + Eq,
    V: 'static,
    A: Data + Clone + Sync,
    S: Data + Sync,
    Op: Fn(&S, A, V) -> A + Send + Sync + 'static,
    Merge: Fn(&S, A, A) -> A + Send + Sync + 'static,
{
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Combined = A;

    const COMMUTES: bool = false;

    #[inline(always)]
    fn key_value<R>((key, value): (K, V), f: impl FnOnce(Peek<'_, K>, V) -> R) -> R {
        f(&key, value)
    }

    #[inline(always)]
    fn create(&self, value: V) -> A {
        (self.op)(&self.state, self.initial.clone(), value)
    }

    #[inline(always)]
    fn add(&self, combined: A, value: V) -> A {
        (self.op)(&self.state, combined, value)
    }

    #[inline(always)]
    fn merge(&self, combined: A, later: A) -> A {
        (self.merge)(&self.state, combined, later)
    }
}
