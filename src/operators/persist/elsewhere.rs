//! Persisted partitions in a worker process, which reads files of the driver's store, and reports new files to it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::replayed::replay_or_compute;
use super::stored_parent::StoredParent;
use crate::error::{PlaceError as _, Result};
use crate::id::StoreId;
use crate::pipeline::{Pipeline, Ref, Storable};
use crate::shuffle::{Content, RecordBuffer};
use crate::storage::codec::Sampling;
use crate::storage::run::RunFile;
use crate::task::{FilePart, Files, Flow, Partition, Site, StoredPartition, Task};

/// A snapshot of the driver's store, taken when the stage was sent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoreElsewhere {
    id: StoreId,
    partitions: HashMap<usize, Vec<FilePart>>,
    /// Whether the driver takes no further partitions.
    is_closed: bool,
}

impl StoreElsewhere {
    pub(super) fn new(
        id: StoreId,
        partitions: HashMap<usize, Vec<FilePart>>,
        is_closed: bool,
    ) -> Self {
        Self {
            id,
            partitions,
            is_closed,
        }
    }

    /// Returns the number of stored partitions.
    pub(super) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Reads a partition. If it is missing or damaged, computes it and stores it.
    pub(super) fn run<T: Storable + ?Sized>(
        &self,
        parent: &StoredParent<T>,
        site: Site,
        partition: Partition,
        task: &Task<'_>,
        sink: &mut impl for<'a> FnMut(Ref<'a, T>) -> Flow,
    ) -> Result<Flow> {
        let Some(parts) = self.partitions.get(&partition.index) else {
            return self.compute(parent, site, partition, task, sink);
        };
        let mut files = Files::new(&task.resources().scratch);
        let runs = parts
            .iter()
            .map(|part| Content::<RecordBuffer, ()>::File(files.run(part)));
        let is_computable = parent.can_compute(&partition);
        replay_or_compute(runs, is_computable, site, task, sink, |damage, sink| {
            let sink = &mut |record: Ref<'_, T>| sink(record);
            let computed = self.compute(parent, site, partition, task, sink);
            // If the input of the partition is lost too, the driver must know which stored file is damaged.
            computed.map_err(|error| {
                if error.is_recoverable() {
                    damage
                } else {
                    error
                }
            })
        })
    }

    fn compute<T: Storable + ?Sized>(
        &self,
        parent: &StoredParent<T>,
        site: Site,
        partition: Partition,
        task: &Task<'_>,
        sink: &mut impl for<'a> FnMut(Ref<'a, T>) -> Flow,
    ) -> Result<Flow> {
        let index = partition.index;
        let parent = parent.get()?;
        if self.is_closed {
            return parent.run(partition, task, sink);
        }
        let file = RunFile::create(&task.resources().scratch, "persist");
        let mut file = file.at(site)?;
        let mut writer = file.run();
        let mut buffer = RecordBuffer::default();
        let stop = &task.resources().stop;
        let mut sampling = Sampling::default();
        let flow = parent.run(partition, task, &mut |record| {
            // The codec calls `Serialize`, which may be user code.
            let written = task.call(&site, || {
                sampling.check(|| T::check(T::peek(&record)))?;
                buffer.push::<T>(T::peek(&record))?;
                if buffer.bytes() < RecordBuffer::ACCOUNT_BYTES {
                    return Ok(());
                }
                buffer.complete();
                buffer.write_frames(&mut writer, stop)?;
                buffer.clear();
                Ok(())
            });
            match written {
                Ok(()) => sink(record),
                Err(error) => task.fail_at(site, error),
            }
        })?;
        // A partition that was interrupted is incomplete.
        if flow.is_continue() && !task.has_failed() && !task.is_stopped() {
            buffer.complete();
            buffer.write_frames(&mut writer, stop).at(site)?;
            task.put_stored(StoredPartition {
                store: self.id.number(),
                partition: index,
                part: FilePart::export(&writer.finish().at(site)?),
                replaces: self.partitions.contains_key(&index),
            });
        }
        Ok(flow)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;

    use super::*;
    use crate::lineage::StoredNode;
    use crate::operators::from_vec::FromVec;
    use crate::operators::persist::{Keeping, Persist, StorageLevel, Store};
    use crate::pipeline::Boxed;
    use crate::storage::codec;
    use crate::storage::memory::MemoryBudget;
    use crate::storage::scratch::Scratch;
    use crate::task::{Imports, JobState, Resources};

    const PARTITIONS: usize = 3;

    /// A store, and the scratch directories of the store and of a job.
    struct Driver {
        store: Arc<Store>,
        of_store: Scratch,
        of_job: Scratch,
        spill: tempfile::TempDir,
    }

    impl Driver {
        fn new() -> Self {
            let spill = tempfile::tempdir().unwrap();
            let scratch = || Scratch::new(Some(spill.path()), None);
            let (of_store, of_job) = (scratch(), scratch());
            let budget = MemoryBudget::unlimited();
            let level = StorageLevel::MemoryThenDisk;
            Self {
                store: Store::new(
                    level,
                    Some(PARTITIONS),
                    (budget, of_store.clone(), Arc::default()),
                ),
                of_store,
                of_job,
                spill,
            }
        }

        fn job(&self, prefix: &str) -> JobState {
            let directory = self.of_job.path().unwrap();
            let resources = Resources {
                scratch: Scratch::within(directory, prefix.to_owned(), None),
                ..Resources::unlimited()
            };
            JobState::remote(resources, Arc::new(Imports::default()))
        }

        /// Returns the records that a worker reads from a partition, if it receives the store now. The parent has
        /// `records` records in total.
        fn read(&self, job: &JobState, records: u32, index: usize) -> Vec<u32> {
            self.read_at_most(job, records, index, usize::MAX)
        }

        fn read_at_most(
            &self,
            job: &JobState,
            records: u32,
            index: usize,
            most: usize,
        ) -> Vec<u32> {
            let mut bytes = Vec::new();
            codec::encode_into(&self.store.export().unwrap(), &mut bytes).unwrap();
            let keeping = Keeping::Elsewhere(codec::decode(&bytes).unwrap());
            persisted(keeping, records, job, index, most)
        }
    }

    fn persisted(
        keeping: Keeping,
        records: u32,
        job: &JobState,
        index: usize,
        most: usize,
    ) -> Vec<u32> {
        try_persisted(keeping, records, job, index, most).unwrap()
    }

    fn try_persisted(
        keeping: Keeping,
        records: u32,
        job: &JobState,
        index: usize,
        most: usize,
    ) -> Result<Vec<u32>> {
        let persist = Persist {
            parent: StoredParent::Known(Boxed::new(Arc::new(FromVec {
                records: Arc::new((0..records).collect()),
                partitions: PARTITIONS,
                site: Site::new("from_vec"),
            }))),
            keeping,
            site: Site::new("persist"),
        };
        let mut read = Vec::new();
        let task = Task::new(job, 1, index);
        let flow = persist.run(Partition::at(index), &task, &mut |record: u32| {
            read.push(record);
            match read.len() < most {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        let _ = flow?;
        Ok(read)
    }

    #[test]
    fn an_error_names_the_line() {
        let driver = Driver::new();
        let job = driver.job("1-");
        let directory = driver.of_job.path().unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        std::fs::write(&directory, "a file in its place").unwrap();
        let keeping = Keeping::Elsewhere(driver.store.export().unwrap());
        let error = try_persisted(keeping, 30, &job, 1, usize::MAX).unwrap_err();
        let operator = error.context().and_then(|place| place.operator);
        assert_eq!(operator, Some("persist"), "{error}");
    }

    #[test]
    fn what_a_worker_computes_is_there_for_all_others() {
        let driver = Driver::new();
        let job = driver.job("1-");
        for index in 0..PARTITIONS {
            driver.read(&job, 300_000, index);
        }
        let stored = job.take_stored();
        assert_eq!(stored.len(), PARTITIONS);
        assert!(!driver.store.is_complete());
        for stored in &stored {
            assert_eq!(stored.store, driver.store.id().number());
            driver.store.adopt(stored).unwrap();
        }
        assert!(driver.store.is_complete() && driver.of_store.used_bytes() > 0);
        drop(job);
        // Use a different parent, to show that it is not read.
        let job = driver.job("2-");
        let expected: Vec<u32> = (100_000..200_000).collect();
        assert!(driver.read(&job, 0, 1) == expected);
        let here = JobState::new(Resources::unlimited());
        let keeping = Keeping::Here(Arc::clone(&driver.store));
        assert!(persisted(keeping, 0, &here, 1, usize::MAX) == expected);
        assert!(job.take_stored().is_empty());
        drop(job);
        let Driver {
            store,
            of_store,
            of_job,
            spill,
        } = driver;
        assert_eq!(
            std::fs::read_dir(of_job.path().unwrap()).unwrap().count(),
            1
        );
        drop(store);
        assert_eq!(of_store.used_bytes(), 0);
        drop((of_store, of_job));
        assert_eq!(std::fs::read_dir(spill.path()).unwrap().count(), 0);
    }

    #[test]
    fn workers_read_what_was_kept_in_memory() {
        let driver = Driver::new();
        let here = JobState::new(Resources::unlimited());
        let keeping = || Keeping::Here(Arc::clone(&driver.store));
        persisted(keeping(), 30, &here, 2, usize::MAX);
        assert_eq!(driver.of_store.used_bytes(), 0);
        let job = driver.job("1-");
        assert_eq!(driver.read(&job, 0, 2), (20..30).collect::<Vec<_>>());
        assert_eq!(driver.read(&job, 30, 0), (0..10).collect::<Vec<_>>());
        assert_eq!(
            job.take_stored().len(),
            1,
            "of the partition that was not there"
        );
    }

    #[test]
    fn a_partition_that_is_broken_off_is_not_stored() {
        let driver = Driver::new();
        let job = driver.job("1-");
        assert_eq!(driver.read_at_most(&job, 30, 1, 4), [10, 11, 12, 13]);
        assert!(job.take_stored().is_empty());
        let directory = driver.of_job.path().unwrap();
        assert_eq!(std::fs::read_dir(directory).unwrap().count(), 1, "the lock");
    }

    #[test]
    fn a_damaged_partition_is_computed_and_takes_the_place_of_the_old() {
        let driver = Driver::new();
        let job = driver.job("1-");
        driver.read(&job, 300_000, 1);
        let stored = job.take_stored().remove(0);
        driver.store.adopt(&stored).unwrap();
        let exported = driver.store.export().unwrap();
        let path = exported.partitions[&1][0].path.clone();
        let mut bytes = std::fs::read(&path).unwrap();
        // The damage is at the end, so records before it have already been emitted.
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let expected: Vec<u32> = (100_000..200_000).collect();
        assert!(driver.read(&job, 300_000, 1) == expected);
        let stored = job.take_stored().remove(0);
        assert!(stored.replaces);
        driver.store.adopt(&stored).unwrap();
        assert!(!path.exists());
        assert!(driver.read(&job, 0, 1) == expected);

        let path = driver.store.export().unwrap().partitions[&1][0]
            .path
            .clone();
        assert!(driver.store.forget(&path, 0) && !driver.store.forget(&path, 0));
        assert!(driver.read(&job, 0, 1).is_empty(), "computed");
    }
}
