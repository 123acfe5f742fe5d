//! `save` and `checkpoint`: write a file for each partition, which `load` reads.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::write::{Attempt, PartitionWriter};
use super::write_text::part_name;
use crate::error::{BoxError, Result};
use crate::files::{OutputWriter, PendingFile, Token};
use crate::pipeline::Storable;
use crate::storage::codec::Sampling;
use crate::storage::file::Uninterrupted;
use crate::storage::saved::{PartWriter, SavedPart};

/// Writes the records of each partition to a file.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct SaveRecords<T: ?Sized> {
    pub(crate) output: OutputWriter,
    /// Number of digits in the names of the files.
    pub(crate) digits: usize,
    pub(crate) form: PhantomData<fn(&T)>,
}

/// A file of records that is being written.
pub(crate) struct RecordFile {
    name: String,
    records: PartWriter<Uninterrupted<Box<dyn PendingFile>>>,
    /// Checks some of the records. Otherwise, a record that cannot be deserialised would be found when it is loaded.
    sampling: Sampling,
}

impl<T: Storable + ?Sized> PartitionWriter<T> for SaveRecords<T> {
    type Open = RecordFile;
    type Part = (SavedPart, Token);

    fn open(&self, attempt: &Attempt) -> Result<RecordFile, BoxError> {
        let name = part_name(attempt.partition(), self.digits);
        let file = self.output.create(&name, attempt.name())?;
        Ok(RecordFile {
            name,
            records: PartWriter::new(Uninterrupted(file)),
            sampling: Sampling::default(),
        })
    }

    #[inline]
    fn write(&self, open: &mut RecordFile, record: T::Ref<'_>) -> Result<(), BoxError> {
        let record = T::peek(&record);
        open.sampling.check(|| T::check(record))?;
        if open.records.push(|bytes| T::store(record, bytes))? {
            let written = open.records.end_frame();
            written.map_err(|source| self.output.failed(&open.name, source))?;
        }
        Ok(())
    }

    fn finish(&self, open: RecordFile) -> Result<(SavedPart, Token), BoxError> {
        let failed = |source| self.output.failed(&open.name, source);
        let (Uninterrupted(file), part) = open.records.finish().map_err(failed)?;
        let token = file.finish().map_err(failed)?;
        Ok((part, token))
    }
}
