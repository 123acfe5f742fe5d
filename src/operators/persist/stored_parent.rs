//! The input of stored partitions.

use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Boxed, Pipeline, Record};
use crate::task::Partition;

/// The pipeline whose partitions are stored.
pub(crate) enum StoredParent<T: Record + ?Sized> {
    Known(Boxed<T>),
    /// In a worker process that should not need it, with its number of partitions.
    LeftOut(Option<usize>),
}

impl<T: Record + ?Sized> StoredParent<T> {
    pub(super) fn partitions(&self) -> Option<usize> {
        match self {
            Self::Known(parent) => parent.partitions(),
            Self::LeftOut(partitions) => *partitions,
        }
    }

    /// Returns the pipeline. If it was left out, a stored partition is gone: the driver then sends the pipeline.
    pub(super) fn get(&self) -> Result<&Boxed<T>> {
        match self {
            Self::Known(parent) => Ok(parent),
            Self::LeftOut(_) => Err(Error::new(ErrorKind::MapOutputLost)),
        }
    }

    pub(super) fn can_compute(&self, partition: &Partition) -> bool {
        let is_known = matches!(self, Self::Known(_));
        is_known && (partition.has_payload() || self.partitions().is_some())
    }
}
