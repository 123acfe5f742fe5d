//! For other crates: memory, scratch files, and tasks that run on holdall's executors.
//!
//! A crate that adds its own kind of work, such as chunked arrays, needs more than operators on records. This module
//! has what it can share with the jobs of bags:
//!
//! - [`Layers`] runs tasks that need values of each other, on the threads or workers of a [`Context`](crate::Context).
//!   [`Layer`] describes them, and has an example.
//! - [`EngineJob`] runs the work of another engine, such as a query engine, as a job of a context.
//! - [`Function`] makes plain data of a function, so that layers can contain it.
//! - [`ReservedMemory`] is a part of the [memory budget](crate::ContextBuilder::memory). A component that
//!   [can release memory](ReclaimMemory) may be asked to.
//! - [`SpillFile`] is a file that cleans up after itself, for data that exceeds the budget.
//!
//! Tasks reserve memory and create files by their [`TaskScope`], other code by [`ContextResources`].

mod context_files;
mod context_resources;
mod engine_job;
mod function;
mod run_layers;

pub use crate::layers::{Inputs, Layer, LayerId, Needs, TaskScope};
pub use crate::task::{CancelHandle, ReclaimMemory, ReservedMemory, SpillFile, SpillWriter};
pub use context_resources::ContextResources;
pub use engine_job::{EngineJob, EngineScope};
pub use function::Function;
pub use run_layers::Layers;
pub(crate) use run_layers::{owned, run_layers};
