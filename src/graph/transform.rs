//! Graphs from graphs: culled and fused ones. Also the order in which tasks run.

use std::collections::HashSet;

use super::check::Checked;
use super::layer::layers;
use super::map::{Graph, GraphOperand, SlotContent};
use super::operand::Constant;
use crate::error::Result;
use crate::layers::{LayerPlan, LayerSet};

impl Graph {
    /// Returns the part of the graph that some keys need. [`Context::get`](crate::Context::get) does so itself.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidGraph`](crate::ErrorKind::InvalidGraph) for the same reasons as `get`.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::graph::{Graph, data, task};
    ///
    /// let graph = Graph::from([("a", data(-1)), ("b", task(i32::abs, ["a"])), ("c", task(i32::abs, ["b"]))]);
    /// assert_eq!(graph.cull(["b"])?.keys().collect::<Vec<_>>(), ["a", "b"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn cull<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Self> {
        let (checked, _) = self.check_all(keys)?;
        Ok(self.of_needed(&checked))
    }

    /// Returns the part of the graph that some keys need, with one key for each chain of tasks, and data within the tasks
    /// that need it. [`Context::get`](crate::Context::get) does so itself.
    ///
    /// In a chain, each task but the first needs only the one before, and is the only one that does. Its key is the last
    /// one. Errors still name the key of the task that failed.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidGraph`](crate::ErrorKind::InvalidGraph) for the same reasons as `get`.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::graph::{Graph, data, task};
    ///
    /// let graph = Graph::from([
    ///     ("a", data(-1)),
    ///     ("b", task(i32::abs, ["a"])),
    ///     ("c", task(i32::abs, ["b"])),
    ///     ("d", task(i32::max, ["c", "a"])),
    ///     ("e", task(i32::min, ["c", "d"])),
    /// ]);
    /// assert_eq!(graph.fuse(["e"])?.keys().collect::<Vec<_>>(), ["c", "d", "e"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn fuse<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Self> {
        let (checked, wanted) = self.check_all(keys)?;
        let mut graph = self.of_needed(&checked);
        let resolved = graph.resolved();
        let mut is_wanted = vec![false; graph.slots.len()];
        for key in &wanted {
            if let Some(slot) = graph.slot_of(key.as_ref()) {
                is_wanted[slot as usize] = true;
                is_wanted[resolved[slot as usize] as usize] = true;
            }
        }
        graph.inline(&resolved);
        graph.hide_chains(&is_wanted);
        let slots = graph.slots.iter().enumerate();
        let is_kept = |number: usize| {
            is_wanted[number] || matches!(graph.slots[number].content, Some(SlotContent::Call(_)))
        };
        let kept = slots.filter(|(number, _)| is_kept(*number));
        Ok(Self::of_slots(
            kept.map(|(number, slot)| (number as u32, slot.clone())),
        ))
    }

    /// Returns the keys of the tasks that `keys` need, in the order in which one thread would run them: depth first, so
    /// that few values are held at a time.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidGraph`](crate::ErrorKind::InvalidGraph) for the same reasons as
    /// [`Context::get`](crate::Context::get).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::graph::{Graph, data, task};
    ///
    /// let graph = Graph::from([
    ///     ("sum", task(|a: i32, b: i32| a + b, ["square", "abs"])),
    ///     ("square", task(|a: i32| a * a, ["a"])),
    ///     ("abs", task(i32::abs, ["a"])),
    ///     ("a", data(-1)),
    /// ]);
    /// assert_eq!(graph.order(["sum"])?, ["square", "abs", "sum"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn order<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<String>> {
        let (checked, _) = self.check_all(keys)?;
        let (layers, wanted) = layers(checked.list, &checked.wanted, false)?;
        let set = LayerSet {
            number: 0,
            layers: layers.iter().map(|layer| layer.clone() as _).collect(),
        };
        let plan = LayerPlan::new(set, &wanted)?;
        let keys = plan
            .order()
            .flat_map(|(layer, program)| layers[layer as usize].keys(program));
        let mut keys: Vec<_> = keys.filter(|key| self.contains_key(key)).collect();
        // A task without a key has that of the task that it was created for, which is the last one of them.
        let mut seen = HashSet::new();
        keys.reverse();
        keys.retain(|key| seen.insert(*key));
        Ok(keys.into_iter().rev().map(str::to_owned).collect())
    }

    fn check_all<K: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<(Checked, Vec<K>)> {
        let keys: Vec<_> = keys.into_iter().collect();
        let named: Vec<_> = keys.iter().map(K::as_ref).collect();
        Ok((self.check(&named)?, keys))
    }

    fn of_needed(&self, checked: &Checked) -> Self {
        let slots = (0..).zip(&self.slots);
        let needed = slots.filter(|(number, _)| checked.has(*number));
        Self::of_slots(needed.map(|(number, slot)| (number, slot.clone())))
    }

    /// Returns what each slot stands for in the end: itself, unless it is an alias.
    fn resolved(&self) -> Vec<u32> {
        let mut resolved: Vec<_> = (0..self.slots.len() as u32).collect();
        let mut path = Vec::new();
        for start in 0..self.slots.len() as u32 {
            let mut slot = start;
            while let Some(SlotContent::Alias(other)) = self.slots[slot as usize].content
                && resolved[slot as usize] == slot
            {
                path.push(slot);
                slot = other;
            }
            for alias in path.drain(..) {
                resolved[alias as usize] = resolved[slot as usize];
            }
        }
        resolved
    }

    /// Replaces aliases and data in the needs of calls by what they stand for.
    fn inline(&mut self, resolved: &[u32]) {
        let constants: Vec<Option<Constant>> = self
            .slots
            .iter()
            .map(|slot| match &slot.content {
                Some(SlotContent::Data(constant)) => Some(constant.clone()),
                _ => None,
            })
            .collect();
        for slot in &mut self.slots {
            let call = match &mut slot.content {
                Some(SlotContent::Call(call)) => call,
                Some(SlotContent::Alias(other)) => {
                    *other = resolved[*other as usize];
                    continue;
                }
                Some(SlotContent::Data(_)) | None => continue,
            };
            for need in &mut call.needs {
                if let GraphOperand::Slot(slot) = need {
                    *slot = resolved[*slot as usize];
                    if let Some(constant) = &constants[*slot as usize] {
                        *need = GraphOperand::Data(constant.clone());
                    }
                }
            }
        }
    }

    /// Hides the keys of tasks that only one other needs, which needs nothing else.
    fn hide_chains(&mut self, is_wanted: &[bool]) {
        let mut users = vec![0_u32; self.slots.len()];
        let mut only_needs = Vec::new();
        for slot in &self.slots {
            if let Some(SlotContent::Call(call)) = &slot.content {
                let needs: HashSet<_> = call.slots().collect();
                needs.iter().for_each(|need| users[*need as usize] += 1);
                if needs.len() == 1 {
                    only_needs.extend(needs);
                }
            }
        }
        for need in only_needs {
            if users[need as usize] == 1 && !is_wanted[need as usize] {
                self.slots[need as usize].has_key = false;
            }
        }
    }
}
