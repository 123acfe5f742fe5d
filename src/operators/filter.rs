//! `filter`: the records for which a predicate returns `true`. Narrow.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::Step;
use crate::pipeline::{Data, Peek, Record, Ref};
use crate::portable::portable;
use crate::task::{Flow, Site, Task};

pub(crate) struct Filter<S, F> {
    pub(crate) state: Arc<S>,
    pub(crate) predicate: F,
    pub(crate) site: Site,
}

portable! {
    [S: Data + Sync, F] Filter<S, F> { site: part, state: state, predicate: code }
}

impl<T, S, F> Step<T> for Filter<S, F>
where
    T: Record + ?Sized,
    S: Data + Sync,
    F: for<'a> Fn(&S, Peek<'a, T>) -> bool + Send + Sync + 'static,
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
        if kept {
            sink(record)
        } else {
            ControlFlow::Continue(())
        }
    }
}
