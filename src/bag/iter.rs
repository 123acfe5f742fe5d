//! `Bag::iter`: iterates over the records while the job computes them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::vec;

use super::Bag;
use crate::error::{Error, ErrorKind, Result, caught};
use crate::operators::actions::Collect;
use crate::pipeline::{Action, Data, Pipeline, Record};
use crate::portable::{Loader, Portable, Saver};
use crate::scheduler::{Job, ResultStage};
use crate::storage::{codec, process_number};
use crate::task::{Flow, JobState, Partition, Site, StageCode, Task, fingerprint};

/// Maximum number of records in a batch. Larger values take the lock less often; smaller values use less memory.
const BATCH_RECORDS: usize = 1024;

/// Interval at which a thread that waits for capacity checks whether its job has been stopped.
const LOOK: Duration = Duration::from_millis(20);

/// Maximum number of batches of one partition that wait to be taken.
const WAITING_BATCHES: usize = 64;

/// Instead of the partition whose records are awaited: none, or any.
const NONE: usize = usize::MAX;
const ANY: usize = usize::MAX - 1;

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Starts a job and returns an iterator over its records, in order, while the job computes them. Dropping the
    /// iterator stops the job.
    ///
    /// Memory is bounded: the job's threads pause while about 65,536 records per thread, over all partitions, wait to
    /// be taken. The threads belong to this job, so you can run other actions inside the loop.
    ///
    /// If a spill file is found damaged after some records of its partition have been returned, the job recomputes the
    /// partition and skips those records. The last of them must recur at the same position.
    ///
    /// # Errors
    ///
    /// Returns an error if the job cannot start. If the job fails later, the error is the last item of the iterator,
    /// such as [`ErrorKind::NotRepeatable`](crate::ErrorKind::NotRepeatable).
    ///
    /// # Examples
    ///
    /// ```
    /// let mut squares = Vec::new();
    /// for square in holdall::range(0..4).map(|n| n * n).iter()? {
    ///     squares.push(square?);
    /// }
    /// assert_eq!(squares, [0, 1, 4, 9]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn iter(&self) -> Result<Iter<T::Owned>>
    where
        T::Owned: Data,
    {
        self.iter_at(Site::new("iter"), true)
    }

    /// Like [`iter`](Bag::iter), but returns the records of partitions in the order in which they are computed. Records
    /// of one partition keep their order, but those of several partitions may alternate.
    ///
    /// The order depends on the run. Use this method if the order does not matter, and some partitions take much longer
    /// than others: the threads then do not wait until the records of an earlier partition are taken. Worker processes
    /// pass on the records in order.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`iter`](Bag::iter).
    ///
    /// # Examples
    ///
    /// ```
    /// let mut sum = 0;
    /// for n in holdall::range(0..1000).iter_unordered()? {
    ///     sum += n?;
    /// }
    /// assert_eq!(sum, 499_500);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn iter_unordered(&self) -> Result<Iter<T::Owned>>
    where
        T::Owned: Data,
    {
        self.iter_at(Site::new("iter_unordered"), false)
    }

    pub(super) fn iter_at(&self, site: Site, is_ordered: bool) -> Result<Iter<T::Owned>>
    where
        T::Owned: Data,
    {
        let job = self.context.job(&self.node, site)?;
        let state = Arc::clone(job.state());
        let shelf = Arc::new(Shelf::new(job.threads(), is_ordered));
        let pipeline = Arc::clone(&self.pipeline);
        let filled = Arc::clone(&shelf);
        // Boxed, so that what spawns a thread is not compiled for each bag.
        let produce: Box<dyn FnOnce() + Send> = Box::new(move || {
            // The thread that takes the records waits for the outcome in any case.
            let outcome = caught(None, || produce(&job, &*pipeline, &filled, site));
            job.end();
            filled.close(outcome);
        });
        let producer = std::thread::Builder::new()
            .name("holdall-iter".to_owned())
            .spawn(produce);
        let producer = producer.map_err(|source| Error::new(ErrorKind::Threads(source)))?;
        Ok(Iter {
            shelf,
            state,
            producer: Some(producer),
            process: process_number(),
            batch: Vec::new().into_iter(),
        })
    }
}

/// Puts the records of each partition on the shelf as they are computed.
pub(super) struct Iterate<T: Record + ?Sized> {
    site: Site,
    /// `None` in a worker process, which sends its records to the driver.
    shelf: Option<Arc<Shelf<T::Owned>>>,
}

impl<T: Record + ?Sized> Iterate<T> {
    /// The action as a worker process loads it.
    pub(super) fn sent(site: Site) -> Self {
        Self { site, shelf: None }
    }
}

impl<T: Record + ?Sized> Portable for Iterate<T> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        self.site.save(to)
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        Portable::load(from).map(Self::sent)
    }
}

impl<T: Record<Owned: Data> + ?Sized> Action<T> for Iterate<T> {
    /// Records from a worker process; empty for this process, which puts them on the shelf directly.
    type Part = Vec<T::Owned>;

    fn site(&self) -> Site {
        self.site
    }

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<Self::Part>
    where
        P: Pipeline<Out = T>,
    {
        let Some(shelf) = &self.shelf else {
            unreachable!("a worker process sends")
        };
        let not_repeatable = || {
            let context = self.site.into();
            Error::new(ErrorKind::NotRepeatable { context })
        };
        // An earlier attempt put these records on the shelf before it found damaged input.
        let (mut to_skip, last) = shelf.handed_on(task.partition());
        let mut batch = Vec::new();
        let flow = pipeline.run(partition, task, &mut |record| {
            if to_skip > 0 {
                to_skip -= 1;
                let is_other = to_skip == 0 && last != mark(&T::into_owned(record));
                return match is_other {
                    true => task.fail_with(not_repeatable()),
                    false => ControlFlow::Continue(()),
                };
            }
            batch.push(T::into_owned(record));
            // A record that is awaited is available immediately.
            if batch.len() < BATCH_RECORDS && !shelf.is_awaited(task.partition()) {
                return ControlFlow::Continue(());
            }
            shelf.put(task, task.partition(), std::mem::take(&mut batch), mark)
        })?;
        if flow.is_continue() && to_skip > 0 {
            return Err(not_repeatable());
        }
        if flow.is_continue() && !batch.is_empty() {
            let _ = shelf.put(task, task.partition(), batch, mark);
        }
        // An interrupted partition must not be marked as finished.
        if !task.has_failed() && !task.is_stopped() {
            shelf.finish(task.partition());
        }
        Ok(Vec::new())
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
        Collect::all(self.site).send(pipeline, partition, task, emit)
    }

    fn receive(&self, bytes: &[u8]) -> Result<Self::Part> {
        Collect::<T>::all(self.site).receive(bytes)
    }
}

fn produce<P: Pipeline>(
    job: &Job,
    pipeline: &P,
    shelf: &Arc<Shelf<<P::Out as Record>::Owned>>,
    site: Site,
) -> Result<()>
where
    <P::Out as Record>::Owned: Data,
{
    job.run_map_stages()?;
    let iterate = Iterate::<P::Out> {
        site,
        shelf: Some(Arc::clone(shelf)),
    };
    let consume = |task: &Task<'_>, batch: Vec<_>| {
        if batch.is_empty() {
            return ControlFlow::Continue(());
        }
        // Results of worker processes arrive in order, and all belong to the partition that is taken next.
        shelf.put(task, 0, batch, |_| None)
    };
    let stage = ResultStage::new(pipeline, &iterate, consume);
    run_on_own_threads(job, &stage, &|| {
        drop(shelf.lock());
        shelf.taken.notify_all();
    })
}

/// Runs the stage on separate threads: one that waits for capacity must not block a thread of the executor, which other
/// jobs may need. If the job has ended, `wake` wakes the threads that wait for capacity.
fn run_on_own_threads(job: &Job, stage: &dyn StageCode, wake: &(dyn Fn() + Sync)) -> Result<()> {
    job.run_result_stage_by(stage, |run, executor| {
        let work = || {
            run.work(usize::MAX);
            wake();
        };
        std::thread::scope(|scope| {
            for _ in 1..executor.threads() {
                let spawned = std::thread::Builder::new().spawn_scoped(scope, work);
                if let Err(source) = spawned {
                    job.state().fail(Error::new(ErrorKind::Threads(source)));
                }
            }
            work();
        });
        Ok(())
    })
}

/// Batches of records that wait to be taken, by partition.
struct Shelf<R> {
    state: Mutex<ShelfState<R>>,
    /// Notified when records arrive for the thread that takes them, if it waits.
    filled: Condvar,
    /// Notified when records have been taken, if threads wait for capacity.
    taken: Condvar,
    /// The partition whose records are awaited, [`ANY`] or [`NONE`].
    awaited: AtomicUsize,
    /// Maximum number of waiting records, over all partitions.
    most_records: usize,
    /// Whether records are taken in the order of their partitions.
    is_ordered: bool,
}

struct ShelfState<R> {
    partitions: BTreeMap<usize, Waiting<R>>,
    /// The partition whose records are taken next.
    next: usize,
    /// Number of waiting records.
    records: usize,
    /// Number of threads that wait for capacity.
    putting: usize,
    /// Result of the job, once it has ended.
    outcome: Option<Result<()>>,
    is_abandoned: bool,
}

impl<R> ShelfState<R> {
    /// Chooses a partition that has records or is finished, if there is one.
    fn choose_next(&mut self) {
        let mut partitions = self.partitions.iter();
        let is_ready = |waiting: &Waiting<R>| !waiting.batches.is_empty() || waiting.is_finished;
        if let Some((partition, _)) = partitions.find(|(_, waiting)| is_ready(waiting)) {
            self.next = *partition;
        }
    }
}

struct Waiting<R> {
    batches: VecDeque<Vec<R>>,
    /// Number of records put here so far, including those already taken, and the [mark] of the last.
    records: usize,
    last: Option<u64>,
    is_finished: bool,
}

/// Returns a fingerprint that recognises a record if it recurs, or `None` if the record cannot be serialised.
fn mark<R: Data>(record: &R) -> Option<u64> {
    let mut bytes = Vec::new();
    let encoded = caught(None, || codec::encode_into(record, &mut bytes));
    encoded.ok().map(|()| fingerprint(&bytes))
}

impl<R> Default for Waiting<R> {
    fn default() -> Self {
        Self {
            batches: VecDeque::new(),
            records: 0,
            last: None,
            is_finished: false,
        }
    }
}

impl<R> Shelf<R> {
    fn new(threads: usize, is_ordered: bool) -> Self {
        Self {
            state: Mutex::new(ShelfState {
                partitions: BTreeMap::new(),
                next: 0,
                records: 0,
                putting: 0,
                outcome: None,
                is_abandoned: false,
            }),
            filled: Condvar::new(),
            taken: Condvar::new(),
            awaited: AtomicUsize::new(NONE),
            most_records: threads * WAITING_BATCHES * BATCH_RECORDS,
            is_ordered,
        }
    }

    fn lock(&self) -> MutexGuard<'_, ShelfState<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the thread that takes records waits for those of a partition.
    #[inline]
    fn is_awaited(&self, partition: usize) -> bool {
        let awaited = self.awaited.load(Ordering::Relaxed);
        awaited == partition || awaited == ANY
    }

    /// Wakes the thread that takes records, if it waits for those of a partition. To notify a thread that does not wait
    /// would take longer than to add a small batch.
    fn wake(&self, state: MutexGuard<'_, ShelfState<R>>, partition: usize) {
        if self.is_awaited(partition) {
            self.awaited.store(NONE, Ordering::Relaxed);
            drop(state);
            self.filled.notify_one();
        }
    }

    /// Wakes the threads that wait for capacity.
    fn make_room(&self, state: &ShelfState<R>) {
        if state.putting > 0 {
            self.taken.notify_all();
        }
    }

    /// Waits for capacity, then adds a batch of the task's partition.
    fn put(
        &self,
        task: &Task<'_>,
        partition: usize,
        batch: Vec<R>,
        mark: impl Fn(&R) -> Option<u64>,
    ) -> Flow {
        let last = batch.last().and_then(mark);
        let mut state = self.lock();
        loop {
            // If a task has failed, its last record may be incomplete.
            if state.is_abandoned || task.is_stopped() || task.has_failed() {
                return ControlFlow::Break(());
            }
            // The partition that is taken next is exempt from the limit: the consumer waits for it before it takes any
            // other.
            let is_room = state.next == partition || state.records < self.most_records;
            let waiting = state.partitions.entry(partition).or_default();
            if is_room && waiting.batches.len() < WAITING_BATCHES {
                let records = batch.len();
                waiting.batches.push_back(batch);
                waiting.records += records;
                waiting.last = last;
                state.records += records;
                self.wake(state, partition);
                return ControlFlow::Continue(());
            }
            state.putting += 1;
            // A cancelled job does not wake its threads.
            let waited = self.taken.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.putting -= 1;
        }
    }

    /// Returns the number of records of a partition that have been put here, and the [mark] of the last.
    fn handed_on(&self, partition: usize) -> (usize, Option<u64>) {
        let state = self.lock();
        state
            .partitions
            .get(&partition)
            .map_or((0, None), |waiting| (waiting.records, waiting.last))
    }

    /// Marks a partition as complete.
    fn finish(&self, partition: usize) {
        let mut state = self.lock();
        state.partitions.entry(partition).or_default().is_finished = true;
        self.wake(state, partition);
    }

    /// Marks all partitions as complete; `outcome` is the result of the job.
    fn close(&self, outcome: Result<()>) {
        self.lock().outcome = Some(outcome);
        self.filled.notify_one();
    }

    /// Waits for the next batch, in the order of partitions if that matters. Returns `None` at the end, or the error
    /// that ended the job.
    fn take(&self) -> Option<Result<Vec<R>>> {
        let mut state = self.lock();
        loop {
            if !self.is_ordered {
                state.choose_next();
            }
            let next = state.next;
            if let Some(waiting) = state.partitions.get_mut(&next) {
                if let Some(batch) = waiting.batches.pop_front() {
                    state.records -= batch.len();
                    self.make_room(&state);
                    return Some(Ok(batch));
                }
                if waiting.is_finished {
                    state.partitions.remove(&next);
                    state.next += 1;
                    self.make_room(&state);
                    continue;
                }
            }
            match state.outcome.take() {
                Some(outcome) => {
                    // Later calls return `None`.
                    state.outcome = Some(Ok(()));
                    return outcome.err().map(Err);
                }
                None => {
                    let awaited = if self.is_ordered { next } else { ANY };
                    self.awaited.store(awaited, Ordering::Relaxed);
                    let waited = self.filled.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// An iterator over the records of a bag, in order. Returned by [`Bag::iter`].
///
/// If the job fails, the error is the last item. Dropping the iterator stops the job, and waits until no closure is
/// running.
///
/// # Examples
///
/// ```
/// let mut numbers = holdall::from_iter(0..).iter()?;
/// assert_eq!(numbers.next().transpose()?, Some(0));
/// drop(numbers); // stops the job, which would not end otherwise
/// let all = holdall::range(0..3).iter()?.collect::<holdall::Result<Vec<u64>>>()?;
/// assert_eq!(all, [0, 1, 2]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use = "dropping it ends its job"]
pub struct Iter<R> {
    shelf: Arc<Shelf<R>>,
    state: Arc<JobState>,
    producer: Option<JoinHandle<()>>,
    /// The process in which the producer runs.
    process: u64,
    batch: vec::IntoIter<R>,
}

impl<R> std::fmt::Debug for Iter<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

impl<R> Iterator for Iter<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        loop {
            if let Some(record) = self.batch.next() {
                return Some(Ok(record));
            }
            match self.shelf.take()? {
                Ok(batch) => self.batch = batch.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<R> std::iter::FusedIterator for Iter<R> {}

impl<R> Drop for Iter<R> {
    fn drop(&mut self) {
        if self.process != process_number() {
            // A forked copy of the process has no producer, but its copy of the lock may be held.
            return;
        }
        self.state.stop();
        self.shelf.lock().is_abandoned = true;
        self.shelf.taken.notify_all();
        // No closure of the caller runs after this returns.
        if let Some(producer) = self.producer.take() {
            let _ = producer.join();
        }
    }
}
