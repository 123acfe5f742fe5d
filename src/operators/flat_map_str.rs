//! `flat_map_str`: any number of text slices for each record, borrowed from it. Narrow.

use std::ops::ControlFlow;

use super::Step;
use crate::pipeline::{Call, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Site, Task};

pub(crate) struct FlatMapStr<C> {
    pub(crate) op: C,
    pub(crate) site: Site,
}

portable! {
    [C: Portable] FlatMapStr<C> { site: part, op: part }
}

impl<In, C> Step<In> for FlatMapStr<C>
where
    In: Record + ?Sized,
    C: for<'a, 'e> Call<(Ref<'a, In>, &'e mut (dyn FnMut(&str) + 'e)), Out = ()>,
{
    type Out = str;

    #[inline]
    fn push<K>(&self, record: Ref<'_, In>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: FnMut(&str) -> Flow,
    {
        let mut flow = ControlFlow::Continue(());
        task.call(&self.site, || {
            let mut emit = |text: &str| {
                if In::IS_STREAM && task.has_failed() {
                    flow = ControlFlow::Break(());
                }
                if flow.is_continue() {
                    flow = sink(text);
                }
            };
            self.op.call((record, &mut emit));
        });
        flow
    }
}
