//! Actions: methods that run a job and return a value.

use std::iter::Sum;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Bag;
use super::partial::{accept_partial, may_be_partial};
use crate::error::{BoxError, Result, caught};
use crate::operators::actions::{Collect, Count, Fold, TryForEach};
use crate::operators::map_partitions::Records;
use crate::operators::try_step::Outcome;
use crate::pipeline::{Action, Call, Data, Given, Initial, Pipeline, Plain, Record};
use crate::scheduler::ResultStage;
use crate::task::{Flow, Site, StageCode as _, Task};

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Runs a job: `action` computes a result for each partition, and `consume` receives the results in order. The last
    /// ones may be missing within [`Bag::partial`].
    pub(super) fn run<A>(
        &self,
        action: &A,
        consume: impl FnMut(&Task<'_>, A::Part) -> Flow + Send,
    ) -> Result<()>
    where
        A: Action<T>,
    {
        let job = self.context.job(&self.node, action.site())?;
        job.run_map_stages()?;
        let stage = ResultStage::new(&*self.pipeline, action, consume);
        let stage = stage.holding_chunks(may_be_partial());
        let outcome = job.run_result_stage(&stage);
        accept_partial(outcome, stage.partitions_done(), stage.partitions())
    }

    /// Like [`run`](Self::run), but no results may be missing.
    pub(super) fn run_whole<A>(
        &self,
        action: &A,
        consume: impl FnMut(&Task<'_>, A::Part) -> Flow + Send,
    ) -> Result<()>
    where
        A: Action<T>,
    {
        let job = self.context.job(&self.node, action.site())?;
        job.run_map_stages()?;
        let stage = ResultStage::new(&*self.pipeline, action, consume);
        job.run_result_stage(&stage)
    }

    /// Runs a job that folds each partition by `add`, beginning with the value that `make` returns, and then the values
    /// of the partitions by `merge`, in order.
    pub(super) fn fold_at<A, Make, Add>(
        &self,
        site: Site,
        make: Make,
        add: Add,
        merge: impl Fn(A, A) -> A + Send + Sync,
    ) -> Result<A>
    where
        A: Data,
        Make: Call<(), Out = A>,
        Add: for<'a> Call<(A, T::Ref<'a>), Out = A>,
    {
        let types = PhantomData;
        let fold = Fold {
            site,
            make,
            add,
            types,
        };
        let mut merged = None;
        self.run(&fold, |task, later| {
            merged = task.call(&site, || {
                Some(match merged.take() {
                    None => later,
                    Some(merged) => merge(merged, later),
                })
            });
            ControlFlow::Continue(())
        })?;
        caught(Some(fold.site), || {
            Ok(merged.unwrap_or_else(|| fold.make.call(())))
        })
    }

    /// Returns all records, in order: by partition, then by position. Runs a job.
    ///
    /// The records must fit into memory. To process them one at a time, use [`iter`](Bag::iter); to write them to
    /// files, use [`write_text`](Bag::write_text).
    ///
    /// # Errors
    ///
    /// Returns the error that ended the job:
    ///
    /// - an error of a source, such as [`Io`](crate::ErrorKind::Io);
    /// - a closure that [panics or fails](crate#errors-and-panics);
    /// - a record type that [cannot be serialised](crate#types-of-records);
    /// - [memory or disk](crate#memory-and-disk) that does not suffice, or spill files that are damaged again and again;
    /// - a [cancellation or a deadline](crate#cancellation-and-deadlines);
    /// - [worker processes](crate#worker-processes) that cannot be started or are lost again and again, and closures that
    ///   cannot be sent to them;
    /// - a call from within a closure of another job ([`NestedJob`](crate::ErrorKind::NestedJob)); or
    /// - an invalid [environment variable](crate#settings-and-environment), if the bag is in the default context.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(0..4).collect()?, [0, 1, 2, 3]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn collect(&self) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
    {
        self.collect_at(Site::new("collect"))
    }

    pub(crate) fn collect_at(&self, site: Site) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
    {
        let mut all = Vec::new();
        self.run(&Collect::all(site), |_, records| append(&mut all, records))?;
        Ok(all)
    }

    /// Like [`collect_at`](Self::collect_at), but no records may be missing.
    pub(crate) fn collect_whole_at(&self, site: Site) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
    {
        let mut all = Vec::new();
        self.run_whole(&Collect::all(site), |_, records| append(&mut all, records))?;
        Ok(all)
    }

    /// Returns the number of records. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(0..10).filter(|n| n % 3 == 0).count()?, 4);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn count(&self) -> Result<u64> {
        let mut count = 0;
        let site = Site::new("count");
        self.run(&Count { site }, |_, partition| {
            count += partition;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// Returns `true` if the bag has no records. Runs a job, which stops at the first record.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(holdall::range(0..10).filter(|n| *n > 10).is_empty()?);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn is_empty(&self) -> Result<bool> {
        Ok(!self.has_any_at(Site::new("is_empty"))?)
    }

    /// Returns the first record, in the order of [`collect`](Bag::collect), or `None` if the bag is empty. Runs a job,
    /// which stops at the first record.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(5..10).first()?, Some(5));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn first(&self) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
    {
        Ok(self.take_at(Site::new("first"), 1)?.pop())
    }

    /// Returns the first `n` records, in the order of [`collect`](Bag::collect), or all records if there are fewer.
    /// Runs a job, unless `n` is 0.
    ///
    /// The job first processes one partition. Then each round processes four times as many partitions as all rounds
    /// before, until enough records are found. Stages before a shuffle cannot stop early: they run completely.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(0..1_000_000).filter(|n| n % 7 == 6).take(3)?, [6, 13, 20]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn take(&self, n: usize) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
    {
        self.take_at(Site::new("take"), n)
    }

    pub(super) fn take_at(&self, site: Site, n: usize) -> Result<Vec<T::Owned>>
    where
        T::Owned: Data,
    {
        if n == 0 {
            return Ok(Vec::new());
        }
        let take = Collect::most(site, n);
        let mut found = Vec::new();
        self.run_until(&take, &AtomicBool::new(false), |records: Vec<_>| {
            let missing = n - found.len();
            found.extend(records.into_iter().take(missing));
            found.len() == n
        })?;
        Ok(found)
    }

    /// Runs `action` on one partition, then on more and more of them, until `consume` returns `true` for a result.
    pub(super) fn run_until<A: Action<T>>(
        &self,
        action: &A,
        is_enough: &AtomicBool,
        mut consume: impl FnMut(A::Part) -> bool + Send,
    ) -> Result<()> {
        let job = self.context.job(&self.node, action.site())?;
        job.run_map_stages()?;
        let stage = ResultStage::new(&*self.pipeline, action, |_, part| {
            if is_enough.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            is_enough.store(consume(part), Ordering::Relaxed);
            if is_enough.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let stage = stage.holding_chunks(may_be_partial());
        let outcome = job.run_result_stage_by(&stage, |run, executor| {
            let mut partitions = 1_usize;
            while !run.is_exhausted() && !is_enough.load(Ordering::Relaxed) {
                run.work_on(executor, partitions)?;
                if job.state().is_stopped() {
                    break;
                }
                partitions = partitions.saturating_mul(5);
            }
            Ok(())
        });
        accept_partial(outcome, stage.partitions_done(), stage.partitions())
    }

    /// Combines all records into one with `op`, or returns `None` if the bag is empty. Runs a job.
    ///
    /// Records are combined in order, first within each partition, then across partitions. `op` must therefore be
    /// associative, but need not be commutative. Floating-point arithmetic is not exactly associative, so its result
    /// depends on the partitioning, but not on the run.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let text = holdall::from_vec(vec!["a", "b", "c"]).map(str::to_owned).reduce(|a, b| a + &b)?;
    /// assert_eq!(text.as_deref(), Some("abc"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn reduce<F>(&self, op: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        F: Fn(T::Owned, T::Owned) -> T::Owned + Send + Sync + 'static,
    {
        self.reduce_owned_at(Site::new("reduce"), Plain(op))
    }

    pub(super) fn reduce_owned_at<C>(&self, site: Site, op: C) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        C: Call<(T::Owned, T::Owned), Out = T::Owned>,
    {
        let op = Arc::new(op);
        let add = |op: &Arc<C>, reduced: T::Owned, record: T::Ref<'_>| {
            op.call((reduced, T::into_owned(record)))
        };
        let merge = |reduced, later| op.call((reduced, later));
        self.reduce_at(site, Given(Arc::clone(&op), add), merge)
    }

    /// Reduces the records of each partition by `add`, and then the values of the partitions by `merge`.
    pub(super) fn reduce_at<Add>(
        &self,
        site: Site,
        add: Add,
        merge: impl Fn(T::Owned, T::Owned) -> T::Owned + Send + Sync,
    ) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        Add: for<'a> Call<(T::Owned, T::Ref<'a>), Out = T::Owned>,
    {
        let add_to_option = |add: &Add, reduced: Option<T::Owned>, record: T::Ref<'_>| {
            Some(match reduced {
                None => T::into_owned(record),
                Some(reduced) => add.call((reduced, record)),
            })
        };
        self.fold_at(
            site,
            Plain(|| None),
            Given(add, add_to_option),
            |reduced, later| match (reduced, later) {
                (Some(reduced), Some(later)) => Some(merge(reduced, later)),
                (reduced, later) => reduced.or(later),
            },
        )
    }

    /// Folds all records with `op`, starting from `initial`. Runs a job.
    ///
    /// Each partition is folded separately, then the results are folded in order. `op` must therefore be associative,
    /// and `initial` must be neutral: 0 for a sum.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(1..6).fold(1, |product, n| product * n)?, 120);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn fold<F>(&self, initial: T::Owned, op: F) -> Result<T::Owned>
    where
        T::Owned: Data + Clone + Sync,
        F: Fn(T::Owned, T::Owned) -> T::Owned + Send + Sync + 'static,
    {
        self.fold_owned_at(Site::new("fold"), initial, Plain(op))
    }

    pub(super) fn fold_owned_at<C>(&self, site: Site, initial: T::Owned, op: C) -> Result<T::Owned>
    where
        T::Owned: Data + Clone + Sync,
        C: Call<(T::Owned, T::Owned), Out = T::Owned>,
    {
        let op = Arc::new(op);
        let add = |op: &Arc<C>, folded: T::Owned, record: T::Ref<'_>| {
            op.call((folded, T::into_owned(record)))
        };
        let add = Given(Arc::clone(&op), add);
        self.fold_at(site, Initial(initial), add, |folded, later| {
            op.call((folded, later))
        })
    }

    /// Folds the records of each partition with `op`, starting from `initial`, and merges the results of the partitions
    /// with `merge`. Runs a job.
    ///
    /// Each partition starts from `initial`, which must therefore be neutral. Records and partitions keep their order.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let words = holdall::from_vec(vec!["a", "bag", "of", "words"]);
    /// let letters = words.aggregate(0, |sum, word| sum + word.len(), |sum, later| sum + later)?;
    /// assert_eq!(letters, 11);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn aggregate<A, Op, Merge>(&self, initial: A, op: Op, merge: Merge) -> Result<A>
    where
        A: Data + Clone + Sync,
        Op: for<'a> Fn(A, T::Ref<'a>) -> A + Send + Sync + 'static,
        Merge: Fn(A, A) -> A + Send + Sync + 'static,
    {
        self.aggregate_at(Site::new("aggregate"), initial, Plain(op), merge)
    }

    pub(super) fn aggregate_at<A, C>(
        &self,
        site: Site,
        initial: A,
        op: C,
        merge: impl Fn(A, A) -> A + Send + Sync,
    ) -> Result<A>
    where
        A: Data + Clone + Sync,
        C: for<'a> Call<(A, T::Ref<'a>), Out = A>,
    {
        self.fold_at(site, Initial(initial), op, merge)
    }

    /// Returns the sum of all records. Runs a job.
    ///
    /// On overflow, it behaves as `+` does. A floating-point sum depends on the partitioning, but not on the run.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::range(0..101).sum::<u64>()?, 5050);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn sum<S>(&self) -> Result<S>
    where
        S: for<'a> Sum<T::Ref<'a>> + Sum<S> + Data,
    {
        let add = |sum: S, record: T::Ref<'_>| {
            [sum, std::iter::once(record).sum()].into_iter().sum::<S>()
        };
        let make = || std::iter::empty::<S>().sum::<S>();
        self.fold_at(Site::new("sum"), Plain(make), Plain(add), |sum, later| {
            [sum, later].into_iter().sum()
        })
    }

    /// Calls `op` with each record, on several threads concurrently. Runs a job.
    ///
    /// `op` receives the records of each partition in order, and each record once. If a spill file is found damaged,
    /// `op` is called again with the records of that partition.
    ///
    /// To process the records in order on the current thread, use [`iter`](Bag::iter).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`collect`](Bag::collect). `op` may already have been called with some records.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// static SUM: AtomicU64 = AtomicU64::new(0);
    /// holdall::range(0..5).for_each(|n| {
    ///     SUM.fetch_add(n, Ordering::Relaxed);
    /// })?;
    /// assert_eq!(SUM.load(Ordering::Relaxed), 10);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn for_each<F>(&self, op: F) -> Result<()>
    where
        F: for<'a> Fn(T::Ref<'a>) + Send + Sync + 'static,
    {
        self.for_each_at(Site::new("for_each"), Plain(op))
    }

    pub(super) fn for_each_at<C>(&self, site: Site, op: C) -> Result<()>
    where
        C: for<'a> Call<(T::Ref<'a>,), Out = ()>,
    {
        let add = Given(op, |op: &C, (), record: T::Ref<'_>| op.call((record,)));
        self.fold_at(site, Plain(|| ()), add, |(), ()| ())
    }

    /// Calls `op` with the records of each partition, on several threads concurrently: for work that needs a set-up, such
    /// as a connection. Runs a job.
    ///
    /// `op` is called once for each partition, also for an empty one. As in [`for_each`](Bag::for_each), it may be called
    /// again with the same partition.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`for_each`](Bag::for_each).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// static SUM: AtomicU64 = AtomicU64::new(0);
    /// holdall::range(0..5).for_each_partition(|numbers| {
    ///     let sum = numbers.fold(0, |sum, n| sum + n);
    ///     SUM.fetch_add(sum, Ordering::Relaxed);
    /// })?;
    /// assert_eq!(SUM.load(Ordering::Relaxed), 10);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn for_each_partition<F>(&self, op: F) -> Result<()>
    where
        F: for<'r> Fn(Records<'r, T>) + Send + Sync + 'static,
    {
        self.for_each_partition_at(Site::new("for_each_partition"), Plain(op))
    }

    /// Calls `op` with the records of each partition, on several threads concurrently, until a call fails. Runs a job.
    /// Otherwise, it is like [`for_each_partition`](Bag::for_each_partition).
    ///
    /// # Errors
    ///
    /// Returns [`Closure`](crate::ErrorKind::Closure), with the error of `op`, or the same errors as
    /// [`for_each`](Bag::for_each).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = holdall::range_partitioned(0..6, 3);
    /// let outcome = numbers.try_for_each_partition(|numbers| match numbers.count() {
    ///     2 => Ok(()),
    ///     _ => Err("another number of records"),
    /// });
    /// assert!(outcome.is_ok());
    /// ```
    #[track_caller]
    pub fn try_for_each_partition<E, F>(&self, op: F) -> Result<()>
    where
        E: Into<BoxError> + 'static,
        F: for<'r> Fn(Records<'r, T>) -> Result<(), E> + Send + Sync + 'static,
    {
        self.for_each_partition_at(Site::new("try_for_each_partition"), Plain(op))
    }

    pub(super) fn for_each_partition_at<R, C>(&self, site: Site, op: C) -> Result<()>
    where
        R: Outcome,
        C: for<'r> Call<(Records<'r, T>,), Out = R>,
    {
        let run =
            |op: &C, _: usize, records: Records<'_, T>, _: &mut dyn FnMut(())| op.call((records,));
        let none = self.clone().map_partitions_at(site, Given(op, run));
        none.for_each_at(site, Plain(|()| ()))
    }

    /// Calls `op` with each record, on several threads concurrently, until a call fails. Runs a job. As in
    /// [`for_each`](Bag::for_each), `op` may be called again with the same record.
    ///
    /// # Errors
    ///
    /// Returns [`Closure`](crate::ErrorKind::Closure), with the error of `op` and the location of the record, or the
    /// same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let texts = holdall::from_vec(vec!["1", "x"]);
    /// let error = texts.try_for_each(|text| text.parse::<u32>().map(drop)).unwrap_err();
    /// assert!(error.to_string().contains("try_for_each"));
    /// ```
    #[track_caller]
    pub fn try_for_each<E, F>(&self, op: F) -> Result<()>
    where
        E: Into<BoxError> + 'static,
        F: for<'a> Fn(T::Ref<'a>) -> Result<(), E> + Send + Sync + 'static,
    {
        self.try_for_each_at(Site::new("try_for_each"), Plain(op))
    }

    pub(super) fn try_for_each_at<E, C>(&self, site: Site, op: C) -> Result<()>
    where
        E: Into<BoxError> + 'static,
        C: for<'a> Call<(T::Ref<'a>,), Out = Result<(), E>>,
    {
        let error = PhantomData;
        let each = TryForEach { site, op, error };
        self.run(&each, |_, ()| ControlFlow::Continue(()))
    }
}

fn append<R>(all: &mut Vec<R>, mut records: Vec<R>) -> Flow {
    if all.is_empty() {
        *all = records;
    } else {
        all.append(&mut records);
    }
    ControlFlow::Continue(())
}
