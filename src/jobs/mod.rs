//! Jobs in the background: handles to their results, and the threads that drive them.

mod as_completed;
mod handle;
mod queue;

pub use as_completed::{AsCompleted, as_completed};
pub use handle::{JobHandle, JobStatus};
pub(crate) use queue::JobQueue;
