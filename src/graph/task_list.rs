//! Tasks by number, each after those that it needs: what graphs and delayed values are turned into before they run.

use std::ops::Range;
use std::sync::Arc;

use super::function::AnyFunction;
use super::operand::{Constant, Operand};
use crate::error::{Error, ErrorContext, ErrorKind, Result, Site};
use crate::layers::{Value, ValueType};

/// Tasks by number. A task needs only those before it.
#[derive(Default)]
pub(crate) struct TaskList {
    pub(super) tasks: Vec<ListedTask>,
    /// Operands of all calls.
    pub(super) operands: Vec<Operand>,
    pub(super) constants: Vec<Constant>,
}

pub(super) enum ListedTask {
    Call(ListedCall),
    /// Number of a constant.
    Data(u32),
}

pub(super) struct ListedCall {
    pub(super) function: Arc<dyn AnyFunction>,
    pub(super) site: Site,
    pub(super) key: Option<Arc<str>>,
    /// Range in `operands`.
    pub(super) operands: Range<u32>,
}

impl ListedCall {
    /// Returns the place of the call, for errors.
    pub(super) fn place(&self) -> ErrorContext {
        ErrorContext {
            key: self.key.as_deref().map(str::to_owned),
            ..ErrorContext::from(self.site)
        }
    }
}

impl TaskList {
    /// Adds a constant. Returns the number of the task.
    pub(crate) fn add_data(&mut self, constant: Constant) -> u32 {
        let number = self.constants.len() as u32;
        self.constants.push(constant);
        self.add(ListedTask::Data(number))
    }

    /// Returns the number of tasks.
    pub(crate) fn len(&self) -> u32 {
        self.tasks.len() as u32
    }

    fn add(&mut self, task: ListedTask) -> u32 {
        self.tasks.push(task);
        self.tasks.len() as u32 - 1
    }

    /// Adds a call whose operands are `Task` and `All`. Returns its number.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidGraph`] if the number or the types of the operands differ from what the function
    /// takes.
    pub(crate) fn add_call(
        &mut self,
        function: &Arc<dyn AnyFunction>,
        site: Site,
        key: Option<Arc<str>>,
        operands: impl IntoIterator<Item = Operand>,
    ) -> Result<u32> {
        let start = self.operands.len();
        self.operands.extend(operands);
        let call = ListedCall {
            function: Arc::clone(function),
            site,
            key,
            operands: start as u32..self.operands.len() as u32,
        };
        if u32::try_from(self.operands.len()).is_err() || u32::try_from(self.tasks.len()).is_err() {
            return Err(invalid(call.place(), "there are too many tasks".to_owned()));
        }
        self.check(&call)?;
        Ok(self.add(ListedTask::Call(call)))
    }

    /// Returns the value of a constant.
    pub(super) fn value_of(&self, constant: u32) -> Value {
        Arc::clone(&self.constants[constant as usize].value)
    }

    pub(super) fn operands_of(&self, call: &ListedCall) -> &[Operand] {
        &self.operands[call.operands.start as usize..call.operands.end as usize]
    }

    /// Returns the type of the value of a task.
    pub(crate) fn value_type(&self, task: u32) -> &'static ValueType {
        match &self.tasks[task as usize] {
            ListedTask::Call(call) => call.function.signature().result,
            ListedTask::Data(number) => self.constants[*number as usize].value_type,
        }
    }

    /// Returns the place of a task, for errors.
    pub(super) fn place(&self, task: u32) -> ErrorContext {
        match &self.tasks[task as usize] {
            ListedTask::Call(call) => call.place(),
            ListedTask::Data(number) => self.constants[*number as usize].site.into(),
        }
    }

    /// Compares the operands of a call with the parameters of its function.
    fn check(&self, call: &ListedCall) -> Result<()> {
        let parameters = call.function.signature().arguments;
        let mut left = self.operands_of(call);
        let mut count = 0;
        while let Some((first, rest)) = left.split_first() {
            let parameter = parameters.get(count);
            count += 1;
            let (values, expected);
            if let Operand::All(values_left) = first {
                (values, left) = rest.split_at(rest.len().min(*values_left as usize));
                expected = parameter.map(|parameter| parameter.each);
            } else {
                (values, left) = left.split_at(1);
                expected = parameter.map(|parameter| Some(parameter.one));
            }
            let reason = match expected {
                None => continue,
                Some(None) => format!(
                    "argument {count} consists of several values, but the function takes {}; \
                     a parameter for several values has a type `&[T]`",
                    name(parameter.map(|parameter| parameter.one))
                ),
                Some(Some(expected)) => {
                    let mut types = values.iter().map(|value| self.operand_type(*value));
                    let fits = |given: &ValueType| given.id == expected.id;
                    let Some(given) = types.find(|given| !given.is_some_and(fits)) else {
                        continue;
                    };
                    let (given, expected) = (name(given), name(Some(expected)));
                    format!(
                        "argument {count} is a value of {given}, but the function takes {expected}"
                    )
                }
            };
            return Err(invalid(call.place(), reason));
        }
        if count == parameters.len() {
            return Ok(());
        }
        let takes = parameters.len();
        let arguments = if count == 1 { "argument" } else { "arguments" };
        let reason = format!("it has {count} {arguments}, but its function takes {takes}");
        Err(invalid(call.place(), reason))
    }

    fn operand_type(&self, operand: Operand) -> Option<&'static ValueType> {
        match operand {
            Operand::Task(task) => Some(self.value_type(task)),
            Operand::Data(number) => Some(self.constants[number as usize].value_type),
            Operand::All(_) => None,
        }
    }
}

fn name(value_type: Option<&'static ValueType>) -> &'static str {
    value_type.map_or("several values", |value_type| (value_type.name)())
}

#[cold]
pub(crate) fn invalid(context: ErrorContext, reason: String) -> Error {
    Error::new(ErrorKind::InvalidGraph { context, reason })
}
