//! `flat_map_str`: any number of pieces of text for each record, borrowed from it. Narrow.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::Step;
use crate::pipeline::{Data, Record, Ref};
use crate::portable::portable;
use crate::task::{Flow, Site, Task};

pub(crate) struct FlatMapStr<S, F> {
    pub(crate) state: Arc<S>,
    pub(crate) op: F,
    pub(crate) site: Site,
}

portable! {
    [S: Data + Sync, F] FlatMapStr<S, F> { site: part, state: state, op: code }
}

impl<In, S, F> Step<In> for FlatMapStr<S, F>
where
    In: Record + ?Sized,
    S: Data + Sync,
    F: for<'a, 'e> Fn(&S, Ref<'a, In>, &'e mut (dyn FnMut(&str) + 'e)) + Send + Sync + 'static,
{
    type Out = str;

    #[inline]
    fn push<K>(&self, record: Ref<'_, In>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: FnMut(&str) -> Flow,
    {
        let mut flow = ControlFlow::Continue(());
        task.call(&self.site, || {
            (self.op)(&self.state, record, &mut |text| {
                if In::IS_STREAM && task.has_failed() {
                    flow = ControlFlow::Break(());
                }
                if flow.is_continue() {
                    flow = sink(text);
                }
            })
        });
        flow
    }
}
