//! Combining the values of each key in any order.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::keyed::aggregate;
use super::{Bag, PerKey};
use crate::operators::combines::Reduce;
use crate::pipeline::{Boxed, Data, Pipeline, Plain};
use crate::shuffle::AnyOrder;
use crate::task::Site;

/// The values of each key of a bag of pairs, which may be combined in any order. Created by [`PerKey::any_order`].
///
/// Partitions and order of the results are those of [`combine_by_key`](Bag::combine_by_key).
#[must_use = "a bag does nothing until an action runs it"]
pub struct PerKeyAnyOrder<K: 'static, V: 'static, P = Boxed<(K, V)>> {
    pub(super) pairs: Bag<(K, V), P>,
}

impl<K, V, P> Clone for PerKeyAnyOrder<K, V, P> {
    fn clone(&self) -> Self {
        let pairs = self.pairs.clone();
        Self { pairs }
    }
}

impl<K, V, P> fmt::Debug for PerKeyAnyOrder<K, V, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKeyAnyOrder")
            .field("pairs", &self.pairs)
            .finish()
    }
}

impl<K: Data + Eq, V: Data, P: Pipeline<Out = (K, V)>> PerKey<K, V, P> {
    /// Allows closures to combine the values of a key in any order, which can be faster.
    ///
    /// By default, values are combined in the order of the bag, so each combine group starts with empty tables, and the
    /// combined values are encoded at its end. In any order, the tables of a thread serve all partitions, and nothing is
    /// encoded as long as it fits into memory. This saves most where a combined value is soon complete, such as a map with
    /// few entries. Large collections that grow to the end may take longer, because those of one combine group fit into
    /// the cache, and those of all groups do not.
    ///
    /// The closures must be commutative as well as associative: the same values in any order, divided in any way, must
    /// give the same result. The methods of [`PerKey`] that know this of themselves, such as
    /// [`count`](PerKey::count) and [`sum`](PerKey::sum) of integers, combine in any order without this call. Sums of
    /// floating-point numbers are not commutative: their last digits would differ from run to run.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::BTreeSet;
    ///
    /// let visits = holdall::range(0..1000).map(|n| (n % 7, n % 5));
    /// let add = |pages: &mut BTreeSet<u64>, page| _ = pages.insert(page);
    /// let pages = visits.per_key().any_order().aggregate(BTreeSet::new(), add, BTreeSet::extend);
    /// assert_eq!(pages.count()?, 7);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn any_order(self) -> PerKeyAnyOrder<K, V, P> {
        PerKeyAnyOrder { pairs: self.pairs }
    }
}

impl<K: Data + Eq, V: Data, P: Pipeline<Out = (K, V)>> PerKeyAnyOrder<K, V, P> {
    /// Combines the values of each key into one with `op`, like [`PerKey::reduce`], in any order.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 6), ('b', 4), ('a', 3)]);
    /// let bits = pairs.per_key().any_order().reduce(|a, b| a | b).sort();
    /// assert_eq!(bits.collect()?, [('a', 7), ('b', 4)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn reduce<F>(self, op: F) -> Bag<(K, V)>
    where
        F: Fn(V, V) -> V + Send + Sync + 'static,
    {
        let (op, types) = (Plain(op), PhantomData);
        self.pairs
            .combine_at(Site::new("reduce"), AnyOrder(Reduce { op, types }))
    }

    /// Folds the values of each key with `op`, which changes the value so far, starting from `initial`. Like
    /// [`PerKey::fold`], in any order.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::from_vec(vec![('a', 6), ('b', 4), ('a', 3)]);
    /// let products = pairs.per_key().any_order().fold(1, |product, n| *product *= n).sort();
    /// assert_eq!(products.collect()?, [('a', 18), ('b', 4)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn fold<F>(self, initial: V, op: F) -> Bag<(K, V)>
    where
        V: Clone + Sync,
        F: Fn(&mut V, V) + Send + Sync + 'static,
    {
        let op = Arc::new(Plain(op));
        let fold = aggregate(initial, Arc::clone(&op), op);
        self.pairs.combine_at(Site::new("fold"), AnyOrder(fold))
    }

    /// Adds the values of each key to an accumulator with `op`, starting from `initial`, and merges accumulators with
    /// `merge`. Like [`PerKey::aggregate`], in any order: either argument of `merge` may be the later one.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// let words = holdall::from_vec(vec!["fig", "plum", "fig"]).key_by(|word| word.len());
    /// let words = words.map_values(|word| word.to_owned()).per_key().any_order();
    /// let counts = words.aggregate(
    ///     BTreeMap::new(),
    ///     |counts, word| *counts.entry(word).or_insert(0) += 1,
    ///     |counts, others| others.into_iter().for_each(|(word, n)| *counts.entry(word).or_insert(0) += n),
    /// );
    /// assert_eq!(counts.lookup(&3)?, [[("fig".to_owned(), 2)].into()]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn aggregate<A, Op, Merge>(self, initial: A, op: Op, merge: Merge) -> Bag<(K, A)>
    where
        A: Data + Clone + Sync,
        Op: Fn(&mut A, V) + Send + Sync + 'static,
        Merge: Fn(&mut A, A) + Send + Sync + 'static,
    {
        let combine = aggregate(initial, Arc::new(Plain(op)), Plain(merge));
        self.pairs
            .combine_at(Site::new("aggregate"), AnyOrder(combine))
    }
}
