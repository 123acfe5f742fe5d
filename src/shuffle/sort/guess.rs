//! A guess at the order of a comparison: most comparisons of numbers have their natural order, or its reverse.
//!
//! A closure cannot be inspected, but its result can be predicted. Numbers are sorted by the predicted order, which
//! needs no comparison, and then each is compared with its neighbour. If none is greater than the next one, only equal
//! numbers have to return to the order of arrival. Otherwise, all do, to be sorted by the comparison.

use std::cmp::Ordering;
use std::mem;

use super::divided::{MIN_RADIX_ITEMS, radix_sort_in_parts};
use super::natural_runs::natural_runs;
use super::word::TotalWord;
use crate::error::Result;
use crate::task::{Interrupt, StopFlag};

/// Minimum distance of the pairs of neighbours that are compared for a guess, in items.
const MIN_SAMPLE_DISTANCE: usize = 16;

/// Maximum number of these pairs. They take a thousandth of the time of a sort, and a wrong guess adds a fifth.
const MAX_SAMPLES: usize = 1 << 10;

/// A number as a word of its natural order, with its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    word: u64,
    /// The task, and in the lower half the index in the order of arrival.
    place: u64,
}

impl Placed {
    fn new<T: 'static>(index: usize, (task, item): &(usize, T)) -> Self {
        Self {
            word: TotalWord::of(item).map_or(0, |word| word.0),
            place: (*task as u64) << u32::BITS | index as u64,
        }
    }

    #[inline]
    fn index(self) -> usize {
        self.place as u32 as usize
    }

    #[inline]
    fn task(self) -> usize {
        (self.place >> u32::BITS) as usize
    }
}

/// The comparison of the numbers that have two words. It is called through a pointer, so that the sort is compiled once.
type CompareWords<'c> = dyn Fn(u64, u64) -> Ordering + 'c;

/// A predicted order: the bits in which its words differ from those of the natural order.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Guess(u64);

impl Guess {
    const NATURAL: Self = Self(0);
    const REVERSE: Self = Self(u64::MAX);

    /// Returns `None` if the order of `compare` is another one for one of the samples.
    fn at(items: &[Placed], compare: &CompareWords<'_>) -> Option<Self> {
        let distance = items.len().div_ceil(MAX_SAMPLES);
        let samples = items.chunks_exact(distance.max(MIN_SAMPLE_DISTANCE));
        let mut guesses = samples.filter_map(|sample| {
            let (first, second) = (sample[0].word, sample[1].word);
            let natural = first.cmp(&second);
            // Identical numbers show nothing.
            natural.is_ne().then(|| match compare(first, second) {
                order if order == natural => Some(Self::NATURAL),
                order if order == natural.reverse() => Some(Self::REVERSE),
                _ => None,
            })
        });
        let guess = guesses.next()??;
        guesses.all(|other| other == Some(guess)).then_some(guess)
    }

    /// Turns words of the natural order into those of this one, or back.
    fn convert(self, items: &mut [Placed]) {
        if self != Self::NATURAL {
            items.iter_mut().for_each(|item| item.word ^= self.0);
        }
    }
}

/// Returns the memory that the sort needs in addition to the items, in bytes; `None` if it is not for this type.
pub(super) fn sort_bytes<T: 'static>(items: usize) -> Option<usize> {
    TotalWord::is_for::<T>().then_some(items * size_of::<Placed>())
}

/// Calls `each` with the items in order, each with its task, if their order is as predicted. Tasks come in ascending
/// order. Stable: equal items keep their order.
///
/// Returns `false`, and leaves the items as they are, if their order is not as predicted, if they are few, or if they
/// consist of a few natural runs.
pub(super) fn for_each_guessed<T: 'static>(
    items: &mut Vec<(usize, T)>,
    stop: &StopFlag,
    compare: impl Fn(&T, &T) -> Ordering,
    mut each: impl FnMut(&(usize, T)) -> Result<()>,
) -> Result<bool> {
    let fits = |number: usize| u32::try_from(number).is_ok();
    let places_fit = fits(items.len()) && matches!(items.last(), Some((task, _)) if fits(*task));
    if !TotalWord::is_for::<T>() || items.len() < MIN_RADIX_ITEMS || !places_fit {
        return Ok(false);
    }
    if is_sorted_by(items, stop, |first, second| compare(first, second).is_le())? {
        return items.iter().try_for_each(each).map(|()| true);
    }
    if is_sorted_by(items, stop, |first, second| compare(first, second).is_gt())? {
        return items.iter().rev().try_for_each(each).map(|()| true);
    }
    // Both conversions keep the memory, because items and places have the same size.
    let placed = mem::take(items).into_iter().enumerate();
    let mut placed = placed
        .map(|(index, item)| Placed::new(index, &item))
        .collect();
    let item = |placed: &Placed, Guess(bits)| (placed.task(), number(placed.word ^ bits));
    let guess = sort_placed(&mut placed, stop, &|first, second| {
        compare(&number(first), &number(second))
    })?;
    if let Some(guess) = guess {
        for placed in &placed {
            each(&item(placed, guess))?;
        }
        placed.clear();
    }
    let placed = placed.into_iter();
    *items = placed.map(|placed| item(&placed, Guess::NATURAL)).collect();
    Ok(guess.is_some())
}

fn is_sorted_by<T>(
    items: &[(usize, T)],
    stop: &StopFlag,
    is_in_order: impl Fn(&T, &T) -> bool,
) -> Result<bool> {
    stop.interruptible(|interrupt| {
        items.is_sorted_by(|(_, first), (_, second)| {
            interrupt.check();
            is_in_order(first, second)
        })
    })
}

/// Returns the number that has this word.
fn number<T: 'static>(word: u64) -> T {
    match TotalWord(word).record() {
        Some(number) => number,
        None => unreachable!("it is the word of a number"),
    }
}

/// Sorts items, and turns their words into those of the order that it returns. If no guess is right, leaves the items as
/// they are.
fn sort_placed(
    items: &mut Vec<Placed>,
    stop: &StopFlag,
    compare: &CompareWords<'_>,
) -> Result<Option<Guess>> {
    stop.interruptible(|interrupt| {
        let compare = |first, second| {
            interrupt.check();
            compare(first, second)
        };
        let is_in_order = |a: &Placed, b: &Placed| compare(a.word, b.word).is_le();
        let is_reverse = |a: &Placed, b: &Placed| compare(a.word, b.word).is_gt();
        if natural_runs(items, is_in_order).is_some() || natural_runs(items, is_reverse).is_some() {
            return None;
        }
        let guess = Guess::at(items, &compare)?;
        guess.convert(items);
        radix_sort_in_parts(items, interrupt, |item| item.word);
        let Guess(bits) = guess;
        let compare = |first, second| compare(first ^ bits, second ^ bits);
        if sort_equal(items, interrupt, &compare) {
            return Some(guess);
        }
        *items = in_order_of_arrival(items, interrupt);
        guess.convert(items);
        None
    })
}

/// Sorts equal items by their places. Returns `false` if an item is greater than the next one.
fn sort_equal(items: &mut [Placed], interrupt: Interrupt<'_>, compare: &CompareWords<'_>) -> bool {
    let mut start = 0;
    for at in 1..=items.len() {
        if let Some([last, next]) = items.get(at - 1..at + 1).and_then(|pair| pair.as_array()) {
            if last.word == next.word {
                continue;
            }
            match compare(last.word, next.word) {
                Ordering::Less => {}
                Ordering::Equal => continue,
                Ordering::Greater => return false,
            }
        }
        items[start..at].sort_unstable_by(|first, second| {
            interrupt.check();
            first.place.cmp(&second.place)
        });
        start = at;
    }
    true
}

fn in_order_of_arrival(placed: &[Placed], interrupt: Interrupt<'_>) -> Vec<Placed> {
    let mut restored = placed.to_vec();
    for item in placed {
        interrupt.check();
        restored[item.index()] = *item;
    }
    restored
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fmt::Debug;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    const LEN: u64 = 5_000;

    fn hashed(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn items<T>(number: impl Fn(u64) -> T) -> Vec<(usize, T)> {
        (0..LEN)
            .map(|n| (n as usize / 100, number(hashed(n))))
            .collect()
    }

    fn words<T: 'static>(items: &[(usize, T)]) -> Vec<(usize, TotalWord)> {
        let word = |(task, item): &(usize, T)| (*task, TotalWord::of(item).unwrap());
        items.iter().map(word).collect()
    }

    fn is_guessed<T: 'static>(
        items: &mut Vec<(usize, T)>,
        compare: impl Fn(&T, &T) -> Ordering,
    ) -> bool {
        for_each_guessed(items, &StopFlag::default(), compare, |_| Ok(())).unwrap()
    }

    /// Asserts that the guess is right, or that it is not and the numbers are as before.
    fn sorts<T: Clone + Debug + 'static>(
        mut items: Vec<(usize, T)>,
        compare: impl Fn(&T, &T) -> Ordering + Copy,
        is_right: bool,
    ) {
        let mut expected = items.clone();
        let capacity = items.capacity();
        let mut found = Vec::new();
        let each = |(task, item): &(usize, T)| {
            found.push((*task, item.clone()));
            Ok(())
        };
        let is_sorted = for_each_guessed(&mut items, &StopFlag::default(), compare, each);
        assert_eq!(is_sorted.unwrap(), is_right);
        if is_right {
            expected.sort_by(|a, b| compare(&a.1, &b.1));
            assert!(words(&found) == words(&expected));
        } else {
            assert_eq!(found.len(), 0);
            assert!(words(&items) == words(&expected));
        }
        assert_eq!(items.capacity(), capacity, "in other memory");
    }

    fn sorts_both_ways<T: Clone + Debug + 'static>(
        number: impl Fn(u64) -> T,
        compare: impl Fn(&T, &T) -> Ordering + Copy,
    ) {
        sorts(items(&number), compare, true);
        sorts(items(&number), |a, b| compare(b, a), true);
    }

    #[test]
    fn numbers_in_their_natural_order_and_its_reverse_are_guessed() {
        sorts_both_ways(|n| n, u64::cmp);
        sorts_both_ways(|n| n >> 55, u64::cmp);
        sorts_both_ways(|n| n as i64, i64::cmp);
        sorts_both_ways(|n| n as i32, i32::cmp);
        sorts_both_ways(|n| n as u8, u8::cmp);
        sorts_both_ways(|n| char::from((n >> 56) as u8), char::cmp);
        sorts_both_ways(|n| n as i64 as f64, f64::total_cmp);
        sorts_both_ways(|n| n as i32 as f32, f32::total_cmp);
        sorts_both_ways(f64::from_bits, f64::total_cmp);
        sorts_both_ways(|n| f32::from_bits(n as u32), f32::total_cmp);
        sorts_both_ways(|n| n as i16 as f64, |a, b| a.partial_cmp(b).unwrap());
    }

    #[test]
    fn equal_numbers_keep_their_order() {
        let number = |n: u64| match n >> 58 {
            0 => -0.0,
            1 => 0.0,
            _ => n as i64 as f64,
        };
        sorts_both_ways(number, |a, b| a.partial_cmp(b).unwrap());
        // Some are equal, but not those in the samples.
        sorts_both_ways(|n| n >> 50, |a, b| (a / 10).cmp(&(b / 10)));
    }

    #[test]
    fn numbers_in_another_order_stay_as_they_are() {
        sorts(items(|n| n), |a, b| (a % 1000).cmp(&(b % 1000)), false);
        sorts(items(|n| n), |a, b| (a >> 63).cmp(&(b >> 63)), false);
        sorts(items(|n| n), |_, _| Ordering::Equal, true); // one run
        // The samples are not negative.
        let number = |n: u64| (n >> 8) as i64 * if n.is_multiple_of(100) { -1 } else { 1 };
        let by_distance = |a: &i64, b: &i64| a.abs().cmp(&b.abs());
        sorts(items(number), by_distance, false);
        sorts(items(number), |a, b| by_distance(b, a), false);
    }

    #[test]
    fn few_and_other_records_and_natural_runs_are_not_guessed() {
        sorts(
            items(|n| n)[..MIN_RADIX_ITEMS - 1].to_vec(),
            u64::cmp,
            false,
        );
        let runs = |run: u64, descending: bool| -> Vec<(usize, u64)> {
            let number = |n| if descending { run - n % run } else { n % run };
            (0..LEN).map(|n| (0, number(n))).collect()
        };
        sorts(runs(LEN, false), u64::cmp, true);
        sorts(runs(LEN, true), u64::cmp, true);
        for descending in [false, true] {
            sorts(runs(LEN / 4, descending), u64::cmp, false);
            sorts(runs(LEN / 50, descending), u64::cmp, true);
        }
        let mut items: Vec<_> = (0..LEN).map(|n| (0, n.to_string())).collect();
        assert!(!is_guessed(&mut items, String::cmp));
        assert_eq!(sort_bytes::<String>(7), None);
        // Tasks of more bits than a place has.
        let mut items = vec![(usize::MAX, 7); MIN_RADIX_ITEMS];
        assert!(!is_guessed(&mut items, u64::cmp));
    }

    #[test]
    fn a_stopped_sort_ends_wherever_it_is() {
        let calls = Cell::new(0);
        // The guess turns out to be wrong in the last call.
        let compare = |stop_at: usize, is_wrong: bool, stop: &StopFlag, a: &u64, b: &u64| {
            calls.set(calls.get() + 1);
            if calls.get() == stop_at {
                stop.set();
                return if is_wrong {
                    Ordering::Greater
                } else {
                    a.cmp(b)
                };
            }
            a.cmp(b)
        };
        for (stop_at, is_wrong) in [(3, false), (30, false), (2_000, false), (2_000, true)] {
            let stop = StopFlag::default();
            calls.set(0);
            let compare = |a: &u64, b: &u64| compare(stop_at, is_wrong, &stop, a, b);
            let outcome = for_each_guessed(&mut items(|n| n), &stop, compare, |_| Ok(()));
            assert!(outcome.unwrap_err().is_cancelled());
            assert_eq!(calls.get(), stop_at);
        }
    }

    #[test]
    fn a_panic_passes_through() {
        let compare = |a: &u64, b: &u64| {
            assert!(*a != hashed(LEN / 2 + 1), "seven");
            a.cmp(b)
        };
        let sort = || is_guessed(&mut items(|n| n), compare);
        let payload = catch_unwind(AssertUnwindSafe(sort)).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"seven"));
    }
}
