//! Actions: methods that run a job and give back a value.

use std::iter::Sum;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Bag;
use crate::error::{Result, caught};
use crate::operators::actions::{Collect, Count, Fold, TryForEach};
use crate::pipeline::{Action, Data, Pipeline, Record};
use crate::scheduler::ResultStage;
use crate::task::{Flow, Site, Task};

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Runs a job: `compute` gives a result for each partition, and `consume` takes them in order.
    pub(super) fn run<A>(
        &self,
        action: &A,
        consume: impl FnMut(&Task<'_>, A::Part) -> Flow + Send,
    ) -> Result<()>
    where
        A: Action<T>,
    {
        let job = self.context.job(&self.node)?;
        job.run_map_stages()?;
        let stage = ResultStage::new(&*self.pipeline, action, consume);
        job.run_result_stage(&stage)
    }

    /// Runs a job that folds each partition by `op`, from what `initial` gives on, and the results by `merge`, in
    /// order. `site` is where these closures are from.
    pub(super) fn run_fold<I, S, A, F, Make, Add>(
        &self,
        fold: &Fold<T, I, S, A, F, Make, Add>,
        merge: impl Fn(&F, &S, A, A) -> A + Send + Sync,
    ) -> Result<A>
    where
        I: Data + Sync,
        S: Data + Sync,
        A: Data,
        F: Send + Sync + 'static,
        Make: Fn(&I) -> A + Send + Sync + 'static,
        Add: for<'a> Fn(&F, &S, A, T::Ref<'a>) -> A + Send + Sync + 'static,
    {
        let mut merged = None;
        self.run(fold, |task, later| {
            merged = task.call(&fold.site, || {
                Some(match merged.take() {
                    None => later,
                    Some(merged) => merge(&fold.op, &fold.state, merged, later),
                })
            });
            ControlFlow::Continue(())
        })?;
        caught(Some(fold.site), || {
            Ok(merged.unwrap_or_else(|| (fold.make)(&fold.initial)))
        })
    }

    /// All records, in order: by partition, then by position. Runs a job.
    ///
    /// They must fit into memory; [`iter`](Bag::iter) goes through them one by one, [`write_text`](Bag::write_text)
    /// puts them into files.
    ///
    /// # Errors
    ///
    /// Whatever ends the job: an error of a source, a closure that [panics or fails](crate#errors-and-panics), a type
    /// that [cannot travel](crate#types-of-records), or a call from within a closure of another job
    /// ([`NestedJob`](crate::ErrorKind::NestedJob)).
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
        let mut all = Vec::new();
        let collect = Collect::all(Site::new("collect"));
        self.run(&collect, |_, mut records: Vec<_>| {
            if all.is_empty() {
                all = records;
            } else {
                all.append(&mut records);
            }
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }

    /// The number of records. Runs a job.
    ///
    /// # Errors
    ///
    /// As [`collect`](Bag::collect).
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

    /// Whether there are no records. Runs a job, which stops at the first record.
    ///
    /// # Errors
    ///
    /// As [`collect`](Bag::collect).
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

    /// The first record, in the order of [`collect`](Bag::collect). Runs a job, which stops at the first record.
    ///
    /// # Errors
    ///
    /// As [`collect`](Bag::collect).
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

    /// The first `n` records, in the order of [`collect`](Bag::collect), or all if there are fewer. Runs a job.
    ///
    /// It begins with the first partition, and takes in more of them, four times as many each time, until it has found
    /// enough records. Stages before a shuffle have no such end: they run in full.
    ///
    /// # Errors
    ///
    /// As [`collect`](Bag::collect).
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

    /// Runs `action` on a few partitions at first, then on more, until `consume` says of a part that it is enough.
    pub(super) fn run_until<A: Action<T>>(
        &self,
        action: &A,
        is_enough: &AtomicBool,
        mut consume: impl FnMut(A::Part) -> bool + Send,
    ) -> Result<()> {
        let job = self.context.job(&self.node)?;
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
        job.run_result_stage_by(&stage, |run, executor| {
            let mut partitions = 1_usize;
            while !run.is_exhausted() && !is_enough.load(Ordering::Relaxed) {
                executor.run(&|| run.work(partitions))?;
                if job.state().is_stopped() {
                    break;
                }
                partitions = partitions.saturating_mul(5);
            }
            Ok(())
        })
    }

    /// Combines all records, by `op`, to one; `None` if there are none. Runs a job.
    ///
    /// Records are combined in their order, first within each partition, then across partitions; so `op` must be
    /// associative, but need not be commutative. For floating-point numbers, which are not quite, the result depends on
    /// the partitioning, but not on the run.
    ///
    /// # Errors
    ///
    /// As [`collect`](Bag::collect).
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
        self.reduce_at(
            Site::new("reduce"),
            Arc::new(()),
            op,
            |op, (), a, b| op(a, T::into_owned(b)),
            |op, (), a, b| op(a, b),
        )
    }

    /// Combines all records, where `add` takes one in.
    pub(super) fn reduce_at<S: Data + Sync, F: Send + Sync + 'static>(
        &self,
        site: Site,
        state: Arc<S>,
        op: F,
        add: impl for<'a> Fn(&F, &S, T::Owned, T::Ref<'a>) -> T::Owned + Send + Sync + 'static,
        merge: impl Fn(&F, &S, T::Owned, T::Owned) -> T::Owned + Send + Sync,
    ) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
    {
        let fold = Fold {
            site,
            initial: (),
            state,
            op,
            make: |(): &()| None,
            add: move |op: &F, state: &S, reduced, record: T::Ref<'_>| {
                Some(match reduced {
                    None => T::into_owned(record),
                    Some(reduced) => add(op, state, reduced, record),
                })
            },
            types: PhantomData,
        };
        self.run_fold(&fold, |op, state, reduced, later| match (reduced, later) {
            (Some(reduced), Some(later)) => Some(merge(op, state, reduced, later)),
            (reduced, later) => reduced.or(later),
        })
    }

    /// Folds all records, from `initial` on, by `op`. Runs a job.
    ///
    /// Each partition is folded by itself, and then their results are; so `op` must be associative, and `initial` must
    /// change nothing: 0 for a sum. Records keep their order.
    ///
    /// # Errors
    ///
    /// As [`collect`](Bag::collect).
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
        let fold = Fold {
            site: Site::new("fold"),
            initial,
            state: Arc::new(()),
            op,
            make: T::Owned::clone,
            add: |op: &F, (): &(), folded, record: T::Ref<'_>| op(folded, T::into_owned(record)),
            types: PhantomData,
        };
        self.run_fold(&fold, |op, (), folded, later| op(folded, later))
    }

    /// Folds the records of each partition, from `initial` on, by `op`, and the results of the partitions by `merge`.
    /// Runs a job.
    ///
    /// `initial` is taken once for each partition, so it must change nothing. Records and partitions keep their order.
    ///
    /// # Errors
    ///
    /// As [`collect`](Bag::collect).
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
        let fold = Fold {
            site: Site::new("aggregate"),
            initial,
            state: Arc::new(()),
            op,
            make: A::clone,
            add: |op: &Op, (): &(), folded, record: T::Ref<'_>| op(folded, record),
            types: PhantomData,
        };
        self.run_fold(&fold, |_, (), folded, later| merge(folded, later))
    }

    /// The sum of all records. Runs a job.
    ///
    /// It overflows as `+` does. A sum of floating-point numbers depends on the partitioning, but not on the run.
    ///
    /// # Errors
    ///
    /// As [`collect`](Bag::collect).
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
        let fold = Fold {
            site: Site::new("sum"),
            initial: (),
            state: Arc::new(()),
            op: (),
            make: |(): &()| std::iter::empty::<S>().sum::<S>(),
            add: |(): &(), (): &(), sum: S, record: T::Ref<'_>| {
                [sum, std::iter::once(record).sum()].into_iter().sum::<S>()
            },
            types: PhantomData,
        };
        self.run_fold(&fold, |(), (), sum, later| [sum, later].into_iter().sum())
    }

    /// Calls `op` with each record, on many threads at once; those of one partition come in their order. Runs a job.
    ///
    /// Once, unless a spilled file is found damaged: then it is called with the records of that partition again.
    ///
    /// For a loop on this thread, in the order of the bag, there is [`iter`](Bag::iter).
    ///
    /// # Errors
    ///
    /// As [`collect`](Bag::collect). Some records may have been seen by then.
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
        let fold = Fold {
            site: Site::new("for_each"),
            initial: (),
            state: Arc::new(()),
            op,
            make: |(): &()| (),
            add: |op: &F, (): &(), (), record: T::Ref<'_>| op(record),
            types: PhantomData,
        };
        self.run_fold(&fold, |_, (), (), ()| ())
    }

    /// Calls `op` with each record, on many threads at once, until one call fails. Runs a job. It may see a record again,
    /// as that of [`for_each`](Bag::for_each) may.
    ///
    /// # Errors
    ///
    /// [`Closure`](crate::ErrorKind::Closure) with the error of `op` and the record's place; or as
    /// [`collect`](Bag::collect).
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
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: for<'a> Fn(T::Ref<'a>) -> Result<(), E> + Send + Sync + 'static,
    {
        let site = Site::new("try_for_each");
        let op = move |(): &(), record: T::Ref<'_>| op(record);
        self.try_for_each_at(site, Arc::new(()), op)
    }

    pub(super) fn try_for_each_at<S, E, F>(&self, site: Site, state: Arc<S>, op: F) -> Result<()>
    where
        S: Data + Sync,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: for<'a> Fn(&S, T::Ref<'a>) -> Result<(), E> + Send + Sync + 'static,
    {
        let each = TryForEach {
            site,
            state,
            op,
            error: PhantomData,
        };
        self.run(&each, |_, ()| ControlFlow::Continue(()))
    }
}
