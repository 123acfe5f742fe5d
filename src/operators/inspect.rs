//! `inspect`: calls a closure with each record and passes the record on. Narrow.

use super::Step;
use crate::pipeline::{Call, Peek, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Site, Task};

pub(crate) struct Inspect<C> {
    pub(crate) op: C,
    pub(crate) site: Site,
}

portable! {
    [C: Portable] Inspect<C> { site: part, op: part }
}

impl<T, C> Step<T> for Inspect<C>
where
    T: Record + ?Sized,
    C: for<'a> Call<(Peek<'a, T>,), Out = ()>,
{
    type Out = T;

    const KEEPS_RECORDS: bool = true;
    const IS_ONE_TO_ONE: bool = true;

    #[inline]
    fn push<K>(&self, record: Ref<'_, T>, task: &Task<'_>, sink: &mut K) -> Flow
    where
        K: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        task.call(&self.site, || self.op.call((T::peek(&record),)));
        sink(record)
    }
}
