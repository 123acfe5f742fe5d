//! `map`: one record for each record. Narrow.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Step;
use crate::pipeline::{Data, Record, Ref};
use crate::portable::portable;
use crate::task::{Flow, Site, Task};

pub(crate) struct Map<S, F, U> {
    pub(crate) state: Arc<S>,
    pub(crate) op: F,
    pub(crate) site: Site,
    pub(crate) out: PhantomData<fn() -> U>,
}

portable! {
    [S: Data + Sync, F, U] Map<S, F, U> { site: part, state: state, op: code, out: part }
}

impl<In, S, F, U> Step<In> for Map<S, F, U>
where
    In: Record + ?Sized,
    S: Data + Sync,
    F: for<'a> Fn(&S, Ref<'a, In>) -> U + Send + Sync + 'static,
    U: 'static,
{
    type Out = U;

    #[inline]
    fn push<K>(&self, record: Ref<'_, In>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: FnMut(U) -> Flow,
    {
        let out = task.call(&self.site, || (self.op)(&self.state, record));
        if In::IS_STREAM && task.has_failed() {
            return ControlFlow::Break(());
        }
        sink(out)
    }
}
