//! A lazy, partitioned bag of records for text and data processing larger than memory.

mod bag;
mod config;
mod context;
mod error;
mod executor;
mod id;
mod lineage;
mod operators;
mod pipeline;
mod plan;
mod scheduler;
mod shuffle;
#[expect(dead_code, reason = "spilling, which comes next, uses the rest")]
mod storage;
mod task;
mod text;

pub use bag::{
    Bag, BagWith, Iter, Line, Sortable, TextReader, TextWriter, empty, from_fn, from_iter,
    from_vec, range, read_text,
};
pub use config::Executor;
pub use context::{Context, ContextBuilder};
pub use error::{Error, ErrorKind, Place, Result};
pub use operators::map_partitions::Records;
pub use operators::read_text::ReadText;
pub use pipeline::{Boxed, Data, Key, Pipeline, Record};
pub use storage::size::ByteSize;
pub use text::{IntoInputs, InvalidUtf8};
