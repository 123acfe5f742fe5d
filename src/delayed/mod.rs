//! Delayed values: calls of functions and results of bags that are computed together.
//!
//! | file | purpose |
//! | --- | --- |
//! | `node` | a delayed value |
//! | `call` | calls of functions |
//! | `bag_result` | results of bags |
//! | `compute` | computes values in rounds |
//! | `values` | several values at once |
//! | `pending` | values that a bag needs |
//! | `parts` | what the tasks of `from_delayed` compute |
//! | `source` | `from_delayed` as a source |
//! | `lazy_bag` | conversions between bags and delayed values |

mod bag_result;
mod call;
mod compute;
mod lazy_bag;
mod node;
mod parts;
mod pending;
mod source;
mod values;

pub use call::{
    DelayedArguments, DelayedFunction, IntoDelayed, call, delayed, gather, try_delayed, value,
};
pub use lazy_bag::{DelayedBag, from_delayed};
pub use node::Delayed;
pub use values::{DelayedValues, compute};
