//! Turns tasks into layers: fuses chains of calls into programs, and groups these by the type of their value.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::OnceLock;

use super::code_table::CodeTable;
use super::operand::Operand;
use super::task_list::{ListedTask, TaskList};
use crate::error::{Result, caught};
use crate::layers::Wanted;

/// Maximum number of calls that are fused. A job is cancelled, and retries what was lost, in units of these.
const MAX_FUSED: u32 = 1_024;

/// Maximum memory of a constant that is sent with each task that needs it, in bytes. Larger ones are tasks, so that they
/// are sent once.
const MAX_INLINE_BYTES: usize = 1 << 10;

/// Content of one task of the engine: a constant, or calls of which each but the first needs only the one before.
///
/// A chain has no parallelism, and its intermediate values have one reader, so they need not be stored, or sent to
/// another process.
pub(crate) struct Programs {
    pub(super) list: TaskList,
    /// For each call: the one that is fused with it and runs next.
    pub(super) next: Vec<Option<u32>>,
    /// For each task that ends a program: the layer, and the number of the program there.
    pub(super) places: Vec<Option<Wanted>>,
    pub(super) code: OnceLock<CodeTable>,
}

/// Programs whose values have the same type.
pub(super) struct ProgramGroup {
    /// The first call of each program.
    pub(super) firsts: Vec<u32>,
    /// The last call of one of them.
    pub(super) last: u32,
}

/// The tasks of programs that need a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum User {
    None,
    One(u32),
    Several,
}

impl Programs {
    /// Fuses and groups tasks.
    ///
    /// # Errors
    ///
    /// Returns an error if a constant cannot be encoded.
    pub(super) fn new(
        mut list: TaskList,
        wanted: &[u32],
        is_remote: bool,
    ) -> Result<(Self, Vec<ProgramGroup>)> {
        inline_constants(&mut list, is_remote)?;
        let mut users = users(&list);
        for task in wanted {
            users[*task as usize] = User::Several;
        }
        let next = fuse(&list, &users);
        let mut is_fused = vec![false; next.len()];
        for later in next.iter().flatten() {
            is_fused[*later as usize] = true;
        }
        let mut programs = Self {
            places: vec![None; next.len()],
            list,
            next,
            code: OnceLock::new(),
        };
        let mut groups: Vec<ProgramGroup> = Vec::new();
        let mut by_type: HashMap<TypeId, u32> = HashMap::new();
        for first in (0..is_fused.len() as u32).filter(|task| !is_fused[*task as usize]) {
            // A constant that was passed on to all of its users.
            if users[first as usize] == User::None {
                continue;
            }
            let last = programs.calls(first).last().unwrap_or(first);
            let value_type = programs.list.value_type(last);
            let number = *by_type.entry(value_type.id).or_insert_with(|| {
                let firsts = Vec::new();
                groups.push(ProgramGroup { firsts, last });
                groups.len() as u32 - 1
            });
            let firsts = &mut groups[number as usize].firsts;
            programs.places[last as usize] = Some((number, firsts.len()));
            firsts.push(first);
        }
        Ok((programs, groups))
    }

    /// Returns the calls of a program, from the first on.
    pub(super) fn calls(&self, first: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(first), |call| self.next[*call as usize])
    }
}

/// Replaces operands that are tasks for constants by the constants themselves, unless these must be sent separately.
fn inline_constants(list: &mut TaskList, is_remote: bool) -> Result<()> {
    let mut inline = vec![None; list.tasks.len()];
    for (task, inline) in list.tasks.iter().zip(&mut inline) {
        let ListedTask::Data(number) = task else {
            continue;
        };
        let constant = &list.constants[*number as usize];
        let bytes = || constant.value_type.bytes(&constant.value);
        let is_small = !is_remote || caught(Some(constant.site), bytes)? <= MAX_INLINE_BYTES;
        *inline = is_small.then_some(*number);
    }
    for operand in &mut list.operands {
        if let Operand::Task(task) = operand
            && let Some(number) = inline[*task as usize]
        {
            *operand = Operand::Data(number);
        }
    }
    Ok(())
}

fn users(list: &TaskList) -> Vec<User> {
    let mut users = vec![User::None; list.tasks.len()];
    for (number, task) in (0..).zip(&list.tasks) {
        let ListedTask::Call(call) = task else {
            continue;
        };
        for operand in list.operands_of(call) {
            if let Operand::Task(needed) = operand {
                let user = &mut users[*needed as usize];
                *user = match *user {
                    User::None => User::One(number),
                    User::One(other) if other == number => User::One(number),
                    _ => User::Several,
                };
            }
        }
    }
    users
}

/// Returns the call that is fused with each call and runs next: its only user, if that needs no other task.
fn fuse(list: &TaskList, users: &[User]) -> Vec<Option<u32>> {
    let mut next = vec![None; list.tasks.len()];
    // Number of fused calls up to each one.
    let mut lengths = vec![1_u32; list.tasks.len()];
    for (number, task) in (0..).zip(&list.tasks) {
        let ListedTask::Call(call) = task else {
            continue;
        };
        let mut needs = list
            .operands_of(call)
            .iter()
            .filter_map(|operand| match operand {
                Operand::Task(needed) => Some(*needed),
                _ => None,
            });
        let Some(needed) = needs
            .next()
            .filter(|first| needs.all(|other| other == *first))
        else {
            continue;
        };
        let is_call = matches!(list.tasks[needed as usize], ListedTask::Call(_));
        let length = lengths[needed as usize];
        if is_call && users[needed as usize] == User::One(number) && length < MAX_FUSED {
            next[needed as usize] = Some(number);
            lengths[number as usize] = length + 1;
        }
    }
    next
}
