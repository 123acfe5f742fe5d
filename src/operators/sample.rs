//! `sample` and related methods: a random, but reproducible, selection of the records. Narrow.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::random::Chance;
use crate::error::Result;
use crate::pipeline::{Call, Data, Owned, Peek, Pipeline, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, STOP_CHECK_RECORDS, Task};

/// Keeps the records whose random number is in the range that `cell` returns.
pub(crate) struct Sample<P, C> {
    pub(crate) parent: Arc<P>,
    pub(crate) cell: C,
    pub(crate) seed: u64,
}

portable! {
    [P: Portable, C: Portable] Sample<P, C> { parent: part, cell: part, seed: data }
}

/// A part of `0.0..1.0`, from the first number up to the second.
type Span = (f64, f64);

/// The same range for all records.
pub(crate) struct Cell(pub(crate) Span);

portable! { [] Cell { 0: data } }

impl<A> Call<A> for Cell {
    type Out = Span;

    #[inline(always)]
    fn call(&self, _: A) -> Span {
        self.0
    }
}

/// A range for each key.
pub(crate) struct CellOfKey<K>(pub(crate) Arc<HashMap<K, f64>>);

portable! { [K: Data + Sync + Eq + Hash] CellOfKey<K> { 0: state } }

impl<K: Data + Sync + Eq + Hash, V> Call<(&(K, V),)> for CellOfKey<K> {
    type Out = Span;

    fn call(&self, ((key, _),): (&(K, V),)) -> Span {
        (0.0, self.0.get(key).copied().unwrap_or(0.0))
    }
}

impl<P, C> Pipeline for Sample<P, C>
where
    P: Pipeline,
    C: for<'a> Call<(Peek<'a, P::Out>,), Out = Span>,
{
    type Out = P::Out;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, P::Out>) -> Flow,
    {
        let mut chance = Chance::new(self.seed, partition.index);
        self.parent.run(partition, task, &mut |record| {
            let number = chance.next();
            let (from, below) = self.cell.call((P::Out::peek(&record),));
            if from <= number && number < below {
                sink(record)
            } else {
                ControlFlow::Continue(())
            }
        })
    }
}

/// Repeats each record a random number of times, with a Poisson distribution.
pub(crate) struct Repeat<P> {
    pub(crate) parent: Arc<P>,
    pub(crate) mean: f64,
    pub(crate) seed: u64,
}

portable! {
    [P: Portable] Repeat<P> { parent: part, mean: data, seed: data }
}

impl<P> Pipeline for Repeat<P>
where
    P: Pipeline<Out: Record<Owned: Clone>>,
{
    type Out = P::Out;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, P::Out>) -> Flow,
    {
        let mut chance = Chance::new(self.seed, partition.index);
        self.parent.run(
            partition,
            task,
            &mut |record| match chance.next_poisson(self.mean) {
                0 => ControlFlow::Continue(()),
                1 => sink(record),
                copies => {
                    let record = P::Out::into_owned(record);
                    for copy in 1..copies {
                        if copy.is_multiple_of(STOP_CHECK_RECORDS as u64) && task.is_stopped() {
                            return ControlFlow::Break(());
                        }
                        P::Out::lend(record.clone(), &mut *sink)?;
                    }
                    P::Out::lend(record, &mut *sink)
                }
            },
        )
    }
}

/// A random number, and the place of its record: no two records of a bag have the same rank.
pub(crate) type RandomRank = (u64, u64, u64);

/// Pairs each record with a random number.
pub(crate) struct WithRandom<P> {
    pub(crate) parent: Arc<P>,
    pub(crate) seed: u64,
}

portable! {
    [P: Portable] WithRandom<P> { parent: part, seed: data }
}

impl<P: Pipeline> Pipeline for WithRandom<P> {
    type Out = (u64, Owned<P::Out>);

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(Self::Out) -> Flow,
    {
        let mut chance = Chance::new(self.seed, partition.index);
        self.parent.run(partition, task, &mut |record| {
            sink((chance.next_bits(), P::Out::into_owned(record)))
        })
    }
}
