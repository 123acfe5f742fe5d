//! The scans that depend on the number of records before a partition, or on a value of them.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use super::random::Chance;
use super::scan::{Scan, Summarized, starts};
use crate::pipeline::{Call, Data, Initial, Owned, Peek, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::Flow;

/// Returns, for each partition, whether the summary of any earlier one is `true`.
fn any_before(partitions: Vec<Summarized<bool>>) -> Vec<bool> {
    let mut any = false;
    let before = |partition: Summarized<bool>| {
        let before = any;
        any |= partition.summary;
        before
    };
    partitions.into_iter().map(before).collect()
}

/// Pairs each record with its index in the bag.
pub(crate) struct WithIndex;

portable! { [] WithIndex {} }

impl<T: Record + ?Sized> Scan<T> for WithIndex {
    type Out = (Owned<T>, u64);
    type Summary = ();
    /// The index of the next record.
    type State = u64;

    const ONLY_COUNTS: bool = true;

    fn empty(&self) {}

    fn states(&self, partitions: Vec<Summarized<()>>) -> Vec<u64> {
        starts(&partitions)
    }

    fn known_count(&self, _: &u64, records: u64) -> Option<u64> {
        Some(records)
    }

    #[inline]
    fn push<S>(&self, index: &mut u64, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: FnMut((Owned<T>, u64)) -> Flow,
    {
        let indexed = (T::into_owned(record), *index);
        *index += 1;
        sink(indexed)
    }
}

/// The first of each `n` records.
pub(crate) struct StepBy {
    pub(crate) n: u64,
}

portable! { [] StepBy { n: data } }

impl<T: Record + ?Sized> Scan<T> for StepBy {
    type Out = T;
    type Summary = ();
    /// Number of records to skip before the next result.
    type State = u64;

    const ONLY_COUNTS: bool = true;

    fn empty(&self) {}

    fn states(&self, partitions: Vec<Summarized<()>>) -> Vec<u64> {
        let to_skip = |start: u64| (self.n - start % self.n) % self.n;
        starts(&partitions).into_iter().map(to_skip).collect()
    }

    fn known_count(&self, to_skip: &u64, records: u64) -> Option<u64> {
        Some(records.saturating_sub(*to_skip).div_ceil(self.n))
    }

    #[inline]
    fn push<S>(&self, to_skip: &mut u64, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        if *to_skip > 0 {
            *to_skip -= 1;
            return ControlFlow::Continue(());
        }
        *to_skip = self.n - 1;
        sink(record)
    }
}

/// The records with an index in `from..to`.
pub(crate) struct Slice {
    pub(crate) from: u64,
    /// `None` if there is no limit.
    pub(crate) to: Option<u64>,
}

portable! { [] Slice { from: data, to: data } }

/// The part of a partition that belongs to a [`Slice`].
#[derive(Clone)]
pub(crate) struct Rest {
    to_skip: u64,
    /// Number of records after those to skip.
    to_take: u64,
}

impl<T: Record + ?Sized> Scan<T> for Slice {
    type Out = T;
    type Summary = ();
    type State = Rest;

    const ONLY_COUNTS: bool = true;

    /// The end of the slice, or the records that it skips.
    fn to_count(&self) -> Option<u64> {
        Some(self.to.unwrap_or(self.from))
    }

    fn empty(&self) {}

    fn states(&self, partitions: Vec<Summarized<()>>) -> Vec<Rest> {
        let state = |(start, partition): (u64, &Summarized<()>)| {
            let to_skip = self.from.saturating_sub(start);
            let mut end = self.to.map_or(u64::MAX, |to| to.saturating_sub(start));
            if partition.is_whole && partition.records <= to_skip {
                end = to_skip;
            }
            Rest {
                to_skip,
                to_take: end.saturating_sub(to_skip),
            }
        };
        let starts = starts(&partitions).into_iter();
        starts.zip(&partitions).map(state).collect()
    }

    fn known_count(&self, rest: &Rest, records: u64) -> Option<u64> {
        Some(records.saturating_sub(rest.to_skip).min(rest.to_take))
    }

    fn is_needed(&self, rest: &Rest) -> bool {
        rest.to_take > 0
    }

    #[inline]
    fn push<S>(&self, rest: &mut Rest, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        if rest.to_skip > 0 {
            rest.to_skip -= 1;
            return ControlFlow::Continue(());
        }
        rest.to_take -= 1;
        sink(record)?;
        if rest.to_take > 0 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

/// The records before the first one for which a predicate returns `false`.
pub(crate) struct TakeWhile<C>(pub(crate) C);

portable! { [C: Portable] TakeWhile<C> { 0: part } }

impl<T, C> Scan<T> for TakeWhile<C>
where
    T: Record + ?Sized,
    C: for<'a> Call<(Peek<'a, T>,), Out = bool>,
{
    type Out = T;
    /// Whether the predicate returns `false` for a record.
    type Summary = bool;
    /// Whether an earlier partition ends the result.
    type State = bool;

    fn empty(&self) -> bool {
        false
    }

    fn add(&self, has_end: &mut bool, record: Ref<'_, T>) -> Flow {
        *has_end = !self.0.call((T::peek(&record),));
        if *has_end {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn states(&self, partitions: Vec<Summarized<bool>>) -> Vec<bool> {
        any_before(partitions)
    }

    fn is_needed(&self, has_ended: &bool) -> bool {
        !has_ended
    }

    #[inline]
    fn push<S>(&self, _: &mut bool, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        if self.0.call((T::peek(&record),)) {
            sink(record)
        } else {
            ControlFlow::Break(())
        }
    }
}

/// The records from the first one for which a predicate returns `false`.
pub(crate) struct SkipWhile<C>(pub(crate) C);

portable! { [C: Portable] SkipWhile<C> { 0: part } }

impl<T, C> Scan<T> for SkipWhile<C>
where
    T: Record + ?Sized,
    C: for<'a> Call<(Peek<'a, T>,), Out = bool>,
{
    type Out = T;
    /// Whether the predicate returns `false` for a record.
    type Summary = bool;
    /// Whether the result has begun.
    type State = bool;

    fn empty(&self) -> bool {
        false
    }

    fn add(&self, has_start: &mut bool, record: Ref<'_, T>) -> Flow {
        *has_start = !self.0.call((T::peek(&record),));
        if *has_start {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn states(&self, partitions: Vec<Summarized<bool>>) -> Vec<bool> {
        any_before(partitions)
    }

    #[inline]
    fn push<S>(&self, has_begun: &mut bool, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        *has_begun = *has_begun || !self.0.call((T::peek(&record),));
        if *has_begun {
            sink(record)
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// All records, with a separator between neighbours.
pub(crate) struct Intersperse<R>(pub(crate) Initial<R>);

portable! { [R: Data] Intersperse<R> { 0: part } }

impl<T> Scan<T> for Intersperse<T::Owned>
where
    T: Record<Owned: Data + Clone + Sync> + ?Sized,
{
    type Out = T;
    /// Whether the partition has a record.
    type Summary = bool;
    /// Whether there is an earlier record.
    type State = bool;

    fn empty(&self) -> bool {
        false
    }

    fn add(&self, has_any: &mut bool, _: Ref<'_, T>) -> Flow {
        *has_any = true;
        ControlFlow::Break(())
    }

    fn states(&self, partitions: Vec<Summarized<bool>>) -> Vec<bool> {
        any_before(partitions)
    }

    #[inline]
    fn push<S>(&self, has_any: &mut bool, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        if std::mem::replace(has_any, true) {
            T::lend(self.0.call(()), &mut *sink)?;
        }
        sink(record)
    }
}

/// `n` records, each chosen from all records of the bag. None if the bag is empty.
pub(crate) struct Draw {
    pub(crate) n: usize,
    pub(crate) seed: u64,
}

portable! { [] Draw { n: data, seed: data } }

/// The records of a partition that were drawn.
#[derive(Clone)]
pub(crate) struct Drawn {
    /// Number of records so far.
    position: u64,
    /// The positions of the drawn records in the partition that have not been reached yet, in descending order.
    drawn: Vec<u64>,
}

impl<T: Record<Owned: Clone> + ?Sized> Scan<T> for Draw {
    type Out = T;
    type Summary = ();
    type State = Drawn;

    const ONLY_COUNTS: bool = true;

    fn empty(&self) {}

    fn states(&self, partitions: Vec<Summarized<()>>) -> Vec<Drawn> {
        let lengths = partitions.iter().map(|partition| partition.records);
        let records = lengths.fold(0, u64::saturating_add);
        let mut chance = Chance::new(self.seed, 0);
        let n = if records == 0 { 0 } else { self.n };
        let mut all: Vec<_> = (0..n).map(|_| chance.next_below(records)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let mut start = 0;
        let state = |partition: &Summarized<()>| {
            let end = start + partition.records;
            let later = all.partition_point(|position| *position >= end);
            let mut drawn = all.split_off(later);
            drawn.iter_mut().for_each(|position| *position -= start);
            start = end;
            Drawn { position: 0, drawn }
        };
        partitions.iter().map(state).collect()
    }

    fn is_needed(&self, drawn: &Drawn) -> bool {
        !drawn.drawn.is_empty()
    }

    #[inline]
    fn push<S>(&self, state: &mut Drawn, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        let position = state.position;
        state.position += 1;
        if state.drawn.last() != Some(&position) {
            return ControlFlow::Continue(());
        }
        let record = T::into_owned(record);
        while state.drawn.pop_if(|drawn| *drawn == position).is_some() {
            T::lend(record.clone(), &mut *sink)?;
        }
        match state.drawn.is_empty() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// The fold of each record and all records before it.
pub(crate) struct RunningFold<A, C, M> {
    pub(crate) initial: Initial<A>,
    pub(crate) op: C,
    pub(crate) merge: M,
    pub(crate) folded: PhantomData<fn() -> A>,
}

portable! {
    [A: Data, C: Portable, M: Portable] RunningFold<A, C, M> {
        initial: part, op: part, merge: part, folded: part,
    }
}

impl<T, A, C, M> Scan<T> for RunningFold<A, C, M>
where
    T: Record + ?Sized,
    A: Data + Clone + Sync,
    C: for<'a> Call<(A, Ref<'a, T>), Out = A>,
    M: Call<(A, A), Out = A>,
{
    type Out = A;
    /// The fold of the records. Always `Some`, except while `op` runs.
    type Summary = Option<A>;
    /// The fold of the records so far. Always `Some`, except while `op` runs.
    type State = Option<A>;

    fn empty(&self) -> Option<A> {
        Some(self.initial.call(()))
    }

    fn add(&self, folded: &mut Option<A>, record: Ref<'_, T>) -> Flow {
        *folded = folded.take().map(|folded| self.op.call((folded, record)));
        ControlFlow::Continue(())
    }

    fn states(&self, partitions: Vec<Summarized<Option<A>>>) -> Vec<Option<A>> {
        let mut folded = self.empty();
        let state = |partition: Summarized<Option<A>>| {
            let state = folded.clone();
            let merged = folded.take().zip(partition.summary);
            folded = merged.map(|(folded, later)| self.merge.call((folded, later)));
            state
        };
        partitions.into_iter().map(state).collect()
    }

    #[inline]
    fn push<S>(&self, folded: &mut Option<A>, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: FnMut(A) -> Flow,
    {
        self.add(folded, record)?;
        folded.clone().map_or(ControlFlow::Continue(()), sink)
    }
}
