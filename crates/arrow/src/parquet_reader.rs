//! Reading of Parquet.

use std::marker::PhantomData;

use holdall::{BadRecords, Context, IntoInputs, Result};
use serde::de::DeserializeOwned;

use crate::ParquetBag;
use crate::filter::Filter;
use crate::inputs::MetadataCache;
use crate::parquet_source::ReadParquet;

/// Reads Parquet files.
///
/// serde maps each row to a value. The fields of a struct are found by their names, and only their columns are read. A
/// tuple takes the first columns, in order, and a map takes all. A null is the `None` of an `Option`, and so is a column
/// that a file lacks. Texts, numbers, Booleans, lists, structs, maps and bytes are read as such, and dates, times and
/// decimal numbers as texts or integers, as [serde_arrow](https://docs.rs/serde_arrow) does. Times with a time zone are read in
/// UTC.
///
/// # Partitions
///
/// Each row group is a partition, in the order of the files and their row groups. A task holds the compressed columns of
/// its row group in memory. Files are read as they were found: if a file has changed since, the job fails with
/// [`InputChanged`](holdall::ErrorKind::InputChanged).
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall_arrow::{ArrowBag, ParquetReader, ParquetWriter, column};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Visit {
///     user: String,
///     pages: Option<u32>,
/// }
///
/// #[derive(Deserialize)]
/// struct User {
///     user: String,
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("visits");
/// let visits = holdall::range_partitioned(0..100, 1);
/// let visits = visits.map(|n| Visit { user: format!("user {n}"), pages: Some(n) });
/// ParquetWriter::new().row_group_rows(10).write(&visits, &path)?;
/// let users = ParquetReader::new().filter(column("pages").gt(97)).read::<User>(&path)?;
/// assert_eq!(users.partitions(), Some(1)); // the other nine row groups have no such rows
/// assert_eq!(users.map(|user| user.user).collect()?, ["user 98", "user 99"]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a reader does nothing until it is given files"]
pub struct ParquetReader {
    context: Option<Context>,
    filter: Option<Filter>,
    bad: Option<BadRecords>,
}

impl ParquetReader {
    /// Creates a reader of all rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the context of the bags. Default: the default context.
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// Sets the condition that rows must satisfy. Default: all rows are read.
    ///
    /// A row group without such rows, according to its statistics, is not a partition, and is not read. In the others, the
    /// columns of the filter are read first. The type need not have them.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Sets that `bad` takes the rows that cannot be mapped, and the files and row groups that cannot be read, instead of
    /// an error that ends the job. Default: it is an error.
    pub fn bad_records(mut self, bad: &BadRecords) -> Self {
        self.bad = Some(bad.clone());
        self
    }

    /// Returns the rows of Parquet files, mapped to values. Reads the metadata of all files.
    ///
    /// The first row that cannot be mapped ends the job. The error is [`ErrorKind::Read`](holdall::ErrorKind::Read), which
    /// contains the file, the row and the row group.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Context::find_files`], and [`ErrorKind::Read`](holdall::ErrorKind::Read) if a file is
    /// not a Parquet file, lacks a column of the filter, or has one that cannot be compared.
    #[track_caller]
    pub fn read<T>(&self, inputs: impl IntoInputs) -> Result<ParquetBag<T>>
    where
        T: DeserializeOwned + 'static,
    {
        let context = self.context.clone().unwrap_or_default();
        context.from_source(ReadParquet {
            files: context.find_files(inputs)?,
            filter: self.filter.clone(),
            bad: self.bad.clone(),
            cache: MetadataCache::default(),
            records: PhantomData,
        })
    }
}
