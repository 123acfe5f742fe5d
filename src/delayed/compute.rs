//! Computes delayed values, each once.
//!
//! Results of bags and calls of functions may need each other, so they are computed in rounds. A round is a job: for all
//! results of bags whose needs are known or, if there are none, for all tasks that need no missing result.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::bag_result::BagResult;
use super::node::{DelayedArgument, DelayedNode, DelayedWork, address};
use super::pending::Pending;
use crate::bag::union_all_at;
use crate::context::Context;
use crate::error::{Error, Result, Site};
use crate::graph::{Operand, TaskList, run_tasks};
use crate::layers::Value;
use crate::lineage::PendingValue;
use crate::pipeline::Link;

/// Values that are computed together.
pub(super) struct Computation {
    /// Runs the tasks. If there is none yet, that of the first bag does, or the default one.
    context: Option<Context>,
    /// Whether the same context runs the jobs of bags.
    runs_bags: bool,
    site: Site,
    /// Values by the addresses of their nodes, which live as long as this.
    values: HashMap<usize, Value>,
}

/// A node that has no value yet.
struct Missing {
    node: Arc<DelayedNode>,
    /// Values that its bag needs before it is read.
    pending: Vec<Arc<dyn PendingValue>>,
}

impl Missing {
    fn new(node: &Arc<DelayedNode>) -> Self {
        let pending = match &node.work {
            DelayedWork::Bag(result) => result.bag.pending_values(),
            DelayedWork::Value(_) | DelayedWork::Call { .. } => Vec::new(),
        };
        Self {
            node: Arc::clone(node),
            pending,
        }
    }

    /// Returns the context of its bag.
    fn context(&self) -> Option<Context> {
        match &self.node.work {
            DelayedWork::Bag(result) => Some(result.bag.context().clone()),
            DelayedWork::Value(_) | DelayedWork::Call { .. } => None,
        }
    }

    /// Returns all delayed values that it needs.
    fn needs(&self) -> impl Iterator<Item = &Arc<DelayedNode>> {
        let pending = self.pending.iter().filter_map(as_pending);
        let pending = pending.flat_map(|pending| &pending.nodes);
        self.node.arguments().chain(pending).map(|node| &**node)
    }
}

fn as_pending(pending: &Arc<dyn PendingValue>) -> Option<&Pending> {
    let any: &dyn Any = &**pending;
    any.downcast_ref()
}

impl Computation {
    pub(super) fn new(context: Option<&Context>, site: Site) -> Self {
        Self {
            context: context.cloned(),
            runs_bags: false,
            site,
            values: HashMap::new(),
        }
    }

    /// Returns the values of `wanted`, in their order.
    pub(super) fn values(mut self, wanted: &[Link<DelayedNode>]) -> Result<Vec<Value>> {
        loop {
            let missing = self.search(wanted);
            if missing.is_empty() {
                break;
            }
            if self.context.is_none() {
                self.context = missing.iter().find_map(Missing::context);
            }
            let is_ready = |missing: &&Missing| {
                matches!(missing.node.work, DelayedWork::Bag(_))
                    && missing.needs().all(|need| self.value(need).is_some())
            };
            let ready: Vec<_> = missing.iter().filter(is_ready).collect();
            if ready.is_empty() {
                self.run_tasks(wanted, &missing)?;
            } else {
                self.run_bags(&ready)?;
            }
        }
        let values: Option<_> = wanted.iter().map(|node| self.value(node)).collect();
        values.ok_or_else(|| Error::internal("a delayed value is missing".to_owned()))
    }

    fn value(&self, node: &Arc<DelayedNode>) -> Option<Value> {
        let constant = node.constant().map(|constant| constant.value);
        constant.or_else(|| self.values.get(&address(node)).cloned())
    }

    /// Returns the nodes without a value that the wanted ones need, each after those that it needs itself. Does not
    /// recurse, as a program may build a graph that is a million calls deep.
    fn search(&self, wanted: &[Link<DelayedNode>]) -> Vec<Missing> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut to_visit: Vec<_> = wanted
            .iter()
            .rev()
            .map(|node| (Missing::new(node), false))
            .collect();
        while let Some((missing, is_end)) = to_visit.pop() {
            if is_end {
                found.push(missing);
            } else if self.value(&missing.node).is_none() && seen.insert(address(&missing.node)) {
                let place = to_visit.len();
                let needs = missing
                    .needs()
                    .filter(|need| !seen.contains(&address(need)));
                to_visit.extend(needs.map(|need| (Missing::new(need), false)));
                to_visit[place..].reverse();
                to_visit.insert(place, (missing, true));
            }
        }
        found
    }

    /// Runs a job for all tasks that need no missing result of a bag.
    fn run_tasks(&mut self, wanted: &[Link<DelayedNode>], missing: &[Missing]) -> Result<()> {
        let mut list = TaskList::default();
        let mut tasks: HashMap<usize, u32> = HashMap::new();
        // Nodes whose values are wanted, or needed by what has to wait.
        let mut needed: HashSet<usize> = wanted.iter().map(|node| address(node)).collect();
        for missing in missing {
            let task = self.add_task(&missing.node, &mut list, &mut tasks)?;
            if task.is_none() {
                needed.extend(missing.needs().map(address));
            }
        }
        let is_needed = |missing: &&Missing| needed.contains(&address(&missing.node));
        let needed = missing
            .iter()
            .filter(is_needed)
            .map(|missing| address(&missing.node));
        let (addresses, numbers): (Vec<_>, Vec<_>) = needed
            .filter_map(|address| Some((address, *tasks.get(&address)?)))
            .unzip();
        if numbers.is_empty() {
            return Err(Error::internal("delayed values need each other".to_owned()));
        }
        let context = self.context.clone().unwrap_or_default();
        let values = run_tasks(&context, list, &numbers, self.site)?;
        self.values.extend(addresses.into_iter().zip(values));
        Ok(())
    }

    /// Adds the task of a call. Returns `None` if it has to wait.
    fn add_task(
        &self,
        node: &Arc<DelayedNode>,
        list: &mut TaskList,
        tasks: &mut HashMap<usize, u32>,
    ) -> Result<Option<u32>> {
        let DelayedWork::Call {
            function,
            arguments,
        } = &node.work
        else {
            return Ok(None);
        };
        let mut operands = Vec::with_capacity(arguments.len());
        for argument in arguments {
            operands.push(match argument {
                DelayedArgument::All(count) => Operand::All(*count),
                DelayedArgument::Node(need) => {
                    let known = tasks.get(&address(need)).copied();
                    let task = known.or_else(|| {
                        let value = self.value(need)?;
                        let task = list.add_data(need.with(value));
                        tasks.insert(address(need), task);
                        Some(task)
                    });
                    let Some(task) = task else {
                        return Ok(None);
                    };
                    Operand::Task(task)
                }
            });
        }
        let task = list.add_call(function, node.site, node.key.clone(), operands)?;
        tasks.insert(address(node), task);
        Ok(Some(task))
    }

    /// Runs one job for results of bags. Each bag is read once, and shuffles that they share are too.
    fn run_bags(&mut self, ready: &[&Missing]) -> Result<()> {
        let mut groups: Vec<Vec<(&Missing, &BagResult)>> = Vec::new();
        let mut places = HashMap::new();
        for missing in ready {
            let DelayedWork::Bag(result) = &missing.node.work else {
                continue;
            };
            for pending in missing.pending.iter().filter_map(as_pending) {
                let values = pending.nodes.iter().filter_map(|node| self.value(node));
                pending.set(values.collect());
            }
            let place = *places.entry(result.bag.address()).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[place].push((*missing, result));
        }
        let bags = (0..).zip(&groups).map(|(number, group)| {
            let results: Vec<_> = group.iter().map(|(_, result)| *result).collect();
            let bag = results
                .first()
                .map(|result| result.bag.partial_results(number, &results));
            bag.unwrap_or_else(|| Err(Error::internal("a bag has no results".to_owned())))
        });
        let mut bags = bags.collect::<Result<Vec<_>>>()?;
        let all = match (bags.pop(), bags.is_empty()) {
            (Some(bag), true) => bag,
            (last, _) => union_all_at(self.site, bags.into_iter().chain(last)),
        };
        let all = match &self.context {
            Some(context) if self.runs_bags => all.in_context(context),
            _ => all,
        };
        let mut parts: Vec<Vec<Vec<_>>> = groups
            .iter()
            .map(|group| vec![Vec::new(); group.len()])
            .collect();
        for (bag, number, bytes) in all.collect_whole_at(self.site)? {
            parts[bag as usize][number as usize].push(bytes);
        }
        for (group, parts) in groups.iter().zip(parts) {
            for ((missing, result), parts) in group.iter().zip(parts) {
                let value = result.bag.finish(result, &mut parts.into_iter())?;
                self.values.insert(address(&missing.node), value);
            }
        }
        Ok(())
    }
}

impl PendingValue for Pending {
    fn is_known(&self) -> bool {
        self.are_known()
    }

    fn resolve(&self, all: &[Arc<dyn PendingValue>], context: &dyn Any, site: Site) -> Result<()> {
        let all: Vec<_> = all.iter().filter_map(as_pending).collect();
        let nodes = all.iter().flat_map(|pending| pending.nodes.iter().cloned());
        let nodes: Vec<_> = nodes.collect();
        let computation = Computation {
            runs_bags: true,
            ..Computation::new(context.downcast_ref(), site)
        };
        let mut values = computation.values(&nodes)?.into_iter();
        for pending in all {
            pending.set(values.by_ref().take(pending.nodes.len()).collect());
        }
        Ok(())
    }
}
