//! The functions of a graph, each once, as they are sent to worker processes.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;

use super::function::{AnyFunction, load_function};
use super::task_list::{ListedCall, ListedTask, TaskList};
use crate::error::{Result, Site, SourceLocation};
use crate::portable::{Loader, Saver};

/// A function, and the line that created a task of it.
pub(super) type Code = (Arc<dyn AnyFunction>, Site);

/// Functions by number.
pub(super) struct CodeTable {
    codes: Vec<Code>,
    numbers: HashMap<(TypeId, SourceLocation), u32>,
}

impl CodeTable {
    /// Collects the functions of all calls.
    pub(super) fn new(list: &TaskList) -> Self {
        let mut table = Self {
            codes: Vec::new(),
            numbers: HashMap::new(),
        };
        for task in &list.tasks {
            if let ListedTask::Call(call) = task {
                let number = table.codes.len() as u32;
                table.numbers.entry(key(call)).or_insert_with(|| {
                    table.codes.push((Arc::clone(&call.function), call.site));
                    number
                });
            }
        }
        table
    }

    /// Returns the number of the function of a call.
    pub(super) fn number(&self, call: &ListedCall) -> Option<u32> {
        self.numbers.get(&key(call)).copied()
    }

    /// Writes all functions.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them captures something.
    pub(super) fn save(&self, to: &mut Saver) -> Result<()> {
        to.data(&self.codes.len())?;
        for (function, site) in &self.codes {
            to.site(*site)?;
            function.save(to)?;
        }
        Ok(())
    }
}

/// Two functions of the same type are the same if the type has no bytes. If it has, neither can be sent.
fn key(call: &ListedCall) -> (TypeId, SourceLocation) {
    (call.function.code(), call.site.location)
}

/// Reads what [`CodeTable::save`] has written.
pub(super) fn load_codes(from: &mut Loader<'_>) -> Result<Vec<Code>> {
    let codes: usize = from.data()?;
    let code = |_| {
        let site = from.site()?;
        Ok((load_function(from)?, site))
    };
    (0..codes).map(code).collect()
}
