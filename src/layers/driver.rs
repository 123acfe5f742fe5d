//! The driver's side of tasks that run in workers: sends them with their values, and receives the values.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::call::{SentInput, SentValue, TaskCall, TaskReport};
use super::plan::STAGE;
use super::run::{Fetched, LayerRun};
use super::state::TaskStates;
use super::values::{InFile, InMemory, Stored};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{self, Event, JobEvents};
use crate::executor::{Driver, Report};
use crate::portable::Saver;
use crate::storage::blocks::BlockFile;
use crate::storage::codec;
use crate::storage::transfer::Home;
use crate::task::{Flow, JobState, MapBlock, MapOutput, Partition, adopted, known};

/// Time that the tasks of a batch should take together. Shorter batches are sent more often; longer ones keep workers
/// waiting at the end, while others still have tasks.
const BATCH: Duration = Duration::from_millis(5);

/// The tasks of a run on a remote executor. Partitions are the tasks, numbered as they are sent: a task that runs again
/// is another partition.
pub(crate) struct LayerDriver<'s> {
    run: &'s LayerRun,
    job: &'s JobState,
    events: &'s JobEvents,
    slots: usize,
    sent: Mutex<Sent>,
    /// Whether the budget has refused the memory of the values.
    is_refused: AtomicBool,
}

#[derive(Default)]
struct Sent {
    /// Rank of each task that was sent.
    ranks: Vec<u32>,
    /// Number of tasks that have been reported.
    reported: usize,
    /// Mean time of the recent tasks.
    mean: Option<Duration>,
    /// Events of failures, which are sent when no lock is held.
    failures: Vec<Event>,
}

impl<'s> LayerDriver<'s> {
    pub(crate) fn new(
        run: &'s LayerRun,
        job: &'s JobState,
        events: &'s JobEvents,
        slots: usize,
    ) -> Self {
        Self {
            run,
            job,
            events,
            slots,
            sent: Mutex::default(),
            is_refused: AtomicBool::new(false),
        }
    }

    /// Sends the events of failures that [`take`](Driver::take) has found.
    pub(crate) fn send_failures(&self) {
        let failures = std::mem::take(&mut self.sent().failures);
        for failure in failures {
            self.events.send(|_| failure);
        }
    }

    /// Sets the place of an error that names only a partition.
    pub(crate) fn placed(&self, mut error: Error) -> Error {
        let partition = error.context_mut().and_then(|context| context.partition);
        let rank = partition.and_then(|partition| self.sent().ranks.get(partition).copied());
        let (Some(rank), Some(context)) = (rank, error.context_mut()) else {
            return error;
        };
        *context = self.run.plan.place(rank);
        error
    }

    /// Locked after the state of the run, if both are.
    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, state: &TaskStates, rank: u32) -> Result<TaskCall> {
        let plan = &self.run.plan;
        let (layer, task) = plan.task(rank);
        let mut inputs = Vec::new();
        state.fetch(plan, rank, &mut inputs)?;
        let inputs = inputs.into_iter().zip(plan.needs.of(rank));
        let inputs = inputs.map(|(fetched, need)| {
            let value = match fetched {
                Fetched::Encoded(bytes) => SentValue::Inline(bytes.to_vec()),
                Fetched::File(file) => SentValue::in_file(&file),
                Fetched::Typed(_) => {
                    return Err(Error::internal("a value is not encoded".to_owned()));
                }
            };
            let (layer, _) = plan.task(*need);
            Ok(SentInput { layer, value })
        });
        let inputs = inputs.collect::<Result<_>>()?;
        let any = &plan.set.layers[layer as usize];
        let saved = Saver::write(|to| any.save_task(task, to));
        Ok(TaskCall {
            rank,
            layer,
            task,
            inputs,
            saved: saved.map_err(|error| plan.placed(rank, STAGE, error))?,
        })
    }

    /// Takes over the file of a block, and the value that the block describes.
    fn take_block(
        &self,
        state: &mut TaskStates,
        block: MapBlock,
        created: &mut Vec<MapBlock>,
    ) -> Result<()> {
        match codec::decode(&block.about)? {
            TaskReport::Created => {
                created.push(block);
                Ok(())
            }
            TaskReport::Value { value, refers_to } => {
                let (_, rank) = self.reported(&block)?;
                let placed = |error| self.run.plan.placed(rank, STAGE, error);
                let mut stored = self.stored(rank, value).map_err(placed)?;
                let scratch = &self.job.resources().scratch;
                for file in created.drain(..).filter_map(|block| block.file) {
                    let file = adopted(file, scratch).map_err(placed)?;
                    stored.files.push(file);
                }
                let others = refers_to.iter().filter_map(|other| known(&other.0));
                stored.files.extend(others);
                state.finish(&self.run.plan, rank, stored);
                Ok(())
            }
            TaskReport::Damaged { need, error } => {
                let (number, rank) = self.reported(&block)?;
                let failure = self.failure(number, rank, &error);
                self.sent().failures.push(failure);
                state.postpone(&self.run.plan, rank, need, error)
            }
        }
    }

    /// Records that a task has been reported. Returns its number and its rank.
    fn reported(&self, block: &MapBlock) -> Result<(usize, u32)> {
        let number = block.partition.unwrap_or(usize::MAX);
        let mut sent = self.sent();
        let rank = sent.ranks.get(number).copied();
        let rank = rank.ok_or_else(|| Error::internal(format!("task {number} is unknown")))?;
        sent.reported += 1;
        Ok((number, rank))
    }

    fn stored(&self, rank: u32, value: SentValue) -> Result<Stored> {
        match value {
            SentValue::Inline(bytes) => {
                let length = bytes.len();
                Ok(Stored::new(
                    rank,
                    Some(InMemory::Encoded(bytes.into())),
                    length,
                ))
            }
            SentValue::File {
                path,
                file_bytes,
                offset,
                bytes,
            } => {
                let file = self.job.resources().scratch.adopt(path, file_bytes)?;
                let mut stored = Stored::new(rank, None, bytes as usize);
                stored.file = Some(InFile {
                    file: BlockFile::new(file, file_bytes),
                    offset,
                    bytes,
                });
                Ok(stored)
            }
        }
    }

    fn failure(&self, number: usize, rank: u32, error: &Error) -> Event {
        Event::TaskFailed {
            job: self.events.job(),
            stage: STAGE,
            partitions: Some(number..number + 1),
            attempt: 1,
            error: events::message(error),
            context: self.run.plan.place(rank),
        }
    }
}

impl Driver for LayerDriver<'_> {
    fn pull(&self) -> Result<Option<(usize, Vec<u8>)>> {
        if self.is_refused.swap(false, Ordering::Relaxed) {
            self.run.relieve()?;
        }
        self.run.drop_unneeded();
        self.send_failures();
        let mut state = self.run.lock();
        let Some(rank) = state.take(&self.run.plan) else {
            let sent = self.sent();
            if !state.is_done() && sent.reported == sent.ranks.len() {
                return Err(Error::internal(
                    "no task is ready, and none runs".to_owned(),
                ));
            }
            return Ok(None);
        };
        let call = self.call(&state, rank)?;
        let mut sent = self.sent();
        sent.ranks.push(rank);
        let number = sent.ranks.len() - 1;
        drop((sent, state));
        let payload = Partition::with(number, call).to_bytes()?;
        Ok(Some((number, payload)))
    }

    fn is_growing(&self) -> bool {
        !self.run.is_done()
    }

    fn limit(&self, most: usize) -> usize {
        let ready = self.run.lock().ready();
        // Leave something to the others.
        let most = most.min(ready.div_ceil(2 * self.slots));
        match self.sent().mean {
            Some(mean) => {
                let fitting = BATCH.as_nanos() / mean.as_nanos().max(1);
                most.min(usize::try_from(fitting).unwrap_or(usize::MAX))
            }
            None => 1,
        }
    }

    fn take(&self, partitions: Range<usize>, report: &mut Report) -> Result<()> {
        let report = std::mem::take(report);
        let (progress, resources) = (self.job.progress(), self.job.resources());
        let metrics = report.metrics;
        progress.add_tasks(partitions.len(), metrics.time);
        progress.add_bytes(metrics.input_bytes);
        resources.scratch.count_written(metrics.spilled_bytes);
        resources.budget.note_peak(metrics.peak_memory_bytes);
        for counter_update in report.counter_updates {
            self.job.put_counter_update(counter_update);
        }
        let mut state = self.run.lock();
        let mut created = Vec::new();
        let mut outcome = Ok(());
        for block in report.outputs.iter().flat_map(MapOutput::blocks) {
            // Continue after an error, so that no file is left behind.
            let taken = block.and_then(|block| self.take_block(&mut state, block, &mut created));
            outcome = outcome.and(taken);
        }
        if !state.values.reserve() {
            self.is_refused.store(true, Ordering::Relaxed);
        }
        let mut sent = self.sent();
        let mean = metrics.time / u32::try_from(partitions.len().max(1)).unwrap_or(u32::MAX);
        sent.mean = Some(sent.mean.map_or(mean, |before| (3 * before + mean) / 4));
        outcome
    }

    fn take_written(&self) -> u64 {
        self.job.resources().scratch.take_written()
    }

    fn forget(&self, _: &Error, _: usize) -> bool {
        true
    }

    fn lose_home(&self, home: &Home) {
        self.run.lock().lose_home(&self.run.plan, home);
    }

    fn discard(&self, file: &Path) {
        self.job.resources().scratch.discard(file);
    }

    fn accept(&self, _: usize, _: &[u8]) -> Result<Flow> {
        Err(Error::new(ErrorKind::Internal {
            reason: "a task of a layer has sent a chunk".to_owned(),
        }))
    }

    fn is_stopped(&self) -> bool {
        self.job.is_stopped()
    }

    fn idle(&self) {
        // The job has no other stage that could use the slot.
    }
}
