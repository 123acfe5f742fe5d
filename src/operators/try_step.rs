//! The common part of the `try_` operators, whose closures may return an error that ends the job. Narrow.

use std::ops::ControlFlow;

use super::Step;
use crate::pipeline::{Data, Record, Ref};
use crate::portable::portable;
use crate::task::{Flow, Site, Task};

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
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
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

/// A filter whose predicate may fail.
pub(crate) struct TryFilter<S, F> {
    pub(crate) state: std::sync::Arc<S>,
    pub(crate) predicate: F,
    pub(crate) site: Site,
}

portable! {
    [S: Data + Sync, F] TryFilter<S, F> { site: part, state: state, predicate: code }
}

impl<T, S, F, E> Step<T> for TryFilter<S, F>
where
    T: Record + ?Sized,
    S: Data + Sync,
    F: for<'a> Fn(&S, crate::pipeline::Peek<'a, T>) -> Result<bool, E> + Send + Sync + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Out = T;

    const KEEPS_KEYS: bool = true;

    #[inline]
    fn push<K>(&self, record: Ref<'_, T>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        let kept = task.call(&self.site, || {
            (self.predicate)(&self.state, T::peek(&record))
        });
        match kept {
            Ok(true) => sink(record),
            Ok(false) => ControlFlow::Continue(()),
            Err(error) => task.fail(self.site, error),
        }
    }
}
