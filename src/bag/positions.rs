//! Transformations that depend on the position of a record in the bag.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Bag;
use super::joins::SideFilter;
use crate::error::BoxError;
use crate::id::ShuffleId;
use crate::lineage::{Node, Parent};
use crate::operators::Narrow;
use crate::operators::flat_map::FlatMap;
use crate::operators::records_by_key::Pairs;
use crate::operators::scan::{Numbered, Scan, Scanned, Summarize};
use crate::operators::scans::{
    Intersperse, RunningFold, SkipWhile, Slice, StepBy, TakeWhile, WithIndex,
};
use crate::operators::try_step::UnwrapStored;
use crate::pipeline::{Call, Data, Given, Initial, Pipeline, Plain, Record};
use crate::shuffle::HashPartitioner;
use crate::task::{Site, fail_task};

/// Transformations by position. They keep partitions and order.
///
/// A separate stage first summarises each partition, for example counts its records, and only the summaries are
/// shuffled. A job therefore computes the bag twice, and the bag must be finite. If computing it is expensive, or if the
/// source can be read only once, [`persist`](Bag::persist) the bag first. A method that only counts the records does not
/// compute them if their number is known: that of [`from_vec`](crate::from_vec) and [`range`](crate::range), also after
/// `map`, `inspect` and methods by position.
///
/// # Errors
///
/// An action fails with [`NotRepeatable`](crate::ErrorKind::NotRepeatable) if a partition has another number of records
/// the second time, with [`StreamReadTwice`](crate::ErrorKind::StreamReadTwice) if the bag reads a pipe, and with
/// [`BroadcastTooLarge`](crate::ErrorKind::BroadcastTooLarge) if the summaries exceed half of the memory budget.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Adds the stage that summarises each partition for `scan`.
    pub(super) fn summaries<C: Scan<T>>(&self, site: Site, scan: Arc<C>) -> (ShuffleId, Parent) {
        self.clone()
            .then(site, |parent| Summarize { parent, scan, site })
            .records_by_key::<Pairs<(), Numbered<C::Summary>>>(
                site,
                HashPartitioner::new(1),
                true,
                SideFilter::None,
            )
    }

    pub(super) fn scan_at<C: Scan<T>>(self, site: Site, scan: C) -> Bag<C::Out, Scanned<P, C>> {
        let scan = Arc::new(scan);
        let (summaries, dependency) = self.summaries(site, Arc::clone(&scan));
        let node = Node::broadcast(site, self.partitions(), &self.node, dependency);
        let scanned = Scanned {
            parent: self.pipeline,
            summaries,
            scan,
            site,
        };
        Bag::new(scanned, node, self.context)
    }

    /// Pairs each record with its index in the [order](crate#order-and-partitions) of the bag, starting from 0. Keeps
    /// partitions and order.
    ///
    /// A separate stage first counts the records of each partition, and only these counts are shuffled. A job therefore
    /// computes the bag twice, and the bag must be finite. If computing it is expensive, or if the source can be read
    /// only once, [`persist`](Bag::persist) the bag first.
    ///
    /// # Errors
    ///
    /// An action fails with [`NotRepeatable`](crate::ErrorKind::NotRepeatable) if a partition has another number of records
    /// the second time, and with [`StreamReadTwice`](crate::ErrorKind::StreamReadTwice) if the bag reads a pipe.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["to", "be", "or"]).zip_with_index();
    /// assert_eq!(words.collect()?, [("to", 0), ("be", 1), ("or", 2)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn zip_with_index(self) -> Bag<(T::Owned, u64), impl Pipeline<Out = (T::Owned, u64)>> {
        self.scan_at(Site::new("zip_with_index"), WithIndex)
    }

    /// Keeps the first `n` records. Keeps partitions and order; later partitions become empty.
    ///
    /// This is a transformation: to get the records themselves, use [`take`](Bag::take). A separate stage first counts
    /// up to `n` records of each partition, unless their number is known. Partitions after the `n`th record are not computed
    /// again.
    ///
    /// # Examples
    ///
    /// ```
    /// let sum = holdall::range(0..1000).map(|n| n * n).limit(3).sum::<u64>()?;
    /// assert_eq!(sum, 0 + 1 + 4);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn limit(self, n: u64) -> Bag<T, impl Pipeline<Out = T>> {
        self.slice_at(Site::new("limit"), 0, Some(n))
    }

    /// Drops the first `n` records. Keeps partitions and order.
    ///
    /// A separate stage first counts up to `n` records of each partition, unless their number is known. To skip the
    /// first line of each file, use [`TextReader::skip_header`](crate::TextReader::skip_header).
    ///
    /// # Examples
    ///
    /// ```
    /// let rest = holdall::range(0..10).skip(7);
    /// assert_eq!(rest.collect()?, [7, 8, 9]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn skip(self, n: u64) -> Bag<T, impl Pipeline<Out = T>> {
        self.slice_at(Site::new("skip"), n, None)
    }

    fn slice_at(self, site: Site, from: u64, to: Option<u64>) -> Bag<T, Scanned<P, Slice>> {
        let keyed = self.node.keyed;
        self.scan_at(site, Slice { from, to }).keyed(keyed)
    }

    /// Keeps the first record and then each `n`th after it. Keeps partitions and order.
    ///
    /// # Panics
    ///
    /// Panics if `n` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let thirds = holdall::range(0..10).step_by(3);
    /// assert_eq!(thirds.collect()?, [0, 3, 6, 9]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn step_by(self, n: u64) -> Bag<T, impl Pipeline<Out = T>> {
        assert!(n > 0, "a step of at least 1 record");
        let keyed = self.node.keyed;
        self.scan_at(Site::new("step_by"), StepBy { n })
            .keyed(keyed)
    }

    /// Keeps the records before the first one for which `predicate` returns `false`. Keeps partitions and order; later
    /// partitions become empty.
    ///
    /// # Examples
    ///
    /// ```
    /// let small = holdall::range(0..100).take_while(|n| n * n < 20);
    /// assert_eq!(small.collect()?, [0, 1, 2, 3, 4]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn take_while<F>(self, predicate: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        F: for<'a> Fn(T::Peek<'a>) -> bool + Send + Sync + 'static,
    {
        self.take_while_at(Site::new("take_while"), Plain(predicate))
    }

    pub(super) fn take_while_at<C>(
        self,
        site: Site,
        predicate: C,
    ) -> Bag<T, impl Pipeline<Out = T> + use<T, P, C>>
    where
        C: for<'a> Call<(T::Peek<'a>,), Out = bool>,
    {
        let keyed = self.node.keyed;
        self.scan_at(site, TakeWhile(predicate)).keyed(keyed)
    }

    /// Drops the records before the first one for which `predicate` returns `false`. Keeps partitions and order.
    ///
    /// # Examples
    ///
    /// ```
    /// let rest = holdall::from_vec(vec![1, 2, 9, 3]).skip_while(|n| *n < 5);
    /// assert_eq!(rest.collect()?, [9, 3]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn skip_while<F>(self, predicate: F) -> Bag<T, impl Pipeline<Out = T>>
    where
        F: for<'a> Fn(T::Peek<'a>) -> bool + Send + Sync + 'static,
    {
        self.skip_while_at(Site::new("skip_while"), Plain(predicate))
    }

    pub(super) fn skip_while_at<C>(
        self,
        site: Site,
        predicate: C,
    ) -> Bag<T, impl Pipeline<Out = T> + use<T, P, C>>
    where
        C: for<'a> Call<(T::Peek<'a>,), Out = bool>,
    {
        let keyed = self.node.keyed;
        self.scan_at(site, SkipWhile(predicate)).keyed(keyed)
    }

    /// Inserts `separator` between each two neighbouring records. Keeps partitions and order.
    ///
    /// # Examples
    ///
    /// ```
    /// let path = holdall::from_vec(vec!["usr", "lib"]).intersperse("/");
    /// assert_eq!(path.collect()?, ["usr", "/", "lib"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn intersperse(self, separator: T::Owned) -> Bag<T, impl Pipeline<Out = T>>
    where
        T::Owned: Data + Clone + Sync,
    {
        let intersperse = Intersperse(Initial(separator));
        self.scan_at(Site::new("intersperse"), intersperse)
    }

    /// Folds the records with `op`, starting from `initial`, and returns a bag of the intermediate results: for each
    /// record, the fold of this record and all records before it. Keeps partitions and order.
    ///
    /// A separate stage first folds each partition, starting from `initial`. The results are merged with `merge`, in
    /// order. So `initial` must be neutral, such as 0 for a sum, and `merge` must be associative. The fold of the
    /// records before a partition is the start of its own fold. Each result is a clone.
    ///
    /// # Examples
    ///
    /// Lines, each with the number of words up to its end:
    ///
    /// ```
    /// let lines = holdall::from_vec(vec!["to be", "or", "not to be"]);
    /// let words = lines.running_fold(0, |sum, line| sum + line.split(' ').count(), |sum, later| sum + later);
    /// assert_eq!(words.collect()?, [2, 3, 6]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn running_fold<A, Op, Merge>(
        self,
        initial: A,
        op: Op,
        merge: Merge,
    ) -> Bag<A, impl Pipeline<Out = A>>
    where
        A: Data + Clone + Sync,
        Op: for<'a> Fn(A, T::Ref<'a>) -> A + Send + Sync + 'static,
        Merge: Fn(A, A) -> A + Send + Sync + 'static,
    {
        let (op, merge) = (Plain(op), Plain(merge));
        self.running_fold_at(Site::new("running_fold"), initial, op, merge)
    }

    pub(super) fn running_fold_at<A, C, M>(
        self,
        site: Site,
        initial: A,
        op: C,
        merge: M,
    ) -> Bag<A, impl Pipeline<Out = A> + use<T, P, A, C, M>>
    where
        A: Data + Clone + Sync,
        C: for<'a> Call<(A, T::Ref<'a>), Out = A>,
        M: Call<(A, A), Out = A>,
    {
        let (initial, folded) = (Initial(initial), PhantomData);
        let fold = RunningFold {
            initial,
            op,
            merge,
            folded,
        };
        self.scan_at(site, fold)
    }

    /// Like [`running_fold`](Bag::running_fold), with closures that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let add = |sum: u8, n: u8| sum.checked_add(n).ok_or("overflow");
    /// let sums = holdall::from_vec(vec![100, 50]).try_running_fold(0, add, add);
    /// assert_eq!(sums.collect()?, [100, 150]);
    /// let sums = holdall::from_vec(vec![100, 50, 110]).try_running_fold(0, add, add);
    /// assert!(sums.collect().unwrap_err().to_string().contains("overflow"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_running_fold<A, E, Op, Merge>(
        self,
        initial: A,
        op: Op,
        merge: Merge,
    ) -> Bag<A, impl Pipeline<Out = A>>
    where
        A: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        Op: for<'a> Fn(A, T::Ref<'a>) -> Result<A, E> + Send + Sync + 'static,
        Merge: Fn(A, A) -> Result<A, E> + Send + Sync + 'static,
    {
        let (op, merge) = (Plain(op), Plain(merge));
        self.try_running_fold_at(Site::new("try_running_fold"), initial, op, merge)
    }

    pub(super) fn try_running_fold_at<A, E, C, M>(
        self,
        site: Site,
        initial: A,
        op: C,
        merge: M,
    ) -> Bag<A, impl Pipeline<Out = A> + use<T, P, A, E, C, M>>
    where
        A: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        C: for<'a> Call<(A, T::Ref<'a>), Out = Result<A, E>>,
        M: Call<(A, A), Out = Result<A, E>>,
    {
        let add = |(site, op): &(Site, C), folded: Option<A>, record: T::Ref<'_>| {
            let added = op.call((folded?, record));
            added.map_err(|error| fail_task(*site, error)).ok()
        };
        let merged = |(site, merge): &(Site, M), folded: Option<A>, later: Option<A>| {
            let merged = merge.call((folded?, later?));
            merged.map_err(|error| fail_task(*site, error)).ok()
        };
        let (add, merged) = (Given((site, op), add), Given((site, merge), merged));
        let folded = self.running_fold_at(site, Some(initial), add, merged);
        // This is a step of the same node.
        let pipeline = Narrow::new(folded.pipeline, UnwrapStored);
        Bag::new(pipeline, folded.node, folded.context)
    }

    /// Combines the records with `op`, and returns a bag of the intermediate results: for each record, this record
    /// combined with all records before it. Keeps partitions and order.
    ///
    /// A separate stage first combines the records of each partition, and then these results, in order. So `op` must be
    /// associative, but need not be commutative. Each result is a clone.
    ///
    /// # Examples
    ///
    /// ```
    /// let sums = holdall::range(1..6).running_reduce(|sum, n| sum + n);
    /// assert_eq!(sums.collect()?, [1, 3, 6, 10, 15]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn running_reduce<F>(self, op: F) -> Bag<T::Owned, impl Pipeline<Out = T::Owned>>
    where
        T::Owned: Data + Clone + Sync,
        F: Fn(T::Owned, T::Owned) -> T::Owned + Send + Sync + 'static,
    {
        self.running_reduce_at(Site::new("running_reduce"), Plain(op))
    }

    pub(super) fn running_reduce_at<C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<T::Owned, impl Pipeline<Out = T::Owned> + use<T, P, C>>
    where
        T::Owned: Data + Clone + Sync,
        C: Call<(T::Owned, T::Owned), Out = T::Owned>,
    {
        let op = Arc::new(op);
        let add = |op: &Arc<C>, reduced: Option<T::Owned>, record: T::Ref<'_>| {
            let record = T::into_owned(record);
            Some(match reduced {
                None => record,
                Some(reduced) => op.call((reduced, record)),
            })
        };
        let merge = |op: &Arc<C>, reduced: Option<T::Owned>, later: Option<T::Owned>| match (
            reduced, later,
        ) {
            (Some(reduced), Some(later)) => Some(op.call((reduced, later))),
            (reduced, later) => reduced.or(later),
        };
        let folded =
            self.running_fold_at(site, None, Given(Arc::clone(&op), add), Given(op, merge));
        // None of the results is `None`. This is a step of the same node.
        let unwrap = FlatMap::new(Plain(|reduced: Option<T::Owned>| reduced), site);
        let pipeline = Narrow::new(folded.pipeline, unwrap);
        Bag::new(pipeline, folded.node, folded.context)
    }

    /// Like [`running_reduce`](Bag::running_reduce), with a closure that may fail. The first error ends the job, as in
    /// [`try_map`](Bag::try_map).
    ///
    /// # Examples
    ///
    /// ```
    /// let multiply = |a: u8, b: u8| a.checked_mul(b).ok_or("overflow");
    /// let products = holdall::range(1..6).try_running_reduce(multiply);
    /// assert_eq!(products.collect()?, [1, 2, 6, 24, 120]);
    /// let products = holdall::range(1..7).try_running_reduce(multiply);
    /// assert!(products.collect().unwrap_err().to_string().contains("overflow"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_running_reduce<E, F>(self, op: F) -> Bag<T::Owned, impl Pipeline<Out = T::Owned>>
    where
        T::Owned: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        F: Fn(T::Owned, T::Owned) -> Result<T::Owned, E> + Send + Sync + 'static,
    {
        self.try_running_reduce_at(Site::new("try_running_reduce"), Plain(op))
    }

    pub(super) fn try_running_reduce_at<E, C>(
        self,
        site: Site,
        op: C,
    ) -> Bag<T::Owned, impl Pipeline<Out = T::Owned> + use<T, P, E, C>>
    where
        T::Owned: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        C: Call<(T::Owned, T::Owned), Out = Result<T::Owned, E>>,
    {
        let op = Arc::new(op);
        let add = |op: &Arc<C>, reduced: Option<T::Owned>, record: T::Ref<'_>| {
            let record = T::into_owned(record);
            let reduced = match reduced {
                None => Ok(record),
                Some(reduced) => op.call((reduced, record)),
            };
            reduced.map(Some)
        };
        let merge = |op: &Arc<C>, reduced: Option<T::Owned>, later: Option<T::Owned>| match (
            reduced, later,
        ) {
            (Some(reduced), Some(later)) => op.call((reduced, later)).map(Some),
            (reduced, later) => Ok(reduced.or(later)),
        };
        let (add, merge) = (Given(Arc::clone(&op), add), Given(op, merge));
        let folded = self.try_running_fold_at(site, None, add, merge);
        // None of the results is `None`. This is a step of the same node.
        let unwrap = FlatMap::new(Plain(|reduced: Option<T::Owned>| reduced), site);
        let pipeline = Narrow::new(folded.pipeline, unwrap);
        Bag::new(pipeline, folded.node, folded.context)
    }
}
