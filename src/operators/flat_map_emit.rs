//! `flat_map_emit`: any number of records for each record, which a closure emits. `flat_map_str` and `flat_map_bytes`
//! are special cases of it, whose records are borrowed. Narrow.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::Step;
use super::try_step::Outcome;
use crate::pipeline::{Call, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Site, Task};

pub(crate) struct FlatMapEmit<C, U: ?Sized, R> {
    op: C,
    site: Site,
    types: PhantomData<fn(&U) -> R>,
}

portable! {
    [C: Portable, U: ?Sized, R] FlatMapEmit<C, U, R> { site: part, op: part, types: part }
}

impl<C, U: ?Sized, R> FlatMapEmit<C, U, R> {
    pub(crate) fn new(op: C, site: Site) -> Self {
        let types = PhantomData;
        Self { op, site, types }
    }
}

impl<In, C, U, R> Step<In> for FlatMapEmit<C, U, R>
where
    In: Record + ?Sized,
    U: Record + ?Sized,
    R: Outcome,
    C: for<'a, 'e> Call<(Ref<'a, In>, &'e mut (dyn for<'u> FnMut(Ref<'u, U>) + 'e)), Out = R>,
{
    type Out = U;

    #[inline]
    fn push<K>(&self, record: Ref<'_, In>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: for<'u> FnMut(Ref<'u, U>) -> Flow,
    {
        let mut flow = ControlFlow::Continue(());
        let outcome = task.call(&self.site, || {
            let mut emit = |record: Ref<'_, U>| {
                if In::IS_STREAM && task.has_failed() {
                    flow = ControlFlow::Break(());
                }
                if flow.is_continue() {
                    flow = sink(record);
                }
            };
            self.op.call((record, &mut emit))
        });
        match outcome.into_result() {
            Ok(()) => flow,
            Err(error) => task.fail(self.site, error),
        }
    }
}
