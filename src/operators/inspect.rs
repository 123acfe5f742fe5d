//! `inspect`: calls a closure with each record and passes the record on. Narrow.

use std::sync::Arc;

use super::Step;
use crate::pipeline::{Data, Peek, Record, Ref};
use crate::portable::portable;
use crate::task::{Flow, Site, Task};

pub(crate) struct Inspect<S, F> {
    pub(crate) state: Arc<S>,
    pub(crate) op: F,
    pub(crate) site: Site,
}

portable! {
    [S: Data + Sync, F] Inspect<S, F> { site: part, state: state, op: code }
}

impl<T, S, F> Step<T> for Inspect<S, F>
where
    T: Record + ?Sized,
    S: Data + Sync,
    F: for<'a> Fn(&S, Peek<'a, T>) + Send + Sync + 'static,
{
    type Out = T;

    const KEEPS_KEYS: bool = true;

    #[inline]
    fn push<K>(&self, record: Ref<'_, T>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        task.call(&self.site, || (self.op)(&self.state, T::peek(&record)));
        sink(record)
    }
}
