//! `take_sample`: the records with the smallest random numbers.

use std::collections::BinaryHeap;
use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::collect::{Sending, receive};
use crate::error::Result;
use crate::operators::random::Chance;
use crate::operators::sample::RandomRank;
use crate::pipeline::{Action, Data, Pipeline, Record};
use crate::portable::portable;
use crate::task::{Flow, Partition, Site, Task};

/// Chooses the `n` records with the smallest random ranks: each set of `n` records is as likely as any other. As in
/// Vitter's reservoir sampling (Random sampling with a reservoir, 1985), one pass suffices, and the number of records
/// need not be known.
pub(crate) struct TakeSample<T: ?Sized> {
    pub(crate) site: Site,
    pub(crate) n: usize,
    pub(crate) seed: u64,
    pub(crate) records: PhantomData<fn(&T)>,
}

portable! {
    [T: ?Sized] TakeSample<T> { site: part, n: data, seed: data, records: part }
}

/// The records with the smallest ranks so far, in any order.
pub(crate) type Chosen<R> = Vec<(RandomRank, R)>;

/// Keeps the `n` records with the smallest ranks.
pub(crate) fn keep_least<R>(chosen: &mut Chosen<R>, n: usize) {
    if chosen.len() > n {
        chosen.select_nth_unstable_by_key(n, |(rank, _)| *rank);
        chosen.truncate(n);
    }
}

impl<T: Record<Owned: Data> + ?Sized> Action<T> for TakeSample<T> {
    type Part = Chosen<T::Owned>;

    fn site(&self) -> Site {
        self.site
    }

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<Self::Part>
    where
        P: Pipeline<Out = T>,
    {
        let number = partition.index as u64;
        let mut chance = Chance::new(self.seed, partition.index);
        let mut position = 0;
        // The ranks of the records in `chosen`, and their indices there.
        let mut ranks = BinaryHeap::new();
        let mut chosen: Self::Part = Vec::new();
        let _ = pipeline.run(partition, task, &mut |record| {
            let rank = (chance.next_bits(), number, position);
            position += 1;
            if chosen.len() < self.n {
                ranks.push((rank, chosen.len()));
                chosen.push((rank, T::into_owned(record)));
            } else if let Some(mut greatest) = ranks.peek_mut()
                && rank < greatest.0
            {
                let at = greatest.1;
                *greatest = (rank, at);
                // Dropping a record may run user code.
                task.call(&self.site, || chosen[at] = (rank, T::into_owned(record)));
            }
            ControlFlow::Continue(())
        })?;
        Ok(chosen)
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
        let chosen = self.compute(pipeline, partition, task)?;
        let mut sending = Sending::new(self.site, task, emit);
        let _ = chosen.iter().try_for_each(|record| sending.push(record));
        sending.finish()
    }

    fn receive(&self, bytes: &[u8]) -> Result<Self::Part> {
        receive(bytes, self.site)
    }
}
