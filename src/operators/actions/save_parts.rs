//! `save` of an output that a later run can continue: each partition remains once it is finished.

use std::fs::File;
use std::marker::PhantomData;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::write::{Attempt, PartitionWriter};
use crate::error::{BoxError, Error, plain};
use crate::pipeline::Storable;
use crate::storage::codec::Sampling;
use crate::storage::directory;
use crate::storage::file::{Uninterrupted, create_new, write_error};
use crate::storage::saved::{PartWriter, SavedPart};
use crate::storage::unfinished::UnfinishedOutput;

/// Writes the records of the partitions that are not finished.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct SaveParts<T: ?Sized> {
    #[serde(with = "plain")]
    pub(crate) directory: PathBuf,
    /// Number of each partition in the whole bag.
    pub(crate) missing: Vec<usize>,
    pub(crate) is_durable: bool,
    pub(crate) form: PhantomData<fn(&T)>,
}

/// A file of records that is being written.
pub(crate) struct UnfinishedPart {
    path: PathBuf,
    partition: usize,
    records: PartWriter<Uninterrupted<File>>,
    sampling: Sampling,
}

fn failed(path: &std::path::Path, error: std::io::Error) -> Error {
    write_error("write", path, 0, error)
}

impl<T: Storable + ?Sized> PartitionWriter<T> for SaveParts<T> {
    type Open = UnfinishedPart;
    type Part = SavedPart;

    fn open(&self, attempt: &Attempt) -> Result<UnfinishedPart, BoxError> {
        let path = self.directory.join(attempt.name());
        let file = create_new(&path)?;
        Ok(UnfinishedPart {
            path,
            partition: self.missing[attempt.partition()],
            records: PartWriter::new(Uninterrupted(file)),
            sampling: Sampling::default(),
        })
    }

    #[inline]
    fn write(&self, open: &mut UnfinishedPart, record: T::Ref<'_>) -> Result<(), BoxError> {
        let record = T::peek(&record);
        open.sampling.check(|| T::check(record))?;
        if open.records.push(|bytes| T::store(record, bytes))? {
            let written = open.records.end_frame();
            written.map_err(|error| failed(&open.path, error))?;
        }
        Ok(())
    }

    fn finish(&self, open: UnfinishedPart) -> Result<SavedPart, BoxError> {
        let UnfinishedPart {
            path,
            partition,
            records,
            ..
        } = open;
        let finished = records.finish().and_then(|(Uninterrupted(file), part)| {
            if self.is_durable {
                file.sync_all()?;
            }
            UnfinishedOutput::finish_partition(&self.directory, &path, partition, &part)?;
            if self.is_durable {
                directory::sync(&self.directory)?;
            }
            Ok(part)
        });
        Ok(finished.map_err(|error| failed(&path, error))?)
    }
}
