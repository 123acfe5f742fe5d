//! Plans the tasks of a job: finds those that are needed, checks them, and gives them an order.
//!
//! The *rank* of a task is its position in the order in which one thread would run the tasks: depth first from the
//! wanted tasks, so that what is begun is ended before more is begun. If a task needs several, the one whose
//! part of the graph holds most values at a time comes first (Sethi and Ullman, 1970): while it runs, no value of the
//! others has to be held. Ranks are static, and ready tasks run in their order, so few values are held on any number
//! of threads.
//!
//! Graphs may be a million tasks deep, so nothing here recurses.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use super::any_layer::AnyLayer;
use super::layer::{NeededTask, Needs};
use crate::error::{Error, ErrorContext, ErrorKind, Result, caught};

/// Number of the only stage of a job that runs tasks of layers.
pub(super) const STAGE: usize = 1;

/// Layers whose tasks may need each other.
#[derive(Clone)]
pub(crate) struct LayerSet {
    /// Number that distinguishes it from other sets.
    pub(crate) number: u64,
    pub(crate) layers: Vec<Arc<dyn AnyLayer>>,
}

/// A task that is wanted: number of its layer, and number in the layer.
pub(crate) type Wanted = (u32, usize);

/// Lists of ranks, one for each task.
#[derive(Default)]
pub(super) struct Edges {
    /// Start of each list in `targets`, and the end of the last.
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Edges {
    pub(super) fn of(&self, rank: u32) -> &[u32] {
        let rank = rank as usize;
        &self.targets[self.starts[rank] as usize..self.starts[rank + 1] as usize]
    }

    /// Returns the lists of those in whose lists each task is, in ascending order.
    fn reversed(&self) -> Self {
        let tasks = self.starts.len() - 1;
        let mut starts = vec![0; tasks + 1];
        for target in &self.targets {
            starts[*target as usize + 1] += 1;
        }
        for task in 0..tasks {
            starts[task + 1] += starts[task];
        }
        let mut next = starts.clone();
        let mut targets = vec![0; self.targets.len()];
        for rank in 0..tasks as u32 {
            for target in self.of(rank) {
                let place = &mut next[*target as usize];
                targets[*place as usize] = rank;
                *place += 1;
            }
        }
        Self { starts, targets }
    }
}

/// All tasks that the wanted ones need, by rank.
pub(crate) struct LayerPlan {
    pub(super) set: LayerSet,
    /// Number of tasks in all layers before each layer.
    offsets: Vec<u32>,
    /// Number of each task over all layers.
    tasks: Vec<u32>,
    /// The needs of each task, in its order.
    pub(super) needs: Edges,
    /// Tasks that need each task.
    pub(super) users: Edges,
    /// Ranks of the wanted tasks, in their order. May have duplicates.
    pub(super) wanted: Vec<u32>,
    /// The same, without an order.
    pub(super) is_wanted: HashSet<u32>,
}

impl LayerPlan {
    /// Plans the `wanted` tasks.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidGraph`] if a task does not exist or needs itself.
    pub(crate) fn new(set: LayerSet, wanted: &[Wanted]) -> Result<Self> {
        let offsets = offsets(&set)?;
        let mut search = Search::new(&set, &offsets);
        let mut outputs = Vec::with_capacity(wanted.len());
        for (layer, task) in wanted {
            outputs.push(search.wanted(*layer, *task)?);
        }
        let ranks = search.ranks(&outputs);
        let (tasks, needs) = search.ranked(&ranks);
        let wanted: Vec<_> = outputs.iter().map(|local| ranks[*local as usize]).collect();
        Ok(Self {
            users: needs.reversed(),
            is_wanted: wanted.iter().copied().collect(),
            offsets,
            tasks,
            needs,
            wanted,
            set,
        })
    }

    /// Number of tasks.
    pub(crate) fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Returns the number of the layer of a task, and the number of the task in it.
    pub(super) fn task(&self, rank: u32) -> (u32, usize) {
        locate(&self.offsets, self.tasks[rank as usize])
    }

    /// Returns the layer of a task, and the number of the task in it.
    pub(super) fn layer_and_task(&self, rank: u32) -> (&dyn AnyLayer, usize) {
        let (layer, task) = self.task(rank);
        (&*self.set.layers[layer as usize], task)
    }

    /// Returns the place of a task, for errors.
    pub(super) fn place(&self, rank: u32) -> ErrorContext {
        let (layer, task) = self.layer_and_task(rank);
        ErrorContext {
            stage: Some(STAGE),
            ..layer.place(task)
        }
    }

    /// Sets the place of an error of a task.
    pub(super) fn placed(&self, rank: u32, stage: usize, error: Error) -> Error {
        let place = ErrorContext {
            stage: Some(stage),
            ..self.place(rank)
        };
        error.of_task(place)
    }

    /// Returns the layers and the numbers of the tasks, by rank.
    pub(crate) fn order(&self) -> impl Iterator<Item = (u32, usize)> {
        self.tasks.iter().map(|task| locate(&self.offsets, *task))
    }
}

/// Returns the number of tasks in all layers before each one, and the total at the end.
fn offsets(set: &LayerSet) -> Result<Vec<u32>> {
    let mut offsets = vec![0_u32];
    let mut total = 0_u32;
    for layer in &set.layers {
        let site = layer.site();
        let tasks = caught(Some(site), || Ok(layer.tasks()))?;
        let sum = u32::try_from(tasks).ok();
        let sum = sum.and_then(|tasks| total.checked_add(tasks));
        total = sum.ok_or_else(|| {
            let reason = format!("all layers together have more than {} tasks", u32::MAX);
            let context = ErrorContext::from(site);
            Error::new(ErrorKind::InvalidGraph { context, reason })
        })?;
        offsets.push(total);
    }
    Ok(offsets)
}

/// Returns the layer of a task, and its number there.
fn locate(offsets: &[u32], task: u32) -> (u32, usize) {
    let layer = offsets.partition_point(|offset| *offset <= task) - 1;
    (layer as u32, (task - offsets[layer]) as usize)
}

/// A depth-first search for the tasks that are needed. They have *local* numbers, in the order in which they are found.
struct Search<'s> {
    set: &'s LayerSet,
    offsets: &'s [u32],
    /// For each task over all layers: its local number and 1, or 0 if it has not been found.
    found: Vec<u32>,
    /// The tasks that were found, by local number.
    tasks: Vec<u32>,
    /// Their needs, as numbers of tasks over all layers.
    needs: Edges,
    /// Number of values that must be held to run a task and all that it needs, or 0 while the search is below it.
    held: Vec<u32>,
    /// Buffers.
    new_needs: Vec<NeededTask>,
    below: Vec<u32>,
}

impl<'s> Search<'s> {
    fn new(set: &'s LayerSet, offsets: &'s [u32]) -> Self {
        let total = offsets.last().map_or(0, |total| *total as usize);
        Self {
            set,
            offsets,
            found: vec![0; total],
            tasks: Vec::new(),
            needs: Edges {
                starts: vec![0],
                targets: Vec::new(),
            },
            held: Vec::new(),
            new_needs: Vec::new(),
            below: Vec::new(),
        }
    }

    /// Finds a wanted task and all that it needs. Returns its local number.
    fn wanted(&mut self, layer: u32, task: usize) -> Result<u32> {
        let start = self.offsets[layer as usize] as usize;
        let tasks = self.offsets[layer as usize + 1] as usize - start;
        if task >= tasks {
            let reason = format!("the layer has {tasks} tasks");
            return Err(self.invalid(layer, task, reason));
        }
        let output = (start + task) as u32;
        if self.found[output as usize] == 0 {
            self.search(output)?;
        }
        Ok(self.found[output as usize] - 1)
    }

    fn search(&mut self, output: u32) -> Result<()> {
        // Tasks that are being searched, each with the position of its next need.
        let mut path = vec![self.open(output)?];
        while let Some((local, next)) = path.last_mut() {
            let local = *local;
            if *next == self.needs.starts[local as usize + 1] {
                self.close(local);
                path.pop();
                continue;
            }
            let need = self.needs.targets[*next as usize];
            *next += 1;
            match self.found[need as usize].checked_sub(1) {
                None => path.push(self.open(need)?),
                Some(known) if self.held[known as usize] == 0 => {
                    return Err(self.cycle(&path, known));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Adds a task, and returns it with the position of its first need.
    fn open(&mut self, task: u32) -> Result<(u32, u32)> {
        let (layer, index) = locate(self.offsets, task);
        let local = self.tasks.len() as u32;
        self.found[task as usize] = local + 1;
        self.tasks.push(task);
        self.held.push(0);
        let first = self.needs.targets.len() as u32;
        let mut new = std::mem::take(&mut self.new_needs);
        let any = &self.set.layers[layer as usize];
        let called = caught(Some(any.site()), || {
            let mut needs = Needs {
                found: &mut new,
                own: (self.set.number, layer, any.value_type().id),
            };
            any.needs(index, &mut needs);
            Ok(())
        });
        called.map_err(|error| error.of_task(any.place(index)))?;
        for need in new.drain(..) {
            let need = self.checked(layer, index, &need)?;
            self.needs.targets.push(need);
        }
        self.new_needs = new;
        let end = u32::try_from(self.needs.targets.len());
        let end = end.map_err(|_| self.invalid(layer, index, "there are too many needs".into()))?;
        self.needs.starts.push(end);
        Ok((local, first))
    }

    /// Returns the number over all layers of the task that is needed.
    fn checked(&self, layer: u32, task: usize, need: &NeededTask) -> Result<u32> {
        let needed = self.set.layers.get(need.layer as usize);
        let Some(needed) = needed.filter(|_| need.set == self.set.number) else {
            let reason = "it needs a task of a layer that was added to other `Layers`".to_owned();
            return Err(self.invalid(layer, task, reason));
        };
        let (number, name) = (need.task, needed.site().operator);
        let start = self.offsets[need.layer as usize];
        let tasks = (self.offsets[need.layer as usize + 1] - start) as usize;
        if number >= tasks {
            let reason = format!("it needs task {number} of {name}, which has {tasks} tasks");
            return Err(self.invalid(layer, task, reason));
        }
        if need.value != needed.value_type().id {
            let reason = format!(
                "it needs task {number} of {name}, whose value has another type; \
                 pass the `LayerId` that `add` has returned"
            );
            return Err(self.invalid(layer, task, reason));
        }
        Ok(start + number as u32)
    }

    /// Computes how many values a task holds, from what its needs hold.
    fn close(&mut self, local: u32) {
        let mut below = std::mem::take(&mut self.below);
        below.clear();
        below.extend(self.needs_of(local).map(|need| self.held[need as usize]));
        below.sort_unstable_by_key(|held| Reverse(*held));
        let held = (0..).zip(&below).map(|(before, held)| before + held);
        self.held[local as usize] = held.max().unwrap_or(1);
        self.below = below;
    }

    /// Returns the local numbers of what a task needs.
    fn needs_of(&self, local: u32) -> impl Iterator<Item = u32> {
        let needs = self.needs.of(local).iter();
        needs.map(|need| self.found[*need as usize] - 1)
    }

    /// Returns the rank of each task.
    fn ranks(&self, outputs: &[u32]) -> Vec<u32> {
        const NONE: u32 = u32::MAX;
        let mut ranks = vec![NONE; self.tasks.len()];
        let mut is_open = vec![false; self.tasks.len()];
        let mut next = 0;
        let mut needs = Vec::new();
        let mut path = Vec::new();
        for output in outputs {
            path.push((*output, false));
            while let Some((local, is_end)) = path.pop() {
                if is_end {
                    ranks[local as usize] = next;
                    next += 1;
                } else if !std::mem::replace(&mut is_open[local as usize], true) {
                    path.push((local, true));
                    needs.clear();
                    needs.extend(self.needs_of(local));
                    // Stable: among equals, in their order.
                    needs.sort_by_key(|need| Reverse(self.held[*need as usize]));
                    let unranked = needs.iter().rev();
                    let unranked = unranked.filter(|need| ranks[**need as usize] == NONE);
                    path.extend(unranked.map(|need| (*need, false)));
                }
            }
        }
        ranks
    }

    /// Returns the tasks and what they need, by rank.
    fn ranked(&self, ranks: &[u32]) -> (Vec<u32>, Edges) {
        let mut locals = vec![0_u32; ranks.len()];
        for (local, rank) in (0..).zip(ranks) {
            locals[*rank as usize] = local;
        }
        let tasks = locals.iter().map(|local| self.tasks[*local as usize]);
        let mut needs = Edges::default();
        needs.starts.reserve_exact(ranks.len() + 1);
        needs.targets.reserve_exact(self.needs.targets.len());
        needs.starts.push(0);
        for local in &locals {
            let targets = self.needs_of(*local).map(|need| ranks[need as usize]);
            needs.targets.extend(targets);
            needs.starts.push(needs.targets.len() as u32);
        }
        (tasks.collect(), needs)
    }

    #[cold]
    fn invalid(&self, layer: u32, task: usize, reason: String) -> Error {
        let context = ErrorContext {
            task: Some(task),
            ..ErrorContext::from(self.set.layers[layer as usize].site())
        };
        Error::new(ErrorKind::InvalidGraph { context, reason })
    }

    /// Returns the error of a task that needs itself. `path` leads to a task that needs task `local`, which is on it.
    #[cold]
    fn cycle(&self, path: &[(u32, u32)], local: u32) -> Error {
        /// Maximum number of tasks that the error names.
        const MAX_NAMED: usize = 20;
        let start = path.iter().position(|(on_path, _)| *on_path == local);
        let on_cycle = &path[start.unwrap_or(0)..];
        let mut reason = "it needs itself: ".to_owned();
        for (local, _) in on_cycle.iter().take(MAX_NAMED) {
            let (layer, task) = locate(self.offsets, self.tasks[*local as usize]);
            let name = self.set.layers[layer as usize].site().operator;
            // Writing to a string cannot fail.
            let _ = write!(reason, "task {task} of {name} needs ");
        }
        let (layer, task) = locate(self.offsets, self.tasks[local as usize]);
        let name = self.set.layers[layer as usize].site().operator;
        let _ = match on_cycle.len().checked_sub(MAX_NAMED + 1) {
            Some(others) => write!(reason, "{} others, and so on", others + 1),
            None => write!(reason, "task {task} of {name}"),
        };
        self.invalid(layer, task, reason)
    }
}
