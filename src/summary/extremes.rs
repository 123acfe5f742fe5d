//! The smallest and the greatest record, and the first and the last.

use std::marker::PhantomData;

use super::definition::Summary;
use super::order::{CompareBy, CompareByKey, Natural, Order};
use super::records::ClonedRecord;
use crate::pipeline::numbers;
use crate::portable::{Portable, portable};

/// Returns the smallest record, or `None` if there are no records; of equal ones the first.
///
/// # Examples
///
/// ```
/// use holdall::summary::{max, min};
///
/// assert_eq!(holdall::from_vec(vec![3, 1, 2]).summarize((min(), max()))?, (Some(1), Some(3)));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn min() -> ExtremeSummary<Natural, false> {
    ExtremeSummary {
        order: Natural(PhantomData),
    }
}

/// Returns the greatest record, or `None` if there are no records; of equal ones the last.
///
/// # Examples
///
/// ```
/// assert_eq!(holdall::from_vec(vec![3, 1, 2]).summarize(holdall::summary::max())?, Some(3));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn max() -> ExtremeSummary<Natural, true> {
    ExtremeSummary {
        order: Natural(PhantomData),
    }
}

/// Returns the smallest record according to `compare`, or `None` if there are no records; of equal ones the first.
///
/// # Examples
///
/// ```
/// use holdall::summary::{max_by, min_by};
///
/// let numbers = holdall::from_vec(vec![0.5, -2.0, 1.5]);
/// let ends = numbers.summarize((min_by(f64::total_cmp), max_by(f64::total_cmp)))?;
/// assert_eq!(ends, (Some(-2.0), Some(1.5)));
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn min_by<F>(compare: F) -> ExtremeSummary<CompareBy<F>, false> {
    let order = CompareBy(compare);
    ExtremeSummary { order }
}

/// Returns the greatest record according to `compare`, or `None` if there are no records; of equal ones the last.
///
/// # Examples
///
/// See [`min_by`].
pub fn max_by<F>(compare: F) -> ExtremeSummary<CompareBy<F>, true> {
    let order = CompareBy(compare);
    ExtremeSummary { order }
}

/// Returns the record with the smallest key, or `None` if there are no records; of equal ones the first. `key_of` is
/// called again for each comparison.
///
/// # Examples
///
/// ```
/// use holdall::summary::{max_by_key, min_by_key};
///
/// let words = holdall::from_vec(vec!["bag", "of", "words"]);
/// let (shortest, longest) = words.summarize((
///     min_by_key(|word: &&str| word.len()),
///     max_by_key(|word: &&str| word.len()),
/// ))?;
/// assert_eq!((shortest, longest), (Some("of"), Some("words")));
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn min_by_key<F>(key_of: F) -> ExtremeSummary<CompareByKey<F>, false> {
    let order = CompareByKey(key_of);
    ExtremeSummary { order }
}

/// Returns the record with the greatest key, or `None` if there are no records; of equal ones the last. `key_of` is
/// called again for each comparison.
///
/// # Examples
///
/// See [`min_by_key`].
pub fn max_by_key<F>(key_of: F) -> ExtremeSummary<CompareByKey<F>, true> {
    let order = CompareByKey(key_of);
    ExtremeSummary { order }
}

/// The smallest or the greatest record. Created by [`min`], [`max`] and related functions.
#[derive(Clone, Copy, Debug)]
pub struct ExtremeSummary<O, const GREATEST: bool> {
    order: O,
}

portable! {
    [O: Portable, const GREATEST: bool] ExtremeSummary<O, GREATEST> { order: part }
}

impl<T, O, const GREATEST: bool> Summary<T> for ExtremeSummary<O, GREATEST>
where
    T: ClonedRecord + ?Sized,
    O: Order<T>,
{
    type Part = Option<T::Owned>;
    type Output = Option<T::Owned>;

    fn start(&self) -> Self::Part {
        None
    }

    #[inline]
    fn add(&self, part: &mut Self::Part, record: T::Peek<'_>) {
        match part {
            Some(best) => {
                let is_replaced =
                    is_replaced::<T, GREATEST>(&self.order, T::peek_owned(best), record);
                replace::<T>(best, record, is_replaced);
            }
            None => *part = Some(T::cloned(record)),
        }
    }

    #[inline]
    fn merge(&self, part: &mut Self::Part, later: Self::Part) {
        let is_kept = part.as_ref().is_some_and(|best| {
            let best = T::peek_owned(best);
            let is_replaced =
                |later| is_replaced::<T, GREATEST>(&self.order, best, T::peek_owned(later));
            !later.as_ref().is_some_and(is_replaced)
        });
        if !is_kept {
            *part = later;
        }
    }

    fn finish(&self, part: Self::Part) -> Self::Output {
        part
    }
}

/// Returns whether a later record replaces the best one so far. As in `Iterator`, the first of the smallest records and
/// the last of the greatest ones are kept.
#[inline]
fn is_replaced<T: ClonedRecord + ?Sized, const GREATEST: bool>(
    order: &impl Order<T>,
    best: T::Peek<'_>,
    later: T::Peek<'_>,
) -> bool {
    let order = order.compare(best, later);
    if GREATEST {
        order.is_le()
    } else {
        order.is_gt()
    }
}

/// Replaces `best` by a copy of a record if `is_replaced`. For a number, this is no branch: it would be mispredicted for
/// the first records of each key.
#[inline(always)]
fn replace<T: ClonedRecord + ?Sized>(best: &mut T::Owned, record: T::Peek<'_>, is_replaced: bool) {
    if let Some(number) = numbers::copied(best) {
        *best = if is_replaced {
            T::cloned(record)
        } else {
            number
        };
    } else if is_replaced {
        T::clone_into(record, best);
    }
}

/// Returns the smallest and the greatest record, or `None` if there are no records; of equal ones the first and the
/// last.
///
/// # Examples
///
/// ```
/// use holdall::summary::minmax;
///
/// assert_eq!(holdall::from_vec(vec![3, 1, 2]).summarize(minmax())?, Some((1, 3)));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn minmax() -> MinMaxSummary<Natural> {
    MinMaxSummary {
        order: Natural(PhantomData),
    }
}

/// Returns the smallest and the greatest record according to `compare`, like [`minmax`].
///
/// # Examples
///
/// ```
/// use holdall::summary::minmax_by;
///
/// let numbers = holdall::from_vec(vec![0.5, -2.0, 1.5]);
/// assert_eq!(numbers.summarize(minmax_by(f64::total_cmp))?, Some((-2.0, 1.5)));
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn minmax_by<F>(compare: F) -> MinMaxSummary<CompareBy<F>> {
    let order = CompareBy(compare);
    MinMaxSummary { order }
}

/// Returns the records with the smallest and the greatest key, like [`minmax`]. `key_of` is called again for each
/// comparison.
///
/// # Examples
///
/// ```
/// use holdall::summary::minmax_by_key;
///
/// let words = holdall::from_vec(vec!["bag", "of", "words"]);
/// assert_eq!(words.summarize(minmax_by_key(|word: &&str| word.len()))?, Some(("of", "words")));
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn minmax_by_key<F>(key_of: F) -> MinMaxSummary<CompareByKey<F>> {
    let order = CompareByKey(key_of);
    MinMaxSummary { order }
}

/// The smallest and the greatest record. Created by [`minmax`] and related functions.
#[derive(Clone, Copy, Debug)]
pub struct MinMaxSummary<O> {
    order: O,
}

portable! { [O: Portable] MinMaxSummary<O> { order: part } }

impl<T, O> Summary<T> for MinMaxSummary<O>
where
    T: ClonedRecord + ?Sized,
    O: Order<T>,
{
    type Part = Option<(T::Owned, T::Owned)>;
    type Output = Self::Part;

    fn start(&self) -> Self::Part {
        None
    }

    #[inline]
    fn add(&self, part: &mut Self::Part, record: T::Peek<'_>) {
        let Some((min, max)) = part else {
            *part = Some((T::cloned(record), T::cloned(record)));
            return;
        };
        // A record below the minimum is not above the maximum, too.
        if is_replaced::<T, false>(&self.order, T::peek_owned(min), record) {
            T::clone_into(record, min);
        } else if is_replaced::<T, true>(&self.order, T::peek_owned(max), record) {
            T::clone_into(record, max);
        }
    }

    #[inline]
    fn merge(&self, part: &mut Self::Part, later: Self::Part) {
        let Some((min, max)) = part else {
            *part = later;
            return;
        };
        let Some((later_min, later_max)) = later else {
            return;
        };
        let [of_part, of_later] = [&*min, &later_min].map(T::peek_owned);
        if is_replaced::<T, false>(&self.order, of_part, of_later) {
            *min = later_min;
        }
        let [of_part, of_later] = [&*max, &later_max].map(T::peek_owned);
        if is_replaced::<T, true>(&self.order, of_part, of_later) {
            *max = later_max;
        }
    }

    fn finish(&self, part: Self::Part) -> Self::Output {
        part
    }
}

/// Returns the first record, in the order of the bag, or `None` if there are no records.
///
/// # Examples
///
/// ```
/// use holdall::summary::{first, last};
///
/// assert_eq!(holdall::range(3..7).summarize((first(), last()))?, (Some(3), Some(6)));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use]
pub fn first() -> FirstSummary {
    FirstSummary(PhantomData)
}

/// The first record. Created by [`first`].
#[derive(Clone, Copy, Debug)]
pub struct FirstSummary(PhantomData<()>);

portable! { [] FirstSummary { 0: part } }

impl<T: ClonedRecord + ?Sized> Summary<T> for FirstSummary {
    type Part = Option<T::Owned>;
    type Output = Option<T::Owned>;

    fn start(&self) -> Self::Part {
        None
    }

    #[inline]
    fn add(&self, part: &mut Self::Part, record: T::Peek<'_>) {
        part.get_or_insert_with(|| T::cloned(record));
    }

    #[inline]
    fn merge(&self, part: &mut Self::Part, later: Self::Part) {
        if part.is_none() {
            *part = later;
        }
    }

    fn finish(&self, part: Self::Part) -> Self::Output {
        part
    }
}

/// Returns the last record, in the order of the bag, or `None` if there are no records. Copies each record.
///
/// # Examples
///
/// See [`first`].
#[must_use]
pub fn last() -> LastSummary {
    LastSummary(PhantomData)
}

/// The last record. Created by [`last`].
#[derive(Clone, Copy, Debug)]
pub struct LastSummary(PhantomData<()>);

portable! { [] LastSummary { 0: part } }

impl<T: ClonedRecord + ?Sized> Summary<T> for LastSummary {
    type Part = Option<T::Owned>;
    type Output = Option<T::Owned>;

    fn start(&self) -> Self::Part {
        None
    }

    #[inline]
    fn add(&self, part: &mut Self::Part, record: T::Peek<'_>) {
        match part {
            Some(last) => T::clone_into(record, last),
            None => *part = Some(T::cloned(record)),
        }
    }

    #[inline]
    fn merge(&self, part: &mut Self::Part, later: Self::Part) {
        if later.is_some() {
            *part = later;
        }
    }

    fn finish(&self, part: Self::Part) -> Self::Output {
        part
    }
}
