//! Extensions of holdall as another crate would write them, with its public items only: a format that is read and
//! written, a file system, and an observer. The tests run them on every executor. Tests of other crates use them, too.

mod fixed_length;
mod recorder;
mod settings;
mod store;

pub use fixed_length::{FixedLength, FixedLengthSink, FixedLengthWriter, Span, read_fixed_length};
pub use recorder::Recorder;
pub use settings::{on_each_executor, on_each_file_system};
pub use store::{Call, Failing, Fault, Store};
