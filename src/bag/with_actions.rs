//! Actions whose closures are handed a named state.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::Arc;

use super::BagWith;
use crate::error::Result;
use crate::operators::actions::Fold;
use crate::pipeline::{Data, Pipeline, Record};
use crate::task::Site;

/// Actions. Each runs a job, and ends with the errors that its twin of [`Bag`](crate::Bag) has.
impl<T: Record + ?Sized, P: Pipeline<Out = T>, S: Data + Sync> BagWith<T, P, S> {
    /// [`Bag::reduce`](crate::Bag::reduce), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let residue = holdall::range(1..6).with(7).reduce(|modulus, a, b| a * b % modulus)?;
    /// assert_eq!(residue, Some(1)); // 120 is 17 * 7 + 1
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn reduce<F>(&self, op: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        F: Fn(&S, T::Owned, T::Owned) -> T::Owned + Send + Sync + 'static,
    {
        self.bag.reduce_at(
            Site::new("reduce"),
            Arc::clone(&self.state),
            op,
            |op, state, a, b| op(state, a, T::into_owned(b)),
            |op, state, a, b| op(state, a, b),
        )
    }

    /// [`Bag::fold`](crate::Bag::fold), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let residue = holdall::range(1..6).with(7).fold(1, |modulus, product, n| product * n % modulus)?;
    /// assert_eq!(residue, 1); // 120 is 17 * 7 + 1
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn fold<F>(&self, initial: T::Owned, op: F) -> Result<T::Owned>
    where
        T::Owned: Data + Clone + Sync,
        F: Fn(&S, T::Owned, T::Owned) -> T::Owned + Send + Sync + 'static,
    {
        let fold = Fold {
            site: Site::new("fold"),
            initial,
            state: Arc::clone(&self.state),
            op,
            make: T::Owned::clone,
            add: |op: &F, state: &S, folded, record: T::Ref<'_>| {
                op(state, folded, T::into_owned(record))
            },
            types: PhantomData,
        };
        self.bag
            .run_fold(&fold, |op, state, folded, later| op(state, folded, later))
    }

    /// [`Bag::aggregate`](crate::Bag::aggregate), with the state, which both closures are handed.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["a", "bag", "of", "words"]);
    /// let long = words.with(3).aggregate(
    ///     0,
    ///     |least, count, word| if word.len() >= *least { count + 1 } else { count },
    ///     |_, count, later| count + later,
    /// )?;
    /// assert_eq!(long, 2);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn aggregate<A, Op, Merge>(&self, initial: A, op: Op, merge: Merge) -> Result<A>
    where
        A: Data + Clone + Sync,
        Op: for<'a> Fn(&S, A, T::Ref<'a>) -> A + Send + Sync + 'static,
        Merge: Fn(&S, A, A) -> A + Send + Sync + 'static,
    {
        let fold = Fold {
            site: Site::new("aggregate"),
            initial,
            state: Arc::clone(&self.state),
            op,
            make: A::clone,
            add: |op: &Op, state: &S, folded, record: T::Ref<'_>| op(state, folded, record),
            types: PhantomData,
        };
        self.bag
            .run_fold(&fold, |_, state, folded, later| merge(state, folded, later))
    }

    /// [`Bag::top_by`](crate::Bag::top_by), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let farthest = holdall::from_vec(vec![1, 5, 12]).with(6_i32);
    /// let farthest = farthest.top_by(2, |from, a, b| (a - from).abs().cmp(&(b - from).abs()))?;
    /// assert_eq!(farthest, [12, 1]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn top_by<F>(&self, n: usize, compare: F) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(&S, T::Peek<'a>, T::Peek<'a>) -> Ordering + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("top_by"), Arc::clone(&self.state));
        self.bag
            .first_ranked(site, n, state, move |state, a, b| compare(state, b, a))
    }

    /// [`Bag::top_by_key`](crate::Bag::top_by_key), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let farthest = holdall::from_vec(vec![1, 5, 12]).with(6_i32);
    /// assert_eq!(farthest.top_by_key(2, |from, n| (n - from).abs())?, [12, 1]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn top_by_key<K, F>(&self, n: usize, key_of: F) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        K: Ord,
        F: for<'a> Fn(&S, T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("top_by_key"), Arc::clone(&self.state));
        self.bag.first_ranked(site, n, state, move |state, a, b| {
            key_of(state, b).cmp(&key_of(state, a))
        })
    }

    /// [`Bag::bottom_by`](crate::Bag::bottom_by), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let nearest = holdall::from_vec(vec![1, 5, 12]).with(6_i32);
    /// let nearest = nearest.bottom_by(2, |from, a, b| (a - from).abs().cmp(&(b - from).abs()))?;
    /// assert_eq!(nearest, [5, 1]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn bottom_by<F>(&self, n: usize, compare: F) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(&S, T::Peek<'a>, T::Peek<'a>) -> Ordering + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("bottom_by"), Arc::clone(&self.state));
        self.bag.first_ranked(site, n, state, compare)
    }

    /// [`Bag::bottom_by_key`](crate::Bag::bottom_by_key), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let nearest = holdall::from_vec(vec![1, 5, 12]).with(6_i32);
    /// assert_eq!(nearest.bottom_by_key(2, |from, n| (n - from).abs())?, [5, 1]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn bottom_by_key<K, F>(&self, n: usize, key_of: F) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
        K: Ord,
        F: for<'a> Fn(&S, T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("bottom_by_key"), Arc::clone(&self.state));
        self.bag.first_ranked(site, n, state, move |state, a, b| {
            key_of(state, a).cmp(&key_of(state, b))
        })
    }

    /// [`Bag::min_by`](crate::Bag::min_by), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec![1, 5, 12]).with(6_i32);
    /// let found = numbers.min_by(|from, a, b| (a - from).abs().cmp(&(b - from).abs()))?;
    /// assert_eq!(found, Some(5));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn min_by<F>(&self, compare: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(&S, T::Peek<'a>, T::Peek<'a>) -> Ordering + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("min_by"), Arc::clone(&self.state));
        self.bag.extreme(site, state, move |state, best, record| {
            compare(state, best, record).is_gt()
        })
    }

    /// [`Bag::max_by`](crate::Bag::max_by), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec![1, 5, 12]).with(6_i32);
    /// let found = numbers.max_by(|from, a, b| (a - from).abs().cmp(&(b - from).abs()))?;
    /// assert_eq!(found, Some(12));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn max_by<F>(&self, compare: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(&S, T::Peek<'a>, T::Peek<'a>) -> Ordering + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("max_by"), Arc::clone(&self.state));
        self.bag.extreme(site, state, move |state, best, record| {
            compare(state, best, record).is_le()
        })
    }

    /// [`Bag::min_by_key`](crate::Bag::min_by_key), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec![1, 5, 12]).with(6_i32);
    /// assert_eq!(numbers.min_by_key(|from, n| (n - from).abs())?, Some(5));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn min_by_key<K, F>(&self, key_of: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        K: Ord,
        F: for<'a> Fn(&S, T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("min_by_key"), Arc::clone(&self.state));
        self.bag.extreme(site, state, move |state, best, record| {
            key_of(state, record) < key_of(state, best)
        })
    }

    /// [`Bag::max_by_key`](crate::Bag::max_by_key), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::from_vec(vec![1, 5, 12]).with(6_i32);
    /// assert_eq!(numbers.max_by_key(|from, n| (n - from).abs())?, Some(12));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn max_by_key<K, F>(&self, key_of: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        K: Ord,
        F: for<'a> Fn(&S, T::Peek<'a>) -> K + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("max_by_key"), Arc::clone(&self.state));
        self.bag.extreme(site, state, move |state, best, record| {
            key_of(state, record) >= key_of(state, best)
        })
    }

    /// [`Bag::find`](crate::Bag::find), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(0..1_000).with(200).find(|least, n| n * n > *least)?, Some(15));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn find<F>(&self, predicate: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        F: for<'a> Fn(&S, T::Peek<'a>) -> bool + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("find"), Arc::clone(&self.state));
        self.bag.find_at(site, state, predicate)
    }

    /// [`Bag::any`](crate::Bag::any), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(holdall::range(0..100).with(99).any(|sought, n| n == *sought)?);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn any<F>(&self, predicate: F) -> Result<bool>
    where
        F: for<'a> Fn(&S, T::Ref<'a>) -> bool + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("any"), Arc::clone(&self.state));
        self.bag.any_at(site, state, predicate)
    }

    /// [`Bag::all`](crate::Bag::all), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!holdall::range(0..100).with(99).all(|limit, n| n < *limit)?);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn all<F>(&self, predicate: F) -> Result<bool>
    where
        F: for<'a> Fn(&S, T::Ref<'a>) -> bool + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("all"), Arc::clone(&self.state));
        let fails = move |state: &S, record: T::Ref<'_>| !predicate(state, record);
        Ok(!self.bag.any_at(site, state, fails)?)
    }

    /// [`Bag::for_each`](crate::Bag::for_each), with the state.
    ///
    /// # Errors
    ///
    /// As [`collect`](crate::Bag::collect). Some records may have been seen by then.
    ///
    /// # Examples
    ///
    /// ```
    /// let large = holdall::Counter::new("large");
    /// holdall::range(0..5).with((large.clone(), 3)).for_each(|(large, least), n| {
    ///     if n >= *least {
    ///         large.add(1);
    ///     }
    /// })?;
    /// assert_eq!(large.value(), 2);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn for_each<F>(&self, op: F) -> Result<()>
    where
        F: for<'a> Fn(&S, T::Ref<'a>) + Send + Sync + 'static,
    {
        let fold = Fold {
            site: Site::new("for_each"),
            initial: (),
            state: Arc::clone(&self.state),
            op,
            make: |(): &()| (),
            add: |op: &F, state: &S, (), record: T::Ref<'_>| op(state, record),
            types: PhantomData,
        };
        self.bag.run_fold(&fold, |_, _, (), ()| ())
    }

    /// [`Bag::try_for_each`](crate::Bag::try_for_each), with the state.
    ///
    /// # Errors
    ///
    /// [`Closure`](crate::ErrorKind::Closure) with the error of `op` and the record's place; or as
    /// [`collect`](crate::Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let texts = holdall::from_vec(vec!["7", "ff"]);
    /// let check = |radix: &u32, text: &str| u32::from_str_radix(text, *radix).map(drop);
    /// assert!(texts.clone().with(16).try_for_each(check).is_ok());
    /// assert!(texts.with(10).try_for_each(check).is_err());
    /// ```
    #[track_caller]
    pub fn try_for_each<E, F>(&self, op: F) -> Result<()>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> Result<(), E> + Send + Sync + 'static,
    {
        let (site, state) = (Site::new("try_for_each"), Arc::clone(&self.state));
        self.bag.try_for_each_at(site, state, op)
    }
}
