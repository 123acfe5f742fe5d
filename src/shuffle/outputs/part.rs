//! Parts of map output: the records that one task, or several neighbours, leave for one partition.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use super::keep_limit::KeepLimit;
use crate::error::Result;
use crate::storage::memory::Reservation;
use crate::storage::run::{Run, RunFile};
use crate::task::{Resources, StopFlag};

/// Position of a part among all parts of a partition: its task, and the number of earlier spills of that task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PartSeq {
    task: usize,
    sequence: usize,
}

impl PartSeq {
    pub(crate) fn of_task(task: usize) -> Self {
        Self { task, sequence: 0 }
    }

    pub(crate) fn next(self) -> Self {
        Self {
            task: self.task,
            sequence: self.sequence + 1,
        }
    }
}

/// Records of map tasks for one partition, in memory.
pub(crate) trait MapPart: Send + Sized {
    /// Settings that all parts of a shuffle share.
    type Layout: Copy + Debug + Send + Sync;
    /// A file that takes parts of any partitions, one partition after another.
    type File;

    /// Limit on the memory of all parts of a shuffle.
    const LIMIT: KeepLimit;

    fn is_empty(&self) -> bool;

    /// Returns the memory of the records, in bytes.
    fn memory_bytes(&self) -> usize;

    fn create_file(layout: Self::Layout, resources: &Resources) -> Result<Self::File>;

    /// Writes parts of one partition as runs of `file`. This removes the records, but may keep their memory for reuse.
    fn write<'p>(
        parts: impl Iterator<Item = (PartSeq, &'p mut Self)>,
        file: &mut Self::File,
    ) -> Result<Vec<(PartSeq, Run)>>
    where
        Self: 'p;
}

/// A file in which each part is a run.
pub(crate) struct PartFile {
    file: RunFile,
    stop: StopFlag,
}

impl PartFile {
    pub(crate) fn create(resources: &Resources) -> Result<Self> {
        Ok(Self {
            file: RunFile::create(&resources.scratch, "shuffle")?,
            stop: resources.stop.clone(),
        })
    }

    /// Writes each of `parts` by `write`.
    pub(crate) fn write_each<'p, M: 'p>(
        &mut self,
        parts: impl Iterator<Item = (PartSeq, &'p mut M)>,
        write: impl Fn(&mut M, &mut RunFile, &StopFlag) -> Result<Run>,
    ) -> Result<Vec<(PartSeq, Run)>> {
        let write = |(seq, part)| Ok((seq, write(part, &mut self.file, &self.stop)?));
        parts.map(write).collect()
    }
}

/// Share of a part in the memory that a shuffle keeps. Dropping it subtracts the share.
#[derive(Debug)]
pub(crate) struct Share {
    kept_bytes: Arc<AtomicUsize>,
    bytes: usize,
    /// Memory of the commit that the part belongs to.
    _reservation: Arc<Reservation>,
}

impl Share {
    /// Adds `bytes` to the kept bytes.
    pub(crate) fn new(
        bytes: usize,
        kept_bytes: &Arc<AtomicUsize>,
        reservation: &Arc<Reservation>,
    ) -> Self {
        kept_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self {
            kept_bytes: Arc::clone(kept_bytes),
            bytes,
            _reservation: Arc::clone(reservation),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.kept_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A part, as its reader receives it.
#[derive(Clone)]
pub(crate) enum Content<M, R = Share> {
    /// The part, and its memory.
    Memory(M, R),
    File(Run),
}
