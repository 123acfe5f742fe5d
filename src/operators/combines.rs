//! The ways of combining the values of a key, for `combine_by_key`.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::BoxError;
use crate::pipeline::{Call, Data, Key, Peek, Ref, numbers};
use crate::portable::{Portable, portable};
use crate::shuffle::{Accumulator, Combine, MergeCombined, combined_entries};
use crate::summary::{Numeric, Summary};
use crate::task::{Site, fail_task};

/// Merges sums and counts.
pub(crate) struct Summing<V>(PhantomData<fn(V)>);

impl<V: Data + Numeric> MergeCombined for Summing<V> {
    type Combined = V;
    type Entry = V;

    #[inline(always)]
    fn merge(&self, sum: &mut impl Accumulator<V>, later: V) {
        *sum.get_mut() += later;
    }

    #[inline(always)]
    fn combined(&self, entry: V) -> V {
        entry
    }
}

/// Merges keys without values.
pub(crate) struct NoValues;

impl MergeCombined for NoValues {
    type Combined = ();
    type Entry = ();

    #[inline(always)]
    fn merge(&self, _: &mut impl Accumulator<()>, (): ()) {}

    #[inline(always)]
    fn combined(&self, (): ()) {}
}

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

    combined_entries!(Summing(PhantomData), Summing<u64>);

    #[inline(always)]
    fn key_value<R>(record: Ref<'_, T>, f: impl FnOnce(Peek<'_, T>, ()) -> R) -> R {
        f(T::peek(&record), ())
    }

    #[inline(always)]
    fn create(&self, (): ()) -> u64 {
        1
    }

    #[inline(always)]
    fn add(&self, count: &mut impl Accumulator<u64>, (): ()) {
        *count.get_mut() += 1;
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

    combined_entries!(Summing(PhantomData), Summing<u64>);

    #[inline(always)]
    fn key_value<R>((key, _): (K, V), f: impl FnOnce(Peek<'_, K>, ()) -> R) -> R {
        f(&key, ())
    }

    #[inline(always)]
    fn create(&self, (): ()) -> u64 {
        1
    }

    #[inline(always)]
    fn add(&self, count: &mut impl Accumulator<u64>, (): ()) {
        *count.get_mut() += 1;
    }
}

/// `sum_by_key`: the sum of numbers.
pub(crate) struct SumByKey<K, V>(pub(crate) PhantomData<fn(K, V)>);

portable! {
    [K, V] SumByKey<K, V> { 0: part }
}

impl<K: Data + Eq, V: Data + Numeric> Combine for SumByKey<K, V> {
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Combined = V;

    const COMMUTES: bool = V::IS_WHOLE;

    combined_entries!(Summing(PhantomData), Summing<V>);

    #[inline(always)]
    fn key_value<R>((key, value): (K, V), f: impl FnOnce(Peek<'_, K>, V) -> R) -> R {
        f(&key, value)
    }

    #[inline(always)]
    fn create(&self, value: V) -> V {
        value
    }

    #[inline(always)]
    fn add(&self, sum: &mut impl Accumulator<V>, value: V) {
        *sum.get_mut() += value;
    }
}

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

    combined_entries!(NoValues, NoValues);

    #[inline(always)]
    fn key_value<R>(record: Ref<'_, T>, f: impl FnOnce(Peek<'_, T>, ()) -> R) -> R {
        f(T::peek(&record), ())
    }

    #[inline(always)]
    fn create(&self, (): ()) {}

    #[inline(always)]
    fn add(&self, _: &mut impl Accumulator<()>, (): ()) {}
}

/// `fold_by_key`, `aggregate_by_key` and `combine_by_key`, and the extremes of `per_key`: closures that change the
/// combined value.
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
    Add: for<'a> Call<(&'a mut C, V), Out = ()>,
    Merge: for<'a> Call<(&'a mut C, C), Out = ()>,
{
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Combined = C;

    const COMMUTES: bool = false;

    combined_entries!();

    #[inline(always)]
    fn key_value<R>((key, value): (K, V), f: impl FnOnce(Peek<'_, K>, V) -> R) -> R {
        f(&key, value)
    }

    #[inline(always)]
    fn create(&self, value: V) -> C {
        self.create.call((value,))
    }

    #[inline(always)]
    fn add(&self, combined: &mut impl Accumulator<C>, value: V) {
        self.add.call((combined.get_mut(), value));
    }

    #[inline(always)]
    fn merge(&self, combined: &mut impl Accumulator<C>, later: C) {
        self.merge.call((combined.get_mut(), later));
    }
}

/// `reduce_by_key`: a closure that takes two values and returns one.
pub(crate) struct Reduce<K, V, Op> {
    pub(crate) op: Op,
    pub(crate) types: PhantomData<fn(K, V)>,
}

portable! {
    [K, V, Op: Portable] Reduce<K, V, Op> { op: part, types: part }
}

impl<K, V, Op> Combine for Reduce<K, V, Op>
where
    K: Data + Eq,
    V: Data,
    Op: Call<(V, V), Out = V>,
{
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Combined = V;

    const COMMUTES: bool = false;

    combined_entries!();

    #[inline(always)]
    fn key_value<R>((key, value): (K, V), f: impl FnOnce(Peek<'_, K>, V) -> R) -> R {
        f(&key, value)
    }

    #[inline(always)]
    fn create(&self, value: V) -> V {
        value
    }

    /// A number is copied, so it may be anywhere.
    #[inline(always)]
    fn add(&self, reduced: &mut impl Accumulator<V>, value: V) {
        match numbers::copied(reduced.get_mut()) {
            Some(number) => *reduced.get_mut() = self.op.call((number, value)),
            None => reduced.replace(|reduced| self.op.call((reduced, value))),
        }
    }

    #[inline(always)]
    fn merge(&self, reduced: &mut impl Accumulator<V>, later: V) {
        self.add(reduced, later);
    }

    fn replaces() -> bool {
        !numbers::is_number::<V>()
    }
}

/// `try_fold_by_key`, `try_aggregate_by_key` and `try_reduce_by_key`: closures that change a combined value, or fail. The
/// value of a key is `None` once a closure has failed for it.
pub(crate) struct TryByClosures<K, V, C, E, Create, Add, Merge> {
    pub(crate) create: Create,
    pub(crate) add: Add,
    pub(crate) merge: Merge,
    pub(crate) site: Site,
    pub(crate) types: PhantomData<fn(K, V, E) -> C>,
}

portable! {
    [K, V, C, E, Create: Portable, Add: Portable, Merge: Portable]
    TryByClosures<K, V, C, E, Create, Add, Merge> {
        site: part, create: part, add: part, merge: part, types: part,
    }
}

impl<K, V, C, E, Create, Add, Merge> TryByClosures<K, V, C, E, Create, Add, Merge>
where
    E: Into<BoxError>,
{
    /// Returns the value of a closure. If it has failed, so does the task.
    #[inline(always)]
    fn value(&self, outcome: Result<C, E>) -> Option<C> {
        outcome.map_err(|error| fail_task(self.site, error)).ok()
    }
}

impl<K, V, C, E, Create, Add, Merge> Combine for TryByClosures<K, V, C, E, Create, Add, Merge>
where
    K: Data + Eq,
    V: 'static,
    C: Data,
    E: Into<BoxError> + 'static,
    Create: Call<(V,), Out = Result<C, E>>,
    Add: Call<(C, V), Out = Result<C, E>>,
    Merge: Call<(C, C), Out = Result<C, E>>,
{
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Combined = Option<C>;

    const COMMUTES: bool = false;

    const CAN_FAIL: bool = true;

    combined_entries!();

    #[inline(always)]
    fn key_value<R>((key, value): (K, V), f: impl FnOnce(Peek<'_, K>, V) -> R) -> R {
        f(&key, value)
    }

    #[inline(always)]
    fn create(&self, value: V) -> Option<C> {
        self.value(self.create.call((value,)))
    }

    #[inline(always)]
    fn add(&self, combined: &mut impl Accumulator<Option<C>>, value: V) {
        let slot = combined.get_mut();
        if let Some(combined) = slot.take() {
            *slot = self.value(self.add.call((combined, value)));
        }
    }

    #[inline(always)]
    fn merge(&self, combined: &mut impl Accumulator<Option<C>>, later: Option<C>) {
        let slot = combined.get_mut();
        if let (Some(combined), Some(later)) = (slot.take(), later) {
            *slot = self.value(self.merge.call((combined, later)));
        }
    }
}

/// `summarize` of `per_key`, and the statistics per key.
pub(crate) struct BySummary<K, V, S> {
    pub(crate) summary: Arc<S>,
    pub(crate) types: PhantomData<fn(K, V)>,
}

portable! {
    [K, V, S: Portable] BySummary<K, V, S> { summary: part, types: part }
}

impl<K, V, S> Combine for BySummary<K, V, S>
where
    K: Data + Eq,
    V: 'static,
    S: Summary<V> + Portable,
{
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Combined = S::Part;

    const COMMUTES: bool = S::COMMUTES;

    combined_entries!();

    #[inline(always)]
    fn key_value<R>((key, value): (K, V), f: impl FnOnce(Peek<'_, K>, V) -> R) -> R {
        f(&key, value)
    }

    #[inline(always)]
    fn create(&self, value: V) -> S::Part {
        let mut part = self.summary.start();
        self.summary.add(&mut part, &value);
        part
    }

    #[inline(always)]
    fn add(&self, part: &mut impl Accumulator<S::Part>, value: V) {
        self.summary.add(part.get_mut(), &value);
    }

    #[inline(always)]
    fn merge(&self, part: &mut impl Accumulator<S::Part>, later: S::Part) {
        self.summary.merge(part.get_mut(), later);
    }
}
