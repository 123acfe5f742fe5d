//! Task graphs as data: functions that need each other's values, by the keys of a map.
//!
//! A [`Graph`] is a map from keys to [`data`] and to [`task`]s. [`Context::get`](crate::Context::get) runs what some keys
//! need, in parallel, on the executor of the context, and returns their values. [`task`] and [`Graph`] have examples.
//!
//! - **Values** are of any type that implements serde's traits, `Send` and `Sync`.
//! - **Functions** are `fn`s and closures with up to eight parameters, by value or by reference; see [`TaskFunction`].
//! - **Errors** and panics end the job. They name the key of the task, and the line that created it.
//!
//! # Crate layout
//!
//! | file | purpose |
//! | --- | --- |
//! | `operand` | what is passed to a function |
//! | `function` | functions of any type, and how they take arguments |
//! | `item` | `data`, `task`, `alias`, and what tasks need |
//! | `map` | the graph |
//! | `task_list` | tasks by number, with types that fit |
//! | `check` | which tasks some keys need |
//! | `programs` | fuses tasks, and groups them into layers |
//! | `code_table` | the functions, as they are sent to workers |
//! | `call_code` | calls a function |
//! | `layer` | runs fused tasks |
//! | `parts` | runs tasks within a task of a stage |
//! | `get` | runs a job |
//! | `transform` | culls and fuses graphs |
//! | `render` | draws graphs |

mod call_code;
mod check;
mod code_table;
mod function;
mod get;
mod item;
mod layer;
mod map;
mod operand;
mod parts;
mod programs;
mod render;
mod task_list;
mod transform;

pub(crate) use function::{AnyFunction, any_function};
pub use function::{Argument, Borrowing, ByRef, ByValue, OwnedArgument, TaskFunction, by_ref};
#[doc(hidden)]
pub use function::{Fallible, Infallible, TaskOutput};
pub use get::GraphKeys;
pub(crate) use get::run as run_tasks;
pub use item::{Item, TaskNeed, TaskNeeds, alias, all, data, task, try_task};
pub use map::Graph;
pub(crate) use operand::{Constant, Operand};
pub(crate) use parts::TaskParts;
pub(crate) use task_list::TaskList;
