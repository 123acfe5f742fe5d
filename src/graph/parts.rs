//! Tasks of the partitions of a bag: each part runs within a task of a stage.

use serde::{Deserialize, Serialize};

use super::code_table::{CodeTable, load_codes};
use super::operand::{Constant, Operand, TaskValues};
use super::task_list::{ListedTask, TaskList};
use crate::error::{Error, Result};
use crate::layers::{Value, ValueType};
use crate::portable::{Loader, Portable, Saver};
use crate::storage::bytes;

/// Tasks of several parts, which share only constants. The tasks of a part run one after the other.
#[derive(Default)]
pub(crate) struct TaskParts {
    /// Constants of several parts, and then the tasks of each part, one part after the other.
    pub(crate) list: TaskList,
    parts: Vec<TaskPart>,
}

#[derive(Serialize, Deserialize)]
struct TaskPart {
    /// The tasks of the part.
    first: u32,
    end: u32,
    /// The task whose value is that of the part. It may be a constant of several parts.
    result: u32,
}

impl TaskParts {
    /// Adds a part, which consists of the tasks from `first` on. Its value is that of `result`.
    pub(crate) fn add_part(&mut self, first: u32, result: u32) {
        let end = self.list.len();
        self.parts.push(TaskPart { first, end, result });
    }

    /// Computes the value of a part. Returns `None` if the job stops before.
    ///
    /// # Errors
    ///
    /// Returns the error of a function, with the line that created its task.
    pub(crate) fn value(
        &self,
        part: usize,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Value>> {
        let part = &self.parts[part];
        let mut known = KnownValues::new(&self.list, part);
        for number in part.first..part.end {
            let value = match &self.list.tasks[number as usize] {
                ListedTask::Data(constant) => self.list.value_of(*constant),
                ListedTask::Call(_) if is_stopped() => return Ok(None),
                ListedTask::Call(call) => {
                    let operands = self.list.operands_of(call).iter();
                    let inputs = operands.filter_map(|operand| match operand {
                        Operand::Task(task) => Some(known.take(*task)),
                        Operand::Data(_) | Operand::All(_) => None,
                    });
                    let inputs: Vec<Value> = inputs.collect::<Result<_>>()?;
                    let inputs = TaskValues::Each(inputs.iter());
                    self.list.code_of(call).run(inputs, &self.list.constants)?
                }
            };
            known.values.push(Some(value));
        }
        known.take(part.result).map(Some)
    }
}

/// The values of a part so far. Each is dropped as soon as no call needs it any more.
struct KnownValues<'l> {
    list: &'l TaskList,
    first: u32,
    values: Vec<Option<Value>>,
    /// For each value, the number of times that it is still needed.
    uses: Vec<u32>,
}

impl<'l> KnownValues<'l> {
    fn new(list: &'l TaskList, part: &TaskPart) -> Self {
        let TaskPart { first, end, result } = *part;
        let mut uses = vec![0; (end - first) as usize];
        let tasks = &list.tasks[first as usize..end as usize];
        let operands = tasks.iter().flat_map(|task| match task {
            ListedTask::Call(call) => list.operands_of(call),
            ListedTask::Data(_) => &[],
        });
        for operand in operands.chain([&Operand::Task(result)]) {
            if let Operand::Task(task) = operand
                && let Some(place) = task.checked_sub(first)
            {
                uses[place as usize] += 1;
            }
        }
        Self {
            list,
            first,
            values: Vec::with_capacity(uses.len()),
            uses,
        }
    }

    fn take(&mut self, task: u32) -> Result<Value> {
        let value = match (
            task.checked_sub(self.first),
            &self.list.tasks[task as usize],
        ) {
            (None, ListedTask::Data(constant)) => Some(self.list.value_of(*constant)),
            (None, ListedTask::Call(_)) => None,
            (Some(place), _) => {
                let place = place as usize;
                self.uses[place] -= 1;
                match self.uses[place] {
                    0 => self.values[place].take(),
                    _ => self.values[place].clone(),
                }
            }
        };
        value.ok_or_else(|| Error::internal("a value of a part is missing".to_owned()))
    }
}

/// A task, as it is sent to a worker.
#[derive(Serialize, Deserialize)]
enum SavedTask {
    /// A constant, behind its type.
    Data(#[serde(with = "bytes")] Vec<u8>),
    Call {
        /// Number of the function.
        code: u32,
        key: Option<String>,
        operands: Vec<Operand>,
    },
}

impl Portable for TaskParts {
    fn save(&self, to: &mut Saver) -> Result<()> {
        let (list, codes) = (&self.list, CodeTable::new(&self.list));
        codes.save(to)?;
        to.data(&self.parts)?;
        to.data(&list.tasks.len())?;
        for task in &list.tasks {
            match task {
                ListedTask::Data(number) => {
                    let constant = &list.constants[*number as usize];
                    to.data(&SavedTask::Data(constant.encoded()?))?;
                    to.site(constant.site)?;
                    constant.value_type.save(to)?;
                }
                ListedTask::Call(call) => {
                    let unknown = || Error::internal("a function is not in the table".to_owned());
                    to.data(&SavedTask::Call {
                        code: codes.number(call).ok_or_else(unknown)?,
                        key: call.key.as_deref().map(str::to_owned),
                        operands: list.operands_of(call).to_vec(),
                    })?;
                }
            }
        }
        Ok(())
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let codes = load_codes(from)?;
        let parts = from.data()?;
        let mut list = TaskList::default();
        let tasks: usize = from.data()?;
        for _ in 0..tasks {
            match from.data()? {
                SavedTask::Data(bytes) => {
                    let (site, value_type) = (from.site()?, ValueType::load(from)?);
                    list.add_data(Constant {
                        value: value_type.decode(&bytes)?,
                        value_type,
                        site,
                    });
                }
                SavedTask::Call {
                    code,
                    key,
                    operands,
                } => {
                    let unknown = || Error::internal("a function is unknown".to_owned());
                    let (function, site) = codes.get(code as usize).ok_or_else(unknown)?;
                    list.add_call(function, *site, key.map(Into::into), operands)?;
                }
            }
        }
        Ok(Self { list, parts })
    }
}
