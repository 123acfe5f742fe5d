//! The call of a function with its arguments.

use super::function::AnyFunction;
use super::operand::{Arguments, Constant, Operand, TaskValues};
use super::task_list::{ListedCall, TaskList};
use crate::error::{Error, ErrorContext, Result, Site, caught};
use crate::layers::{Value, task_failure};

/// A call that can run.
pub(super) struct CallCode<'a> {
    pub(super) function: &'a dyn AnyFunction,
    pub(super) site: Site,
    pub(super) key: Option<&'a str>,
    pub(super) operands: &'a [Operand],
}

impl TaskList {
    pub(super) fn code_of<'l>(&'l self, call: &'l ListedCall) -> CallCode<'l> {
        CallCode {
            function: &*call.function,
            site: call.site,
            key: call.key.as_deref(),
            operands: self.operands_of(call),
        }
    }
}

impl CallCode<'_> {
    /// Calls the function with `values`, which its operands take in their order.
    pub(super) fn run(&self, values: TaskValues<'_>, constants: &[Constant]) -> Result<Value> {
        let arguments = Arguments {
            operands: self.operands.iter(),
            values,
            constants,
        };
        let site = self.site;
        let value = caught(Some(site), || {
            let value = self.function.call(arguments);
            value.map_err(|cause| task_failure(site, cause))
        });
        value.map_err(|error: Error| {
            error.of_task(ErrorContext {
                key: self.key.map(str::to_owned),
                ..ErrorContext::from(site)
            })
        })
    }
}
