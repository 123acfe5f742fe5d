//! `top`, `bottom` and related actions: the first few records in the order of a comparison.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::collect::{Sending, receive};
use crate::error::Result;
use crate::pipeline::{Action, Call, Data, Peek, Pipeline, Record};
use crate::portable::{Portable, portable};
use crate::summary::Ranked;
use crate::task::{Flow, Partition, Site, Task};

pub(crate) struct Top<T: ?Sized, C> {
    pub(crate) site: Site,
    pub(crate) n: usize,
    pub(crate) compare: C,
    pub(crate) records: PhantomData<fn(&T)>,
}

portable! {
    [T: ?Sized, C: Portable] Top<T, C> { site: part, n: data, compare: part, records: part }
}

impl<T, C> Top<T, C>
where
    T: Record<Owned: Data> + ?Sized,
    C: for<'a> Call<(Peek<'a, T>, Peek<'a, T>), Out = Ordering>,
{
    /// The comparison as a closure. It is the same one for all methods, so that sorting by it is compiled once.
    #[inline]
    fn order(&self) -> impl for<'a> Fn(Peek<'a, T>, Peek<'a, T>) -> Ordering {
        |a, b| self.compare.call((a, b))
    }

    /// Merges two parts, of which the second has later records.
    pub(crate) fn merge(&self, mut ranked: Ranked<T>, later: Ranked<T>) -> Ranked<T> {
        ranked.merge(later, &self.order());
        ranked
    }

    pub(crate) fn sorted(&self, ranked: Ranked<T>) -> Vec<T::Owned> {
        ranked.into_sorted(&self.order())
    }
}

impl<T, C> Action<T> for Top<T, C>
where
    T: Record<Owned: Data> + ?Sized,
    C: for<'a> Call<(Peek<'a, T>, Peek<'a, T>), Out = Ordering>,
{
    type Part = Ranked<T>;

    fn site(&self) -> Site {
        self.site
    }

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<Ranked<T>>
    where
        P: Pipeline<Out = T>,
    {
        let mut ranked = Ranked::new(self.n);
        let order = self.order();
        let _ = pipeline.run(partition, task, &mut |record| {
            task.call(&self.site, || ranked.offer(record, &order));
            ControlFlow::Continue(())
        })?;
        Ok(ranked)
    }

    fn send<P>(
        &self,
        pipeline: &P,
        partition: Partition,
        task: &Task<'_>,
        emit: &mut dyn FnMut(Vec<u8>) -> Result<Flow>,
    ) -> Result<()>
    where
        P: Pipeline<Out = T>,
    {
        let ranked = self.compute(pipeline, partition, task)?;
        let records = task.call(&self.site, || self.sorted(ranked));
        let mut sending = Sending::new(self.site, task, emit);
        let _ = records.iter().try_for_each(|record| sending.push(record));
        sending.finish()
    }

    fn receive(&self, bytes: &[u8]) -> Result<Ranked<T>> {
        Ok(Ranked::of(self.n, receive(bytes, self.site)?))
    }
}
