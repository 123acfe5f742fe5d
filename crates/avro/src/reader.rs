//! Reading of Avro.

use std::marker::PhantomData;

use holdall::{BadRecords, Context, Error, IntoByteSize, IntoInputs, Result};
use serde::de::DeserializeOwned;

use crate::AvroFileBag;
use crate::source::ReadAvro;

/// Reads Avro container files.
///
/// serde maps each record to a value, by the schema in the file, as `apache-avro` does. The fields of a struct are found by
/// their names, and fields that the struct does not have are skipped. All codecs are decoded: deflate, snappy, zstandard,
/// bzip2 and xz. The names in the schema must follow the rules of Avro. So records without a name, which Polars writes by
/// default, and names with a `$`, which Java gives to nested classes, are refused.
///
/// # Partitions
///
/// A large file is read in several partitions, by sizes that depend only on the input, and is cut at the markers between
/// its blocks. Small files share a partition. The order is that of the files and their records. Files are read as they were
/// found: if a file has changed since, the job fails with [`InputChanged`](holdall::ErrorKind::InputChanged).
///
/// # Examples
///
/// ```
/// use apache_avro::AvroSchema;
/// use holdall_avro::{AvroReader, AvroWriter};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, AvroSchema)]
/// struct Visit {
///     user: String,
///     pages: i64,
/// }
///
/// #[derive(Deserialize)]
/// struct Pages {
///     pages: i64,
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("visits");
/// let visits = holdall::range(0..10_i64).map(|n| Visit { user: format!("user {n}"), pages: n });
/// AvroWriter::new().write(&visits, &path)?;
/// let pages = AvroReader::new().read::<Pages>(&path)?;
/// assert_eq!(pages.map(|visit| visit.pages).sum::<i64>()?, 45);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a reader does nothing until it is given files"]
pub struct AvroReader {
    context: Option<Context>,
    partition: Option<Result<u64, String>>,
    bad: Option<BadRecords>,
}

impl AvroReader {
    /// Creates a reader.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the context of the bags. Default: the default context.
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// Sets the size of partitions, in bytes. Default: a 256th of the input, but at least 1 MiB and at most 64 MiB.
    pub fn partition_bytes(mut self, size: impl IntoByteSize) -> Self {
        self.partition = Some(size.into_byte_size().map(|size| size.0.max(1)));
        self
    }

    /// Sets that `bad` takes the records that cannot be mapped, and the files and blocks that cannot be read, instead of an
    /// error that ends the job. Default: it is an error.
    ///
    /// In a damaged file, reading continues after the next marker.
    pub fn bad_records(mut self, bad: &BadRecords) -> Self {
        self.bad = Some(bad.clone());
        self
    }

    /// Returns the records of Avro files, mapped to values.
    ///
    /// The first record that cannot be mapped ends the job. The error is [`ErrorKind::Read`](holdall::ErrorKind::Read),
    /// which contains the file and the byte of the block.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Context::find_files`], and an error if the size of partitions is invalid.
    #[track_caller]
    pub fn read<T>(&self, inputs: impl IntoInputs) -> Result<AvroFileBag<T>>
    where
        T: DeserializeOwned + 'static,
    {
        let partition_bytes = self.partition.clone().transpose();
        let context = self.context.clone().unwrap_or_default();
        context.from_source(ReadAvro {
            files: context.find_files(inputs)?,
            partition_bytes: partition_bytes.map_err(Error::other)?,
            bad: self.bad.clone(),
            records: PhantomData,
        })
    }
}
