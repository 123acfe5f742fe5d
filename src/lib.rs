//! A lazy, partitioned bag of records for text and data processing larger than memory.

mod bag;
mod config;
mod context;
mod error;
mod executor;
mod id;
#[expect(dead_code, reason = "used by the layer above, which comes next")]
mod storage;
pub use error::{Error, ErrorKind, Place, Result};
pub use operators::map_partitions::Records;
pub use operators::read_text::ReadText;
pub use pipeline::{Boxed, Data, Key, Pipeline, Record};
pub use text::{IntoInputs, InvalidUtf8};
