//! Finds the tasks that some keys need, and checks them before anything runs.

use std::fmt::Write;
use std::sync::Arc;

use super::map::{Graph, GraphCall, GraphOperand, SlotContent};
use super::operand::Operand;
use super::task_list::{TaskList, invalid};
use crate::error::{Error, ErrorContext, Result};

/// Maximum number of keys that an error names.
const MAX_NAMED: usize = 20;

/// The tasks that some keys need.
pub(super) struct Checked {
    pub(super) list: TaskList,
    /// Tasks of the wanted keys, in their order.
    pub(super) wanted: Vec<u32>,
    /// Task of each slot of the graph.
    found: Vec<SlotSearch>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SlotSearch {
    No,
    /// Its needs are being searched.
    Open,
    Task(u32),
}

impl Graph {
    /// Finds the tasks that `keys` need. Does not recurse, as graphs may be a million tasks deep.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidGraph`](crate::ErrorKind::InvalidGraph) for keys that are not in the graph, tasks that need
    /// themselves, and arguments that do not fit to their function.
    pub(super) fn check(&self, keys: &[&str]) -> Result<Checked> {
        let mut checked = Checked {
            list: TaskList::default(),
            wanted: Vec::with_capacity(keys.len()),
            found: vec![SlotSearch::No; self.slots.len()],
        };
        for key in keys {
            let slot = self.slot_of(key).ok_or_else(|| self.missing(key, None))?;
            self.search(slot, &mut checked)?;
            checked.wanted.push(checked.task(slot)?);
        }
        Ok(checked)
    }

    fn search(&self, slot: u32, checked: &mut Checked) -> Result<()> {
        if checked.found[slot as usize] != SlotSearch::No {
            return Ok(());
        }
        // Slots that are being searched, each with those that it needs and that remain to be visited.
        let mut path = vec![(slot, self.open(slot, None, checked)?)];
        while let Some((slot, left)) = path.last_mut() {
            let slot = *slot;
            let Some(need) = left.next() else {
                let task = self.close(slot, checked)?;
                checked.found[slot as usize] = SlotSearch::Task(task);
                path.pop();
                continue;
            };
            match checked.found[need as usize] {
                SlotSearch::No => path.push((need, self.open(need, Some(slot), checked)?)),
                SlotSearch::Open => {
                    let on_path: Vec<_> = path.iter().map(|(slot, _)| *slot).collect();
                    return Err(self.cycle(&on_path, need));
                }
                SlotSearch::Task(_) => {}
            }
        }
        Ok(())
    }

    /// Begins the search below a slot, which `user` needs. Returns the slots that it needs.
    fn open<'g>(
        &'g self,
        slot: u32,
        user: Option<u32>,
        checked: &mut Checked,
    ) -> Result<impl Iterator<Item = u32> + use<'g>> {
        checked.found[slot as usize] = SlotSearch::Open;
        let slot = &self.slots[slot as usize];
        let content = slot.content.as_ref();
        let content = content.ok_or_else(|| self.missing(&slot.key, user))?;
        Ok(content.slots())
    }

    /// Adds the task of a slot. Returns its number.
    fn close(&self, slot: u32, checked: &mut Checked) -> Result<u32> {
        let slot = &self.slots[slot as usize];
        match &slot.content {
            Some(SlotContent::Data(constant)) => Ok(checked.list.add_data(constant.clone())),
            Some(SlotContent::Alias(other)) => checked.task(*other),
            Some(SlotContent::Call(call)) => checked.add_call(call, &slot.key),
            None => Err(self.missing(&slot.key, None)),
        }
    }

    #[cold]
    fn missing(&self, key: &str, user: Option<u32>) -> Error {
        let (context, reason) = match user {
            Some(user) => (
                self.place(user),
                format!("it needs {key:?}, which is not in the graph"),
            ),
            None => (
                ErrorContext::default(),
                format!("{key:?} is not in the graph"),
            ),
        };
        invalid(context, reason)
    }

    /// Returns the place of a task, for errors.
    fn place(&self, slot: u32) -> ErrorContext {
        let slot = &self.slots[slot as usize];
        let context = match &slot.content {
            Some(SlotContent::Call(call)) => ErrorContext::from(call.site),
            _ => ErrorContext::default(),
        };
        ErrorContext {
            key: Some(slot.key.as_ref().to_owned()),
            ..context
        }
    }

    /// Returns the error of a task that needs itself. `path` leads to a task that needs `slot`, which is on it.
    #[cold]
    fn cycle(&self, path: &[u32], slot: u32) -> Error {
        let start = path.iter().position(|on_path| *on_path == slot);
        let on_cycle = &path[start.unwrap_or(0)..];
        // Tasks without a key have that of their user.
        let mut keys: Vec<_> = on_cycle
            .iter()
            .map(|slot| &self.slots[*slot as usize].key)
            .collect();
        keys.dedup();
        let mut reason = "it needs itself: ".to_owned();
        for key in keys.iter().take(MAX_NAMED) {
            // Writing to a string cannot fail.
            let _ = write!(reason, "{key:?} needs ");
        }
        let first = &self.slots[on_cycle[0] as usize].key;
        let _ = match keys.len().checked_sub(MAX_NAMED + 1) {
            Some(others) => write!(reason, "{} others, which need {first:?}", others + 1),
            None => write!(reason, "{first:?}"),
        };
        invalid(self.place(on_cycle[0]), reason)
    }
}

impl Checked {
    /// Returns the task of a slot that has been searched.
    pub(super) fn task(&self, slot: u32) -> Result<u32> {
        match self.found[slot as usize] {
            SlotSearch::Task(task) => Ok(task),
            _ => Err(Error::internal("a task has not been searched".to_owned())),
        }
    }

    /// Returns whether a slot is needed.
    pub(super) fn has(&self, slot: u32) -> bool {
        self.found[slot as usize] != SlotSearch::No
    }

    fn add_call(&mut self, call: &GraphCall, key: &Arc<str>) -> Result<u32> {
        let mut operands = Vec::with_capacity(call.needs.len());
        for need in &call.needs {
            operands.push(match need {
                GraphOperand::Slot(slot) => Operand::Task(self.task(*slot)?),
                GraphOperand::Data(constant) => Operand::Task(self.list.add_data(constant.clone())),
                GraphOperand::All(count) => Operand::All(*count),
            });
        }
        let key = Some(Arc::clone(key));
        self.list.add_call(&call.function, call.site, key, operands)
    }
}
