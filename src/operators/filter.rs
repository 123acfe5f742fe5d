//! `filter`: the records for which a predicate returns `true`. Narrow.

use std::ops::ControlFlow;

use super::Step;
use crate::pipeline::{Call, Owned, Peek, Record, Ref, retain};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Site, Task};

pub(crate) struct Filter<C> {
    pub(crate) predicate: C,
    pub(crate) site: Site,
}

portable! {
    [C: Portable] Filter<C> { site: part, predicate: part }
}

impl<C> Filter<C> {
    #[inline(always)]
    fn keeps<T>(&self, record: &Ref<'_, T>, task: &Task<'_>) -> bool
    where
        T: Record + ?Sized,
        C: for<'a> Call<(Peek<'a, T>,), Out = bool>,
    {
        task.call(&self.site, || self.predicate.call((T::peek(record),)))
    }
}

impl<T, C> Step<T> for Filter<C>
where
    T: Record + ?Sized,
    C: for<'a> Call<(Peek<'a, T>,), Out = bool>,
{
    type Out = T;

    const KEEPS_RECORDS: bool = true;
    const TAKES_BATCHES: bool = true;

    #[inline]
    fn push<K>(&self, record: Ref<'_, T>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        if self.keeps::<T>(&record, task) {
            sink(record)
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Has no branch that depends on the record, which the CPU could not predict.
    #[inline]
    fn count(&self, record: Ref<'_, T>, task: &Task<'_>, count: &mut u64) -> Flow {
        *count += u64::from(self.keeps::<T>(&record, task));
        ControlFlow::Continue(())
    }

    fn push_batch(&self, records: &mut Vec<Owned<T>>, task: &Task<'_>, out: &mut Vec<Owned<T>>) {
        task.call(&self.site, || {
            retain(records, |record| {
                self.predicate.call((T::peek_owned(record),))
            });
        });
        out.clear();
        std::mem::swap(records, out);
    }
}
