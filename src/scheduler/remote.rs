//! Runs a stage on a remote executor: sends it, receives reports, and recomputes lost outputs.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Job;
use super::exports::ReadExports;
use crate::error::{Error, ErrorKind, Result, caught};
use crate::executor::{Driver, RemoteExecutor, Report, Round, Stage, StageSite, Tasks};
use crate::id::ShuffleId;
use crate::lineage::{Node, StoredNode};
use crate::plan::{self, MapStagePlan};
use crate::portable::Saver;
use crate::storage::scratch::ScratchFile;
use crate::task::{Flow, JobState, MapBlock, PartitionStream, Resources, StageCode, Task, in_task};

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
    /// Whether the stage runs again, for one that has found damage.
    is_recovery: bool,
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
            is_recovery: false,
        };
        let (reports, _) = self.run_remote(run, &self.plan.result_reads)?;
        let partitions = reports.iter().map(|report| report.chunks.len()).sum();
        if partitions > 0 {
            let task = Task::of_no_partition(&self.state, run.number);
            let ended = |task: &Task<'_>| {
                code.end_chunks(task, partitions);
                Ok(())
            };
            in_task(|| task.guard(ended)).map_err(|error| error.of_stage(run.number))?;
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
            is_recovery: false,
        };
        self.run_remote(run, &[])?;
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
            is_recovery: false,
        };
        self.export(run, map_stage)
    }

    fn export(&self, run: RemoteStageRun<'_>, map_stage: &MapStagePlan) -> Result<()> {
        let shuffle = map_stage.shuffle.id();
        let (reports, files) = self.run_remote(run, &map_stage.reads)?;
        let blocks = reports.into_iter().flat_map(|report| report.blocks);
        let blocks = std::iter::once(MapBlock::of_all(shuffle)).chain(blocks);
        self.exports.put(shuffle, blocks.collect(), files);
        self.state.counter_updates().end_stage(run.number);
        Ok(())
    }

    /// Recomputes all input of a stage, which has found damage in `found`. Returns the shuffles that the stage reads.
    fn export_again(
        &self,
        run: RemoteStageRun<'_>,
        reads: Vec<ShuffleId>,
        found: &ReadExports,
    ) -> Result<Vec<ShuffleId>> {
        let _recovery = (!run.is_recovery).then(|| self.exports.begin_recovery());
        // Another stage may have found the same damage.
        if !run.is_recovery && !self.exports.of(&reads).are(found) {
            return Ok(reads);
        }
        let plan = self.plan_again(run.node);
        for map_stage in &plan.map_stages {
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
                is_recovery: true,
                ..run
            };
            self.export(again, map_stage)?;
        }
        Ok(plan.result_reads.clone())
    }

    /// Runs a stage until it is done. Recomputes output of earlier stages that is damaged or lost.
    fn run_remote(
        &self,
        run: RemoteStageRun<'_>,
        reads: &[ShuffleId],
    ) -> Result<(Vec<Report>, Vec<Arc<ScratchFile>>)> {
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
            files: Mutex::default(),
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
        let mut reads = reads.to_vec();
        loop {
            // The stage includes the locations of persisted partitions. These may change, so it is encoded again for
            // each round.
            let inputs = self.exports.of(&reads);
            let code = Saver::write(|to| code.save(to))?;
            let stage = self.stage(number, code, inputs.blocks())?;
            run.executor.run(&stage, &tasks)?;
            match tasks.round()? {
                Round::Done(reports) => return Ok((reports, source.into_files())),
                Round::Stopped => return Ok((Vec::new(), source.into_files())),
                Round::Damaged => reads = self.export_again(run, reads, &inputs)?,
                Round::Again => {}
            }
        }
    }

    pub(super) fn stage(
        &self,
        number: usize,
        code: Vec<u8>,
        inputs: Vec<MapBlock>,
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
    /// Output files of the tasks.
    files: Mutex<Vec<Arc<ScratchFile>>>,
}

impl StageSource<'_> {
    /// Returns the persisted nodes of this stage that are read or computed now.
    fn stores(&self) -> impl Iterator<Item = &Arc<dyn StoredNode>> {
        let nodes = plan::narrow_ancestors(self.node).into_iter();
        nodes.filter_map(|node| node.stored.as_ref())
    }

    fn into_files(self) -> Vec<Arc<ScratchFile>> {
        self.files
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Driver for StageSource<'_> {
    fn pull(&self) -> Result<Option<(usize, Vec<u8>)>> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = &mut *stream else {
            return Ok(None);
        };
        let pulled = in_task(|| match caught(None, open)? {
            Some(partition) => Ok(Some((partition.index, partition.to_bytes()?))),
            None => Ok(None),
        });
        pulled.map_err(|error: Error| error.of_stage(self.number))
    }

    fn take(&self, partitions: usize, report: &mut Report) -> Result<()> {
        let resources = self.resources;
        let (progress, metrics) = (&resources.progress, &report.metrics);
        progress.add_tasks(partitions, metrics.time);
        progress.add_bytes(metrics.input_bytes);
        progress.add_shuffled(metrics.shuffled_records, metrics.shuffled_bytes);
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
        let adopted = MapBlock::adopt(&report.blocks, &resources.scratch)?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.extend(adopted);
        Ok(())
    }

    fn take_written(&self) -> u64 {
        self.resources.scratch.take_written()
    }

    fn forget(&self, damage: &Error) {
        if let ErrorKind::CorruptRun { path, offset, .. } = damage.kind() {
            self.stores()
                .for_each(|store| _ = store.forget(path, *offset));
        }
    }

    fn accept(&self, partition: usize, chunk: &[u8]) -> Result<Flow> {
        let task = Task::of_no_partition(self.job, self.number);
        let accepted = in_task(|| task.guard(|task| self.code.accept(task, partition, chunk)));
        accepted.map_err(|error| error.of_stage(self.number))
    }

    fn is_stopped(&self) -> bool {
        self.job.is_stopped()
    }

    fn idle(&self) {
        (self.idle)();
    }
}
