//! `top` and `bottom` of `per_key`: the first few values of each key in the order of a comparison.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::mem;

use serde::{Deserialize, Serialize};

use super::few_ranked::{FewRanked, MAX_FEW_RANKED};
use crate::pipeline::{Call, Data, Peek, Record};
use crate::portable::{Portable, portable};
use crate::shuffle::{Accumulator, Combine, combined_entries};
use crate::summary::Ranked;

/// The first `n` values of each key in the order of a comparison, in a list of type `L`.
pub(crate) struct FirstRanked<K, V, C, L> {
    pub(crate) n: usize,
    pub(crate) compare: C,
    pub(crate) types: PhantomData<fn(K, V) -> L>,
}

portable! {
    [K, V, C: Portable, L] FirstRanked<K, V, C, L> { n: data, compare: part, types: part }
}

impl<K, V, C, L> Combine for FirstRanked<K, V, C, L>
where
    K: Data + Eq,
    V: Data,
    C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
    L: RankedList<V>,
{
    type In = (K, V);
    type Key = K;
    type Value = V;
    type Combined = L;

    /// Equal values keep the order of the bag.
    const COMMUTES: bool = false;

    combined_entries!();

    #[inline(always)]
    fn key_value<R>((key, value): (K, V), f: impl FnOnce(Peek<'_, K>, V) -> R) -> R {
        f(&key, value)
    }

    #[inline(always)]
    fn create(&self, value: V) -> L {
        L::new(self.n, value)
    }

    #[inline(always)]
    fn add(&self, ranked: &mut impl Accumulator<L>, value: V) {
        ranked.get_mut().offer(self.n, value, &order(&self.compare));
    }

    #[inline(always)]
    fn merge(&self, ranked: &mut impl Accumulator<L>, later: L) {
        ranked.get_mut().merge(self.n, later, &order(&self.compare));
    }

    fn owns_memory(&self) -> bool {
        L::owns_memory(self.n)
    }
}

/// Returns a comparison as a closure. It is the same one for all methods, so that sorting by it is compiled once.
#[inline(always)]
pub(crate) fn order<V, C>(compare: &C) -> impl Fn(&V, &V) -> Ordering
where
    V: 'static,
    C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
{
    |a, b| compare.call((a, b))
}

/// The first `n` values of a key. Values that compare equal keep their order.
pub(crate) trait RankedList<V>: Data {
    fn new(n: usize, value: V) -> Self;

    /// Adds a value, if it is among the first `n`.
    fn offer(&mut self, n: usize, value: V, order: &impl Fn(&V, &V) -> Ordering);

    fn merge(&mut self, n: usize, later: Self, order: &impl Fn(&V, &V) -> Ordering);

    /// Returns whether lists of up to `n` values may own memory.
    fn owns_memory(n: usize) -> bool;

    /// Returns the values in order.
    fn into_sorted(self, order: &impl Fn(&V, &V) -> Ordering) -> Vec<V>;
}

/// For values of any size. A single one needs no list.
#[derive(Serialize, Deserialize)]
#[serde(bound(
    serialize = "V: Record<Owned = V> + Serialize",
    deserialize = "V: Record<Owned = V> + Deserialize<'de>"
))]
pub(crate) enum LargeRanked<V: Record<Owned = V>> {
    One(V),
    Several(Ranked<V>),
}

impl<V: Data> LargeRanked<V> {
    /// Returns the list of values, after creating it for a single one.
    #[inline]
    fn several(&mut self, n: usize, order: &impl Fn(&V, &V) -> Ordering) -> &mut Ranked<V> {
        if let Self::One(_) = self
            && let Self::One(value) = mem::replace(self, Self::Several(Ranked::new(n)))
            && let Self::Several(ranked) = self
        {
            ranked.offer(value, order);
        }
        match self {
            Self::Several(ranked) => ranked,
            Self::One(_) => unreachable!("a list has replaced the value"),
        }
    }
}

impl<V: Data> RankedList<V> for LargeRanked<V> {
    #[inline(always)]
    fn new(n: usize, value: V) -> Self {
        match n {
            0 => Self::Several(Ranked::new(0)),
            _ => Self::One(value),
        }
    }

    #[inline(always)]
    fn offer(&mut self, n: usize, value: V, order: &impl Fn(&V, &V) -> Ordering) {
        self.several(n, order).offer(value, order);
    }

    #[inline(always)]
    fn merge(&mut self, n: usize, later: Self, order: &impl Fn(&V, &V) -> Ordering) {
        let ranked = self.several(n, order);
        match later {
            Self::One(value) => ranked.offer(value, order),
            Self::Several(later) => ranked.merge(later, order),
        }
    }

    fn owns_memory(_: usize) -> bool {
        true
    }

    fn into_sorted(self, order: &impl Fn(&V, &V) -> Ordering) -> Vec<V> {
        match self {
            Self::One(value) => vec![value],
            Self::Several(ranked) => ranked.into_sorted(order),
        }
    }
}

/// For values of a few bytes. Up to four of them are stored in the slot of the key, so that most records follow no pointer.
#[derive(Serialize, Deserialize)]
#[serde(bound(
    serialize = "V: Record<Owned = V> + Serialize",
    deserialize = "V: Record<Owned = V> + Deserialize<'de>"
))]
pub(crate) enum SmallRanked<V: Record<Owned = V>> {
    Few(FewRanked<V>),
    Several(Ranked<V>),
}

/// Maximum size of values in such lists, in bytes.
pub(crate) const MAX_SMALL_BYTES: usize = 8;

impl<V: Data> SmallRanked<V> {
    /// Moves the values of a full slot to a list for `n` of them.
    #[inline(never)]
    fn make_room(&mut self, n: usize) {
        if let Self::Few(few) = self
            && few.is_full()
        {
            let few = mem::replace(few, FewRanked::new());
            *self = Self::Several(Ranked::of(n, few.into_vec()));
        }
    }
}

impl<V: Data> RankedList<V> for SmallRanked<V> {
    #[inline(always)]
    fn new(n: usize, value: V) -> Self {
        match n {
            0 => Self::Few(FewRanked::new()),
            _ => Self::Few(FewRanked::of(value)),
        }
    }

    #[inline(always)]
    fn offer(&mut self, n: usize, value: V, order: &impl Fn(&V, &V) -> Ordering) {
        if n > MAX_FEW_RANKED {
            self.make_room(n);
        }
        match self {
            Self::Few(few) => few.offer(n, value, order),
            Self::Several(ranked) => ranked.offer(value, order),
        }
    }

    #[inline(always)]
    fn merge(&mut self, n: usize, later: Self, order: &impl Fn(&V, &V) -> Ordering) {
        match later {
            Self::Few(later) => later.drain(|value| self.offer(n, value, order)),
            Self::Several(later) => {
                let later = later.into_records().into_iter();
                later.for_each(|value| self.offer(n, value, order));
            }
        }
    }

    fn owns_memory(n: usize) -> bool {
        n > MAX_FEW_RANKED || mem::needs_drop::<V>()
    }

    fn into_sorted(self, order: &impl Fn(&V, &V) -> Ordering) -> Vec<V> {
        match self {
            Self::Few(few) => few.into_vec(),
            Self::Several(ranked) => ranked.into_sorted(order),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_take_small_slots() {
        assert!(size_of::<SmallRanked<u64>>() <= 48);
        assert_eq!(size_of::<LargeRanked<u64>>(), 40);
    }

    fn check<L: RankedList<(u8, u16)>>() {
        let order = |a: &(u8, u16), b: &(u8, u16)| a.0.cmp(&b.0);
        // Few different ranks, so that many values compare equal.
        let value = |i: u16| ((i.wrapping_mul(40_503) >> 7) as u8 % 5, i);
        for n in 0..8 {
            for len in 1..40 {
                for first in [1, len / 2, len].map(|first| first.max(1)) {
                    let list = |values: std::ops::Range<u16>| {
                        let mut values = values.map(value);
                        let mut list = L::new(n, values.next()?);
                        values.for_each(|value| list.offer(n, value, &order));
                        Some(list)
                    };
                    let mut all = list(0..first).unwrap();
                    if let Some(later) = list(first..len) {
                        all.merge(n, later, &order);
                    }
                    let mut expected: Vec<_> = (0..len).map(value).collect();
                    expected.sort_by(order);
                    expected.truncate(n);
                    assert_eq!(
                        all.into_sorted(&order),
                        expected,
                        "{n} of {first} and {len}"
                    );
                }
            }
        }
    }

    #[test]
    fn equal_values_keep_their_order() {
        check::<LargeRanked<_>>();
        check::<SmallRanked<_>>();
    }
}
