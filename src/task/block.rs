//! Map output as plain data, for readers in other processes.

use std::any::Any;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Resources;
use crate::error::{Error, ErrorKind, Result, plain};
use crate::id::ShuffleId;
use crate::storage::run::Run;
use crate::storage::scratch::{Scratch, ScratchFile};

/// A part of the output of a map task for the next stage: plain data, and usually a range of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MapBlock {
    /// Number of the shuffle that it belongs to.
    pub(crate) shuffle: u64,
    /// Partition of the next stage that reads it, or `None` if all partitions may.
    pub(crate) partition: Option<usize>,
    /// The records, if it has any.
    pub(crate) file: Option<FilePart>,
    /// Metadata for the reader.
    pub(crate) about: Vec<u8>,
}

/// A range of a file that contains records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FilePart {
    /// The file: a path, or a name at a [home](crate::storage::transfer).
    #[serde(with = "plain")]
    pub(crate) path: PathBuf,
    /// Start of the range in the file, in bytes.
    pub(crate) offset: u64,
    /// Length of the range, in bytes.
    pub(crate) bytes: u64,
    /// Number of records.
    pub(crate) records: u64,
}

impl MapBlock {
    /// Creates a block for one partition.
    pub(crate) fn new(
        shuffle: ShuffleId,
        partition: usize,
        part: FilePart,
        about: Vec<u8>,
    ) -> Self {
        Self {
            shuffle: shuffle.number(),
            partition: Some(partition),
            file: Some(part),
            about,
        }
    }

    /// Returns its partition, which must be below `partitions`, and its records.
    pub(crate) fn of_partition(&self, partitions: usize) -> Result<(usize, &FilePart)> {
        let partition = self.partition.filter(|partition| *partition < partitions);
        partition
            .zip(self.file.as_ref())
            .ok_or_else(|| self.damaged("it belongs to no partition of this shuffle"))
    }

    /// Returns the error for a block that no export has produced.
    #[cold]
    pub(crate) fn damaged(&self, reason: &'static str) -> Error {
        let part = self.file.as_ref();
        Error::new(ErrorKind::CorruptRun {
            path: part.map_or_else(PathBuf::new, |part| part.path.clone()),
            offset: part.map_or(0, |part| part.offset),
            reason,
        })
    }
}

impl FilePart {
    /// Returns the location of the records of `run`, and keeps the file until a reader adopts it.
    pub(crate) fn export(run: &Run) -> Self {
        run.file().keep();
        Self::of(run)
    }

    /// Returns the end of the range.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes)
    }

    /// Returns the location of the records of `run`. It is valid as long as `run` exists.
    pub(crate) fn of(run: &Run) -> Self {
        Self {
            path: run.path().to_owned(),
            offset: run.offset(),
            bytes: run.bytes(),
            records: run.records(),
        }
    }
}

/// A complete partition of a persisted bag that a worker has computed. The driver takes ownership of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredPartition {
    /// Number of the store.
    pub(crate) store: u64,
    pub(crate) partition: usize,
    /// The records, in a separate file.
    pub(crate) part: FilePart,
    /// Whether it replaces a partition of the store that is damaged.
    pub(crate) replaces: bool,
}

/// Map outputs that can be written to files, and read from them in another process.
pub(crate) trait Outputs: Any + Send + Sync + Sized {
    /// Writes records in memory to files, and returns blocks for all records. The files outlive this value.
    fn export(&self, shuffle: ShuffleId, resources: &Resources) -> Result<Vec<MapBlock>>;
}

/// Files of other processes. Each is opened once for all of its parts.
pub(crate) struct Files<'s> {
    scratch: &'s Scratch,
    files: HashMap<PathBuf, Arc<ScratchFile>>,
}

impl<'s> Files<'s> {
    pub(crate) fn new(scratch: &'s Scratch) -> Self {
        Self {
            scratch,
            files: HashMap::new(),
        }
    }

    /// Returns `part` as a run. Reading it to the end does not delete it.
    pub(crate) fn run(&mut self, part: &FilePart) -> Run {
        let file = match self.files.get(&part.path) {
            Some(file) => file,
            None => {
                let file = self.scratch.borrow(part.path.clone());
                self.files.entry(part.path.clone()).or_insert(file)
            }
        };
        Run::at(Arc::clone(file), part.offset, part.bytes, part.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::run::RunFile;
    use crate::task::MapOutput;

    #[test]
    fn files_of_a_worker_are_adopted_read_and_deleted() {
        let spill = tempfile::tempdir().unwrap();
        let driver = Scratch::new(Some(spill.path()), Some(1000));
        let directory = driver.path().unwrap();
        let worker = Scratch::within(directory.clone(), "w1-".to_owned(), None);
        let mut file = RunFile::create(&worker, "out").unwrap();
        let mut runs = Vec::new();
        for record in [b"one", b"two"] {
            let mut writer = file.run();
            writer.append(record).unwrap();
            runs.push(writer.finish().unwrap());
        }
        let blocks: Vec<_> = runs
            .iter()
            .map(|run| MapBlock {
                shuffle: 1,
                partition: None,
                file: Some(FilePart::export(run)),
                about: Vec::new(),
            })
            .collect();
        drop((file, runs, worker));

        let outputs = MapOutput::group(blocks.clone()).unwrap();
        let files = MapOutput::adopt(&outputs, &driver).unwrap();
        assert_eq!(files.len(), 1);
        assert!(driver.used_bytes() > 0);
        let part = blocks[1].file.as_ref().unwrap();
        assert!(part.path.starts_with(&directory));
        let reader = Scratch::within(directory.clone(), "w2-".to_owned(), None);
        for _ in 0..2 {
            let mut reader = Files::new(&reader).run(part).reader();
            assert_eq!(reader.next().unwrap(), Some(&b"two"[..]));
            assert_eq!(reader.next().unwrap(), None);
        }
        drop(files);
        assert_eq!(driver.used_bytes(), 0);
        let error = Files::new(&reader).run(part).reader().next().unwrap_err();
        assert!(error.is_recoverable(), "{error}");
        assert!(error.to_string().contains("w1-out-1"), "{error}");
        drop(reader);
        assert_eq!(
            std::fs::read_dir(&directory).unwrap().count(),
            1,
            "the lock"
        );
        drop(driver);
        assert!(!directory.exists());
    }

    #[test]
    fn what_is_adopted_counts_for_the_quota_and_goes_if_it_exceeds_it() {
        let spill = tempfile::tempdir().unwrap();
        let driver = Scratch::new(Some(spill.path()), Some(10));
        let path = driver.path().unwrap().join("w1-out");
        std::fs::write(&path, [0; 11]).unwrap();
        let part = FilePart {
            path: path.clone(),
            offset: 0,
            bytes: 11,
            records: 1,
        };
        let block = MapBlock {
            shuffle: 1,
            partition: None,
            file: Some(part),
            about: Vec::new(),
        };
        let outputs = MapOutput::group([block]).unwrap();
        let error = MapOutput::adopt(&outputs, &driver).unwrap_err();
        assert!(error.to_string().contains("the quota is 10 B"), "{error}");
        assert!(!path.exists());
        assert_eq!(driver.used_bytes(), 0);
    }
}
