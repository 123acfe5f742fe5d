//! Computes some partitions of the stages that read only sources.

use std::sync::Arc;
use std::time::Duration;

use super::Job;
use super::queue::PartitionQueue;
use super::run::StageRun;
use super::sampled::SampledStage;
use crate::error::{Error, ErrorKind, Result, caught};
use crate::executor::AnyExecutor;
use crate::lineage::Node;
use crate::plan;
use crate::task::{Resources, StageCode};

/// Work of the sampled tasks of a stage.
#[derive(Clone, Debug)]
pub(crate) struct StageSample {
    pub(crate) stage: usize,
    pub(crate) operator: &'static str,
    /// Number of tasks, if it is known.
    pub(crate) tasks: Option<usize>,
    /// Size of the input files of all tasks, if it is known.
    pub(crate) total_input_bytes: Option<u64>,
    pub(crate) sampled_tasks: usize,
    /// Total time of the sampled tasks.
    pub(crate) task_time: Duration,
    pub(crate) input_bytes: u64,
    pub(crate) shuffled_records: u64,
    pub(crate) shuffled_bytes: u64,
}

impl Job {
    /// Computes up to `most` partitions of each stage that reads no shuffle and whose number of partitions is known.
    /// `result` is the stage of the result. Returns a sample of each stage, in the order of the plan.
    ///
    /// # Errors
    ///
    /// Returns the first error of a task.
    pub(crate) fn preview(&self, result: &dyn StageCode, most: usize) -> Result<Vec<StageSample>> {
        let mut samples = Vec::new();
        // The stages drop records and iterators of the user's types, and dropping them may panic.
        let ran = caught(None, || {
            for (position, map_stage) in self.plan.map_stages.iter().enumerate() {
                let number = position + 1;
                let resources = self.state.resources().of_stage(number);
                let code = map_stage.shuffle.map_stage(map_stage.readers, &resources);
                let reads_sources = map_stage.reads.is_empty();
                let node = map_stage.shuffle.parent();
                let most = if reads_sources { most } else { 0 };
                samples.push(self.sample(number, node, &*code, &resources, most)?);
            }
            let resources = self.state.resources().of_stage(self.plan.stages());
            let reads_sources = self.plan.result_reads.is_empty();
            let most = if reads_sources { most } else { 0 };
            let node = &self.plan.result;
            samples.push(self.sample(self.plan.stages(), node, result, &resources, most)?);
            Ok(())
        });
        // The first error counts.
        let outcome = self.state.outcome().and(ran);
        self.set_outcome(&outcome, true);
        outcome.map(|()| samples)
    }

    /// Computes up to `most` partitions of a stage.
    fn sample(
        &self,
        number: usize,
        node: &Arc<Node>,
        code: &dyn StageCode,
        resources: &Resources,
        most: usize,
    ) -> Result<StageSample> {
        let tasks = code.partitions();
        let selected = evenly_spaced(tasks.unwrap_or(0), most);
        let sampled_tasks = selected.len();
        if sampled_tasks > 0 {
            let code = SampledStage { code, selected };
            let watch = self.start_stage(number, node, Some(sampled_tasks), resources.clone());
            let ran = self.run_sample(number, node, &code, resources);
            self.end_stage(&watch);
            ran?;
        }
        let progress = &resources.progress;
        Ok(StageSample {
            stage: number,
            operator: node.site.operator,
            tasks,
            total_input_bytes: plan::input_bytes(node),
            sampled_tasks,
            task_time: progress.task_times().1,
            input_bytes: progress.bytes(),
            shuffled_records: progress.shuffled_records(),
            shuffled_bytes: progress.shuffled_bytes(),
        })
    }

    fn run_sample(
        &self,
        number: usize,
        node: &Arc<Node>,
        code: &SampledStage<'_>,
        resources: &Resources,
    ) -> Result<()> {
        match &self.executor {
            AnyExecutor::Remote(executor) => {
                self.run_remote_sample(&**executor, number, node, code, resources)?;
            }
            AnyExecutor::Local(executor) => {
                let attempt = self.state.attempt(resources);
                let queue = PartitionQueue::new(code, self.pullers(), || code.stream());
                let run = StageRun::new(number, code, &attempt, &queue, &self.events);
                run.work_on(&**executor, usize::MAX)?;
                attempt.outcome()?;
                run.check_whole()?;
            }
        }
        match self.state.is_stopped() {
            true => Err(Error::new(ErrorKind::Cancelled)),
            false => Ok(()),
        }
    }
}

/// Returns up to `most` of `count` numbers, from the middles of equal ranges.
fn evenly_spaced(count: usize, most: usize) -> Vec<usize> {
    let chosen = most.min(count);
    let middle = |index: usize| {
        let middle = (2 * index + 1) as u128 * count as u128 / (2 * chosen) as u128;
        middle as usize
    };
    (0..chosen).map(middle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_evenly() {
        assert_eq!(evenly_spaced(10, 2), [2, 7]);
        assert_eq!(evenly_spaced(3, 5), [0, 1, 2]);
        assert_eq!(evenly_spaced(1000, 3), [166, 500, 833]);
        assert!(evenly_spaced(0, 3).is_empty() && evenly_spaced(3, 0).is_empty());
    }
}
