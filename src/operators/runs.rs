//! The scans of runs: neighbouring records that belong together, also across the ends of partitions.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::scan::{Scan, Summarized};
use crate::pipeline::{Call, Data, Owned, Peek, Record, Ref};
use crate::portable::{Portable, portable};
use crate::task::Flow;

/// A way to combine runs: neighbouring records that belong together.
pub(crate) trait CombineRun<T: Record + ?Sized>: Portable + Send + Sync + 'static {
    /// Common property of the records of a run, or its first record.
    type Key: Data + Clone + Sync;
    type Value: Data + Clone + Sync;
    type Out: Record + ?Sized;

    /// Adds a record to the run before it. If it does not belong to that run, returns the run that it begins.
    fn extend(
        &self,
        run: Option<&mut (Self::Key, Self::Value)>,
        record: Ref<'_, T>,
    ) -> Option<(Self::Key, Self::Value)>;

    /// Returns whether a run continues in the run that has the key `next`.
    fn continues(&self, run: &(Self::Key, Self::Value), next: &Self::Key) -> bool;

    /// Appends the later part of a run.
    fn append(&self, value: &mut Self::Value, later: Self::Value);

    /// Pushes the result of a run.
    fn emit<S>(&self, run: (Self::Key, Self::Value), sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow;
}

/// The results of all runs. Each is in the partition in which the run ends.
pub(crate) struct Runs<R>(pub(crate) R);

portable! { [R: Portable] Runs<R> { 0: part } }

impl<R> Runs<R> {
    /// Appends the later part of a run to the part before it.
    fn joined<T>(
        &self,
        before: Option<(R::Key, R::Value)>,
        later: (R::Key, R::Value),
    ) -> (R::Key, R::Value)
    where
        T: Record + ?Sized,
        R: CombineRun<T>,
    {
        match before {
            None => later,
            Some((key, mut value)) => {
                self.0.append(&mut value, later.1);
                (key, value)
            }
        }
    }
}

/// The runs at the ends of a partition.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ends<K, V> {
    /// The key of the first run.
    first: Option<K>,
    /// Whether there is no other run.
    is_only: bool,
    last: Option<(K, V)>,
}

/// The first and the last run of a partition, as the other partitions determine them.
#[derive(Clone)]
pub(crate) struct OpenRun<K, V> {
    /// The run at the end of earlier partitions, if it continues in this one and ends there.
    run: Option<(K, V)>,
    /// Whether the last run continues in a later partition.
    continues: bool,
    /// Whether the only run of the partition continues in a later partition.
    is_inside: bool,
}

/// The last run of the partitions so far.
struct LastRun<K, V> {
    /// The partition with its last record.
    partition: usize,
    /// The part in earlier partitions.
    before: Option<(K, V)>,
    /// The part in the last partition.
    run: (K, V),
    is_only: bool,
}

impl<T: Record + ?Sized, R: CombineRun<T>> Scan<T> for Runs<R> {
    type Out = R::Out;
    type Summary = Ends<R::Key, R::Value>;
    type State = OpenRun<R::Key, R::Value>;

    fn empty(&self) -> Self::Summary {
        Ends {
            first: None,
            is_only: true,
            last: None,
        }
    }

    fn add(&self, ends: &mut Self::Summary, record: Ref<'_, T>) -> Flow {
        if let Some(run) = self.0.extend(ends.last.as_mut(), record) {
            match &ends.first {
                None => ends.first = Some(run.0.clone()),
                Some(_) => ends.is_only = false,
            }
            ends.last = Some(run);
        }
        ControlFlow::Continue(())
    }

    fn states(&self, partitions: Vec<Summarized<Self::Summary>>) -> Vec<Self::State> {
        let open = |_: &_| OpenRun {
            run: None,
            continues: false,
            is_inside: false,
        };
        let mut states: Vec<Self::State> = partitions.iter().map(open).collect();
        let mut last: Option<LastRun<R::Key, R::Value>> = None;
        for (partition, summarized) in partitions.into_iter().enumerate() {
            let Ends {
                first: Some(first),
                is_only,
                last: Some(run),
            } = summarized.summary
            else {
                continue;
            };
            let mut before = None;
            if let Some(earlier) = last.take() {
                let state = &mut states[earlier.partition];
                if self.0.continues(&earlier.run, &first) {
                    state.continues = true;
                    state.is_inside = earlier.is_only;
                    before = Some(self.joined::<T>(earlier.before, earlier.run));
                } else if earlier.is_only {
                    state.run = earlier.before;
                }
            }
            if !is_only {
                states[partition].run = before.take();
            }
            last = Some(LastRun {
                partition,
                before,
                run,
                is_only,
            });
        }
        if let Some(last) = last.filter(|last| last.is_only) {
            states[last.partition].run = last.before;
        }
        states
    }

    fn is_needed(&self, open: &Self::State) -> bool {
        !open.is_inside
    }

    #[inline]
    fn push<S>(&self, open: &mut Self::State, record: Ref<'_, T>, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, R::Out>) -> Flow,
    {
        let Some(next) = self.0.extend(open.run.as_mut(), record) else {
            return ControlFlow::Continue(());
        };
        match open.run.replace(next) {
            Some(run) => self.0.emit(run, sink),
            None => ControlFlow::Continue(()),
        }
    }

    fn end<S>(&self, open: Self::State, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, R::Out>) -> Flow,
    {
        match open.run.filter(|_| !open.continues) {
            Some(run) => self.0.emit(run, sink),
            None => ControlFlow::Continue(()),
        }
    }
}

/// Returns the record if it differs from that of `run`.
fn differing<T, V>(run: Option<&(T::Owned, V)>, record: Ref<'_, T>) -> Option<T::Owned>
where
    T: Record + ?Sized,
    for<'a, 'b> Peek<'a, T>: PartialEq<Peek<'b, T>>,
{
    let is_same = run.is_some_and(|(same, _)| T::peek_owned(same) == T::peek(&record));
    (!is_same).then(|| T::into_owned(record))
}

/// One of equal neighbours.
pub(crate) struct Dedup;

portable! { [] Dedup {} }

impl<T> CombineRun<T> for Dedup
where
    T: Record<Owned: Data + Clone + Sync + PartialEq> + ?Sized,
    for<'a, 'b> Peek<'a, T>: PartialEq<Peek<'b, T>>,
{
    type Key = T::Owned;
    type Value = ();
    type Out = T;

    fn extend(
        &self,
        run: Option<&mut (T::Owned, ())>,
        record: Ref<'_, T>,
    ) -> Option<(T::Owned, ())> {
        Some((differing::<T, _>(run.as_deref(), record)?, ()))
    }

    fn continues(&self, (record, ()): &(T::Owned, ()), next: &T::Owned) -> bool {
        record == next
    }

    fn append(&self, (): &mut (), (): ()) {}

    fn emit<S>(&self, (record, ()): (T::Owned, ()), sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        T::lend(record, sink)
    }
}

/// One of equal neighbours, and their number.
pub(crate) struct DedupCounted;

portable! { [] DedupCounted {} }

impl<T> CombineRun<T> for DedupCounted
where
    T: Record<Owned: Data + Clone + Sync + PartialEq> + ?Sized,
    for<'a, 'b> Peek<'a, T>: PartialEq<Peek<'b, T>>,
{
    type Key = T::Owned;
    type Value = u64;
    type Out = (T::Owned, u64);

    fn extend(
        &self,
        mut run: Option<&mut (T::Owned, u64)>,
        record: Ref<'_, T>,
    ) -> Option<(T::Owned, u64)> {
        let next = differing::<T, _>(run.as_deref(), record);
        if let (None, Some((_, count))) = (&next, &mut run) {
            *count += 1;
        }
        Some((next?, 1))
    }

    fn continues(&self, (record, _): &(T::Owned, u64), next: &T::Owned) -> bool {
        record == next
    }

    fn append(&self, count: &mut u64, later: u64) {
        *count += later;
    }

    fn emit<S>(&self, run: (T::Owned, u64), sink: &mut S) -> Flow
    where
        S: FnMut((T::Owned, u64)) -> Flow,
    {
        sink(run)
    }
}

/// Neighbours for which a closure returns the same key, and the key.
pub(crate) struct ChunkBy<K, C> {
    pub(crate) key_of: C,
    pub(crate) key: PhantomData<fn() -> K>,
}

portable! { [K, C: Portable] ChunkBy<K, C> { key_of: part, key: part } }

impl<T, K, C> CombineRun<T> for ChunkBy<K, C>
where
    T: Record<Owned: Data + Clone + Sync> + ?Sized,
    K: Data + Clone + Sync + PartialEq,
    C: for<'a> Call<(Peek<'a, T>,), Out = K>,
{
    type Key = K;
    type Value = Vec<Owned<T>>;
    type Out = (K, Vec<Owned<T>>);

    fn extend(
        &self,
        run: Option<&mut (K, Vec<T::Owned>)>,
        record: Ref<'_, T>,
    ) -> Option<(K, Vec<T::Owned>)> {
        let key = self.key_of.call((T::peek(&record),));
        let record = T::into_owned(record);
        match run {
            Some((same, records)) if *same == key => {
                records.push(record);
                None
            }
            _ => Some((key, vec![record])),
        }
    }

    fn continues(&self, (key, _): &(K, Vec<T::Owned>), next: &K) -> bool {
        key == next
    }

    fn append(&self, records: &mut Vec<T::Owned>, mut later: Vec<T::Owned>) {
        records.append(&mut later);
    }

    fn emit<S>(&self, run: (K, Vec<T::Owned>), sink: &mut S) -> Flow
    where
        S: FnMut((K, Vec<T::Owned>)) -> Flow,
    {
        sink(run)
    }
}

/// Neighbours, as long as a closure returns `true` for one and the next.
pub(crate) struct ChunkWhile<C>(pub(crate) C);

portable! { [C: Portable] ChunkWhile<C> { 0: part } }

impl<C> ChunkWhile<C> {
    fn belongs<T>(&self, records: &[T::Owned], next: Peek<'_, T>) -> bool
    where
        T: Record + ?Sized,
        C: for<'a, 'b> Call<(Peek<'a, T>, Peek<'b, T>), Out = bool>,
    {
        let last = records.last();
        last.is_some_and(|last| self.0.call((T::peek_owned(last), next)))
    }
}

impl<T, C> CombineRun<T> for ChunkWhile<C>
where
    T: Record<Owned: Data + Clone + Sync> + ?Sized,
    C: for<'a, 'b> Call<(Peek<'a, T>, Peek<'b, T>), Out = bool>,
{
    /// The first record.
    type Key = T::Owned;
    type Value = Vec<Owned<T>>;
    type Out = Vec<Owned<T>>;

    fn extend(
        &self,
        run: Option<&mut (T::Owned, Vec<T::Owned>)>,
        record: Ref<'_, T>,
    ) -> Option<(T::Owned, Vec<T::Owned>)> {
        match run {
            Some((_, records)) if self.belongs::<T>(records, T::peek(&record)) => {
                records.push(T::into_owned(record));
                None
            }
            _ => {
                let first = T::into_owned(record);
                Some((first.clone(), vec![first]))
            }
        }
    }

    fn continues(&self, (_, records): &(T::Owned, Vec<T::Owned>), next: &T::Owned) -> bool {
        self.belongs::<T>(records, T::peek_owned(next))
    }

    fn append(&self, records: &mut Vec<T::Owned>, mut later: Vec<T::Owned>) {
        records.append(&mut later);
    }

    fn emit<S>(&self, (_, records): (T::Owned, Vec<T::Owned>), sink: &mut S) -> Flow
    where
        S: FnMut(Vec<T::Owned>) -> Flow,
    {
        sink(records)
    }
}
