//! Avro files as [holdall](holdall) bags.
//!
//! [`read_avro`](AvroContext::read_avro) and [`AvroReader`] read, and [`write_avro`](AvroBag::write_avro) and
//! [`AvroWriter`] write. serde maps records to values and back, and [`apache_avro`] encodes them. Files are on any file
//! system of the context, and outputs appear as a whole or not at all. Everything works on every executor.
//!
//! # Examples
//!
//! ```
//! use apache_avro::AvroSchema;
//! use holdall::Context;
//! use holdall_avro::{AvroBag, AvroContext};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, AvroSchema)]
//! struct Visit {
//!     user: String,
//!     pages: Option<i32>,
//! }
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("visits");
//! let visits = holdall::from_vec(vec![("ada", Some(3)), ("alan", None)]);
//! visits.map(|(user, pages)| Visit { user: user.to_owned(), pages }).write_avro(&path)?;
//! let visits = Context::default().read_avro::<Visit>(&path)?;
//! assert_eq!(visits.filter_map(|visit| visit.pages).collect()?, [3]);
//! # Ok::<(), holdall::Error>(())
//! ```

mod container;
mod reader;
mod source;
mod writer;

use std::path::Path;

use apache_avro::AvroSchema;
use holdall::{Bag, Context, FromSource, IntoInputs, Pipeline, Result, Written};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use apache_avro;
pub use reader::AvroReader;
pub use source::ReadAvro;
pub use writer::{AvroWriter, Codec};

/// The records of Avro files.
pub type AvroFileBag<T> = Bag<T, FromSource<ReadAvro<T>>>;

/// Methods of a [`Context`] that read Avro.
pub trait AvroContext {
    /// Returns the records of Avro files, mapped to values. Short for [`AvroReader::read`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`AvroReader::read`].
    #[track_caller]
    fn read_avro<T: DeserializeOwned + 'static>(
        &self,
        inputs: impl IntoInputs,
    ) -> Result<AvroFileBag<T>>;
}

impl AvroContext for Context {
    #[track_caller]
    fn read_avro<T: DeserializeOwned + 'static>(
        &self,
        inputs: impl IntoInputs,
    ) -> Result<AvroFileBag<T>> {
        AvroReader::new().context(self).read(inputs)
    }
}

/// Methods of a [`Bag`] that write Avro.
pub trait AvroBag {
    /// Writes the records as Avro. Runs a job. Short for [`AvroWriter::write`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`AvroWriter::write`].
    #[track_caller]
    fn write_avro(&self, path: impl AsRef<Path>) -> Result<Written>;
}

impl<T, P> AvroBag for Bag<T, P>
where
    T: AvroSchema + Serialize + 'static,
    P: Pipeline<Out = T>,
{
    #[track_caller]
    fn write_avro(&self, path: impl AsRef<Path>) -> Result<Written> {
        AvroWriter::new().write(self, path)
    }
}
