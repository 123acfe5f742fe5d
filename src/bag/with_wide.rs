//! Transformations by key and sorts whose closures are handed a named state. They are wide.

use std::cmp::Ordering;
use std::marker::PhantomData;

use super::{Bag, BagWith};
use crate::operators::combines::ByClosures;
use crate::pipeline::{Data, Pipeline, Record};
use crate::task::Site;

/// Keyed transformations of pairs.
impl<K, V, P, S> BagWith<(K, V), P, S>
where
    K: Data + Eq,
    V: 'static,
    P: Pipeline<Out = (K, V)>,
    S: Data + Sync,
{
    /// [`Bag::reduce_by_key`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::range(1..6).map(|n| (n % 2, n));
    /// let products = pairs.with(7).reduce_by_key(|modulus, a, b| a * b % modulus);
    /// let mut products = products.collect()?;
    /// products.sort();
    /// assert_eq!(products, [(0, 8 % 7), (1, 15 % 7)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn reduce_by_key<F>(self, op: F) -> Bag<(K, V)>
    where
        V: Data,
        F: Fn(&S, V, V) -> V + Send + Sync + 'static,
    {
        let reduce = |op: &F, state: &S, a, b| op(state, a, b);
        let reduced = ByClosures {
            initial: (),
            state: self.state,
            ops: op,
            create: |_: &F, _: &S, (): &(), value| value,
            add: reduce,
            merge: reduce,
            types: PhantomData,
        };
        self.bag.combine_at(Site::new("reduce_by_key"), reduced)
    }

    /// [`Bag::fold_by_key`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let pairs = holdall::range(1..6).map(|n| (n % 2, n));
    /// let products = pairs.with(7).fold_by_key(1, |modulus, product, n| product * n % modulus);
    /// let mut products = products.collect()?;
    /// products.sort();
    /// assert_eq!(products, [(0, 8 % 7), (1, 15 % 7)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn fold_by_key<F>(self, initial: V, op: F) -> Bag<(K, V)>
    where
        V: Data + Clone + Sync,
        F: Fn(&S, V, V) -> V + Send + Sync + 'static,
    {
        let fold = |op: &F, state: &S, folded, value| op(state, folded, value);
        let folded = ByClosures {
            initial,
            state: self.state,
            ops: op,
            create: |op: &F, state: &S, initial: &V, value| op(state, initial.clone(), value),
            add: fold,
            merge: fold,
            types: PhantomData,
        };
        self.bag.combine_at(Site::new("fold_by_key"), folded)
    }

    /// [`Bag::aggregate_by_key`], with the state, which both closures are handed.
    ///
    /// # Examples
    ///
    /// ```
    /// let long = holdall::from_vec(vec![(1, "a"), (2, "bag"), (1, "of"), (1, "words")]).with(2).aggregate_by_key(
    ///     0,
    ///     |least, count, word| if word.len() >= *least { count + 1 } else { count },
    ///     |_, count, later| count + later,
    /// );
    /// let mut long = long.collect()?;
    /// long.sort();
    /// assert_eq!(long, [(1, 2), (2, 1)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn aggregate_by_key<A, Op, Merge>(self, initial: A, op: Op, merge: Merge) -> Bag<(K, A)>
    where
        A: Data + Clone + Sync,
        Op: Fn(&S, A, V) -> A + Send + Sync + 'static,
        Merge: Fn(&S, A, A) -> A + Send + Sync + 'static,
    {
        let aggregated = ByClosures {
            initial,
            state: self.state,
            ops: (op, merge),
            create: |(op, _): &(Op, Merge), state: &S, initial: &A, value| {
                op(state, initial.clone(), value)
            },
            add: |(op, _): &(Op, Merge), state: &S, combined, value| op(state, combined, value),
            merge: |(_, merge): &(Op, Merge), state: &S, combined, later| {
                merge(state, combined, later)
            },
            types: PhantomData,
        };
        self.bag
            .combine_at(Site::new("aggregate_by_key"), aggregated)
    }

    /// [`Bag::combine_by_key`], with the state, which all three closures are handed.
    ///
    /// # Examples
    ///
    /// ```
    /// let least_two = holdall::range(0..10).map(|n| (n % 2, n)).with(2).combine_by_key(
    ///     |_, n| vec![n],
    ///     |most, mut kept, n| {
    ///         if kept.len() < *most {
    ///             kept.push(n);
    ///         }
    ///         kept
    ///     },
    ///     |most, mut kept, later| {
    ///         kept.extend(later);
    ///         kept.truncate(*most);
    ///         kept
    ///     },
    /// );
    /// let mut least_two = least_two.collect()?;
    /// least_two.sort();
    /// assert_eq!(least_two, [(0, vec![0, 2]), (1, vec![1, 3])]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn combine_by_key<C, Create, Add, Merge>(
        self,
        create: Create,
        add: Add,
        merge: Merge,
    ) -> Bag<(K, C)>
    where
        C: Data,
        Create: Fn(&S, V) -> C + Send + Sync + 'static,
        Add: Fn(&S, C, V) -> C + Send + Sync + 'static,
        Merge: Fn(&S, C, C) -> C + Send + Sync + 'static,
    {
        let combined = ByClosures {
            initial: (),
            state: self.state,
            ops: (create, add, merge),
            create: |(create, ..): &(Create, Add, Merge), state: &S, (): &(), value| {
                create(state, value)
            },
            add: |(_, add, _): &(Create, Add, Merge), state: &S, combined, value| {
                add(state, combined, value)
            },
            merge: |(.., merge): &(Create, Add, Merge), state: &S, combined, later| {
                merge(state, combined, later)
            },
            types: PhantomData,
        };
        self.bag.combine_at(Site::new("combine_by_key"), combined)
    }
}

/// Sorting.
impl<T, P, S> BagWith<T, P, S>
where
    T: Record<Owned: Data> + ?Sized,
    P: Pipeline<Out = T>,
    S: Data + Sync,
{
    /// [`Bag::sort_by`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let nearest = holdall::from_vec(vec![1, 5, 12]).with(6_i32);
    /// let nearest = nearest.sort_by(|from, a, b| (a - from).abs().cmp(&(b - from).abs()));
    /// assert_eq!(nearest.collect()?, [5, 1, 12]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sort_by<F>(self, compare: F) -> Bag<T>
    where
        F: for<'a, 'b> Fn(&S, T::Peek<'a>, T::Peek<'b>) -> Ordering + Send + Sync + 'static,
    {
        self.bag
            .sort_by_at(Site::new("sort_by"), self.state, compare)
    }

    /// [`Bag::sort_by_key`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// let nearest = holdall::from_vec(vec![1, 5, 12]).with(6_i32).sort_by_key(|from, n| (n - from).abs());
    /// assert_eq!(nearest.collect()?, [5, 1, 12]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sort_by_key<K, F>(self, key_of: F) -> Bag<T>
    where
        K: Ord,
        F: for<'a> Fn(&S, T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let compare = move |state: &S, a: T::Peek<'_>, b: T::Peek<'_>| {
            key_of(state, a).cmp(&key_of(state, b))
        };
        self.bag
            .sort_by_at(Site::new("sort_by_key"), self.state, compare)
    }

    /// [`Bag::sort_by_cached_key`], with the state.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// let ranks = BTreeMap::from([("low".to_owned(), 0), ("high".to_owned(), 9)]);
    /// let levels = holdall::from_vec(vec!["high", "low"]).map(str::to_owned).with(ranks);
    /// let levels = levels.sort_by_cached_key(|ranks, level| ranks.get(level).copied());
    /// assert_eq!(levels.collect()?, ["low", "high"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sort_by_cached_key<K, F>(self, key_of: F) -> Bag<T>
    where
        K: Data + Ord,
        F: for<'a> Fn(&S, T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let site = Site::new("sort_by_cached_key");
        self.bag.sort_by_cached_key_at(site, self.state, key_of)
    }
}
