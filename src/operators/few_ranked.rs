//! Up to four values in the order of a comparison, in place.
#![expect(
    unsafe_code,
    reason = "places without a value; an enum with a variant for each number of values is branched on for each record"
)]

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::{ptr, slice};

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Maximum number of values.
pub(super) const MAX_FEW_RANKED: usize = 4;

/// Up to [`MAX_FEW_RANKED`] values. Those that compare equal keep their order.
pub(crate) struct FewRanked<V> {
    /// Number of values. The places after them have none.
    len: u8,
    places: [MaybeUninit<V>; MAX_FEW_RANKED],
}

impl<V> FewRanked<V> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            len: 0,
            places: [const { MaybeUninit::uninit() }; MAX_FEW_RANKED],
        }
    }

    #[inline(always)]
    pub(super) fn of(value: V) -> Self {
        let mut few = Self::new();
        few.places[0].write(value);
        few.len = 1;
        few
    }

    /// Returns whether all places have values.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        usize::from(self.len) == MAX_FEW_RANKED
    }

    #[inline(always)]
    fn values(&self) -> &[V] {
        let len = usize::from(self.len);
        // SAFETY: the first `len` places have values, and the lifetime is that of the borrow.
        unsafe { slice::from_raw_parts(self.places.as_ptr().cast(), len) }
    }

    /// Adds a value if it is among the first `n`. If all places have values, `n` is at most their number.
    ///
    /// Only whether it is among them is a branch. Where it belongs cannot be predicted, so each value that it precedes is
    /// moved by adding to its address.
    #[inline(always)]
    pub(super) fn offer(&mut self, n: usize, value: V, order: &impl Fn(&V, &V) -> Ordering) {
        let values = self.values();
        let len = values.len();
        let Some(last) = values.last() else {
            if n > 0 {
                *self = Self::of(value);
            }
            return;
        };
        let is_full = len >= n;
        if is_full && order(&value, last).is_ge() {
            return;
        }
        // Equal values keep their order. If all `n` values exist, the value precedes the last of them.
        let end = len - usize::from(is_full);
        let precedes = |at: usize| {
            let known = &values[at.min(len - 1)];
            usize::from((at >= end) | order(&value, known).is_lt())
        };
        // Whatever the comparison says, who precedes a value precedes those behind it.
        let first = precedes(0);
        let second = first | precedes(1);
        let third = second | precedes(2);
        let to = self.places.as_mut_ptr();
        // SAFETY: the three numbers are 0 or 1, in ascending order. So the three places and the value go to four different
        // places, which are all of the `MAX_FEW_RANKED`. A `MaybeUninit` may be copied bit by bit. If all `n` values exist,
        // the last of them goes behind the first `n` places, or was in the fourth one, and is dropped here; otherwise, the
        // value goes to one of the first `len + 1` places. Only `drop` can panic, when everything is in its place.
        unsafe {
            let [a, b, c, _] = ptr::read(&self.places);
            let last = ptr::read(to.add(len - 1));
            to.add(2 + third).write(c);
            to.add(1 + second).write(b);
            to.add(first).write(a);
            to.add(3 - first - second - third)
                .write(MaybeUninit::new(value));
            match is_full {
                true => drop(last.assume_init()),
                false => self.len += 1,
            }
        }
    }

    /// Removes all values, and calls `each` with every one, in order.
    #[inline(always)]
    pub(super) fn drain(mut self, mut each: impl FnMut(V)) {
        let len = usize::from(std::mem::take(&mut self.len));
        for place in &self.places[..len] {
            // SAFETY: the first `len` places have values, and these are moved once, because `self.len` is 0 now.
            each(unsafe { place.assume_init_read() });
        }
    }
}

impl<V> FewRanked<V> {
    pub(super) fn into_vec(self) -> Vec<V> {
        let mut values = Vec::with_capacity(MAX_FEW_RANKED);
        self.drain(|value| values.push(value));
        values
    }
}

impl<V> Drop for FewRanked<V> {
    #[inline(always)]
    fn drop(&mut self) {
        if const { std::mem::needs_drop::<V>() } {
            let values = self.places.iter_mut().take(self.len.into());
            // SAFETY: the first `len` places have values, and nothing uses them afterwards.
            values.for_each(|value| unsafe { value.assume_init_drop() });
        }
    }
}

impl<V: Serialize> Serialize for FewRanked<V> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.values())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for FewRanked<V> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FewRankedVisitor(PhantomData))
    }
}

struct FewRankedVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for FewRankedVisitor<V> {
    type Value = FewRanked<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "up to {MAX_FEW_RANKED} values")
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<FewRanked<V>, A::Error> {
        let mut few = FewRanked::new();
        while let Some(value) = values.next_element()? {
            let Some(place) = few.places.get_mut(usize::from(few.len)) else {
                return Err(A::Error::invalid_length(MAX_FEW_RANKED + 1, &self));
            };
            place.write(value);
            few.len += 1;
        }
        Ok(few)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn an_inconsistent_comparison_neither_loses_nor_doubles_a_value() {
        let values: Vec<_> = (0..200_u32).map(Arc::new).collect();
        for n in 0..=MAX_FEW_RANKED {
            for seed in 0..500_u32 {
                let calls = std::cell::Cell::new(seed);
                let order = |_: &Arc<u32>, _: &Arc<u32>| {
                    calls.set(
                        calls
                            .get()
                            .wrapping_mul(0x915f_77f5)
                            .wrapping_add(0x3c6e_f35f),
                    );
                    (calls.get() >> 16 & 3).cmp(&1)
                };
                let mut few = FewRanked::new();
                for value in &values[..seed as usize % 20] {
                    few.offer(n, Arc::clone(value), &order);
                }
                let held = values.iter().map(|value| Arc::strong_count(value) - 1);
                assert!(held.clone().all(|count| count <= 1));
                assert_eq!(held.sum::<usize>(), few.values().len());
                drop(few);
                assert!(values.iter().all(|value| Arc::strong_count(value) == 1));
            }
        }
    }

    #[test]
    fn values_are_moved_and_dropped_once() {
        let values: Vec<_> = (0..60_u32)
            .map(|i| Arc::new((i.wrapping_mul(40_503) >> 3) % 7))
            .collect();
        for n in 0..=MAX_FEW_RANKED {
            for len in 0..values.len() {
                let mut few = FewRanked::new();
                for value in &values[..len] {
                    few.offer(n, Arc::clone(value), &|a, b| a.cmp(b));
                }
                let mut expected = values[..len].to_vec();
                expected.sort();
                expected.truncate(n);
                let is_same = |(a, b): (&Arc<u32>, &Arc<u32>)| Arc::ptr_eq(a, b);
                assert!(few.values().len() == expected.len());
                assert!(few.values().iter().zip(&expected).all(is_same));
                drop(expected);
                let held = values.iter().map(|value| Arc::strong_count(value) - 1);
                assert_eq!(held.sum::<usize>(), n.min(len));
                if len % 2 == 0 {
                    assert_eq!(few.into_vec().len(), n.min(len));
                } else {
                    drop(few);
                }
                assert!(values.iter().all(|value| Arc::strong_count(value) == 1));
            }
        }
    }
}
