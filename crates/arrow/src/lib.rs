//! Parquet and Arrow IPC files as [holdall](holdall) bags.
//!
//! serde maps rows to values and back, so records need no other derive than for the rest of holdall. Files are on any file
//! system of the context, and outputs appear as a whole or not at all. Everything works on every executor.
//!
//! | format | read | write |
//! | --- | --- | --- |
//! | Parquet | [`read_parquet`](ArrowContext::read_parquet), [`ParquetReader`] | [`write_parquet`](ArrowBag::write_parquet), [`ParquetWriter`] |
//! | Arrow IPC | [`read_arrow`](ArrowContext::read_arrow), [`ArrowReader`] | [`write_arrow`](ArrowBag::write_arrow), [`ArrowWriter`] |
//!
//! # Examples
//!
//! ```
//! use holdall::Context;
//! use holdall_arrow::{ArrowBag, ArrowContext};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Visit {
//!     user: String,
//!     pages: u64,
//! }
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("visits");
//! let visits = holdall::from_vec(vec![("ada", 3), ("alan", 5), ("ada", 4)]);
//! let visits = visits.map(|(user, pages)| Visit { user: user.to_owned(), pages });
//! visits.write_parquet(&path)?;
//! let visits = Context::default().read_parquet::<Visit>(&path)?;
//! let pages = visits.map(|visit| (visit.user, visit.pages)).reduce_by_key(|a, b| a + b);
//! assert_eq!(pages.sort().collect()?, [("ada".to_owned(), 7), ("alan".to_owned(), 5)]);
//! # Ok::<(), holdall::Error>(())
//! ```

mod arrow_reader;
mod arrow_source;
mod arrow_writer;
mod batches;
mod filter;
mod inputs;
mod parquet_reader;
mod parquet_source;
mod parquet_writer;
mod readable;
mod rows;
mod schema;
mod shape;
mod writer;

use std::path::Path;

use holdall::{Bag, Context, FromSource, IntoInputs, Pipeline, Result, Written};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use arrow_reader::ArrowReader;
pub use arrow_schema;
pub use arrow_source::ReadArrow;
pub use arrow_writer::{ArrowIpc, ArrowWriter, BatchCompression};
pub use batches::{from_batch, to_batch};
pub use filter::{Column, Filter, Value, column};
pub use parquet_reader::ParquetReader;
pub use parquet_source::ReadParquet;
pub use parquet_writer::{Compression, Parquet, ParquetWriter};
pub use schema::schema_of;
pub use writer::FileWriter;

/// The rows of Parquet files.
pub type ParquetBag<T> = Bag<T, FromSource<ReadParquet<T>>>;

/// The rows of Arrow IPC files.
pub type ArrowFileBag<T> = Bag<T, FromSource<ReadArrow<T>>>;

/// Methods of a [`Context`] that read files.
pub trait ArrowContext {
    /// Returns the rows of Parquet files, mapped to values. Short for [`ParquetReader::read`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`ParquetReader::read`].
    #[track_caller]
    fn read_parquet<T: DeserializeOwned + 'static>(
        &self,
        inputs: impl IntoInputs,
    ) -> Result<ParquetBag<T>>;

    /// Returns the rows of Arrow IPC files, mapped to values. Short for [`ArrowReader::read`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`ArrowReader::read`].
    #[track_caller]
    fn read_arrow<T: DeserializeOwned + 'static>(
        &self,
        inputs: impl IntoInputs,
    ) -> Result<ArrowFileBag<T>>;
}

impl ArrowContext for Context {
    #[track_caller]
    fn read_parquet<T: DeserializeOwned + 'static>(
        &self,
        inputs: impl IntoInputs,
    ) -> Result<ParquetBag<T>> {
        ParquetReader::new().context(self).read(inputs)
    }

    #[track_caller]
    fn read_arrow<T: DeserializeOwned + 'static>(
        &self,
        inputs: impl IntoInputs,
    ) -> Result<ArrowFileBag<T>> {
        ArrowReader::new().context(self).read(inputs)
    }
}

/// Methods of a [`Bag`] that write files.
pub trait ArrowBag {
    /// Writes the records as Parquet. Runs a job. Short for [`ParquetWriter`]'s [`write`](FileWriter::write).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`FileWriter::write`].
    #[track_caller]
    fn write_parquet(&self, path: impl AsRef<Path>) -> Result<Written>;

    /// Writes the records as Arrow IPC files. Runs a job. Short for [`ArrowWriter`]'s [`write`](FileWriter::write).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`FileWriter::write`].
    #[track_caller]
    fn write_arrow(&self, path: impl AsRef<Path>) -> Result<Written>;
}

impl<T, P> ArrowBag for Bag<T, P>
where
    T: Serialize + DeserializeOwned + 'static,
    P: Pipeline<Out = T>,
{
    #[track_caller]
    fn write_parquet(&self, path: impl AsRef<Path>) -> Result<Written> {
        ParquetWriter::new().write(self, path)
    }

    #[track_caller]
    fn write_arrow(&self, path: impl AsRef<Path>) -> Result<Written> {
        ArrowWriter::new().write(self, path)
    }
}
