//! Formats of records that are written one after another, to a file for each partition.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::write::{Attempt, PartitionWriter};
use crate::error::{BoxError, Result};
use crate::files::{FinishedFile, OutputFile, OutputWriter};
use crate::pipeline::{Data, Record};

/// A format that writes the records of each partition to a file, for [`FormatSink`](crate::FormatSink), which has an
/// example.
///
/// Its fields are the options. serde sends them to worker processes. Errors of its methods are those of a
/// [`PartitionWriter`].
pub trait RecordFormat<T: Record + ?Sized>: Data + Sync {
    /// Writer of the records of a file.
    type Open;

    /// Begins a file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    fn open(&self, file: OutputFile) -> Result<Self::Open, BoxError>;

    /// Writes a record. Records come in order.
    ///
    /// # Errors
    ///
    /// Returns an error if the record has no form in this format, or if the file cannot be written.
    fn write(&self, open: &mut Self::Open, record: T::Peek<'_>) -> Result<(), BoxError>;

    /// Completes the content of a file. Called only if all of its records have been written.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    fn finish(&self, open: Self::Open) -> Result<OutputFile, BoxError>;
}

/// The writer of a [`FormatSink`](crate::FormatSink).
#[derive(Serialize, Deserialize)]
#[serde(bound(serialize = "F: Serialize", deserialize = "F: Deserialize<'de>"))]
pub struct WriteFormat<T: ?Sized, F> {
    pub(crate) output: OutputWriter,
    pub(crate) format: F,
    pub(crate) records: PhantomData<fn(&T)>,
}

impl<T: ?Sized, F> fmt::Debug for WriteFormat<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteFormat")
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

impl<T: Record + ?Sized, F: RecordFormat<T>> PartitionWriter<T> for WriteFormat<T, F> {
    /// The file, and the number of records in it.
    type Open = (F::Open, u64);
    type Part = (FinishedFile, u64);

    fn open(&self, attempt: &Attempt) -> Result<(F::Open, u64), BoxError> {
        let file = self.output.create(attempt.partition(), attempt.name())?;
        Ok((self.format.open(file)?, 0))
    }

    #[inline]
    fn write(&self, open: &mut (F::Open, u64), record: T::Ref<'_>) -> Result<(), BoxError> {
        self.format.write(&mut open.0, T::peek(&record))?;
        open.1 += 1;
        Ok(())
    }

    fn finish(&self, (open, records): (F::Open, u64)) -> Result<(FinishedFile, u64), BoxError> {
        Ok((self.format.finish(open)?.finish()?, records))
    }
}
