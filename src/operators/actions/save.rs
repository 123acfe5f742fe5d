//! `save` and `checkpoint`: write a file for each partition, which `load` reads.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::write::{Attempt, PartitionWriter};
use crate::error::{BoxError, Result};
use crate::files::{FinishedFile, OutputFile, OutputWriter};
use crate::pipeline::Storable;
use crate::storage::codec::Sampling;
use crate::storage::saved::{PartWriter, SavedPart};

/// Writes the records of each partition to a file.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct SaveRecords<T: ?Sized> {
    pub(crate) output: OutputWriter,
    pub(crate) form: PhantomData<fn(&T)>,
}

/// A file of records that is being written.
pub(crate) struct RecordFile {
    records: PartWriter<OutputFile>,
    /// Checks some of the records. Otherwise, a record that cannot be deserialised would be found when it is loaded.
    sampling: Sampling,
}

impl<T: Storable + ?Sized> PartitionWriter<T> for SaveRecords<T> {
    type Open = RecordFile;
    type Part = (SavedPart, FinishedFile);

    fn open(&self, attempt: &Attempt) -> Result<RecordFile, BoxError> {
        let file = self.output.create(attempt.partition(), attempt.name())?;
        Ok(RecordFile {
            records: PartWriter::new(file),
            sampling: Sampling::default(),
        })
    }

    #[inline]
    fn write(&self, open: &mut RecordFile, record: T::Ref<'_>) -> Result<(), BoxError> {
        let record = T::peek(&record);
        open.sampling.check(|| T::check(record))?;
        if open.records.push(|bytes| T::store(record, bytes))? {
            open.records.end_frame()?;
        }
        Ok(())
    }

    fn finish(&self, open: RecordFile) -> Result<(SavedPart, FinishedFile), BoxError> {
        let (file, part) = open.records.finish()?;
        Ok((part, file.finish()?))
    }
}
