//! One run of planned tasks: its state under a lock, and the values that the caller wants.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::plan::{LayerPlan, LayerSet, STAGE};
use super::spill::write_values;
use super::state::TaskStates;
use super::value::Value;
use super::values::{InFile, InMemory, Stored};
use crate::error::{Error, ErrorKind, Result, caught};
use crate::task::{ReclaimMemory, Resources, in_task, resolving};

/// One run of the tasks that some wanted tasks need.
pub(crate) struct LayerRun {
    pub(super) plan: LayerPlan,
    state: Mutex<TaskStates>,
    resources: Resources,
}

impl LayerRun {
    /// Creates a run whose tasks use `resources`. Nothing runs yet.
    pub(crate) fn new(plan: LayerPlan, resources: &Resources) -> Self {
        Self {
            state: Mutex::new(TaskStates::new(&plan, resources.budget.reservation())),
            plan,
            resources: resources.clone(),
        }
    }

    /// Returns the layers.
    pub(crate) fn set(&self) -> &LayerSet {
        &self.plan.set
    }

    /// Returns whether all tasks are done.
    pub(crate) fn is_done(&self) -> bool {
        self.lock().is_done()
    }

    /// No code of the user runs while the lock is held.
    pub(super) fn lock(&self) -> MutexGuard<'_, TaskStates> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the values that no task needs any more. Call it without the lock.
    pub(super) fn drop_unneeded(&self) {
        let dropped = std::mem::take(&mut self.lock().dropped);
        drop(dropped);
    }

    /// Makes the budget suffice for the values, if it has refused: all that hold memory which they can release do so,
    /// among them this run. If even that is not enough, the tasks run nevertheless.
    ///
    /// # Errors
    ///
    /// Returns an error if values cannot be written.
    pub(super) fn relieve(&self) -> Result<()> {
        if self.resources.reclaimer.ask()? && self.lock().values.reserve() {
            return Ok(());
        }
        self.spill()?;
        self.lock().values.reserve();
        Ok(())
    }

    /// Writes values to a file: those whose next reader is farthest. Returns whether that has released memory.
    fn spill(&self) -> Result<bool> {
        let mut dropped = Vec::new();
        let victims = self.lock().select(&self.plan, &mut dropped);
        let mut outcome = Ok(());
        if !victims.is_empty() {
            let written = write_values(&self.plan, &self.resources.scratch, &victims);
            let mut state = self.lock();
            match written {
                Ok(written) => {
                    for (victim, (file, files)) in victims.iter().zip(written) {
                        dropped.extend(state.values.spilled(victim.rank, file, files));
                    }
                }
                Err(error) => {
                    let ranks = victims.iter().map(|victim| victim.rank);
                    ranks.for_each(|rank| state.values.not_spilled(rank));
                    outcome = Err(error);
                }
            }
        }
        let has_released = !dropped.is_empty();
        // The values in `victims` are other references to the same ones.
        drop((victims, dropped));
        outcome.map(|()| has_released)
    }

    /// Reads a value from its file.
    pub(super) fn load(&self, rank: u32, file: &InFile) -> Result<Value> {
        let (layer, _) = self.plan.layer_and_task(rank);
        let bytes = file.read()?;
        resolving(&self.resources.scratch, || {
            layer.value_type().decode(&bytes)
        })
    }

    /// Returns the values of the wanted tasks, in their order. Returns `None` if some of them are lost, so that tasks
    /// must run again.
    pub(crate) fn wanted(&self) -> Result<Option<Vec<Value>>> {
        let mut values = Vec::with_capacity(self.plan.wanted.len());
        let mut is_whole = true;
        for rank in &self.plan.wanted {
            let found = self.lock().values.get(*rank).map(copy_of);
            let Some((memory, file)) = found else {
                is_whole = false;
                continue;
            };
            let (layer, _) = self.plan.layer_and_task(*rank);
            let site = layer.site();
            let value = in_task(|| {
                caught(Some(site), || match (memory, file) {
                    (Some(InMemory::Typed(value)), _) => Ok(value),
                    (Some(InMemory::Encoded(bytes)), _) => {
                        let scratch = &self.resources.scratch;
                        resolving(scratch, || layer.value_type().decode(&bytes))
                    }
                    (None, Some(file)) => self.load(*rank, &file),
                    (None, None) => Err(Error::new(ErrorKind::MapOutputLost)),
                })
            });
            match value {
                Ok(value) => values.push(value),
                Err(error) if error.is_recoverable() => {
                    is_whole = false;
                    self.lock().lose(&self.plan, *rank, error)?;
                }
                Err(error) => return Err(self.plan.placed(*rank, STAGE, error)),
            }
        }
        Ok(is_whole.then_some(values))
    }
}

impl ReclaimMemory for LayerRun {
    fn reclaim(&self) -> Result<bool> {
        // An error would end the work that needs the memory, which may be another job. This one finds it out itself.
        let has_released = self.spill().unwrap_or(false);
        self.lock().values.reserve();
        Ok(has_released)
    }
}

/// Returns the parts of a stored value.
fn copy_of(stored: &Stored) -> (Option<InMemory>, Option<InFile>) {
    (stored.memory.clone(), stored.file.clone())
}

impl InFile {
    /// Reads the bytes.
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.bytes).unwrap_or(usize::MAX)];
        let count = self.file.read_at(self.offset, &mut bytes)?;
        if count == bytes.len() {
            return Ok(bytes);
        }
        Err(Error::new(ErrorKind::CorruptRun {
            path: self.file.path().to_owned(),
            offset: self.offset,
            reason: "a value is cut short",
        }))
    }
}

/// A value as it is taken from the state, for a task that reads it.
pub(super) enum Fetched {
    Typed(Value),
    Encoded(Arc<[u8]>),
    File(InFile),
}

impl TaskStates {
    /// Returns the values that a task needs, and the memory that those take that are not in memory yet.
    pub(super) fn fetch(
        &self,
        plan: &LayerPlan,
        rank: u32,
        inputs: &mut Vec<Fetched>,
    ) -> Result<()> {
        for need in plan.needs.of(rank) {
            let stored = self.values.get(*need);
            let fetched = stored.and_then(|stored| match (&stored.memory, &stored.file) {
                (Some(InMemory::Typed(value)), _) => Some(Fetched::Typed(Arc::clone(value))),
                (Some(InMemory::Encoded(bytes)), _) => Some(Fetched::Encoded(Arc::clone(bytes))),
                (None, file) => file.clone().map(Fetched::File),
            });
            let missing = || Error::internal("a task is ready without its values".to_owned());
            inputs.push(fetched.ok_or_else(missing)?);
        }
        Ok(())
    }
}
