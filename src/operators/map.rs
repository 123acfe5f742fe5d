//! `map`: one record for each record. Narrow.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::Step;
use crate::pipeline::{Call, Owned, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Site, Task};

pub(crate) struct Map<C, U> {
    op: C,
    site: Site,
    out: PhantomData<fn() -> U>,
}

portable! {
    [C: Portable, U] Map<C, U> { site: part, op: part, out: part }
}

impl<C, U> Map<C, U> {
    pub(crate) fn new(op: C, site: Site) -> Self {
        let out = PhantomData;
        Self { op, site, out }
    }
}

impl<In, C, U> Step<In> for Map<C, U>
where
    In: Record + ?Sized,
    C: for<'a> Call<(Ref<'a, In>,), Out = U>,
    U: 'static,
{
    type Out = U;

    const IS_ONE_TO_ONE: bool = true;
    const TAKES_BATCHES: bool = true;

    #[inline]
    fn push<K>(&self, record: Ref<'_, In>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: FnMut(U) -> Flow,
    {
        let out = task.call(&self.site, || self.op.call((record,)));
        if In::IS_STREAM && task.has_failed() {
            return ControlFlow::Break(());
        }
        sink(out)
    }

    fn push_batch(&self, records: &mut Vec<Owned<In>>, task: &Task<'_>, out: &mut Vec<U>) {
        task.call(&self.site, || {
            let op = |record| In::lend(record, |record| self.op.call((record,)));
            out.clear();
            out.extend(records.drain(..).map(op));
        });
    }
}
