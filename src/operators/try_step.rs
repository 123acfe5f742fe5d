//! The common part of the `try_` operators, whose closures may return an error that ends the job. Narrow.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::Step;
use crate::error::BoxError;
use crate::pipeline::{Call, Peek, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Site, Task};

/// Result of a closure besides the records that it emits: `()`, or a `Result` if it may fail.
pub(crate) trait Outcome: 'static {
    type Error: Into<BoxError>;

    fn into_result(self) -> Result<(), Self::Error>;
}

impl Outcome for () {
    type Error = Infallible;

    #[inline(always)]
    fn into_result(self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl<E> Outcome for Result<(), E>
where
    E: Into<BoxError> + 'static,
{
    type Error = E;

    #[inline(always)]
    fn into_result(self) -> Self {
        self
    }
}

/// A step over `Result`s: it passes values on and ends the job at the first error.
pub(crate) struct Unwrap {
    pub(crate) site: Site,
}

portable! {
    [] Unwrap { site: part }
}

impl<T, E> Step<Result<T, E>> for Unwrap
where
    T: 'static,
    E: Into<BoxError> + 'static,
{
    type Out = T;

    #[inline]
    fn push<K>(&self, record: Ref<'_, Result<T, E>>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: FnMut(T) -> Flow,
    {
        match record {
            Ok(record) => sink(record),
            Err(error) => task.fail(self.site, error),
        }
    }
}

/// A step over the values of fallible closures that have no task: ends the job at the first `None`, which stands for an
/// error that was [stored](crate::task::fail_task).
pub(crate) struct UnwrapStored;

portable! {
    [] UnwrapStored {}
}

impl<K: 'static, C: 'static> Step<(K, Option<C>)> for UnwrapStored {
    type Out = (K, C);

    #[inline]
    fn push<S>(&self, (key, value): (K, Option<C>), task: &Task<'_>, sink: &mut S) -> Flow
    where
        S: FnMut((K, C)) -> Flow,
    {
        match value {
            Some(value) => sink((key, value)),
            None => stored(task),
        }
    }
}

impl<A: 'static> Step<Option<A>> for UnwrapStored {
    type Out = A;

    #[inline]
    fn push<S>(&self, value: Option<A>, task: &Task<'_>, sink: &mut S) -> Flow
    where
        S: FnMut(A) -> Flow,
    {
        match value {
            Some(value) => sink(value),
            None => stored(task),
        }
    }
}

/// Ends the job with the stored error.
#[cold]
fn stored(task: &Task<'_>) -> Flow {
    match task.take_stored() {
        Err(error) => task.fail_with(error),
        // An operator before this step has reported it.
        Ok(()) => ControlFlow::Break(()),
    }
}

/// A filter whose predicate may fail.
pub(crate) struct TryFilter<C, E> {
    predicate: C,
    site: Site,
    error: PhantomData<fn() -> E>,
}

portable! {
    [C: Portable, E] TryFilter<C, E> { site: part, predicate: part, error: part }
}

impl<C, E> TryFilter<C, E> {
    pub(crate) fn new(predicate: C, site: Site) -> Self {
        let error = PhantomData;
        Self {
            predicate,
            site,
            error,
        }
    }
}

impl<T, C, E> Step<T> for TryFilter<C, E>
where
    T: Record + ?Sized,
    C: for<'a> Call<(Peek<'a, T>,), Out = Result<bool, E>>,
    E: Into<BoxError> + 'static,
{
    type Out = T;

    const KEEPS_RECORDS: bool = true;

    #[inline]
    fn push<K>(&self, record: Ref<'_, T>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        let kept = task.call(&self.site, || self.predicate.call((T::peek(&record),)));
        match kept {
            Ok(true) => sink(record),
            Ok(false) => ControlFlow::Continue(()),
            Err(error) => task.fail(self.site, error),
        }
    }
}
