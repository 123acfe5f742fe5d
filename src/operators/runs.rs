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
    type Value: Data + Clone + Sync + Default;
    type Out: Record + ?Sized;

    /// Adds a record to the run before it. If it does not belong to that run, passes the run to `end`, and replaces it
    /// by the run that the record begins. Its memory is used again, unless `end` takes it.
    fn extend(
        &self,
        run: &mut Option<(Self::Key, Self::Value)>,
        record: Ref<'_, T>,
        end: impl FnOnce(Self::Key, &mut Self::Value) -> Flow,
    ) -> Flow;

    /// Returns whether a run continues in the run that has the key `next`.
    fn continues(&self, run: &(Self::Key, Self::Value), next: &Self::Key) -> bool;

    /// Appends the later part of a run.
    fn append(&self, value: &mut Self::Value, later: Self::Value);

    /// Pushes the result of a run. May leave any value.
    fn emit<S>(&self, key: Self::Key, value: &mut Self::Value, sink: &mut S) -> Flow
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
        let Ends {
            first,
            is_only,
            last,
        } = ends;
        let flow = self.0.extend(last, record, |_, _| {
            *is_only = false;
            ControlFlow::Continue(())
        });
        if first.is_none() {
            *first = last.as_ref().map(|(key, _)| key.clone());
        }
        flow
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
        let end = |key, value: &mut _| self.0.emit(key, value, sink);
        self.0.extend(&mut open.run, record, end)
    }

    fn end<S>(&self, open: Self::State, sink: &mut S) -> Flow
    where
        S: for<'a> FnMut(Ref<'a, R::Out>) -> Flow,
    {
        match open.run.filter(|_| !open.continues) {
            Some((key, mut value)) => self.0.emit(key, &mut value, sink),
            None => ControlFlow::Continue(()),
        }
    }
}

/// Returns the record if it differs from that of `run`.
#[inline]
fn differing<T, V>(run: &Option<(T::Owned, V)>, record: Ref<'_, T>) -> Option<T::Owned>
where
    T: Record + ?Sized,
    for<'a, 'b> Peek<'a, T>: PartialEq<Peek<'b, T>>,
{
    let is_same = run
        .as_ref()
        .is_some_and(|(same, _)| T::peek_owned(same) == T::peek(&record));
    (!is_same).then(|| T::into_owned(record))
}

/// Begins a run with one record, which `new` makes the value of `run`. Passes the run before to `end`.
#[inline]
fn begin<K, V: Default>(
    run: &mut Option<(K, V)>,
    key: K,
    end: impl FnOnce(K, &mut V) -> Flow,
    new: impl FnOnce(&mut V),
) -> Flow {
    let mut flow = ControlFlow::Continue(());
    match run {
        Some((before, value)) => flow = end(std::mem::replace(before, key), value),
        None => *run = Some((key, V::default())),
    }
    if let Some((_, value)) = run {
        new(value);
    }
    flow
}

/// Replaces a list by one of a single record.
#[inline]
fn restart<R>(records: &mut Vec<R>, record: R) {
    records.clear();
    records.push(record);
}

/// Maximum number of records that are copied to a list of the right length. A longer list is passed on as it is.
const MAX_COPIED: usize = 64;

/// Takes the records of a run. A list that grew record by record has more memory than it needs, and to let go of it
/// takes longer than to copy a few records.
#[inline]
fn taken<R>(records: &mut Vec<R>) -> Vec<R> {
    if records.len() > MAX_COPIED {
        return std::mem::take(records);
    }
    let mut copy = Vec::with_capacity(records.len());
    copy.append(records);
    copy
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

    #[inline]
    fn extend(
        &self,
        run: &mut Option<(T::Owned, ())>,
        record: Ref<'_, T>,
        end: impl FnOnce(T::Owned, &mut ()) -> Flow,
    ) -> Flow {
        match differing::<T, _>(run, record) {
            Some(record) => begin(run, record, end, |()| ()),
            None => ControlFlow::Continue(()),
        }
    }

    fn continues(&self, (record, ()): &(T::Owned, ()), next: &T::Owned) -> bool {
        record == next
    }

    fn append(&self, (): &mut (), (): ()) {}

    fn emit<S>(&self, record: T::Owned, (): &mut (), sink: &mut S) -> Flow
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

    #[inline]
    fn extend(
        &self,
        run: &mut Option<(T::Owned, u64)>,
        record: Ref<'_, T>,
        end: impl FnOnce(T::Owned, &mut u64) -> Flow,
    ) -> Flow {
        if let Some(record) = differing::<T, _>(run, record) {
            return begin(run, record, end, |count| *count = 1);
        }
        if let Some((_, count)) = run {
            *count += 1;
        }
        ControlFlow::Continue(())
    }

    fn continues(&self, (record, _): &(T::Owned, u64), next: &T::Owned) -> bool {
        record == next
    }

    fn append(&self, count: &mut u64, later: u64) {
        *count += later;
    }

    fn emit<S>(&self, record: T::Owned, count: &mut u64, sink: &mut S) -> Flow
    where
        S: FnMut((T::Owned, u64)) -> Flow,
    {
        sink((record, *count))
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

    #[inline]
    fn extend(
        &self,
        run: &mut Option<(K, Vec<T::Owned>)>,
        record: Ref<'_, T>,
        end: impl FnOnce(K, &mut Vec<T::Owned>) -> Flow,
    ) -> Flow {
        let key = self.key_of.call((T::peek(&record),));
        let record = T::into_owned(record);
        match run {
            Some((same, records)) if *same == key => {
                records.push(record);
                ControlFlow::Continue(())
            }
            _ => begin(run, key, end, |records| restart(records, record)),
        }
    }

    fn continues(&self, (key, _): &(K, Vec<T::Owned>), next: &K) -> bool {
        key == next
    }

    fn append(&self, records: &mut Vec<T::Owned>, mut later: Vec<T::Owned>) {
        records.append(&mut later);
    }

    fn emit<S>(&self, key: K, records: &mut Vec<T::Owned>, sink: &mut S) -> Flow
    where
        S: FnMut((K, Vec<T::Owned>)) -> Flow,
    {
        sink((key, taken(records)))
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

    #[inline]
    fn extend(
        &self,
        run: &mut Option<(T::Owned, Vec<T::Owned>)>,
        record: Ref<'_, T>,
        end: impl FnOnce(T::Owned, &mut Vec<T::Owned>) -> Flow,
    ) -> Flow {
        match run {
            Some((_, records)) if self.belongs::<T>(records, T::peek(&record)) => {
                records.push(T::into_owned(record));
                ControlFlow::Continue(())
            }
            _ => {
                let first = T::into_owned(record);
                begin(run, first.clone(), end, |records| restart(records, first))
            }
        }
    }

    fn continues(&self, (_, records): &(T::Owned, Vec<T::Owned>), next: &T::Owned) -> bool {
        self.belongs::<T>(records, T::peek_owned(next))
    }

    fn append(&self, records: &mut Vec<T::Owned>, mut later: Vec<T::Owned>) {
        records.append(&mut later);
    }

    fn emit<S>(&self, _: T::Owned, records: &mut Vec<T::Owned>, sink: &mut S) -> Flow
    where
        S: FnMut(Vec<T::Owned>) -> Flow,
    {
        sink(taken(records))
    }
}
