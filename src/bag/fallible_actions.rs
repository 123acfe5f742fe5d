//! Actions with closures that may fail.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Bag;
use crate::error::{BoxError, Result, caught};
use crate::operators::actions::TryFold;
use crate::pipeline::{Call, Data, Given, Initial, Pipeline, Plain, Record};
use crate::task::Site;

/// Actions whose closures may fail. Each runs a job, which ends with the first error.
impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Like `fold_at`, with closures that may fail.
    fn try_fold_at<A, E, Make, Add>(
        &self,
        site: Site,
        make: Make,
        add: Add,
        merge: impl Fn(A, A) -> Result<A, E> + Send + Sync,
    ) -> Result<A>
    where
        A: Data,
        E: Into<BoxError> + 'static,
        Make: Call<(), Out = A>,
        Add: for<'a> Call<(A, T::Ref<'a>), Out = Result<A, E>>,
    {
        let (types, error) = (PhantomData, PhantomData);
        let fold = TryFold {
            site,
            make,
            add,
            types,
            error,
        };
        let mut merged = None;
        self.run(&fold, |task, later| {
            // Without the value of an earlier partition, the job has failed.
            let Some(later) = later.filter(|_| !task.has_failed()) else {
                return ControlFlow::Break(());
            };
            let sum = task.call(&site, || match merged.take() {
                None => Ok(later),
                Some(merged) => merge(merged, later),
            });
            match sum {
                Ok(sum) => {
                    merged = Some(sum);
                    ControlFlow::Continue(())
                }
                Err(error) => task.fail(site, error),
            }
        })?;
        caught(Some(site), || {
            Ok(merged.unwrap_or_else(|| fold.make.call(())))
        })
    }

    /// Like [`fold`](Bag::fold), with a closure that may fail. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns [`Closure`](crate::ErrorKind::Closure) with the error of `op`, or the same errors as
    /// [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let product = |product: u8, n: u8| product.checked_mul(n).ok_or("overflow");
    /// assert_eq!(holdall::range(1..6_u8).try_fold(1, product)?, 120);
    /// assert!(holdall::range(1..7_u8).try_fold(1, product).unwrap_err().to_string().contains("overflow"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_fold<E, F>(&self, initial: T::Owned, op: F) -> Result<T::Owned>
    where
        T::Owned: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        F: Fn(T::Owned, T::Owned) -> Result<T::Owned, E> + Send + Sync + 'static,
    {
        self.try_fold_owned_at(Site::new("try_fold"), initial, Plain(op))
    }

    pub(super) fn try_fold_owned_at<E, C>(
        &self,
        site: Site,
        initial: T::Owned,
        op: C,
    ) -> Result<T::Owned>
    where
        T::Owned: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        C: Call<(T::Owned, T::Owned), Out = Result<T::Owned, E>>,
    {
        let op = Arc::new(op);
        let add = |op: &Arc<C>, folded: T::Owned, record: T::Ref<'_>| {
            op.call((folded, T::into_owned(record)))
        };
        let add = Given(Arc::clone(&op), add);
        let merge = |folded, later| op.call((folded, later));
        self.try_fold_at(site, Initial(initial), add, merge)
    }

    /// Like [`reduce`](Bag::reduce), with a closure that may fail. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns [`Closure`](crate::ErrorKind::Closure) with the error of `op`, or the same errors as
    /// [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let sum = holdall::range(1..6_u8).try_reduce(|a, b| a.checked_add(b).ok_or("overflow"))?;
    /// assert_eq!(sum, Some(15));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn try_reduce<E, F>(&self, op: F) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        E: Into<BoxError> + 'static,
        F: Fn(T::Owned, T::Owned) -> Result<T::Owned, E> + Send + Sync + 'static,
    {
        self.try_reduce_at(Site::new("try_reduce"), Plain(op))
    }

    pub(super) fn try_reduce_at<E, C>(&self, site: Site, op: C) -> Result<Option<T::Owned>>
    where
        T::Owned: Data,
        E: Into<BoxError> + 'static,
        C: Call<(T::Owned, T::Owned), Out = Result<T::Owned, E>>,
    {
        let op = Arc::new(op);
        let add = |op: &Arc<C>, reduced: Option<T::Owned>, record: T::Ref<'_>| {
            let record = T::into_owned(record);
            match reduced {
                None => Ok(Some(record)),
                Some(reduced) => op.call((reduced, record)).map(Some),
            }
        };
        let add = Given(Arc::clone(&op), add);
        let merge = |reduced, later| match (reduced, later) {
            (Some(reduced), Some(later)) => op.call((reduced, later)).map(Some),
            (reduced, later) => Ok(reduced.or(later)),
        };
        self.try_fold_at(site, Plain(|| None), add, merge)
    }

    /// Like [`aggregate`](Bag::aggregate), with closures that may fail. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns [`Closure`](crate::ErrorKind::Closure) with the error of `op` or `merge`, or the same errors as
    /// [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// let texts = holdall::from_vec(vec!["3", "5", "x"]);
    /// let add = |sum: u32, text: &str| Ok::<_, std::num::ParseIntError>(sum + text.parse::<u32>()?);
    /// let error = texts.try_aggregate(0, add, |sum, later| Ok(sum + later)).unwrap_err();
    /// assert!(error.to_string().contains("invalid digit"));
    /// ```
    #[track_caller]
    pub fn try_aggregate<A, E, Op, Merge>(&self, initial: A, op: Op, merge: Merge) -> Result<A>
    where
        A: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        Op: for<'a> Fn(A, T::Ref<'a>) -> Result<A, E> + Send + Sync + 'static,
        Merge: Fn(A, A) -> Result<A, E> + Send + Sync + 'static,
    {
        self.try_aggregate_at(Site::new("try_aggregate"), initial, Plain(op), merge)
    }

    pub(super) fn try_aggregate_at<A, E, C>(
        &self,
        site: Site,
        initial: A,
        op: C,
        merge: impl Fn(A, A) -> Result<A, E> + Send + Sync,
    ) -> Result<A>
    where
        A: Data + Clone + Sync,
        E: Into<BoxError> + 'static,
        C: for<'a> Call<(A, T::Ref<'a>), Out = Result<A, E>>,
    {
        self.try_fold_at(site, Initial(initial), op, merge)
    }
}
