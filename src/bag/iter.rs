//! Records one by one, while the job runs.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::vec;

use super::Bag;
use crate::error::{Error, ErrorKind, Result, caught};
use crate::operators::actions::Collect;
use crate::pipeline::{Action, Data, Pipeline, Record};
use crate::portable::{Loader, Portable, Saver};
use crate::scheduler::{Job, ResultStage};
use crate::storage::codec;
use crate::task::{Flow, JobState, Partition, Site, Task, fingerprint};

/// The most records that are handed over at once.
const BATCH_RECORDS: usize = 1024;

/// How many batches of one partition may wait to be taken.
const WAITING_BATCHES: usize = 64;

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Goes through the records in order, while a job computes them: by partition, then by position. Starts a job, and
    /// stops it when the iterator is dropped.
    ///
    /// Each thread works on a partition, and waits once about 65,536 records for each thread wait to be taken, be they of
    /// few partitions or of many; so memory is bounded. They are threads of this job's own, so that other actions can
    /// run meanwhile.
    ///
    /// If a spilled file is found damaged after some records of its partition have been handed on, the partition is
    /// computed again, and these records are skipped. The last of them must come again in the same place.
    ///
    /// # Errors
    ///
    /// If the job cannot start. An error that ends the job later is the last item, such as
    /// [`ErrorKind::NotRepeatable`](crate::ErrorKind::NotRepeatable).
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
        let site = Site::new("iter");
        let job = self.context.job(&self.node)?;
        let state = Arc::clone(job.state());
        let shelf = Arc::new(Shelf::new(job.threads()));
        let pipeline = Arc::clone(&self.pipeline);
        let producer = std::thread::Builder::new()
            .name("holdall-iter".to_owned())
            .spawn({
                let shelf = Arc::clone(&shelf);
                move || {
                    // The thread that takes the records waits for the outcome in any case.
                    let outcome = caught(None, || produce(&job, &*pipeline, &shelf, site));
                    shelf.close(outcome);
                }
            });
        let producer = producer.map_err(|source| Error::new(ErrorKind::Threads(source)))?;
        Ok(Iter {
            shelf,
            state,
            producer: Some(producer),
            batch: Vec::new().into_iter(),
        })
    }
}

/// Puts the records of each partition on the shelf as they come.
pub(super) struct Iterate<T: Record + ?Sized> {
    site: Site,
    /// Worker processes have none, and send what they have.
    shelf: Option<Arc<Shelf<T::Owned>>>,
}

impl<T: Record + ?Sized> Iterate<T> {
    /// As a worker process has it.
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
    /// Records of a worker process; those of this one are on the shelf already.
    type Part = Vec<T::Owned>;

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<Self::Part>
    where
        P: Pipeline<Out = T>,
    {
        let Some(shelf) = &self.shelf else {
            unreachable!("a worker process sends")
        };
        let not_repeatable = || {
            let place = self.site.into();
            Error::new(ErrorKind::NotRepeatable { place })
        };
        // An earlier attempt has handed them on, before it found what it read damaged.
        let (mut to_skip, last) = shelf.handed_on(task.partition());
        let mut batch = Vec::new();
        // Small at first, so that the first records do not wait for a thousand others.
        let mut full = 1;
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
            if batch.len() < full {
                return ControlFlow::Continue(());
            }
            full = (full * 2).min(BATCH_RECORDS);
            shelf.put(task, task.partition(), std::mem::take(&mut batch), mark)
        })?;
        if flow.is_continue() && to_skip > 0 {
            return Err(not_repeatable());
        }
        if flow.is_continue() && !batch.is_empty() {
            let _ = shelf.put(task, task.partition(), batch, mark);
        }
        // A partition that was broken off must not look like one that is done.
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
        // What comes from elsewhere comes in order, and all of it is of the partition that is taken next.
        shelf.put(task, 0, batch, |_| None)
    };
    let stage = ResultStage::new(pipeline, &iterate, consume);
    // A thread that waits for room must not be one of the executor's, which others may need.
    job.run_result_stage_by(&stage, |run, executor| {
        let work = || {
            run.work(usize::MAX);
            // If it ended the job, those that wait for room must know.
            drop(shelf.lock());
            shelf.changed.notify_all();
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

/// Where batches of records wait to be taken, by partition.
struct Shelf<R> {
    state: Mutex<ShelfState<R>>,
    changed: Condvar,
    /// How many records may wait, in all partitions together.
    most_records: usize,
}

struct ShelfState<R> {
    partitions: BTreeMap<usize, Waiting<R>>,
    /// The partition whose records are taken.
    next: usize,
    /// How many records wait.
    records: usize,
    /// How the job ended.
    outcome: Option<Result<()>>,
    is_abandoned: bool,
}

struct Waiting<R> {
    batches: VecDeque<Vec<R>>,
    /// How many records have come, taken or not, and the [mark] of the last.
    records: usize,
    last: Option<u64>,
    is_finished: bool,
}

/// What a record is known by if it comes again: none if it cannot be written.
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
    fn new(threads: usize) -> Self {
        Self {
            state: Mutex::new(ShelfState {
                partitions: BTreeMap::new(),
                next: 0,
                records: 0,
                outcome: None,
                is_abandoned: false,
            }),
            changed: Condvar::new(),
            most_records: threads * WAITING_BATCHES * BATCH_RECORDS,
        }
    }

    fn lock(&self) -> MutexGuard<'_, ShelfState<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, ShelfState<R>>) -> MutexGuard<'a, ShelfState<R>> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a batch of the task's partition here, once there is room.
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
            // Of a task that has failed, the last record may be half of one.
            if state.is_abandoned || task.is_stopped() || task.has_failed() {
                return ControlFlow::Break(());
            }
            // There is always room for what is taken next: all that waits may wait for it.
            let is_room = state.next == partition || state.records < self.most_records;
            let waiting = state.partitions.entry(partition).or_default();
            if is_room && waiting.batches.len() < WAITING_BATCHES {
                let records = batch.len();
                waiting.batches.push_back(batch);
                waiting.records += records;
                waiting.last = last;
                state.records += records;
                self.changed.notify_all();
                return ControlFlow::Continue(());
            }
            state = self.wait(state);
        }
    }

    /// How many records of a partition have been put here, and the [mark] of the last.
    fn handed_on(&self, partition: usize) -> (usize, Option<u64>) {
        let state = self.lock();
        state
            .partitions
            .get(&partition)
            .map_or((0, None), |waiting| (waiting.records, waiting.last))
    }

    /// Nothing more comes of this partition.
    fn finish(&self, partition: usize) {
        self.lock()
            .partitions
            .entry(partition)
            .or_default()
            .is_finished = true;
        self.changed.notify_all();
    }

    /// Nothing more comes at all.
    fn close(&self, outcome: Result<()>) {
        self.lock().outcome = Some(outcome);
        self.changed.notify_all();
    }

    /// The next batch in order of partition; `None` at the end, or the error that ended the job.
    fn take(&self) -> Option<Result<Vec<R>>> {
        let mut state = self.lock();
        loop {
            let next = state.next;
            if let Some(waiting) = state.partitions.get_mut(&next) {
                if let Some(batch) = waiting.batches.pop_front() {
                    state.records -= batch.len();
                    self.changed.notify_all();
                    return Some(Ok(batch));
                }
                if waiting.is_finished {
                    state.partitions.remove(&next);
                    state.next += 1;
                    self.changed.notify_all();
                    continue;
                }
            }
            match state.outcome.take() {
                Some(outcome) => {
                    // Asked again, it is at its end.
                    state.outcome = Some(Ok(()));
                    return outcome.err().map(Err);
                }
                None => state = self.wait(state),
            }
        }
    }
}

/// The records of a bag, in order. Given by [`Bag::iter`].
///
/// An error is its last item. Dropping it stops the job and waits until no closure runs any more.
///
/// # Examples
///
/// ```
/// let mut numbers = holdall::from_iter(0..).iter()?;
/// assert_eq!(numbers.next().transpose()?, Some(0));
/// drop(numbers); // the job, which has no end of its own, ends here
/// let all = holdall::range(0..3).iter()?.collect::<holdall::Result<Vec<u64>>>()?;
/// assert_eq!(all, [0, 1, 2]);
/// # Ok::<(), holdall::Error>(())
/// ```
pub struct Iter<R> {
    shelf: Arc<Shelf<R>>,
    state: Arc<JobState>,
    producer: Option<JoinHandle<()>>,
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
        self.state.stop();
        self.shelf.lock().is_abandoned = true;
        self.shelf.changed.notify_all();
        // Nothing of the program's runs once this returns.
        if let Some(producer) = self.producer.take() {
            let _ = producer.join();
        }
    }
}
