//! `flat_map`: any number of records for each record. `filter_map` and `flatten` are cases of it. Narrow.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Step;
use crate::pipeline::{Data, Record, Ref};
use crate::portable::portable;
use crate::task::{Flow, Site, Task};

pub(crate) struct FlatMap<S, F, I> {
    pub(crate) state: Arc<S>,
    pub(crate) op: F,
    pub(crate) site: Site,
    pub(crate) out: PhantomData<fn() -> I>,
}

portable! {
    [S: Data + Sync, F, I] FlatMap<S, F, I> { site: part, state: state, op: code, out: part }
}

impl<In, S, F, I> Step<In> for FlatMap<S, F, I>
where
    In: Record + ?Sized,
    S: Data + Sync,
    F: for<'a> Fn(&S, Ref<'a, In>) -> I + Send + Sync + 'static,
    I: IntoIterator + 'static,
    I::Item: 'static,
{
    type Out = I::Item;

    #[inline]
    fn push<K>(&self, record: Ref<'_, In>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: FnMut(I::Item) -> Flow,
    {
        // The iterator may run code of the program at each step, so each is watched over.
        let mut records = task.call(&self.site, || (self.op)(&self.state, record).into_iter());
        if In::IS_STREAM && task.has_failed() {
            return ControlFlow::Break(());
        }
        loop {
            let next = task.call(&self.site, || records.next());
            match next {
                Some(out) => sink(out)?,
                None => return ControlFlow::Continue(()),
            }
        }
    }
}
