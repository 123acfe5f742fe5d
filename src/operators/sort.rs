//! `sort`: records in order, partitioned by ranges. Wide.
//!
//! Map side: each thread fills a buffer, sorts it when it is full, and so produces a sorted run.
//! Reduce side: merges the segments of all runs that belong to a partition.

use std::sync::Arc;

use super::map_side::{MapSide, ShuffleKind, feed};
use super::sides::of_no_shuffle;
use crate::error::{PlaceError as _, Result, caught};
use crate::id::ShuffleId;
use crate::pipeline::{BatchSink, Boxed, ErasedSink, Pipeline, Ref, count_erased, run_into};
use crate::portable::{Portable, portable};
use crate::shuffle::sort::{Sort, SortOutputs, SortWriter};
use crate::task::{Flow, Partition, PartitionStream, Resources, Site, StageWorker, Task};

/// The map side.
pub(crate) struct Sorting<S> {
    pub(crate) sort: Arc<S>,
    pub(crate) partitions: usize,
}

portable! {
    [S: Portable] Sorting<S> { sort: part, partitions: data }
}

impl<P, S> ShuffleKind<P> for Sorting<S>
where
    P: Pipeline,
    S: Sort<Record = P::Out>,
{
    type Outputs = SortOutputs;

    fn outputs(&self, parent: &P, _: usize, _: &Resources) -> SortOutputs {
        SortOutputs::new(self.partitions, parent.partitions())
    }

    fn worker<'s>(
        side: &'s MapSide<P, Self>,
        outputs: &'s SortOutputs,
        resources: &'s Resources,
    ) -> Box<dyn StageWorker + 's> {
        let writer = SortWriter::new(&*side.kind.sort, outputs, resources);
        Box::new(SortWorker { side, writer })
    }

    fn prepare(&self, outputs: &SortOutputs, _: &Resources) -> Result<()> {
        outputs.prepare(&*self.sort)
    }

    fn partitioning(&self) -> &'static str {
        if S::SAMPLED {
            "by range of the key"
        } else {
            "by hash of the key"
        }
    }
}

struct SortWorker<'s, P, S: Sort> {
    side: &'s MapSide<P, Sorting<S>>,
    writer: SortWriter<'s, S>,
}

impl<P, S> StageWorker for SortWorker<'_, P, S>
where
    P: Pipeline,
    S: Sort<Record = P::Out>,
{
    fn run(&mut self, partition: Partition, task: &Task<'_>) -> Result<()> {
        let MapSide { parent, site, .. } = self.side;
        let writer = &mut self.writer;
        writer.begin_task(task.partition());
        let _ = feed(&**parent, partition, task, *site, |record| {
            writer.push(record)
        })?;
        writer.end_task();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        // Sorting runs user closures, and no task is active here that could attribute their panics.
        let site = self.side.site;
        caught(Some(site), || self.writer.finish()).at(site)
    }
}

/// The reduce side.
pub(crate) struct SortRead<S> {
    pub(crate) shuffle: ShuffleId,
    pub(crate) sort: Arc<S>,
    pub(crate) partitions: usize,
    pub(crate) site: Site,
}

portable! {
    [S: Portable] SortRead<S> { site: part, shuffle: data, sort: part, partitions: data }
}

impl<S: Sort> Pipeline for SortRead<S> {
    type Out = S::Record;

    fn partitions(&self) -> Option<usize> {
        Some(self.partitions)
    }

    fn run<F>(&self, partition: Partition, task: &Task<'_>, sink: &mut F) -> Result<Flow>
    where
        F: for<'a> FnMut(Ref<'a, S::Record>) -> Flow,
    {
        run_into(self, partition, task, sink)
    }

    fn run_erased(
        &self,
        partition: Partition,
        task: &Task<'_>,
        sink: ErasedSink<'_, S::Record>,
    ) -> Result<Flow> {
        let mut sink = BatchSink::new(task, sink);
        let outputs = task.map_outputs(self.shuffle, |blocks| {
            SortOutputs::import(self.partitions, blocks, task.resources())
        })?;
        // Merging runs user closures; their panics get this site. Later operators run inside this call, and set their
        // own site first.
        let flow = task.call(&self.site, || {
            read(
                &outputs,
                partition.index,
                &*self.sort,
                task.resources(),
                &mut sink,
            )
        });
        Ok(sink.end(flow.at(self.site)?))
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        count_erased(self, partition, task)
    }
}

/// Both sides in one task, for records that are already in their partition.
pub(crate) struct SortInPlace<S: Sort> {
    pub(crate) parent: Boxed<S::Record>,
    pub(crate) sort: S,
    pub(crate) site: Site,
}

portable! {
    [S: Sort] SortInPlace<S> { parent: part, site: part, sort: part }
}

impl<S: Sort> Pipeline for SortInPlace<S> {
    type Out = S::Record;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<F>(&self, partition: Partition, task: &Task<'_>, sink: &mut F) -> Result<Flow>
    where
        F: for<'a> FnMut(Ref<'a, S::Record>) -> Flow,
    {
        run_into(self, partition, task, sink)
    }

    fn run_erased(
        &self,
        partition: Partition,
        task: &Task<'_>,
        sink: ErasedSink<'_, S::Record>,
    ) -> Result<Flow> {
        let mut sink = BatchSink::new(task, sink);
        let index = partition.index;
        let resources = of_no_shuffle(task.resources());
        let partition_of_sort = if S::SAMPLED { 0 } else { index };
        let partitions = self.parent.partitions().filter(|_| !S::SAMPLED);
        let outputs = SortOutputs::new(partitions.unwrap_or(partition_of_sort + 1), None);
        let mut writer = SortWriter::new(&self.sort, &outputs, &resources);
        writer.begin_task(index);
        let push = |record: Ref<'_, S::Record>| writer.push(record);
        let flow = feed(&self.parent, partition, task, self.site, push)?;
        if flow.is_break() {
            return Ok(flow);
        }
        let flow = task.call(&self.site, || {
            writer.finish()?;
            read(
                &outputs,
                partition_of_sort,
                &self.sort,
                &resources,
                &mut sink,
            )
        });
        Ok(sink.end(flow.at(self.site)?))
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        count_erased(self, partition, task)
    }
}

/// Merges the outputs for a partition. The code is the same for both operators.
fn read<S: Sort>(
    outputs: &SortOutputs,
    partition: usize,
    sort: &S,
    resources: &Resources,
    sink: &mut BatchSink<'_, S::Record>,
) -> Result<Flow> {
    outputs.read(partition, sort, resources, &mut |record| sink.push(record))
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;
    use std::ops::{ControlFlow, Range};

    use super::*;
    use crate::operators::from_vec::FromVec;
    use crate::pipeline::Data;
    use crate::pipeline::Plain;
    use crate::shuffle::sort::{ByComparison, Bytes, Typed};
    use crate::storage::memory::MemoryBudget;
    use crate::storage::scratch::Scratch;
    use crate::task::{Imports, JobState, MakeStage, MapOutput, MapStage};

    const PARTITIONS: usize = 4;
    const TASKS: usize = 10;

    /// Route of the map side's outputs to the reduce side.
    #[derive(Clone, Copy, PartialEq)]
    enum Way {
        Memory,
        /// From two processes to a third, through files.
        Blocks,
    }

    fn resources(scratch: &Scratch, budget_bytes: usize) -> Resources {
        Resources {
            budget: MemoryBudget::new(budget_bytes),
            scratch: scratch.clone(),
            ..Resources::unlimited()
        }
    }

    /// Runs the map side of some partitions and returns what `end` returns for the stage.
    fn map_side<T, S, R>(
        side: &MapSide<FromVec<T>, Sorting<S>>,
        indices: Range<usize>,
        job: &JobState,
        end: impl FnOnce(Box<dyn MapStage + '_>) -> R,
    ) -> R
    where
        T: Data + Clone + Sync,
        S: Sort<Record = T>,
    {
        let stage = side.stage(1, job.resources());
        let mut worker = stage.worker(job.resources());
        for index in indices {
            let task = Task::new(job, 1, index);
            worker.run(Partition::at(index), &task).unwrap();
        }
        worker.finish().unwrap();
        end(stage)
    }

    /// Runs the map side in two simulated processes and returns the blocks of both.
    fn map_sides<T, S>(
        side: &MapSide<FromVec<T>, Sorting<S>>,
        driver: &Scratch,
        budget_bytes: usize,
    ) -> Vec<MapOutput>
    where
        T: Data + Clone + Sync,
        S: Sort<Record = T>,
    {
        let mut blocks = Vec::new();
        for (prefix, indices) in [("1-", 4..TASKS), ("2-", 0..4)] {
            let scratch = Scratch::within(driver.path().unwrap(), prefix.to_owned(), None);
            let job = JobState::new(resources(&scratch, budget_bytes));
            let left = map_side(side, indices, &job, |stage| {
                stage.into_blocks(job.resources())
            });
            blocks.extend(MapOutput::group(left.unwrap()).unwrap());
        }
        blocks
    }

    /// Sorts within `budget_bytes`. Returns the partitions, and the number of bytes that this process has written.
    fn sorted<T, S>(records: Vec<T>, sort: S, budget_bytes: usize, way: Way) -> (Vec<Vec<T>>, u64)
    where
        T: Data + Clone + Sync,
        S: Sort<Record = T>,
    {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(Some(directory.path()), None);
        let resources = resources(&scratch, budget_bytes);
        let budget = resources.budget.clone();
        let site = Site::new("sort");
        let sort = Arc::new(sort);
        let side = MapSide {
            id: ShuffleId::next(),
            parent: Arc::new(FromVec {
                records: Arc::new(records),
                partitions: TASKS,
                site,
            }),
            site,
            kind: Sorting {
                sort: Arc::clone(&sort),
                partitions: PARTITIONS,
            },
        };
        let (job, files) = match way {
            Way::Memory => {
                let job = JobState::new(resources);
                let outputs = map_side(&side, 0..TASKS, &job, |stage| {
                    stage.into_outputs(job.resources())
                });
                job.put_map_outputs(side.id, outputs.unwrap());
                (job, Vec::new())
            }
            Way::Blocks => {
                let blocks = map_sides(&side, &scratch, budget_bytes);
                let files = MapOutput::adopt(&blocks, &scratch).unwrap();
                let imports = Arc::new(Imports::new(blocks));
                (JobState::remote(resources, imports), files)
            }
        };
        let reduce = SortRead {
            shuffle: side.id,
            sort,
            partitions: PARTITIONS,
            site,
        };
        let read = |index| {
            let mut partition = Vec::new();
            let task = Task::new(&job, 2, index);
            let flow = reduce.run(Partition::at(index), &task, &mut |record| {
                partition.push(record);
                ControlFlow::Continue(())
            });
            assert!(flow.unwrap().is_continue());
            partition
        };
        let partitions = (0..PARTITIONS).map(read).collect();
        drop((job, files));
        assert_eq!((budget.used_bytes(), scratch.used_bytes()), (0, 0));
        if let Some(directory) = scratch.directory() {
            let left = std::fs::read_dir(directory).unwrap().count();
            assert_eq!(left, 1, "the lock");
        }
        (partitions, scratch.written_bytes())
    }

    fn pairs(count: u64) -> Vec<(u64, u64)> {
        (0..count)
            .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50, n))
            .collect()
    }

    fn by_first() -> impl Sort<Record = (u64, u64)> {
        let compare = Plain(|a: &(u64, u64), b: &(u64, u64)| a.0.cmp(&b.0));
        let records = PhantomData;
        Typed(ByComparison { compare, records })
    }

    #[test]
    fn what_fits_stays_in_memory() {
        let (partitions, spilled) = sorted(pairs(20_000), by_first(), 1 << 30, Way::Memory);
        let mut expected = pairs(20_000);
        expected.sort_by_key(|pair| pair.0);
        assert_eq!(partitions.concat(), expected);
        assert!(partitions.iter().all(|partition| partition.len() > 4_000));
        assert_eq!(spilled, 0);
    }

    /// Uses so little memory that merging takes more than one pass: there are more runs than can be read concurrently.
    #[test]
    fn what_does_not_fit_is_spilled() {
        let (partitions, spilled) = sorted(pairs(200_000), by_first(), 64 << 10, Way::Memory);
        let mut expected = pairs(200_000);
        expected.sort_by_key(|pair| pair.0);
        assert_eq!(partitions.concat(), expected);
        assert!(spilled > 600_000, "{spilled}");
    }

    #[test]
    fn strings_are_spilled_too() {
        let mut records: Vec<String> = pairs(100_000)
            .iter()
            .map(|pair| pair.0.to_string())
            .collect();
        let (partitions, spilled) =
            sorted(records.clone(), Bytes(PhantomData), 64 << 10, Way::Memory);
        records.sort();
        assert_eq!(partitions.concat(), records);
        assert!(spilled > 200_000, "{spilled}");
    }

    #[test]
    fn what_other_processes_have_sorted_is_the_same() {
        for (count, budget_bytes) in [(20_000, 1 << 30), (100_000, 64 << 10)] {
            let here = sorted(pairs(count), by_first(), budget_bytes, Way::Memory).0;
            let (there, written) = sorted(pairs(count), by_first(), budget_bytes, Way::Blocks);
            assert!(here == there, "{count} pairs");
            assert_eq!(
                written > 0,
                count > 20_000,
                "only merged down to fewer runs"
            );
            let texts = |way| {
                let texts = pairs(count).iter().map(|pair| pair.0.to_string()).collect();
                sorted::<String, _>(texts, Bytes(PhantomData), budget_bytes, way).0
            };
            assert!(texts(Way::Memory) == texts(Way::Blocks), "{count} texts");
        }
    }
}
