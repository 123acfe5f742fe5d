//! Runs a stage on a remote executor: sends it, receives reports, and recomputes lost outputs.

use std::collections::BTreeMap;
use std::env;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::exports::{Exports, MapTaskOutput, ReadExports};
use super::{Job, lock};
use crate::error::{Error, ErrorKind, PlaceError as _, Result, caught};
use crate::executor::{
    Driver, Home, Locality, RemoteExecutor, Report, Round, Stage, StageSite, Tasks,
};
use crate::id::ShuffleId;
use crate::lineage::{Node, StoredNode};
use crate::plan::{self, MapStagePlan};
use crate::portable::Saver;
use crate::task::{
    Flow, JobState, MapOutput, PartitionStream, Pullers, Resources, StageCode, Task, in_task,
    pulling_for, take_notes,
};

/// A stage as a remote executor runs it.
#[derive(Clone, Copy)]
struct RemoteStageRun<'r> {
    executor: &'r dyn RemoteExecutor,
    number: usize,
    code: &'r dyn StageCode,
    node: &'r Arc<Node>,
    /// Resources with the counters of the stage.
    resources: &'r Resources,
    /// Called when slots of the executor are idle.
    idle: &'r (dyn Fn() + Sync),
    /// Shuffle whose join filter the stage uses if it is there.
    filter: Option<ShuffleId>,
    /// Whether the stage runs again, for one that has found damage.
    is_recovery: bool,
    /// Whether it is the stage of the result, whose tasks must run in the order of their partitions.
    is_result: bool,
}

impl Job {
    /// Runs the result's stage, which passes its results to [`StageCode::accept`].
    pub(super) fn run_remote_result_stage(
        &self,
        executor: &dyn RemoteExecutor,
        code: &dyn StageCode,
    ) -> Result<()> {
        let run = RemoteStageRun {
            executor,
            number: self.plan.stages(),
            code,
            node: &self.plan.result,
            resources: self.state.resources(),
            idle: &|| {},
            filter: None,
            is_recovery: false,
            is_result: true,
        };
        let outputs = self.run_remote(run, &self.plan.result_reads, None)?;
        let partitions = outputs.iter().map(|output| output.partitions.len()).sum();
        if partitions > 0 {
            let task = Task::of_no_partition(&self.state, run.number);
            let ended = |task: &Task<'_>| {
                code.end_chunks(task, partitions);
                Ok(())
            };
            in_task(|| task.guard(ended)).of_stage(run.number)?;
        }
        Ok(())
    }

    /// Runs a stage whose output is not needed. Its tasks use `resources`.
    pub(super) fn run_remote_sample(
        &self,
        executor: &dyn RemoteExecutor,
        number: usize,
        node: &Arc<Node>,
        code: &dyn StageCode,
        resources: &Resources,
    ) -> Result<()> {
        let run = RemoteStageRun {
            executor,
            number,
            code,
            node,
            resources,
            idle: &|| {},
            filter: None,
            is_recovery: false,
            is_result: true,
        };
        self.run_remote(run, &[], None)?;
        Ok(())
    }

    /// Runs a map stage. Its tasks use `resources`; calls `idle` when slots of the executor are idle.
    pub(super) fn run_remote_map_stage(
        &self,
        executor: &dyn RemoteExecutor,
        number: usize,
        map_stage: &MapStagePlan,
        resources: &Resources,
        idle: &(dyn Fn() + Sync),
    ) -> Result<()> {
        let code = map_stage.shuffle.map_stage(map_stage.readers, resources);
        let run = RemoteStageRun {
            executor,
            number,
            code: &*code,
            node: map_stage.shuffle.parent(),
            resources,
            idle,
            filter: map_stage.shuffle.after().map(|by| by.id()),
            is_recovery: false,
            is_result: false,
        };
        self.export(run, map_stage)
    }

    fn export(&self, run: RemoteStageRun<'_>, map_stage: &MapStagePlan) -> Result<()> {
        let shuffle = map_stage.shuffle.id();
        let partitions = run.code.partitions();
        // Only all partitions of a source of unknown length can be read again.
        let missing = partitions.and_then(|_| self.exports.missing(shuffle));
        if missing.is_none() {
            self.exports.remove(shuffle);
        }
        let outputs = self.run_remote(run, &map_stage.reads, missing)?;
        let end = outputs.last().map_or(0, |output| output.partitions.end);
        let partitions = partitions.unwrap_or(end);
        self.exports.put(shuffle, partitions, outputs);
        self.state.counter_updates().end_stage(run.number);
        Ok(())
    }

    /// Recomputes the missing input of a stage. Returns the shuffles that the stage reads.
    fn export_again(&self, run: RemoteStageRun<'_>) -> Result<Vec<ShuffleId>> {
        // Afterwards, nothing is missing any more that another stage has recomputed.
        let _recovery = (!run.is_recovery).then(|| self.exports.begin_recovery());
        let plan = self.plan_again(run.node);
        let incomplete = self.exports.incomplete(plan);
        let map_stages = plan.map_stages.iter().zip(incomplete);
        for (map_stage, _) in map_stages.filter(|(_, is_incomplete)| *is_incomplete) {
            let (number, node) = (
                self.number_of(map_stage.shuffle.id()),
                map_stage.shuffle.parent(),
            );
            self.send_restarted(number, node);
            let code = map_stage
                .shuffle
                .map_stage(map_stage.readers, run.resources);
            let again = RemoteStageRun {
                number,
                code: &*code,
                node,
                filter: map_stage.shuffle.after().map(|by| by.id()),
                is_recovery: true,
                is_result: false,
                ..run
            };
            self.export(again, map_stage)?;
        }
        Ok(plan.result_reads.clone())
    }

    /// Returns the input of a stage, and recomputes what is missing of it. A job that has been stopped needs none.
    fn inputs(&self, run: RemoteStageRun<'_>, reads: &mut Vec<ShuffleId>) -> Result<ReadExports> {
        loop {
            if let Some(inputs) = self.exports.of(reads) {
                return Ok(inputs);
            }
            if self.state.is_stopped() {
                return Ok(ReadExports::default());
            }
            *reads = self.export_again(run)?;
        }
    }

    /// Runs a stage until it is done: all of its partitions, or those that are `missing`. Recomputes output of earlier
    /// stages that is damaged or lost. Returns the output of its tasks, in the order of the partitions.
    fn run_remote(
        &self,
        run: RemoteStageRun<'_>,
        reads: &[ShuffleId],
        missing: Option<Vec<Range<usize>>>,
    ) -> Result<Vec<MapTaskOutput>> {
        let RemoteStageRun {
            number, code, node, ..
        } = run;
        let source = StageSource {
            job: &self.state,
            resources: run.resources,
            number,
            code,
            node,
            idle: run.idle,
            stream: Mutex::new(code.partitions().is_none().then(|| code.stream())),
            pullers: self.pullers(),
            failure: Mutex::default(),
            exports: &self.exports,
            inputs: Mutex::default(),
            outputs: Mutex::default(),
        };
        let site = StageSite {
            number,
            site: node.site,
            events: &self.events,
        };
        let tasks = Tasks::new(
            &source,
            site,
            code.partitions(),
            code.partitions_per_task(),
            &self.slots,
        );
        if let Some(missing) = missing {
            tasks.run_only(&missing);
        }
        let mut reads = reads.to_vec();
        loop {
            // The stage includes the locations of persisted partitions. These may change, so it is encoded again for
            // each round.
            let inputs = self.inputs(run, &mut reads)?;
            *lock(&source.inputs) = inputs.clone();
            if let Some(partitions) = code.partitions().filter(|_| !run.is_result) {
                tasks.set_locality(source.locality(partitions, &inputs));
            }
            let code = Saver::write(|to| code.save(to))?;
            let mut outputs = inputs.outputs();
            let filter = run.filter.into_iter();
            outputs.extend(filter.flat_map(|by| self.exports.filter_of(by)));
            let mut stage = self.stage(number, code, outputs)?;
            if let Some(files) = &self.shuffle {
                if !run.is_result {
                    files.expect_files();
                }
                stage.shuffle = Some(files.directory().clone());
            }
            run.executor.run(&stage, &tasks)?;
            match tasks.round()? {
                Round::Done => return source.into_outputs(),
                Round::Stopped => return Ok(Vec::new()),
                Round::Damaged => reads = self.export_again(run)?,
                Round::Again => {}
            }
        }
    }

    pub(super) fn stage(
        &self,
        number: usize,
        code: Vec<u8>,
        inputs: Vec<MapOutput>,
    ) -> Result<Stage> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let resources = self.state.resources();
        Ok(Stage {
            id: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            job: self.events.job(),
            number,
            code,
            inputs,
            scratch: resources.scratch.path()?,
            shuffle: None,
            directory: env::current_dir().ok(),
            memory_bytes: resources.budget.limit_bytes() / self.slots.count(),
            disk_quota_bytes: resources.scratch.quota_bytes(),
        })
    }
}

/// The driver's side of a stage's tasks.
struct StageSource<'s> {
    job: &'s JobState,
    resources: &'s Resources,
    number: usize,
    code: &'s dyn StageCode,
    node: &'s Arc<Node>,
    idle: &'s (dyn Fn() + Sync),
    stream: Mutex<Option<PartitionStream<'s>>>,
    pullers: Pullers,
    /// The error that ended the stream. As that of a local queue, it comes after those of the tasks.
    failure: Mutex<Option<Error>>,
    exports: &'s Exports,
    /// Outputs that the tasks read.
    inputs: Mutex<ReadExports>,
    /// Output of the tasks, by their first partition.
    outputs: Mutex<BTreeMap<usize, MapTaskOutput>>,
}

impl StageSource<'_> {
    /// Returns the persisted nodes of this stage that are read or computed now.
    fn stores(&self) -> impl Iterator<Item = &Arc<dyn StoredNode>> {
        let nodes = plan::narrow_ancestors(self.node).into_iter();
        nodes.filter_map(|node| node.stored.as_ref())
    }

    /// Returns where the input of the stage is. Most stages read the partitions of persisted bags and of shuffles with
    /// the number of their own; for others, such as unions, some tasks run where their input is not.
    fn locality(&self, partitions: usize, inputs: &ReadExports) -> Locality {
        if !self.resources.scratch.has_homes() {
            return Locality::default();
        }
        let stored = self.stores().flat_map(|store| store.homes());
        Locality::new(partitions, stored.chain(inputs.homes()))
    }

    /// Returns the output of all tasks, or the error of the stream.
    fn into_outputs(self) -> Result<Vec<MapTaskOutput>> {
        if let Some(error) = lock(&self.failure).take() {
            return Err(error);
        }
        let outputs = std::mem::take(&mut *lock(&self.outputs));
        Ok(outputs.into_values().collect())
    }
}

impl Driver for StageSource<'_> {
    fn pull(&self) -> Result<Option<(usize, Vec<u8>)>> {
        let mut stream = lock(&self.stream);
        let Some(open) = &mut *stream else {
            return Ok(None);
        };
        let pulled = pulling_for(&self.pullers, || match caught(None, open)? {
            Some(partition) => Ok(Some((partition.index, partition.to_bytes()?))),
            None => Ok(None),
        });
        self.resources.progress.add_notes(take_notes());
        pulled.or_else(|error: Error| {
            *stream = None;
            *lock(&self.failure) = Some(error.of_stage(self.number));
            Ok(None)
        })
    }

    fn take(&self, partitions: Range<usize>, report: &mut Report) -> Result<()> {
        let resources = self.resources;
        let (progress, metrics) = (&resources.progress, &report.metrics);
        progress.add_tasks(partitions.len(), metrics.time);
        progress.add_bytes(metrics.input_bytes);
        progress.add_shuffled(metrics.shuffled_records, metrics.shuffled_bytes);
        progress.add_dropped(metrics.filtered_records);
        resources.scratch.count_written(metrics.spilled_bytes);
        resources.budget.note_peak(metrics.peak_memory_bytes);
        for counter_update in &report.counter_updates {
            self.job.put_counter_update(counter_update.clone());
        }
        if !report.stored.is_empty() {
            for stored in &report.stored {
                let mut stores = self.stores();
                if let Some(store) = stores.find(|store| store.id().number() == stored.store) {
                    store.adopt(stored)?;
                }
            }
        }
        let outputs = std::mem::take(&mut report.outputs);
        let files = MapOutput::adopt(&outputs, &resources.scratch)?;
        let start = partitions.start;
        let output = MapTaskOutput {
            partitions,
            outputs,
            files,
        };
        lock(&self.outputs).insert(start, output);
        Ok(())
    }

    fn take_written(&self) -> u64 {
        self.resources.scratch.take_written()
    }

    fn forget(&self, damage: &Error, attempt: usize) -> bool {
        let counts = match damage.kind() {
            ErrorKind::HomeLost { home, .. } => {
                let home = Home::new(home);
                self.stores().for_each(|store| store.forget_home(&home));
                self.exports.forget_home(&home, &lock(&self.inputs))
            }
            ErrorKind::CorruptRun { path, offset, .. } => {
                self.stores()
                    .for_each(|store| _ = store.forget(path, *offset));
                self.exports.forget_file(path);
                true
            }
            _ => true,
        };
        // If recomputing the damaged output did not help, there may be more damage, which a task finds bit by bit.
        if counts && attempt > 1 {
            self.exports.forget_all(&lock(&self.inputs));
        }
        counts
    }

    fn lose_home(&self, home: &Home) {
        self.stores().for_each(|store| store.forget_home(home));
        self.exports.lose_home(home);
    }

    fn discard(&self, file: &Path) {
        self.resources.scratch.discard(file);
    }

    fn accept(&self, partition: usize, chunk: &[u8]) -> Result<Flow> {
        let task = Task::of_no_partition(self.job, self.number);
        let accepted = in_task(|| task.guard(|task| self.code.accept(task, partition, chunk)));
        accepted.of_stage(self.number)
    }

    fn is_stopped(&self) -> bool {
        self.job.is_stopped()
    }

    fn idle(&self) {
        (self.idle)();
    }
}
