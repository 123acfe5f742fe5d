//! Programs with values of one type as a layer: how they run on threads, and in worker processes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::call_code::CallCode;
use super::code_table::{Code, CodeTable, load_codes};
use super::function::AnyFunction;
use super::operand::{Constant, Operand, TaskValues};
use super::programs::{ProgramGroup, Programs};
use super::task_list::{ListedTask, TaskList};
use crate::error::{Error, ErrorContext, ErrorKind, Result, Site};
use crate::layers::{AnyLayer, Inputs, Needs, TaskScope, Value, ValueType, Wanted};
use crate::portable::{FunctionEntry, Loader, Saver};
use crate::storage::bytes;

/// Programs whose values have the same type.
pub(super) struct GraphLayer {
    programs: Arc<Programs>,
    group: ProgramGroup,
}

/// Fuses tasks. Returns the layers, and the tasks of the engine for the `wanted` ones.
///
/// # Errors
///
/// Returns an error if a constant cannot be encoded.
pub(super) fn layers(
    list: TaskList,
    wanted: &[u32],
    is_remote: bool,
) -> Result<(Vec<Arc<GraphLayer>>, Vec<Wanted>)> {
    let (programs, groups) = Programs::new(list, wanted, is_remote)?;
    let places = wanted.iter().map(|task| programs.places[*task as usize]);
    let lost = || Error::internal("a task belongs to no program".to_owned());
    let wanted = places
        .map(|place| place.ok_or_else(lost))
        .collect::<Result<_>>()?;
    let programs = Arc::new(programs);
    let layer = |group| {
        let programs = Arc::clone(&programs);
        Arc::new(GraphLayer { programs, group })
    };
    Ok((groups.into_iter().map(layer).collect(), wanted))
}

impl GraphLayer {
    /// Returns the constant of a program that has no calls.
    fn constant(&self, program: usize) -> Option<&Constant> {
        let list = &self.programs.list;
        match list.tasks[self.group.firsts[program] as usize] {
            ListedTask::Data(number) => Some(&list.constants[number as usize]),
            ListedTask::Call(_) => None,
        }
    }

    fn calls(&self, program: usize) -> impl Iterator<Item = CallCode<'_>> {
        let list = &self.programs.list;
        let calls = self.programs.calls(self.group.firsts[program]);
        calls.filter_map(|call| match &list.tasks[call as usize] {
            ListedTask::Call(call) => Some(list.code_of(call)),
            ListedTask::Data(_) => None,
        })
    }

    /// Returns the keys of the calls of a program.
    pub(super) fn keys(&self, program: usize) -> impl Iterator<Item = &str> {
        self.calls(program).filter_map(|call| call.key)
    }

    /// Returns the functions of all layers of the graph.
    fn code(&self) -> &CodeTable {
        let new = || CodeTable::new(&self.programs.list);
        self.programs.code.get_or_init(new)
    }
}

impl AnyLayer for GraphLayer {
    fn site(&self) -> Site {
        let list = &self.programs.list;
        match &list.tasks[self.group.last as usize] {
            ListedTask::Call(call) => call.site,
            ListedTask::Data(number) => list.constants[*number as usize].site,
        }
    }

    fn tasks(&self) -> usize {
        self.group.firsts.len()
    }

    fn needs(&self, program: usize, needs: &mut Needs<'_>) {
        let (list, places) = (&self.programs.list, &self.programs.places);
        let ListedTask::Call(call) = &list.tasks[self.group.firsts[program] as usize] else {
            return;
        };
        for operand in list.operands_of(call) {
            if let Operand::Task(task) = operand
                && let Some((layer, number)) = places[*task as usize]
            {
                needs.add_any(layer, number, list.value_type(*task).id);
            }
        }
    }

    fn place(&self, program: usize) -> ErrorContext {
        let last = self.programs.calls(self.group.firsts[program]).last();
        self.programs.list.place(last.unwrap_or(self.group.last))
    }

    fn run(&self, program: usize, inputs: &Inputs<'_>, scope: &TaskScope<'_>) -> Result<Value> {
        if let Some(constant) = self.constant(program) {
            return Ok(Arc::clone(&constant.value));
        }
        run_calls(
            self.calls(program),
            &self.programs.list.constants,
            inputs,
            scope,
        )
    }

    fn value_type(&self) -> &'static ValueType {
        self.programs.list.value_type(self.group.last)
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry(const { &FunctionEntry::of::<GraphLayer>(load) })?;
        self.value_type().save(to)?;
        self.code().save(to)
    }

    fn save_task(&self, program: usize, to: &mut Saver) -> Result<()> {
        let constants = &self.programs.list.constants;
        if let Some(constant) = self.constant(program) {
            return to.data(&SavedProgram::Constant(constant.encoded()?));
        }
        let mut calls = Vec::new();
        for number in self.programs.calls(self.group.firsts[program]) {
            let ListedTask::Call(call) = &self.programs.list.tasks[number as usize] else {
                continue;
            };
            let unknown = || Error::internal("a function is not in the table".to_owned());
            let operands = self.programs.list.operands_of(call).iter();
            let operands = operands.map(|operand| match *operand {
                Operand::Task(_) => Ok(SavedOperand::Task),
                Operand::Data(number) => {
                    let value = constants[number as usize].encoded()?;
                    Ok(SavedOperand::Data(value))
                }
                Operand::All(count) => Ok(SavedOperand::All(count)),
            });
            calls.push(SavedCall {
                code: self.code().number(call).ok_or_else(unknown)?,
                key: call.key.as_deref().map(str::to_owned),
                operands: operands.collect::<Result<_>>()?,
            });
        }
        to.data(&SavedProgram::Calls(calls))
    }
}

/// Runs the calls of a program. The first receives `inputs`, each other the value of the one before.
fn run_calls<'a>(
    calls: impl Iterator<Item = CallCode<'a>>,
    constants: &[Constant],
    inputs: &Inputs<'_>,
    scope: &TaskScope<'_>,
) -> Result<Value> {
    let mut last: Option<Value> = None;
    for call in calls {
        if scope.is_stopped() {
            return Err(Error::new(ErrorKind::Cancelled));
        }
        let values = match &last {
            None => TaskValues::Each(inputs.values().iter()),
            Some(value) => TaskValues::Same(value),
        };
        last = Some(call.run(values, constants)?);
    }
    last.ok_or_else(|| Error::internal("a program has no calls".to_owned()))
}

/// Data that a worker needs for one program.
#[derive(Serialize, Deserialize)]
enum SavedProgram {
    Constant(#[serde(with = "bytes")] Vec<u8>),
    Calls(Vec<SavedCall>),
}

#[derive(Serialize, Deserialize)]
struct SavedCall {
    /// Number of the function.
    code: u32,
    key: Option<String>,
    operands: Vec<SavedOperand>,
}

#[derive(Serialize, Deserialize)]
enum SavedOperand {
    Task,
    Data(#[serde(with = "bytes")] Vec<u8>),
    All(u32),
}

fn load(from: &mut Loader<'_>) -> Result<Arc<dyn AnyLayer>> {
    let value_type = ValueType::load(from)?;
    let codes = load_codes(from)?;
    Ok(Arc::new(LoadedLayer { value_type, codes }))
}

/// A layer in a worker, which receives each program with its task.
struct LoadedLayer {
    value_type: &'static ValueType,
    codes: Vec<Code>,
}

impl LoadedLayer {
    /// Decodes the operands of a call. Appends constants to `constants`.
    fn operands(
        function: &dyn AnyFunction,
        saved: Vec<SavedOperand>,
        constants: &mut Vec<Constant>,
        site: Site,
    ) -> Result<Vec<Operand>> {
        let mut parameters = function.signature().arguments.iter();
        // Number of operands that the current parameter still takes, and their type.
        let mut left = 0;
        let mut value_type = None;
        let mut operands = Vec::with_capacity(saved.len());
        for operand in saved {
            if let SavedOperand::All(count) = operand {
                value_type = parameters.next().and_then(|parameter| parameter.each);
                left = count;
                operands.push(Operand::All(count));
                continue;
            }
            match left {
                0 => value_type = parameters.next().map(|parameter| parameter.one),
                _ => left -= 1,
            }
            let SavedOperand::Data(bytes) = operand else {
                operands.push(Operand::Task(0));
                continue;
            };
            let unknown = || Error::internal("an argument has no parameter".to_owned());
            let value_type = value_type.ok_or_else(unknown)?;
            operands.push(Operand::Data(constants.len() as u32));
            constants.push(Constant {
                value: value_type.decode(&bytes)?,
                value_type,
                site,
            });
        }
        Ok(operands)
    }
}

impl AnyLayer for LoadedLayer {
    fn site(&self) -> Site {
        Site::new("task")
    }

    fn tasks(&self) -> usize {
        0
    }

    fn needs(&self, _: usize, _: &mut Needs<'_>) {}

    fn place(&self, _: usize) -> ErrorContext {
        ErrorContext::default()
    }

    fn run(&self, _: usize, _: &Inputs<'_>, _: &TaskScope<'_>) -> Result<Value> {
        Err(Error::internal(
            "a task runs without its program".to_owned(),
        ))
    }

    fn value_type(&self) -> &'static ValueType {
        self.value_type
    }

    fn save(&self, _: &mut Saver) -> Result<()> {
        Err(Error::internal("a worker sends no layers".to_owned()))
    }

    fn run_saved(
        &self,
        _: usize,
        mut from: Loader<'_>,
        inputs: &Inputs<'_>,
        scope: &TaskScope<'_>,
    ) -> Result<Value> {
        let calls = match from.data()? {
            SavedProgram::Constant(bytes) => return self.value_type.decode(&bytes),
            SavedProgram::Calls(calls) => calls,
        };
        let mut constants = Vec::new();
        let mut loaded = Vec::with_capacity(calls.len());
        for call in calls {
            let code = self.codes.get(call.code as usize);
            let unknown = || Error::internal("a function is unknown".to_owned());
            let (function, site) = code.ok_or_else(unknown)?;
            let operands = Self::operands(&**function, call.operands, &mut constants, *site)?;
            loaded.push((function, *site, call.key, operands));
        }
        let calls = loaded
            .iter()
            .map(|(function, site, key, operands)| CallCode {
                function: &***function,
                site: *site,
                key: key.as_deref(),
                operands,
            });
        run_calls(calls, &constants, inputs, scope)
    }
}
