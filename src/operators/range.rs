//! `range`: consecutive integers, computed where they are used. A source.

use std::ops::{self, ControlFlow, RangeInclusive};

use crate::error::Result;
use crate::pipeline::{BatchSink, Data, ErasedSink, Pipeline};
use crate::portable::portable;
use crate::task::{Flow, Partition, STOP_CHECK_RECORDS, Task};

pub(crate) struct Range<N> {
    pub(crate) start: N,
    pub(crate) len: u128,
    pub(crate) partitions: usize,
}

portable! {
    [N: Data] Range<N> { start: data, len: data, partitions: data }
}

impl<N: Integer> Pipeline for Range<N> {
    type Out = N;

    const MAKES_BATCHES: bool = true;

    fn partitions(&self) -> Option<usize> {
        Some(self.partitions)
    }

    #[inline]
    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(N) -> Flow,
    {
        let (mut from, end) = bounds(self.len, partition.index, self.partitions);
        while from < end {
            if task.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            let to = end.min(from + STOP_CHECK_RECORDS as u128);
            // Counts offsets, because the end of a range of numbers may be beyond the greatest number of the type.
            let first = self.start.plus(from);
            let mut offsets = 0..(to - from) as u64;
            let flow = offsets.try_for_each(|offset| sink(first.plus(offset.into())));
            if flow.is_break() {
                return Ok(flow);
            }
            from = to;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn run_erased(
        &self,
        partition: Partition,
        task: &Task<'_>,
        sink: ErasedSink<'_, N>,
    ) -> Result<Flow> {
        let mut sink = BatchSink::new(task, sink);
        let (mut from, end) = bounds(self.len, partition.index, self.partitions);
        while from < end {
            if task.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            let to = end.min(from + sink.room() as u128);
            let first = self.start.plus(from);
            let offsets = 0..(to - from) as u64;
            let flow = sink.extend(offsets.map(|offset| first.plus(offset.into())));
            if flow.is_break() {
                return Ok(flow);
            }
            from = to;
        }
        Ok(sink.end(ControlFlow::Continue(())))
    }

    fn known_count(&self, partition: usize, _: &Task<'_>) -> Result<Option<u64>> {
        let (start, end) = bounds(self.len, partition, self.partitions);
        Ok(u64::try_from(end - start).ok())
    }
}

/// Returns the bounds of part `index` if `0..len` is divided into `parts` nearly equal parts.
pub(crate) fn bounds(len: u128, index: usize, parts: usize) -> (u128, u128) {
    let (index, parts) = (index as u128, parts as u128);
    let (quotient, remainder) = (len / parts, len % parts);
    // This is `len * i / parts`, but the product does not overflow.
    let at = |i| quotient * i + remainder * i / parts;
    (at(index), at(index + 1))
}

/// A range of integers, as [`range`](crate::range) takes it: a [`Range`](ops::Range) or a [`RangeInclusive`] of any
/// integer type.
///
/// This trait is sealed: only this library implements it.
///
/// # Examples
///
/// ```
/// assert_eq!(holdall::range(-2..=2_i64).sum::<i64>()?, 0);
/// assert_eq!(holdall::range(250..=u8::MAX).count()?, 6);
/// # Ok::<(), holdall::Error>(())
/// ```
pub trait IntegerRange: sealed::Sealed {
    /// The type of the numbers: `u8` to `u128`, `i8` to `i128`, `usize` or `isize`.
    type Number: Integer;

    /// Returns the first number, and the number of numbers. Panics if that is 2^128.
    #[doc(hidden)]
    fn start_and_len(self) -> (Self::Number, u128);
}

mod sealed {
    pub trait Sealed {}
}

impl<N: Integer> sealed::Sealed for ops::Range<N> {}

impl<N: Integer> IntegerRange for ops::Range<N> {
    type Number = N;

    fn start_and_len(self) -> (N, u128) {
        let len = if self.is_empty() {
            0
        } else {
            self.start.distance(self.end)
        };
        (self.start, len)
    }
}

impl<N: Integer> sealed::Sealed for RangeInclusive<N> {}

impl<N: Integer> IntegerRange for RangeInclusive<N> {
    type Number = N;

    fn start_and_len(self) -> (N, u128) {
        let (start, end) = (*self.start(), *self.end());
        if self.is_empty() {
            return (start, 0);
        }
        let len = start.distance(end).checked_add(1);
        (start, len.expect("a range has fewer than 2^128 numbers"))
    }
}

/// A primitive integer type.
pub trait Integer: Data + Copy + Ord + Sync {
    /// Adds `offset`. The sum is a number of this type.
    #[doc(hidden)]
    fn plus(self, offset: u128) -> Self;

    /// Returns `end` minus this number, which is not greater than `end`.
    #[doc(hidden)]
    fn distance(self, end: Self) -> u128;
}

macro_rules! integer {
    ($($number:ty)*) => {$(
        impl Integer for $number {
            // A negative number wraps around on its way to `u128`, and the result on its way back.
            #[inline(always)]
            fn plus(self, offset: u128) -> Self {
                self.wrapping_add(offset as Self)
            }

            #[inline]
            fn distance(self, end: Self) -> u128 {
                (end as u128).wrapping_sub(self as u128)
            }
        }
    )*};
}

integer!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_as_many_numbers_as_its_iterator() {
        assert_eq!((3..3_u8).start_and_len(), (3, 0));
        let (five, three) = (5_i64, 3_i64);
        assert_eq!((five..three).start_and_len().1, 0);
        assert_eq!((five..=three).start_and_len().1, 0);
        assert_eq!((-128..=127_i8).start_and_len(), (-128, 256));
        assert_eq!((i64::MIN..=i64::MAX).start_and_len(), (i64::MIN, 1 << 64));
        assert_eq!((i64::MIN..i64::MAX).start_and_len().1, (1 << 64) - 1);
        assert_eq!((0..=u64::MAX).start_and_len(), (0, 1 << 64));
        assert_eq!((i128::MIN..i128::MAX).start_and_len().1, u128::MAX);
        assert_eq!((1..=u128::MAX).start_and_len(), (1, u128::MAX));
        let mut used_up = 7..=7_u32;
        used_up.next();
        assert_eq!(used_up.start_and_len().1, 0);
    }

    #[test]
    #[should_panic(expected = "a range has fewer than 2^128 numbers")]
    fn all_numbers_of_128_bits_are_too_many() {
        let _ = (i128::MIN..=i128::MAX).start_and_len();
    }

    #[test]
    fn offsets_reach_every_number() {
        assert_eq!((-128_i8).plus(255), 127);
        assert_eq!(i64::MIN.plus(u64::MAX.into()), i64::MAX);
        assert_eq!(i128::MIN.plus(u128::MAX), i128::MAX);
        assert_eq!(0_usize.plus(usize::MAX as u128), usize::MAX);
    }

    #[test]
    fn parts_are_nearly_equal_and_leave_nothing_out() {
        for len in [0, 1, 63, 64, 65, 1000, 1 << 64, u128::MAX] {
            for parts in [1, 2, 3, 64, usize::MAX] {
                let mut end = 0;
                for index in 0..parts.min(64) {
                    let (from, to) = bounds(len, index, parts);
                    assert_eq!(from, end);
                    assert!(
                        (len / parts as u128..=len.div_ceil(parts as u128)).contains(&(to - from))
                    );
                    end = to;
                }
                assert_eq!(bounds(len, parts - 1, parts).1, len);
            }
        }
    }
}
