//! Arguments of the function of a task: values of other tasks, and constants.

use std::fmt;
use std::slice;

use serde::{Deserialize, Serialize};

use crate::error::{Result, Site, caught};
use crate::layers::{Value, ValueType};

/// A value that is known before anything runs.
#[derive(Clone)]
pub(crate) struct Constant {
    pub(crate) value: Value,
    pub(crate) value_type: &'static ValueType,
    pub(crate) site: Site,
}

impl Constant {
    /// Returns the bytes of the value.
    pub(super) fn encoded(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let encode = || self.value_type.encode(&self.value, &mut bytes);
        caught(Some(self.site), encode)?;
        Ok(bytes)
    }
}

/// A part of the arguments of a function, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operand {
    /// The value of a task.
    Task(u32),
    /// A constant.
    Data(u32),
    /// The next operands, of this number, are one argument together.
    All(u32),
}

/// Source of the values of other tasks.
#[derive(Clone)]
pub(super) enum TaskValues<'a> {
    /// One for each operand.
    Each(slice::Iter<'a, Value>),
    /// All are of the same task.
    Same(&'a Value),
}

/// The arguments of a call, which its function takes one after the other.
#[derive(Clone)]
pub struct Arguments<'a> {
    pub(super) operands: slice::Iter<'a, Operand>,
    pub(super) values: TaskValues<'a>,
    pub(super) constants: &'a [Constant],
}

impl fmt::Debug for Arguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.operands.clone()).finish()
    }
}

impl<'a> Arguments<'a> {
    /// Takes the next value. The arguments were checked before anything ran.
    pub(super) fn take<T: 'static>(&mut self) -> &'a T {
        let value = match self.operands.next() {
            Some(Operand::Task(_)) => match &mut self.values {
                TaskValues::Each(values) => values.next(),
                TaskValues::Same(value) => Some(*value),
            },
            Some(Operand::Data(number)) => {
                let constant = self.constants.get(*number as usize);
                constant.map(|constant| &constant.value)
            }
            Some(Operand::All(_)) | None => None,
        };
        let value = value.and_then(|value| value.downcast_ref());
        value.unwrap_or_else(|| panic!("an argument is missing or has another type"))
    }

    /// Returns the number of values of the next argument if it consists of several.
    pub(super) fn take_all(&mut self) -> Option<usize> {
        let Some(Operand::All(count)) = self.operands.as_slice().first() else {
            return None;
        };
        self.operands.next();
        Some(*count as usize)
    }
}
