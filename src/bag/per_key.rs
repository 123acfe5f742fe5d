//! Transformations of the values of each key, under the names that actions on all records have.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Bag;
use super::keyed::finish;
use crate::operators::combines::ByClosures;
use crate::operators::first_ranked::{
    FirstRanked, LargeRanked, MAX_SMALL_BYTES, RankedList, SmallRanked, order,
};
use crate::pipeline::{Boxed, Call, Data, Given, Pipeline, Plain, Reversed, comparison};
use crate::shuffle::sort::ByNumber;
use crate::shuffle::{AnyOrder, EntriesOfValues};
use crate::task::Site;

/// The values of each key of a bag of pairs. Created by [`Bag::per_key`].
///
/// A method does for the values of each key what the action of [`Bag`] with the same name does for all records. It is a
/// transformation: it runs nothing, and returns a bag with one pair for each key. Partitions and order are those of
/// [`combine_by_key`](Bag::combine_by_key), and values are combined before the shuffle.
///
/// A closure that needs a [state](Bag::with) can receive it one step earlier: compute what it compares or summarises by
/// `with(state).map_values(..)`. For `reduce`, `fold` and `aggregate`, use `with(state)` and
/// [`reduce_by_key`](Bag::reduce_by_key), [`fold_by_key`](Bag::fold_by_key) or
/// [`aggregate_by_key`](Bag::aggregate_by_key).
///
/// # Examples
///
/// ```
/// let readings = holdall::from_vec(vec![('a', 3.5), ('b', 1.0), ('a', 7.25), ('a', 0.5)]);
/// let warmest = readings.clone().per_key().max_by(f64::total_cmp);
/// assert_eq!(warmest.sort_by_key(|(station, _)| *station).collect()?, [('a', 7.25), ('b', 1.0)]);
///
/// let coldest = readings.per_key().bottom_by(2, f64::total_cmp);
/// let coldest = coldest.sort_by_key(|(station, _)| *station).collect()?;
/// assert_eq!(coldest, [('a', vec![0.5, 3.5]), ('b', vec![1.0])]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use = "a bag does nothing until an action runs it"]
pub struct PerKey<K: 'static, V: 'static, P = Boxed<(K, V)>> {
    pub(super) pairs: Bag<(K, V), P>,
}

impl<K, V, P> Clone for PerKey<K, V, P> {
    fn clone(&self) -> Self {
        let pairs = self.pairs.clone();
        Self { pairs }
    }
}

impl<K, V, P> fmt::Debug for PerKey<K, V, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey")
            .field("pairs", &self.pairs)
            .finish()
    }
}

impl<K: Data + Eq, V: Data, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Returns the values of each key, for methods such as [`min`](PerKey::min) and [`top`](PerKey::top) whose names
    /// mean all records on the bag itself.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 3), ('b', 1), ('a', 7)]);
    /// assert_eq!(pairs.max()?, Some(('b', 1)));
    /// let mut greatest = pairs.per_key().max().collect()?;
    /// greatest.sort();
    /// assert_eq!(greatest, [('a', 7), ('b', 1)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn per_key(self) -> PerKey<K, V, P> {
        PerKey { pairs: self }
    }
}

/// One value of each key.
impl<K: Data + Eq, V: Data, P: Pipeline<Out = (K, V)>> PerKey<K, V, P> {
    /// Returns the first value of each key, in the order of the bag.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["plum", "fig", "pear"]);
    /// // The first word with each length.
    /// let first = words.key_by(|word| word.len()).per_key().first();
    /// assert_eq!(first.values().sort().collect()?, ["fig", "plum"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn first(self) -> Bag<(K, V)> {
        self.first_at(Site::new("first"))
    }

    pub(super) fn first_at(self, site: Site) -> Bag<(K, V)> {
        self.change_at(site, Plain(|_: &mut V, _: V| ()))
    }

    /// Returns the last value of each key, in the order of the bag.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["plum", "fig", "pear"]);
    /// let last = words.key_by(|word| word.len()).per_key().last();
    /// assert_eq!(last.values().sort().collect()?, ["fig", "pear"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn last(self) -> Bag<(K, V)> {
        let site = Site::new("last");
        self.change_at(site, Plain(|last: &mut V, value: V| *last = value))
    }

    /// Returns the smallest value of each key; of equal ones the first.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::range(1..11).map(|n| (n % 3, n));
    /// assert_eq!(pairs.per_key().min().sort().collect()?, [(0, 3), (1, 1), (2, 2)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn min(self) -> Bag<(K, V)>
    where
        V: Ord,
    {
        self.natural_at(Site::new("min"), Plain(Ordering::is_gt))
    }

    /// Returns the greatest value of each key; of equal ones the last.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::range(1..11).map(|n| (n % 3, n));
    /// assert_eq!(pairs.per_key().max().sort().collect()?, [(0, 9), (1, 10), (2, 8)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn max(self) -> Bag<(K, V)>
    where
        V: Ord,
    {
        self.natural_at(Site::new("max"), Plain(Ordering::is_le))
    }

    /// Returns the smallest value of each key according to `compare`; of equal ones the first.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 2.5), ('a', -1.0), ('a', 0.5)]);
    /// assert_eq!(pairs.per_key().min_by(f64::total_cmp).collect()?, [('a', -1.0)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn min_by<F>(self, compare: F) -> Bag<(K, V)>
    where
        F: Fn(&V, &V) -> Ordering + Send + Sync + 'static,
    {
        self.least_at(Site::new("min_by"), Plain(compare))
    }

    /// Returns the greatest value of each key according to `compare`; of equal ones the last.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 2.5), ('a', -1.0), ('a', 0.5)]);
    /// assert_eq!(pairs.per_key().max_by(f64::total_cmp).collect()?, [('a', 2.5)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn max_by<F>(self, compare: F) -> Bag<(K, V)>
    where
        F: Fn(&V, &V) -> Ordering + Send + Sync + 'static,
    {
        self.greatest_at(Site::new("max_by"), Plain(compare))
    }

    /// Returns the value of each key for which `rank_of` returns the smallest result; of equal ones the first.
    ///
    /// `rank_of` is called again for each comparison.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["pear", "fig", "plum", "fennel"]);
    /// let shortest = words.key_by(|word| word.chars().next()).per_key().min_by_key(|word| word.len());
    /// assert_eq!(shortest.values().sort().collect()?, ["fig", "pear"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn min_by_key<R, F>(self, rank_of: F) -> Bag<(K, V)>
    where
        R: Ord,
        F: Fn(&V) -> R + Send + Sync + 'static,
    {
        let compare = comparison::<V, _>(move |a, b| rank_of(a).cmp(&rank_of(b)));
        self.least_at(Site::new("min_by_key"), compare)
    }

    /// Returns the value of each key for which `rank_of` returns the greatest result; of equal ones the last.
    ///
    /// `rank_of` is called again for each comparison.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["pear", "fig", "plum", "fennel"]);
    /// let longest = words.key_by(|word| word.chars().next()).per_key().max_by_key(|word| word.len());
    /// assert_eq!(longest.values().sort().collect()?, ["fennel", "plum"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn max_by_key<R, F>(self, rank_of: F) -> Bag<(K, V)>
    where
        R: Ord,
        F: Fn(&V) -> R + Send + Sync + 'static,
    {
        let compare = comparison::<V, _>(move |a, b| rank_of(a).cmp(&rank_of(b)));
        self.greatest_at(Site::new("max_by_key"), compare)
    }

    /// Returns the smallest values, and the first of equal ones, as `Iterator::min` does.
    fn least_at<C>(self, site: Site, compare: C) -> Bag<(K, V)>
    where
        C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
    {
        self.extreme_at(site, compare, Plain(Ordering::is_gt))
    }

    /// Returns the greatest values, and the last of equal ones, as `Iterator::max` does.
    fn greatest_at<C>(self, site: Site, compare: C) -> Bag<(K, V)>
    where
        C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
    {
        self.extreme_at(site, compare, Plain(Ordering::is_le))
    }

    /// Reduces the values of each key to one. A later value replaces the one so far if `is_replaced` holds for their
    /// order.
    fn extreme_at<C, R>(self, site: Site, compare: C, is_replaced: R) -> Bag<(K, V)>
    where
        C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
        R: Call<(Ordering,), Out = bool>,
    {
        self.change_at(site, Given((compare, is_replaced), choose::<V, C, R>))
    }

    /// Like [`extreme_at`](Self::extreme_at), for the order of `Ord`.
    fn natural_at<R>(self, site: Site, is_replaced: R) -> Bag<(K, V)>
    where
        V: Ord,
        R: Call<(Ordering,), Out = bool>,
    {
        if !equal_are_same::<V>() {
            return self.extreme_at(site, Plain(V::cmp), is_replaced);
        }
        let op = Arc::new(Given((Plain(V::cmp), is_replaced), choose::<V, _, R>));
        let extremes = ByClosures {
            create: Plain(|value: V| value),
            add: Arc::clone(&op),
            merge: op,
            types: PhantomData,
        };
        self.pairs.combine_at(site, AnyOrder(extremes))
    }

    /// Reduces the values of each key to one by `op`, which changes the one so far.
    fn change_at<C>(self, site: Site, op: C) -> Bag<(K, V)>
    where
        C: for<'a> Call<(&'a mut V, V), Out = ()>,
    {
        let op = Arc::new(op);
        let first = Plain(|value: V| value);
        self.pairs
            .combine_by_key_at(site, first, Arc::clone(&op), op)
    }
}

/// The first few values of each key in a sort order. Each method needs memory for up to 2 `n` values of a key.
impl<K: Data + Eq, V: Data, P: Pipeline<Out = (K, V)>> PerKey<K, V, P> {
    /// Returns the `n` greatest values of each key, greatest first. Equal values keep the order of the bag.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::range(1..11).map(|n| (n % 3, n));
    /// let top = pairs.per_key().top(2).sort().collect()?;
    /// assert_eq!(top, [(0, vec![9, 6]), (1, vec![10, 7]), (2, vec![8, 5])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn top(self, n: usize) -> Bag<(K, Vec<V>)>
    where
        V: Ord,
    {
        self.first_natural(Site::new("top"), n, Reversed(Plain(V::cmp)))
    }

    /// Returns the `n` greatest values of each key according to `compare`, greatest first. Equal values keep the order
    /// of the bag.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 2.5), ('a', -1.0), ('a', 0.5)]);
    /// assert_eq!(pairs.per_key().top_by(2, f64::total_cmp).collect()?, [('a', vec![2.5, 0.5])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn top_by<F>(self, n: usize, compare: F) -> Bag<(K, Vec<V>)>
    where
        F: Fn(&V, &V) -> Ordering + Send + Sync + 'static,
    {
        self.first_ranked(Site::new("top_by"), n, Reversed(Plain(compare)))
    }

    /// Returns the `n` values of each key for which `rank_of` returns the greatest results, greatest first. Values with
    /// equal results keep the order of the bag.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["pear", "peach", "plum"]);
    /// let longest = words.key_by(|word| word.chars().next()).per_key().top_by_key(2, |word| word.len());
    /// assert_eq!(longest.collect()?, [(Some('p'), vec!["peach", "pear"])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn top_by_key<R, F>(self, n: usize, rank_of: F) -> Bag<(K, Vec<V>)>
    where
        R: Ord,
        F: Fn(&V) -> R + Send + Sync + 'static,
    {
        let compare = comparison::<V, _>(move |a, b| rank_of(a).cmp(&rank_of(b)));
        self.first_ranked(Site::new("top_by_key"), n, Reversed(compare))
    }

    /// Returns the `n` smallest values of each key, smallest first. Equal values keep the order of the bag.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::range(1..11).map(|n| (n % 3, n));
    /// let bottom = pairs.per_key().bottom(2).sort().collect()?;
    /// assert_eq!(bottom, [(0, vec![3, 6]), (1, vec![1, 4]), (2, vec![2, 5])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn bottom(self, n: usize) -> Bag<(K, Vec<V>)>
    where
        V: Ord,
    {
        self.first_natural(Site::new("bottom"), n, Plain(V::cmp))
    }

    /// Returns the `n` smallest values of each key according to `compare`, smallest first. Equal values keep the order
    /// of the bag.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 2.5), ('a', -1.0), ('a', 0.5)]);
    /// assert_eq!(pairs.per_key().bottom_by(2, f64::total_cmp).collect()?, [('a', vec![-1.0, 0.5])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn bottom_by<F>(self, n: usize, compare: F) -> Bag<(K, Vec<V>)>
    where
        F: Fn(&V, &V) -> Ordering + Send + Sync + 'static,
    {
        self.first_ranked(Site::new("bottom_by"), n, Plain(compare))
    }

    /// Returns the `n` values of each key for which `rank_of` returns the smallest results, smallest first. Values with
    /// equal results keep the order of the bag.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["peach", "pear", "plum"]);
    /// let shortest = words.key_by(|word| word.chars().next()).per_key().bottom_by_key(2, |word| word.len());
    /// assert_eq!(shortest.collect()?, [(Some('p'), vec!["pear", "plum"])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn bottom_by_key<R, F>(self, n: usize, rank_of: F) -> Bag<(K, Vec<V>)>
    where
        R: Ord,
        F: Fn(&V) -> R + Send + Sync + 'static,
    {
        let compare = comparison::<V, _>(move |a, b| rank_of(a).cmp(&rank_of(b)));
        self.first_ranked(Site::new("bottom_by_key"), n, compare)
    }

    /// Returns the first `n` values of each key in the order of `compare`, which is that of `Ord` or its reverse.
    fn first_natural<C>(self, site: Site, n: usize, compare: C) -> Bag<(K, Vec<V>)>
    where
        C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
    {
        if !equal_are_same::<V>() {
            return self.first_ranked(site, n, compare);
        }
        let (pairs, compare) = (self.pairs, Arc::new(compare));
        let first = first::<_, _, _, SmallRanked<V>>(n, &compare);
        sorted(pairs.combine_at(site, AnyOrder(first)), site, compare)
    }

    /// Returns the first `n` values of each key in the order of `compare`.
    fn first_ranked<C>(self, site: Site, n: usize, compare: C) -> Bag<(K, Vec<V>)>
    where
        C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
    {
        let (pairs, compare) = (self.pairs, Arc::new(compare));
        if const { size_of::<V>() <= MAX_SMALL_BYTES } {
            let first = first::<_, _, _, SmallRanked<V>>(n, &compare);
            sorted(
                pairs.combine_at(site, EntriesOfValues(first)),
                site,
                compare,
            )
        } else {
            let first = first::<_, _, _, LargeRanked<V>>(n, &compare);
            sorted(
                pairs.combine_at(site, EntriesOfValues(first)),
                site,
                compare,
            )
        }
    }
}

/// Returns whether equal values are indistinguishable, so that their order cannot matter. They are if they are integers
/// or characters.
pub(super) fn equal_are_same<V: 'static>() -> bool {
    ByNumber::<V>::new().is_some()
}

/// Replaces `best` by a later value if `is_replaced` holds for their order.
fn choose<V, C, R>((compare, is_replaced): &(C, R), best: &mut V, value: V)
where
    V: 'static,
    C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
    R: Call<(Ordering,), Out = bool>,
{
    let order = compare.call((&*best, &value));
    if is_replaced.call((order,)) {
        *best = value;
    }
}

fn first<K, V, C, L>(n: usize, compare: &Arc<C>) -> FirstRanked<K, V, Arc<C>, L> {
    FirstRanked {
        n,
        compare: Arc::clone(compare),
        types: PhantomData,
    }
}

/// Converts the lists of keys to vectors.
fn sorted<K, V, C, L>(lists: Bag<(K, L)>, site: Site, compare: Arc<C>) -> Bag<(K, Vec<V>)>
where
    K: Data,
    V: Data,
    C: for<'a> Call<(&'a V, &'a V), Out = Ordering>,
    L: RankedList<V>,
{
    let sorted = |compare: &Arc<C>, (key, list): (K, L)| (key, list.into_sorted(&order(compare)));
    finish(lists, site, Given(compare, sorted))
}
