//! Runs the stages of a job on a remote executor: sends them, receives reports, and recomputes lost outputs.

use std::collections::HashMap;
use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Job;
use crate::error::{Error, ErrorKind, Result, caught};
use crate::executor::{Driver, RemoteExecutor, Report, Round, Stage, StageSite, Tasks};
use crate::id::ShuffleId;
use crate::lineage::{Node, StoredNode};
use crate::plan::{self, JobPlan, MapStagePlan};
use crate::portable::Saver;
use crate::storage::scratch::ScratchFile;
use crate::task::{Flow, JobState, MapBlock, PartitionStream, StageCode, Task, in_task};

impl Job {
    /// Runs the map sides of the shuffles that the result needs.
    pub(super) fn run_remote_map_stages(&self, executor: &dyn RemoteExecutor) -> Result<()> {
        let last_readers = self.last_readers();
        for (number, map_stage) in (1..).zip(&self.plan.map_stages) {
            let node = map_stage.shuffle.parent();
            self.watch(number, node, node.partitions, || {
                self.run_remote_map_stage(executor, number, map_stage)
            })?;
            // If a stage that read the deleted outputs must run again, all of its input is recomputed.
            let is_read = |shuffle| {
                last_readers
                    .get(&shuffle)
                    .is_some_and(|last| *last > number)
            };
            self.exports.retain(is_read);
        }
        Ok(())
    }

    /// Runs the result's stage, which passes its results to [`StageCode::accept`].
    pub(super) fn run_remote_result_stage(
        &self,
        executor: &dyn RemoteExecutor,
        code: &dyn StageCode,
    ) -> Result<()> {
        let (number, node) = (self.plan.stages(), &self.plan.result);
        self.watch(number, node, code.partitions(), || {
            self.run_remote(executor, number, code, node, &self.plan.result_reads)?;
            Ok(())
        })
    }

    fn run_remote_map_stage(
        &self,
        executor: &dyn RemoteExecutor,
        number: usize,
        map_stage: &MapStagePlan,
    ) -> Result<()> {
        let (shuffle, node) = (map_stage.shuffle.id(), map_stage.shuffle.parent());
        let resources = self.state.resources();
        let stage = map_stage.shuffle.map_stage(map_stage.readers, resources);
        let (reports, files) =
            self.run_remote(executor, number, &*stage, node, &map_stage.reads)?;
        let blocks = reports.into_iter().flat_map(|report| report.blocks);
        let blocks = std::iter::once(MapBlock::of_all(shuffle)).chain(blocks);
        self.exports.put(shuffle, blocks.collect(), files);
        self.state.counter_updates().end_stage(number);
        Ok(())
    }

    /// Recomputes all input of the stage of `node`, and returns the shuffles that the stage reads.
    fn export_again(
        &self,
        executor: &dyn RemoteExecutor,
        node: &Arc<Node>,
    ) -> Result<Vec<ShuffleId>> {
        // Persisted partitions may have been dropped or completed since the job was planned.
        let plan = JobPlan::new(node);
        for map_stage in &plan.map_stages {
            let number = self.number_of(map_stage.shuffle.id());
            self.send_restarted(number, map_stage.shuffle.parent());
            self.run_remote_map_stage(executor, number, map_stage)?;
        }
        let reads = plan.result_reads.clone();
        self.later().plans.push(plan);
        Ok(reads)
    }

    /// Returns, for each shuffle, the number of the last stage that reads it.
    fn last_readers(&self) -> HashMap<ShuffleId, usize> {
        let map_stages = self
            .plan
            .map_stages
            .iter()
            .map(|map_stage| &map_stage.reads);
        let all = (1..).zip(map_stages.chain([&self.plan.result_reads]));
        let reads = all.flat_map(|(number, reads)| reads.iter().map(move |read| (*read, number)));
        reads.collect()
    }

    /// Runs a stage until it is done. Recomputes output of earlier stages that is damaged or lost.
    fn run_remote(
        &self,
        executor: &dyn RemoteExecutor,
        number: usize,
        code: &dyn StageCode,
        node: &Arc<Node>,
        reads: &[ShuffleId],
    ) -> Result<(Vec<Report>, Vec<Arc<ScratchFile>>)> {
        let source = StageSource {
            job: &self.state,
            number,
            code,
            node,
            stream: Mutex::new(code.partitions().is_none().then(|| code.stream())),
            files: Mutex::default(),
        };
        let site = StageSite {
            number,
            site: node.site,
            events: &self.events,
        };
        let slots = executor.slots().max(1);
        let tasks = Tasks::new(
            &source,
            site,
            code.partitions(),
            code.partitions_per_task(),
            slots,
        );
        let mut reads = reads.to_vec();
        loop {
            // The stage includes the locations of persisted partitions. These may change, so it is encoded again for
            // each round.
            let stage = self.stage(number, code, &reads, slots)?;
            executor.run(&stage, &tasks)?;
            match tasks.round()? {
                Round::Done(reports) => return Ok((reports, source.into_files())),
                Round::Stopped => return Ok((Vec::new(), source.into_files())),
                Round::Damaged => reads = self.export_again(executor, node)?,
                Round::Again => {}
            }
        }
    }

    fn stage(
        &self,
        number: usize,
        code: &dyn StageCode,
        reads: &[ShuffleId],
        slots: usize,
    ) -> Result<Stage> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let resources = self.state.resources();
        let code = Saver::write(|to| code.save(to))?;
        Ok(Stage {
            id: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            number,
            code,
            inputs: self.exports.blocks(reads),
            scratch: resources.scratch.path()?,
            directory: env::current_dir().ok(),
            memory_bytes: resources.budget.limit_bytes() / slots,
            disk_quota_bytes: resources.scratch.quota_bytes(),
        })
    }
}

/// The driver's side of a stage's tasks.
struct StageSource<'s> {
    job: &'s JobState,
    number: usize,
    code: &'s dyn StageCode,
    node: &'s Arc<Node>,
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

    fn take(&self, partitions: usize, report: &Report) -> Result<()> {
        let (progress, resources) = (self.job.progress(), self.job.resources());
        let metrics = &report.metrics;
        progress.add_tasks(partitions, metrics.time);
        progress.add_bytes(metrics.input_bytes);
        progress.add_shuffled(metrics.shuffled_records, metrics.shuffled_bytes);
        resources.scratch.count_written(metrics.spilled_bytes);
        resources.budget.note_peak(metrics.peak_memory_bytes);
        for counter_update in &report.counter_updates {
            self.job.counter_updates().put(counter_update.clone());
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

    fn written_bytes(&self) -> u64 {
        self.job.resources().scratch.written_bytes()
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
}
