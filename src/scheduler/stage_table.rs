//! The map stages of a job: which of them run, and which may begin.

use std::sync::Arc;

use super::queue::PartitionQueue;
use super::watch::Watch;
use crate::id::ShuffleId;
use crate::plan::{JobPlan, MapStagePlan};
use crate::task::{JobState, MapStage, Resources};

/// The map stages, in the order of the plan. Those that the first plan did not include follow.
#[derive(Default)]
pub(super) struct StageTable<'j>(Vec<StageEntry<'j>>);

/// One map stage.
pub(super) struct StageEntry<'j> {
    pub(super) plan: &'j MapStagePlan,
    pub(super) number: usize,
    /// Number of times that the output is read.
    pub(super) readers: usize,
    /// Positions of the stages whose output it reads.
    reads: Vec<usize>,
    /// Position of the stage whose join filter it uses.
    filtered_by: Option<usize>,
    phase: Phase<'j>,
    /// Number of attempts that have found damage since its output was needed.
    pub(super) attempts: usize,
    /// The resources of its tasks, once it has begun. A stage that runs again for another one counts for that one.
    pub(super) resources: Option<Resources>,
    /// Measures the stage until it is done for the first time.
    pub(super) watch: Option<Watch>,
}

enum Phase<'j> {
    Waiting,
    /// A thread prepares or completes it.
    Busy,
    Open {
        stage: Arc<OpenStage<'j>>,
        /// Number of threads that run its tasks.
        running: usize,
    },
    Done,
}

/// An attempt at a map stage whose tasks run.
pub(super) struct OpenStage<'j> {
    pub(super) number: usize,
    pub(super) code: Box<dyn MapStage + 'j>,
    pub(super) attempt: JobState,
    pub(super) queue: PartitionQueue<'j>,
}

/// What a thread does next.
pub(super) enum NextStep<'j> {
    /// Begins the stage at this position.
    Begin(usize),
    /// Runs tasks of the stage at this position.
    Work(usize, Arc<OpenStage<'j>>),
}

impl<'j> StageTable<'j> {
    /// Adds the stages of `plan` that the table does not have, as stages that wait, and returns the positions of those
    /// that the last stage of the plan reads. `number_of` returns the number of the stage of a shuffle.
    pub(super) fn add(
        &mut self,
        plan: &'j JobPlan,
        number_of: impl Fn(ShuffleId) -> usize,
    ) -> Vec<usize> {
        for map_stage in &plan.map_stages {
            let reads = self.positions(&map_stage.reads);
            let after = map_stage.shuffle.after();
            let filtered_by = after.and_then(|first| self.position(first.id()));
            match self.position(map_stage.shuffle.id()) {
                Some(known) => {
                    let known = &mut self.0[known];
                    // Persisted partitions may have been dropped or completed, so it may read other shuffles now.
                    known.reads = reads;
                    // Other stages may still have to read it.
                    known.readers = known.readers.max(map_stage.readers);
                }
                None => self.0.push(StageEntry {
                    plan: map_stage,
                    number: number_of(map_stage.shuffle.id()),
                    readers: map_stage.readers,
                    reads,
                    filtered_by,
                    phase: Phase::Waiting,
                    attempts: 0,
                    resources: None,
                    watch: None,
                }),
            }
        }
        self.positions(&plan.result_reads)
    }

    fn position(&self, shuffle: ShuffleId) -> Option<usize> {
        let mut entries = self.0.iter();
        entries.position(|entry| entry.plan.shuffle.id() == shuffle)
    }

    fn positions(&self, shuffles: &[ShuffleId]) -> Vec<usize> {
        let found = shuffles.iter();
        found
            .filter_map(|shuffle| self.position(*shuffle))
            .collect()
    }

    pub(super) fn entry(&mut self, position: usize) -> &mut StageEntry<'j> {
        &mut self.0[position]
    }

    pub(super) fn entries(&mut self) -> impl Iterator<Item = &mut StageEntry<'j>> {
        self.0.iter_mut()
    }

    /// Has the stage at `position` wait until all of its input has been computed again. `resources` are those of the
    /// stage for which this happens, and `plan` is a new plan of its input.
    ///
    /// Reading an output frees some of its memory, so the input of a stage that runs again runs again too. A stage that
    /// has not finished is left alone: no failed attempt has read its new output.
    pub(super) fn again(
        &mut self,
        position: usize,
        plan: &'j JobPlan,
        resources: &Resources,
        number_of: impl Fn(ShuffleId) -> usize,
    ) {
        let known = self.0.len();
        let reads = self.add(plan, number_of);
        self.0[position].reads.clone_from(&reads);
        self.0[position].phase = Phase::Waiting;
        let mut to_visit = reads;
        // New stages read outputs that may have been read before.
        for entry in &mut self.0[known..] {
            entry.resources = Some(resources.clone());
            to_visit.extend(&entry.reads);
        }
        while let Some(read) = to_visit.pop() {
            let entry = &mut self.0[read];
            if matches!(entry.phase, Phase::Done) {
                entry.phase = Phase::Waiting;
                entry.attempts = 0;
                entry.resources = Some(resources.clone());
                to_visit.extend(&entry.reads);
            }
        }
    }

    /// Returns what a thread does next: it takes tasks of the first stage that has any, from position `from` on and
    /// then from the beginning.
    pub(super) fn next(&mut self, from: usize) -> Option<NextStep<'j>> {
        let count = self.0.len();
        let position = (from..count).chain(0..from.min(count));
        let position = position.into_iter().find(|at| self.has_work(*at))?;
        let phase = &mut self.0[position].phase;
        if let Phase::Open { stage, running } = phase {
            *running += 1;
            return Some(NextStep::Work(position, Arc::clone(stage)));
        }
        *phase = Phase::Busy;
        Some(NextStep::Begin(position))
    }

    /// Returns whether this thread may find work in another stage than that at `position`.
    pub(super) fn has_work_besides(&self, position: usize) -> bool {
        (0..self.0.len()).any(|other| other != position && self.has_work(other))
    }

    /// Returns whether this thread may find work in the stage at `position`.
    fn has_work(&self, position: usize) -> bool {
        let entry = &self.0[position];
        match &entry.phase {
            Phase::Waiting => {
                let is_done = |at: usize| matches!(self.0[at].phase, Phase::Done);
                let is_filtered_later = |filter| !is_done(filter) && !self.is_short();
                entry.reads.iter().all(|read| is_done(*read))
                    && !entry.filtered_by.is_some_and(is_filtered_later)
            }
            // A stage without partitions has no tasks, but some thread must complete it. An attempt that has found
            // damage has tasks left, but only its last thread has to do anything more: others would come and go.
            Phase::Open { stage, running } => {
                let is_open =
                    || !stage.attempt.is_stopped() && stage.queue.is_open_to_this_thread();
                *running == 0 || is_open()
            }
            Phase::Busy | Phase::Done => false,
        }
    }

    /// Returns whether all stages that run have too few tasks for all threads. It is not worth leaving cores idle to
    /// wait for a join filter.
    fn is_short(&self) -> bool {
        self.0.iter().all(|entry| match &entry.phase {
            Phase::Open { stage, .. } => stage.queue.is_short(),
            Phase::Busy => false,
            Phase::Waiting | Phase::Done => true,
        })
    }

    /// Opens the stage at `position` for all threads. `running` threads already run its tasks.
    pub(super) fn open(&mut self, position: usize, stage: &Arc<OpenStage<'j>>, running: usize) {
        self.0[position].phase = Phase::Open {
            stage: Arc::clone(stage),
            running,
        };
    }

    /// Records that a thread has left the stage at `position`. Returns the stage if that was the last thread, and there
    /// are no more tasks: the caller completes it.
    pub(super) fn leave(&mut self, position: usize) -> Option<OpenStage<'j>> {
        let phase = &mut self.0[position].phase;
        let Phase::Open { stage, running } = phase else {
            return None;
        };
        *running -= 1;
        if *running > 0 || !stage.attempt.is_stopped() && !stage.queue.is_exhausted() {
            return None;
        }
        match std::mem::replace(phase, Phase::Busy) {
            Phase::Open { stage, .. } => Arc::into_inner(stage),
            _ => None,
        }
    }

    /// Records that the output of the stage at `position` can be read.
    pub(super) fn set_done(&mut self, position: usize) {
        self.0[position].phase = Phase::Done;
    }
}
