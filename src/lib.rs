//! holdall: a lazy, partitioned bag of records for text and data processing larger than memory.
mod error;
mod id;
pub use error::{Error, ErrorKind, Place, Result};
