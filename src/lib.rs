//! holdall: a lazy, partitioned bag of records for text and data processing larger than memory.
mod error;
mod id;
#[expect(dead_code, reason = "used by the layer above, which comes next")]
mod storage;
pub use error::{Error, ErrorKind, Place, Result};
