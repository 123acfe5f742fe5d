//! `flat_map`: any number of records for each record. `filter_map` and `flatten` are special cases of it. Narrow.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::Step;
use crate::pipeline::{Call, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, STOP_CHECK_RECORDS, Site, Task};

pub(crate) struct FlatMap<C, I> {
    op: C,
    site: Site,
    out: PhantomData<fn() -> I>,
}

portable! {
    [C: Portable, I] FlatMap<C, I> { site: part, op: part, out: part }
}

impl<C, I> FlatMap<C, I> {
    pub(crate) fn new(op: C, site: Site) -> Self {
        let out = PhantomData;
        Self { op, site, out }
    }
}

impl<In, C, I> Step<In> for FlatMap<C, I>
where
    In: Record + ?Sized,
    C: for<'a> Call<(Ref<'a, In>,), Out = I>,
    I: IntoIterator + 'static,
    I::Item: 'static,
{
    type Out = I::Item;

    #[inline]
    fn push<K>(&self, record: Ref<'_, In>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: FnMut(I::Item) -> Flow,
    {
        // The iterator may run user code at each step, so `call` guards each step.
        let mut records = task.call(&self.site, || self.op.call((record,)).into_iter());
        if In::IS_STREAM && task.has_failed() {
            return ControlFlow::Break(());
        }
        // The source checks only between its records, and the iterator of one may be endless. Short ones are not counted,
        // so that the compiler can unroll them.
        let is_short = |most| most <= STOP_CHECK_RECORDS;
        let most = task.call(&self.site, || records.size_hint().1);
        let mut unchecked = match most.is_some_and(is_short) {
            true => usize::MAX,
            false => STOP_CHECK_RECORDS,
        };
        loop {
            let next = task.call(&self.site, || records.next());
            match next {
                Some(out) => sink(out)?,
                None => return ControlFlow::Continue(()),
            }
            unchecked -= 1;
            if unchecked == 0 {
                if task.is_stopped() {
                    return ControlFlow::Break(());
                }
                unchecked = STOP_CHECK_RECORDS;
            }
        }
    }
}
