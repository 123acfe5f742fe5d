//! Reading of Arrow IPC files.

use std::marker::PhantomData;

use holdall::{BadRecords, Context, IntoInputs, Result};
use serde::de::DeserializeOwned;

use crate::ArrowFileBag;
use crate::arrow_source::ReadArrow;
use crate::inputs::MetadataCache;

/// Reads Arrow IPC files, also known as Feather V2.
///
/// serde maps each row to a value, as [`ParquetReader`](crate::ParquetReader) does.
///
/// # Partitions
///
/// Each record batch of a file is a partition, in the order of the files and their batches. A task holds its batch in
/// memory. A stream, which has no footer, is one partition. Files are read as they were found: if a file has changed
/// since, the job fails with [`InputChanged`](holdall::ErrorKind::InputChanged).
///
/// # Examples
///
/// ```
/// use holdall_arrow::{ArrowReader, ArrowWriter};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("squares");
/// let squares = holdall::range_partitioned(0..10_u64, 1).map(|n| (n, n * n));
/// ArrowWriter::new().batch_rows(4).write(&squares, &path)?;
/// let squares = ArrowReader::new().read::<(u64, u64)>(&path)?;
/// assert_eq!(squares.partitions(), Some(3));
/// assert_eq!(squares.map(|(_, square)| square).sum::<u64>()?, 285);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a reader does nothing until it is given files"]
pub struct ArrowReader {
    context: Option<Context>,
    bad: Option<BadRecords>,
}

impl ArrowReader {
    /// Creates a reader.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the context of the bags. Default: the default context.
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// Sets that `bad` takes the rows that cannot be mapped, and the files and record batches that cannot be read, instead
    /// of an error that ends the job. Default: it is an error.
    pub fn bad_records(mut self, bad: &BadRecords) -> Self {
        self.bad = Some(bad.clone());
        self
    }

    /// Returns the rows of Arrow IPC files, mapped to values. Reads the footers of all files.
    ///
    /// The first row that cannot be mapped ends the job. The error is [`ErrorKind::Read`](holdall::ErrorKind::Read), which
    /// contains the file, and the byte of the record batch.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Context::find_files`], and [`ErrorKind::Read`](holdall::ErrorKind::Read) if the footer
    /// of a file is damaged.
    #[track_caller]
    pub fn read<T>(&self, inputs: impl IntoInputs) -> Result<ArrowFileBag<T>>
    where
        T: DeserializeOwned + 'static,
    {
        let context = self.context.clone().unwrap_or_default();
        context.from_source(ReadArrow {
            files: context.find_files(inputs)?,
            bad: self.bad.clone(),
            cache: MetadataCache::default(),
            records: PhantomData,
        })
    }
}
