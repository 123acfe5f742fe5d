//! Tasks that need values of each other: one *dynamic stage*, in which a task is handed out once all that it needs is
//! done. For crates that bring their own kinds of work, such as arrays, and for graphs of functions.
//!
//! ```text
//!  Layer ──AnyLayer──> LayerSet ──plan──> LayerPlan: needs, users, order          (nothing has run)
//!                                            │
//!                       LayerRun: TaskStates (ready? done?), Values (in memory, in files)
//!                        │                                           │
//!  threads:  LocalRun ───┤ values as they are          a remote executor: LayerDriver ── TaskCall ──> worker
//!                        └── run, then `finish`                         take   <── TaskReport, files ───┘
//! ```
//!
//! | file | purpose |
//! | --- | --- |
//! | `layer` | `Layer`, and what its author sees: `Needs`, `Inputs` |
//! | `scope` | memory and files for a task: `TaskScope` |
//! | `value` | values of any type |
//! | `any_layer` | layers of any type |
//! | `plan` | which tasks run, in which order |
//! | `values` | values with readers, and their memory |
//! | `state` | which tasks are ready, and which must run again |
//! | `spill` | writes values to files |
//! | `run` | one run: state, spilling, the wanted values |
//! | `local` | runs tasks on threads |
//! | `call` | what driver and worker exchange |
//! | `driver` | sends tasks to workers |
//! | `worker` | runs tasks in a worker |
//! | `cache` | the last values of a worker |

mod any_layer;
mod cache;
mod call;
mod driver;
mod layer;
mod local;
mod plan;
mod run;
mod scope;
mod spill;
mod state;
mod value;
mod values;
mod worker;

pub(crate) use any_layer::{AnyLayer, TypedLayer, task_failure};
pub(crate) use driver::LayerDriver;
pub use layer::{Inputs, Layer, LayerId, Needs};
pub(crate) use local::LocalRun;
pub(crate) use plan::{LayerPlan, LayerSet, Wanted};
pub(crate) use run::LayerRun;
pub use scope::TaskScope;
pub(crate) use value::{Value, ValueType};
pub(crate) use worker::save_layers;

#[cfg(test)]
mod tests;
