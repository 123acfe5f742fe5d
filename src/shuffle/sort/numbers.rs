//! Sorting numbers and pairs of numbers in their natural order: the sort moves only [words](Word).
//!
//! Records with equal words are indistinguishable, so their order in the bag need not be kept.

use std::cmp::Ordering;
use std::marker::PhantomData;

use super::divided::radix_sort_in_parts;
use super::natural_runs::{self, natural_runs};
use super::word::Word;
use super::{Sort, Stable};
use crate::error::{Error, Result};
use crate::pipeline::Data;
use crate::portable::portable;
use crate::shuffle::memory::hints::reserve_populated;
use crate::task::{Interrupt, StopFlag};

/// Fraction by which a full buffer grows. If it doubled, one run would take the memory of two.
const GROWTH: usize = 4;
const MIN_WORDS: usize = 256;

/// Orders records by their words.
pub(crate) struct Numbers<T, W>(PhantomData<fn(T) -> W>);

portable! {
    [T, W] Numbers<T, W> { 0: part }
}

/// For integers and characters.
pub(crate) type ByNumber<T> = Numbers<T, u64>;

/// For pairs of them.
pub(crate) type ByNumberPair<T> = Numbers<T, u128>;

impl<T: 'static, W: Word> Numbers<T, W> {
    /// Returns this sort, if it is for records of type `T`.
    pub(crate) fn new() -> Option<Self> {
        W::is_for::<T>().then_some(Self(PhantomData))
    }
}

impl<T: Data, W: Word> Sort for Numbers<T, W> {
    type Record = T;
    type Buffer = Vec<W>;
    type Head = W;
    type Decoded = Option<W>;

    fn buffer(&self, _: usize) -> Vec<W> {
        Vec::new()
    }

    #[inline]
    fn push(&self, buffer: &mut Vec<W>, _: usize, record: T) -> Result<()> {
        if buffer.len() == buffer.capacity() {
            reserve_populated(buffer, (buffer.len() / GROWTH).max(MIN_WORDS));
        }
        buffer.extend(W::of(&record));
        Ok(())
    }

    #[inline]
    fn bytes(buffer: &Vec<W>) -> usize {
        // The sort needs a second buffer.
        2 * buffer.capacity() * size_of::<W>()
    }

    fn is_empty(buffer: &Vec<W>) -> bool {
        buffer.is_empty()
    }

    fn drain(
        &self,
        buffer: &mut Vec<W>,
        _: usize,
        stop: &StopFlag,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        // An array, because the compiler copies a known number of bytes without a call.
        let mut each_word = |word: &W| each(word.to_bytes().as_ref());
        if let Some(natural_runs) = natural_runs(buffer, |first, second| first <= second) {
            natural_runs::merge(natural_runs, Stable(self), each_word)?;
        } else {
            match buffer.is_sorted_by(|first, second| first >= second) {
                // Equal words are indistinguishable, so they may change places.
                true => buffer.reverse(),
                false => stop.interruptible(|interrupt| sort(buffer, interrupt))?,
            }
            buffer.iter().try_for_each(&mut each_word)?;
        }
        buffer.clear();
        // With its last growth, the buffer exceeded its memory. The next run must not be full before it begins.
        let last_growth = (buffer.capacity() / (GROWTH + 1)).max(MIN_WORDS);
        buffer.shrink_to(buffer.capacity().saturating_sub(last_growth));
        Ok(())
    }

    fn sample(&self, buffer: &Vec<W>, bytes: &mut Vec<u8>) -> Result<()> {
        if let Some(word) = buffer.last() {
            bytes.extend_from_slice(word.to_bytes().as_ref());
        }
        Ok(())
    }

    #[inline]
    fn load(&self, bytes: &[u8], slot: &mut Option<W>) -> Result<()> {
        *slot = W::from_bytes(bytes);
        match slot {
            Some(_) => Ok(()),
            None => Err(Error::internal(
                "a sorted number has another length".to_owned(),
            )),
        }
    }

    #[inline]
    fn head<'a>(_: &'a [u8], slot: &'a Option<W>) -> Option<&'a W> {
        slot.as_ref()
    }

    #[inline]
    fn take<R>(&self, _: &[u8], slot: &mut Option<W>, f: impl FnOnce(T) -> R) -> Option<R> {
        slot.take()?.record().map(f)
    }

    #[inline]
    fn rank(&self, word: &W) -> u64 {
        word.top()
    }

    #[inline]
    fn compare(&self, first: &W, second: &W) -> Ordering {
        first.cmp(second)
    }
}

/// Sorts words by a radix sort.
fn sort<W: Word>(words: &mut Vec<W>, interrupt: Interrupt<'_>) {
    radix_sort_in_parts(words, interrupt, |word| word.top());
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: u64 = 20_000;

    fn hashed(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn sorts<W: Word>(word: impl Fn(u64) -> W) {
        for len in [0, 1, 31, 700, LEN] {
            let mut words: Vec<W> = (0..len).map(&word).collect();
            let mut expected = words.clone();
            expected.sort_unstable();
            let stop = StopFlag::default();
            assert!(stop.interruptible(|stop| sort(&mut words, stop)).is_ok());
            assert!(words == expected, "{len} words");
            stop.set();
            let outcome = stop.interruptible(|stop| sort(&mut words, stop));
            assert!(outcome.is_err_and(|error| error.is_cancelled()));
        }
    }

    #[test]
    fn words_of_any_distribution_are_sorted() {
        sorts(hashed);
        sorts(|n| hashed(n) >> 60); // few
        sorts(|n| (hashed(n) >> 20) << 3 | 5 << 61); // the same at both ends
        sorts(|n| hashed(n) | u64::MAX << 9);
        sorts(|_| 7_u64);
        sorts(|n| if n == 9 { u64::MAX } else { hashed(n) >> 40 }); // nearly all in one part
        sorts(|n| hashed(n) >> (n % 64)); // a part in each part
        sorts(|n| LEN - n);
        sorts(|n| u128::from(hashed(n)) << 64 | u128::from(n));
        sorts(|n| u128::from(hashed(n) % 50) << 64 | u128::from(hashed(n + LEN)));
        sorts(|n| u128::from(hashed(n)));
    }

    #[test]
    fn descending_words_are_reversed() {
        let sort = ByNumber::<u64>::new().unwrap();
        let mut buffer: Vec<u64> = (0..1000).rev().map(|n| n / 2).collect();
        let mut found = Vec::new();
        let each = |bytes: &[u8]| {
            found.extend(u64::from_bytes(bytes));
            Ok(())
        };
        let drained = sort.drain(&mut buffer, 0, &StopFlag::default(), each);
        assert!(drained.is_ok() && buffer.is_empty());
        assert_eq!(found, (0..1000).map(|n| n / 2).collect::<Vec<_>>());
    }
}
