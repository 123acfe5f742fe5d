//! State that the tasks of one job share.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{
    CounterUpdate, CounterUpdates, Imports, Progress, Resources, StopFlag, StoredPartition,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShuffleId;

type ErasedOutputs = Arc<dyn Any + Send + Sync>;

/// One run of an action, or an attempt at one of its stages.
pub(crate) struct JobState {
    resources: Resources,
    /// The run that this one is a part of. When that stops, so does this one.
    whole: Option<Arc<JobState>>,
    failure: Mutex<Option<Error>>,
    /// The outputs of the whole run, or separate ones while outputs are recomputed.
    outputs: Arc<Mutex<Arc<JobOutputs>>>,
    /// Map outputs of other processes, if only some tasks of the job run here.
    imports: Option<Arc<Imports>>,
    /// Persisted partitions for the driver.
    stored: Mutex<Vec<StoredPartition>>,
    counter_updates: CounterUpdates,
    /// Updates of an attempt at a stage that belong to no single partition. They count if the attempt succeeds.
    of_stage: Mutex<Vec<CounterUpdate>>,
}

/// Map outputs of all shuffles. A task uses the outputs that existed when it began. Reading removes some of them, so a
/// task that is retried needs a complete new set.
#[derive(Clone, Default)]
pub(crate) struct JobOutputs {
    /// Number of times that the outputs have been recomputed.
    generation: usize,
    by_shuffle: HashMap<ShuffleId, ErasedOutputs>,
}

impl JobOutputs {
    pub(crate) fn generation(&self) -> usize {
        self.generation
    }

    /// Returns the outputs of one shuffle, or the error of lost output if there are none.
    pub(crate) fn get<O: Any + Send + Sync>(&self, shuffle: ShuffleId) -> Result<Arc<O>> {
        let outputs = self.by_shuffle.get(&shuffle).cloned();
        outputs
            .and_then(|outputs| outputs.downcast().ok())
            .ok_or_else(|| Error::new(ErrorKind::MapOutputLost))
    }
}

impl JobState {
    pub(crate) fn new(resources: Resources) -> Self {
        Self {
            resources: Resources {
                stop: StopFlag::default(),
                ..resources
            },
            whole: None,
            failure: Mutex::default(),
            outputs: Arc::default(),
            imports: None,
            stored: Mutex::default(),
            counter_updates: CounterUpdates::default(),
            of_stage: Mutex::default(),
        }
    }

    /// Creates a part of this run that can fail independently. Its tasks use `resources`.
    pub(crate) fn attempt(self: &Arc<Self>, resources: &Resources) -> Self {
        Self {
            resources: Resources {
                stop: self.resources.stop.of_part(),
                ..resources.clone()
            },
            whole: Some(Arc::clone(self)),
            outputs: Arc::clone(&self.outputs),
            imports: self.imports.clone(),
            ..Self::new(resources.clone())
        }
    }

    /// Creates an attempt whose map outputs are kept separate until they [replace](Self::replace_outputs) those of the
    /// whole run.
    pub(crate) fn staging(self: &Arc<Self>) -> Self {
        Self {
            outputs: Arc::default(),
            ..self.attempt(&self.resources)
        }
    }

    /// Creates the state for tasks of a job of another process.
    pub(crate) fn remote(resources: Resources, imports: Arc<Imports>) -> Self {
        Self {
            imports: Some(imports),
            counter_updates: CounterUpdates::kept(),
            ..Self::new(resources)
        }
    }

    /// Keeps a persisted partition for the process that runs the job.
    pub(crate) fn put_stored(&self, stored: StoredPartition) {
        lock(&self.stored).push(stored);
    }

    /// Takes the persisted partitions that were kept.
    pub(crate) fn take_stored(&self) -> Vec<StoredPartition> {
        std::mem::take(&mut *lock(&self.stored))
    }

    pub(crate) fn imports(&self) -> Option<&Imports> {
        self.imports.as_deref()
    }

    pub(crate) fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Returns whether the tasks must end as soon as possible.
    pub(crate) fn is_stopped(&self) -> bool {
        self.resources.stop.is_set()
    }

    /// Ends the job early, without an error.
    pub(crate) fn stop(&self) {
        self.resources.stop.set();
    }

    /// Ends the job with `error`, unless it has one already. The error of a reader that found the job stopped is not
    /// the cause of its end, and is dropped.
    pub(crate) fn fail(&self, error: Error) {
        if self.is_stopped() && matches!(error.kind(), ErrorKind::Cancelled) {
            return;
        }
        lock(&self.failure).get_or_insert(error);
        self.stop();
    }

    /// Takes the error that ended this attempt, if another attempt cannot help.
    pub(crate) fn take_fatal(&self) -> Option<Error> {
        lock(&self.failure).take_if(|error| !error.is_recoverable())
    }

    /// Returns whether its deadline has ended the job.
    pub(crate) fn has_exceeded_deadline(&self) -> bool {
        let failure = lock(&self.failure);
        let kind = failure.as_ref().map(Error::kind);
        matches!(kind, Some(ErrorKind::DeadlineExceeded { .. }))
    }

    /// Returns the error that ended the job, if one did.
    pub(crate) fn outcome(&self) -> Result<()> {
        lock(&self.failure).take().map_or(Ok(()), Err)
    }

    pub(crate) fn outputs(&self) -> Arc<JobOutputs> {
        Arc::clone(&lock(&self.outputs))
    }

    pub(crate) fn put_map_outputs(&self, shuffle: ShuffleId, outputs: ErasedOutputs) {
        let mut all = lock(&self.outputs);
        Arc::make_mut(&mut all).by_shuffle.insert(shuffle, outputs);
    }

    /// Replaces all outputs with those of `recomputed`, in one step.
    pub(crate) fn replace_outputs(&self, recomputed: &Self) {
        let by_shuffle = recomputed.outputs().by_shuffle.clone();
        let mut all = lock(&self.outputs);
        let generation = all.generation + 1;
        *all = Arc::new(JobOutputs {
            generation,
            by_shuffle,
        });
    }

    /// Applies the counter updates of a task. Ends the job if it has too many bad records.
    pub(crate) fn put_counter_update(&self, counter_update: CounterUpdate) {
        if counter_update.partition.is_none() && self.whole.is_some() {
            return lock(&self.of_stage).push(counter_update);
        }
        self.apply(counter_update);
    }

    fn apply(&self, counter_update: CounterUpdate) {
        if let Err(error) = self.counter_updates().put(counter_update) {
            self.whole().fail(error);
        }
    }

    /// Applies the updates that belong to no single partition of a map stage, after the attempt has succeeded.
    pub(crate) fn commit_counter_updates(&self, stage: usize) {
        for counter_update in std::mem::take(&mut *lock(&self.of_stage)) {
            self.apply(counter_update);
        }
        self.counter_updates().end_stage(stage);
    }

    /// Returns the counter updates of the whole run.
    pub(crate) fn counter_updates(&self) -> &CounterUpdates {
        &self.whole().counter_updates
    }

    fn whole(&self) -> &Self {
        self.whole.as_ref().map_or(self, |whole| whole.whole())
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.resources.progress
    }
}

/// A panic while a lock is held leaves these values consistent: each is set in one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
