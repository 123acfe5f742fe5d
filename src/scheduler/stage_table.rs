//! The map stages of a job: which of them run, and which may begin.

use std::collections::HashMap;
use std::sync::Arc;

use super::queue::PartitionQueue;
use super::ready::ReadyStages;
use super::watch::Watch;
use crate::id::ShuffleId;
use crate::plan::{JobPlan, MapStagePlan};
use crate::task::{JobState, MapStage, Resources};

/// The map stages, in the order of the plan. Those that the first plan did not include follow.
#[derive(Default)]
pub(super) struct StageTable<'j> {
    entries: Vec<StageEntry<'j>>,
    positions: HashMap<ShuffleId, usize>,
    /// The stages that may begin, and those that are open.
    ready: ReadyStages,
    /// Number of stages that a thread prepares or completes.
    busy: usize,
    /// Number of stages that have begun and are not done.
    begun: usize,
    /// Whether the stage that has begun must be the only one.
    is_alone: bool,
}

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

/// Next step of a thread.
pub(super) enum NextStep<'j> {
    /// Begins the stage at this position.
    Begin(usize),
    /// Runs tasks of the stage at this position.
    Work(usize, Arc<OpenStage<'j>>),
}

impl StageEntry<'_> {
    /// Returns whether no other stage may run at the same time. A broadcast output must stay in memory, and may take
    /// half of the budget. Tasks of other stages could hold more than the other half.
    fn runs_alone(&self) -> bool {
        self.plan.shuffle.is_broadcast()
    }
}

impl<'j> StageTable<'j> {
    /// Returns whether the number of partitions of a stage is unknown, and the maximum number of tasks at a time.
    pub(super) fn extent(&self) -> (bool, usize) {
        let parents = self.entries.iter().map(|entry| entry.plan.shuffle.parent());
        let partitions = parents.map(|parent| parent.partitions);
        let sum = partitions.sum::<Option<usize>>();
        (sum.is_none(), sum.unwrap_or(usize::MAX))
    }

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
            let shuffle = map_stage.shuffle.id();
            match self.position(shuffle) {
                Some(known) => {
                    let known = &mut self.entries[known];
                    // Persisted partitions may have been dropped or completed, so it may read other shuffles now.
                    known.reads = reads;
                    // Other stages may still have to read it.
                    known.readers = known.readers.max(map_stage.readers);
                }
                None => {
                    self.positions.insert(shuffle, self.entries.len());
                    self.entries.push(StageEntry {
                        plan: map_stage,
                        number: number_of(shuffle),
                        readers: map_stage.readers,
                        reads,
                        filtered_by,
                        phase: Phase::Waiting,
                        attempts: 0,
                        resources: None,
                        watch: None,
                    });
                }
            }
        }
        self.find_ready();
        self.positions(&plan.result_reads)
    }

    /// Finds the stages that may begin or are open, after the phases or the reads of any stages have changed.
    fn find_ready(&mut self) {
        let reads = self.entries.iter().map(|entry| &*entry.reads);
        let is_done = |at: usize| matches!(self.entries[at].phase, Phase::Done);
        self.ready = ReadyStages::new(reads, is_done);
        (self.busy, self.begun, self.is_alone) = (0, 0, false);
        for (position, entry) in self.entries.iter().enumerate() {
            if matches!(entry.phase, Phase::Busy | Phase::Open { .. }) {
                self.begun += 1;
                self.is_alone |= entry.runs_alone();
            }
            match entry.phase {
                Phase::Busy => {
                    self.ready.remove(position);
                    self.busy += 1;
                }
                // Another stage may have found the input of an open one damaged.
                Phase::Open { .. } => self.ready.insert(position),
                Phase::Waiting | Phase::Done => {}
            }
        }
    }

    fn position(&self, shuffle: ShuffleId) -> Option<usize> {
        self.positions.get(&shuffle).copied()
    }

    fn positions(&self, shuffles: &[ShuffleId]) -> Vec<usize> {
        let found = shuffles.iter();
        found
            .filter_map(|shuffle| self.position(*shuffle))
            .collect()
    }

    pub(super) fn entry(&mut self, position: usize) -> &mut StageEntry<'j> {
        &mut self.entries[position]
    }

    pub(super) fn entries(&mut self) -> impl Iterator<Item = &mut StageEntry<'j>> {
        self.entries.iter_mut()
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
        let known = self.entries.len();
        let reads = self.add(plan, number_of);
        self.entries[position].reads.clone_from(&reads);
        self.entries[position].phase = Phase::Waiting;
        let mut to_visit = reads;
        // New stages read outputs that may have been read before.
        for entry in &mut self.entries[known..] {
            entry.resources = Some(resources.clone());
            to_visit.extend(&entry.reads);
        }
        while let Some(read) = to_visit.pop() {
            let entry = &mut self.entries[read];
            if matches!(entry.phase, Phase::Done) {
                entry.phase = Phase::Waiting;
                entry.attempts = 0;
                entry.resources = Some(resources.clone());
                to_visit.extend(&entry.reads);
            }
        }
        self.find_ready();
    }

    /// Returns what a thread does next: it takes tasks of the first stage that has any, from position `from` on and
    /// then from the beginning.
    pub(super) fn next(&mut self, from: usize) -> Option<NextStep<'j>> {
        let position = self.ready.from(from).find(|at| self.has_work(*at))?;
        if let Phase::Open { stage, running } = &mut self.entries[position].phase {
            *running += 1;
            return Some(NextStep::Work(position, Arc::clone(stage)));
        }
        self.take(position);
        self.begun += 1;
        self.is_alone = self.entries[position].runs_alone();
        Some(NextStep::Begin(position))
    }

    /// Has this thread prepare or complete the stage at `position`, and no other thread take it. Returns its phase.
    fn take(&mut self, position: usize) -> Phase<'j> {
        self.ready.remove(position);
        self.busy += 1;
        std::mem::replace(&mut self.entries[position].phase, Phase::Busy)
    }

    /// Returns whether this thread may find work in another stage than that at `position`.
    pub(super) fn has_work_besides(&self, position: usize) -> bool {
        let mut others = self.ready.from(0).filter(|other| *other != position);
        others.any(|other| self.has_work(other))
    }

    /// Returns whether this thread may find work in the stage at `position`, which may begin or is open.
    fn has_work(&self, position: usize) -> bool {
        let entry = &self.entries[position];
        match &entry.phase {
            Phase::Waiting => {
                let is_done = |at: usize| matches!(self.entries[at].phase, Phase::Done);
                let is_filtered_later = |filter| !is_done(filter) && !self.is_short();
                let must_wait = self.is_alone || self.begun > 0 && entry.runs_alone();
                !must_wait && !entry.filtered_by.is_some_and(is_filtered_later)
            }
            // A stage without partitions has no tasks, but some thread must complete it. An attempt that has found
            // damage has tasks left, but only its last thread has to do anything more: others would come and go.
            Phase::Open { stage, running } => {
                let is_open =
                    || !stage.attempt.is_stopped() && stage.queue.is_open_to_this_thread();
                *running == 0 || is_open()
            }
            // Its input has been computed again, for another stage.
            Phase::Busy | Phase::Done => false,
        }
    }

    /// Returns whether all stages that run have too few tasks for all threads. It is not worth leaving cores idle to
    /// wait for a join filter.
    fn is_short(&self) -> bool {
        let is_short = |at: usize| match &self.entries[at].phase {
            Phase::Open { stage, .. } => stage.queue.is_short(),
            _ => true,
        };
        self.busy == 0 && self.ready.from(0).all(is_short)
    }

    /// Opens the stage at `position` for all threads. `running` threads already run its tasks.
    pub(super) fn open(&mut self, position: usize, stage: &Arc<OpenStage<'j>>, running: usize) {
        self.entries[position].phase = Phase::Open {
            stage: Arc::clone(stage),
            running,
        };
        self.busy -= 1;
        self.ready.insert(position);
    }

    /// Records that a thread has left the stage at `position`. Returns the stage if that was the last thread, and there
    /// are no more tasks: the caller completes it.
    pub(super) fn leave(&mut self, position: usize) -> Option<OpenStage<'j>> {
        let Phase::Open { stage, running } = &mut self.entries[position].phase else {
            return None;
        };
        *running -= 1;
        if *running > 0 || !stage.attempt.is_stopped() && !stage.queue.is_exhausted() {
            return None;
        }
        match self.take(position) {
            Phase::Open { stage, .. } => Arc::into_inner(stage),
            _ => None,
        }
    }

    /// Records that the output of the stage at `position` can be read.
    pub(super) fn set_done(&mut self, position: usize) {
        self.entries[position].phase = Phase::Done;
        self.busy -= 1;
        self.begun -= 1;
        // If this stage ran alone, there is no other.
        self.is_alone = false;
        self.ready.set_done(position);
    }
}
