//! Summaries that are made of other summaries, of closures, or of the user's own types.

use super::definition::Summary;
use crate::pipeline::{Data, Record};
use crate::portable::{Portable, portable};

/// Summarises what `op` returns for each record.
///
/// # Examples
///
/// ```
/// use holdall::summary::{max, mean, of};
///
/// let sales = holdall::from_vec(vec![("pen", 2.5), ("ink", 7.0), ("pad", 4.0)]);
/// let (price, name) = sales.summarize((
///     of(|sale: &(&str, f64)| sale.1, mean()),
///     of(|sale: &(&str, f64)| sale.0.to_owned(), max()),
/// ))?;
/// assert_eq!((price, name.as_deref()), (Some(4.5), Some("pen")));
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn of<F, S>(op: F, summary: S) -> OfSummary<F, S> {
    OfSummary { op, summary }
}

/// A summary of what a closure returns. Created by [`of`].
#[derive(Clone, Copy)]
pub struct OfSummary<F, S> {
    op: F,
    summary: S,
}

portable! { [F, S: Portable] OfSummary<F, S> { op: code, summary: part } }

impl<T, U, F, S> Summary<T> for OfSummary<F, S>
where
    T: Record + ?Sized,
    U: 'static,
    F: for<'a> Fn(T::Peek<'a>) -> U + Send + Sync + 'static,
    S: Summary<U>,
{
    const COMMUTES: bool = S::COMMUTES;

    type Part = S::Part;
    type Output = S::Output;

    fn start(&self) -> S::Part {
        self.summary.start()
    }

    #[inline]
    fn add(&self, part: &mut S::Part, record: T::Peek<'_>) {
        self.summary.add(part, &(self.op)(record));
    }

    #[inline]
    fn merge(&self, part: &mut S::Part, later: S::Part) {
        self.summary.merge(part, later);
    }

    fn finish(&self, part: S::Part) -> S::Output {
        self.summary.finish(part)
    }
}

/// Summarises the records for which `predicate` returns `true`.
///
/// # Examples
///
/// ```
/// use holdall::summary::{count, filter};
///
/// let numbers = holdall::range(0..10);
/// let (all, even) = numbers.summarize((count(), filter(|n: &u64| n % 2 == 0, count())))?;
/// assert_eq!((all, even), (10, 5));
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn filter<F, S>(predicate: F, summary: S) -> FilterSummary<F, S> {
    FilterSummary { predicate, summary }
}

/// A summary of a part of the records. Created by [`filter`].
#[derive(Clone, Copy)]
pub struct FilterSummary<F, S> {
    predicate: F,
    summary: S,
}

portable! { [F, S: Portable] FilterSummary<F, S> { predicate: code, summary: part } }

impl<T, F, S> Summary<T> for FilterSummary<F, S>
where
    T: Record + ?Sized,
    F: for<'a> Fn(T::Peek<'a>) -> bool + Send + Sync + 'static,
    S: Summary<T>,
{
    const COMMUTES: bool = S::COMMUTES;

    type Part = S::Part;
    type Output = S::Output;

    fn start(&self) -> S::Part {
        self.summary.start()
    }

    #[inline]
    fn add(&self, part: &mut S::Part, record: T::Peek<'_>) {
        if (self.predicate)(record) {
            self.summary.add(part, record);
        }
    }

    #[inline]
    fn merge(&self, part: &mut S::Part, later: S::Part) {
        self.summary.merge(part, later);
    }

    fn finish(&self, part: S::Part) -> S::Output {
        self.summary.finish(part)
    }
}

/// Adds each record to an accumulator with `add`, starting from `initial`, and merges the accumulators of several
/// partitions with `merge`. A partition may start from `initial`, which must therefore be neutral: 0 for a sum.
///
/// # Examples
///
/// ```
/// use holdall::summary::{aggregate, count};
///
/// let words = holdall::from_vec(vec!["a", "bag", "of", "words"]);
/// let letters = aggregate(
///     0,
///     |letters: &mut usize, word: &&str| *letters += word.len(),
///     |letters: &mut usize, later| *letters += later,
/// );
/// assert_eq!(words.summarize((count(), letters))?, (4, 11));
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn aggregate<A, Op, Merge>(
    initial: A,
    add: Op,
    merge: Merge,
) -> AggregateSummary<A, Op, Merge> {
    AggregateSummary {
        initial,
        add,
        merge,
    }
}

/// A summary by closures. Created by [`aggregate`].
#[derive(Clone, Copy)]
pub struct AggregateSummary<A, Op, Merge> {
    initial: A,
    add: Op,
    merge: Merge,
}

portable! {
    [A: Data, Op, Merge] AggregateSummary<A, Op, Merge> { initial: value, add: code, merge: code }
}

impl<T, A, Op, Merge> Summary<T> for AggregateSummary<A, Op, Merge>
where
    T: Record + ?Sized,
    A: Data + Clone + Sync,
    Op: for<'a, 'b> Fn(&'a mut A, T::Peek<'b>) + Send + Sync + 'static,
    Merge: for<'a> Fn(&'a mut A, A) + Send + Sync + 'static,
{
    type Part = A;
    type Output = A;

    fn start(&self) -> A {
        self.initial.clone()
    }

    #[inline]
    fn add(&self, part: &mut A, record: T::Peek<'_>) {
        (self.add)(part, record);
    }

    #[inline]
    fn merge(&self, part: &mut A, later: A) {
        (self.merge)(part, later);
    }

    fn finish(&self, part: A) -> A {
        part
    }
}

/// Wraps a summary of your own type, so that [`summarize`](crate::Bag::summarize) accepts it. The summary is sent to
/// [worker processes](crate#worker-processes) by serde.
///
/// # Examples
///
/// See [`Summary`].
pub fn custom<S>(summary: S) -> CustomSummary<S> {
    CustomSummary { summary }
}

/// A summary of a user's type. Created by [`custom`].
#[derive(Clone, Copy, Debug)]
pub struct CustomSummary<S> {
    summary: S,
}

portable! { [S: Data] CustomSummary<S> { summary: value } }

impl<T: Record + ?Sized, S: Summary<T>> Summary<T> for CustomSummary<S> {
    type Part = S::Part;
    type Output = S::Output;

    fn start(&self) -> S::Part {
        self.summary.start()
    }

    #[inline]
    fn add(&self, part: &mut S::Part, record: T::Peek<'_>) {
        self.summary.add(part, record);
    }

    #[inline]
    fn merge(&self, part: &mut S::Part, later: S::Part) {
        self.summary.merge(part, later);
    }

    fn finish(&self, part: S::Part) -> S::Output {
        self.summary.finish(part)
    }
}

macro_rules! debug {
    ($($name:ident<$($type:ident),*>)*) => {$(
        impl<$($type),*> std::fmt::Debug for $name<$($type),*> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}

debug!(OfSummary<F, S> FilterSummary<F, S> AggregateSummary<A, Op, Merge>);
