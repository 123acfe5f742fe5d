//! Divides calls between the tasks of `from_delayed` and the job before them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::node::{DelayedArgument, DelayedNode, DelayedWork, address};
use super::pending::Pending;
use crate::error::{Error, Result};
use crate::graph::{Operand, TaskParts};
use crate::pipeline::Link;

/// Returns the nodes whose values the tasks of parts need, but do not compute: results of bags, and what several parts
/// need.
pub(super) fn common(parts: &[Link<DelayedNode>]) -> Vec<Link<DelayedNode>> {
    let all = all_common(parts);
    let mut seen = HashSet::new();
    let mut needed = Vec::new();
    let mut to_visit: Vec<_> = parts.iter().rev().collect();
    while let Some(node) = to_visit.pop() {
        if !seen.insert(address(node)) {
            continue;
        }
        match all.contains(&address(node)) {
            true => needed.push(node.clone()),
            false => to_visit.extend(node.arguments()),
        }
    }
    needed
}

/// Returns the addresses of the nodes that belong to no single part.
fn all_common(parts: &[Link<DelayedNode>]) -> HashSet<usize> {
    let mut owners = HashMap::new();
    let mut common = Vec::new();
    for (part, root) in parts.iter().enumerate() {
        let mut to_visit = vec![root];
        while let Some(node) = to_visit.pop() {
            let is_bag = matches!(node.work, DelayedWork::Bag(_));
            match owners.insert(address(node), part) {
                None if is_bag => common.push(node),
                None => to_visit.extend(node.arguments()),
                Some(owner) if owner != part => common.push(node),
                Some(_) => {}
            }
        }
    }
    // A part may also need what a common node needs. That is common, too, because it must be computed once.
    let mut all = HashSet::new();
    while let Some(node) = common.pop() {
        if all.insert(address(node)) {
            common.extend(node.arguments());
        }
    }
    all
}

/// Returns the tasks of the parts, once the values of the [`common`] nodes are known.
pub(super) fn tasks(parts: &[Link<DelayedNode>], known: &Pending) -> Result<TaskParts> {
    let mut tasks = TaskParts::default();
    let mut numbers = HashMap::new();
    for (node, value) in known.all() {
        numbers.insert(address(node), tasks.list.add_data(node.with(value)));
    }
    for root in parts {
        let first = tasks.list.len();
        // Each node comes after those that it needs.
        let mut to_visit = vec![(root, false)];
        while let Some((node, is_ready)) = to_visit.pop() {
            if numbers.contains_key(&address(node)) {
                continue;
            }
            if is_ready {
                let task = add_task(node, &mut tasks, &numbers)?;
                numbers.insert(address(node), task);
            } else {
                to_visit.push((node, true));
                to_visit.extend(node.arguments().map(|need| (need, false)));
            }
        }
        tasks.add_part(first, number(root, &numbers)?);
    }
    Ok(tasks)
}

fn add_task(
    node: &DelayedNode,
    tasks: &mut TaskParts,
    numbers: &HashMap<usize, u32>,
) -> Result<u32> {
    let (function, arguments) = match &node.work {
        DelayedWork::Value(value) => return Ok(tasks.list.add_data(node.with(Arc::clone(value)))),
        DelayedWork::Call {
            function,
            arguments,
        } => (function, arguments),
        DelayedWork::Bag(_) => return Err(missing()),
    };
    let operands = arguments.iter().map(|argument| match argument {
        DelayedArgument::All(count) => Ok(Operand::All(*count)),
        DelayedArgument::Node(need) => number(need, numbers).map(Operand::Task),
    });
    let operands: Vec<_> = operands.collect::<Result<_>>()?;
    tasks
        .list
        .add_call(function, node.site, node.key.clone(), operands)
}

fn number(node: &Arc<DelayedNode>, numbers: &HashMap<usize, u32>) -> Result<u32> {
    let number = numbers.get(&address(node)).copied();
    number.ok_or_else(missing)
}

#[cold]
fn missing() -> Error {
    Error::internal("a delayed value is missing".to_owned())
}
