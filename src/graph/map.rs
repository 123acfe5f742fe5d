//! The graph: keys, and what they stand for.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::function::AnyFunction;
use super::item::{Definition, Item, NewCall, NewOperand};
use super::operand::Constant;
use crate::error::Site;

/// Tasks that need values of each other, as data: a map from keys to [`data`](super::data), [`task`](super::task)s and
/// [`alias`](super::alias)es, in the order in which they were inserted.
///
/// [`Context::get`](crate::Context::get) computes the values of some keys, in one job. Nothing runs before. Keys may be
/// inserted in any order. A graph is cheap to extend and to change: [`insert`](Self::insert) replaces what a key stands
/// for.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall::graph::{Graph, data, task};
///
/// fn inc(x: i64) -> i64 { x + 1 }
/// fn add(x: i64, y: i64) -> i64 { x + y }
///
/// let mut graph = Graph::from([
///     ("z", task(add, ["b", "y"])),
///     ("a", data(1_i64)),
///     ("b", task(inc, ["a"])),
///     ("x", data(10_i64)),
///     ("y", task(inc, ["x"])),
/// ]);
/// let context = Context::builder().build()?;
/// let z: i64 = context.get(&graph, "z")?;
/// assert_eq!(z, 13);
///
/// graph.insert("x", data(20_i64));
/// let (b, z): (i64, i64) = context.get(&graph, ("b", "z"))?; // one job, in which each task runs once
/// assert_eq!((b, z), (2, 23));
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Graph {
    numbers: HashMap<Arc<str>, u32>,
    pub(super) slots: Vec<GraphSlot>,
    /// Slots of tasks without a key whose item has been replaced or removed.
    unused: Vec<u32>,
}

/// A key, or a task below that of a key.
#[derive(Clone)]
pub(super) struct GraphSlot {
    /// The key. A task without a key has that of the task that it was created for.
    pub(super) key: Arc<str>,
    pub(super) has_key: bool,
    /// `None` if the key is only needed by others so far.
    pub(super) content: Option<SlotContent>,
}

#[derive(Clone)]
pub(super) enum SlotContent {
    Data(Constant),
    Call(GraphCall),
    /// Another slot.
    Alias(u32),
}

#[derive(Clone)]
pub(super) struct GraphCall {
    pub(super) function: Arc<dyn AnyFunction>,
    pub(super) site: Site,
    pub(super) needs: Box<[GraphOperand]>,
}

#[derive(Clone)]
pub(super) enum GraphOperand {
    /// A slot.
    Slot(u32),
    Data(Constant),
    /// The next operands, of this number, are one argument together.
    All(u32),
}

impl GraphCall {
    /// Returns the slots that it needs, in their order.
    pub(super) fn slots(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.needs.iter().filter_map(|operand| match operand {
            GraphOperand::Slot(slot) => Some(*slot),
            _ => None,
        })
    }
}

impl SlotContent {
    /// Returns the slots that it needs, in their order.
    pub(super) fn slots(&self) -> impl DoubleEndedIterator<Item = u32> {
        let (call, alias) = match self {
            Self::Data(_) => (None, None),
            Self::Call(call) => (Some(call), None),
            Self::Alias(slot) => (None, Some(*slot)),
        };
        call.into_iter().flat_map(GraphCall::slots).chain(alias)
    }
}

impl Graph {
    /// Creates an empty graph.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what a key stands for. A key that is there already keeps its place.
    ///
    /// # Panics
    ///
    /// Panics if the graph has more than 4,294,967,295 keys and tasks.
    pub fn insert(&mut self, key: impl Into<String>, item: Item) {
        let number = self.number(&key.into());
        self.take(number);
        let content = match item.0 {
            Definition::Data(constant) => SlotContent::Data(constant),
            Definition::Alias(other) => SlotContent::Alias(self.number(&other)),
            Definition::Calls(mut calls) => {
                // The last one is the task itself.
                let Some(last) = calls.pop() else {
                    return;
                };
                let key = Arc::clone(&self.slots[number as usize].key);
                let mut own = Vec::with_capacity(calls.len());
                for call in calls {
                    let call = self.call(call, &own);
                    own.push(self.push(GraphSlot {
                        key: Arc::clone(&key),
                        has_key: false,
                        content: Some(SlotContent::Call(call)),
                    }));
                }
                SlotContent::Call(self.call(last, &own))
            }
        };
        self.slots[number as usize].content = Some(content);
    }

    /// Returns the number of the slot of a key, which is created unless it exists.
    fn number(&mut self, key: &str) -> u32 {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let key: Arc<str> = key.into();
        let number = self.push(GraphSlot {
            key: Arc::clone(&key),
            has_key: true,
            content: None,
        });
        self.numbers.insert(key, number);
        number
    }

    /// Takes what a slot stands for, and the tasks below it that have no key: they are needed by it alone. Returns whether
    /// it stood for anything.
    fn take(&mut self, number: u32) -> bool {
        let Some(content) = self.slots[number as usize].content.take() else {
            return false;
        };
        let mut taken = vec![content];
        while let Some(content) = taken.pop() {
            for below in content.slots() {
                let slot = &mut self.slots[below as usize];
                if !slot.has_key
                    && let Some(content) = slot.content.take()
                {
                    self.unused.push(below);
                    taken.push(content);
                }
            }
        }
        true
    }

    fn push(&mut self, slot: GraphSlot) -> u32 {
        if !slot.has_key
            && let Some(number) = self.unused.pop()
        {
            self.slots[number as usize] = slot;
            return number;
        }
        let Ok(number) = u32::try_from(self.slots.len()) else {
            panic!("the graph has too many keys");
        };
        self.slots.push(slot);
        number
    }

    /// Turns a call into one that refers to slots. `own` are those of the earlier calls of its item.
    fn call(&mut self, call: NewCall, own: &[u32]) -> GraphCall {
        let needs = call.needs.into_iter().map(|need| match need {
            NewOperand::Key(key) => GraphOperand::Slot(self.number(&key)),
            NewOperand::Data(constant) => GraphOperand::Data(constant),
            NewOperand::Call(number) => GraphOperand::Slot(own[number]),
            NewOperand::All(count) => GraphOperand::All(count),
        });
        GraphCall {
            needs: needs.collect(),
            function: call.function,
            site: call.site,
        }
    }

    /// Removes a key. Returns whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let number = self.numbers.get(key).copied();
        number.is_some_and(|number| self.take(number))
    }

    /// Returns whether the graph has a key.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.slot_of(key).is_some()
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys().count()
    }

    /// Returns whether the graph has no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys().next().is_none()
    }

    /// Returns the keys, in the order in which they were inserted or first needed.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let slots = self.slots.iter();
        let slots = slots.filter(|slot| slot.has_key && slot.content.is_some());
        slots.map(|slot| &*slot.key)
    }

    /// Returns the keys that `key` needs directly, in the order of the arguments, each once. They may be missing from
    /// the graph.
    #[must_use]
    pub fn needs(&self, key: &str) -> Vec<&str> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut to_visit: Vec<_> = self.slot_of(key).into_iter().collect();
        let mut is_first = true;
        while let Some(number) = to_visit.pop() {
            let slot = &self.slots[number as usize];
            if slot.has_key && !std::mem::take(&mut is_first) {
                if seen.insert(number) {
                    found.push(number);
                }
                continue;
            }
            let content = slot.content.iter();
            to_visit.extend(content.flat_map(SlotContent::slots).rev());
        }
        let key = |number: u32| &*self.slots[number as usize].key;
        found.into_iter().map(key).collect()
    }

    /// Returns the slot of a key that is in the graph.
    pub(super) fn slot_of(&self, key: &str) -> Option<u32> {
        let number = self.numbers.get(key).copied();
        number.filter(|number| self.slots[*number as usize].content.is_some())
    }

    /// Creates a graph of some slots of this one, in their order.
    pub(super) fn of_slots(slots: impl IntoIterator<Item = (u32, GraphSlot)>) -> Self {
        let mut graph = Self::new();
        let mut moved = HashMap::new();
        for (number, slot) in slots {
            let place = graph.slots.len() as u32;
            moved.insert(number, place);
            if slot.has_key {
                graph.numbers.insert(Arc::clone(&slot.key), place);
            }
            graph.slots.push(slot);
        }
        for slot in &mut graph.slots {
            match &mut slot.content {
                Some(SlotContent::Call(call)) => {
                    for need in &mut call.needs {
                        if let GraphOperand::Slot(slot) = need {
                            *slot = moved[slot];
                        }
                    }
                }
                Some(SlotContent::Alias(other)) => *other = moved[other],
                Some(SlotContent::Data(_)) | None => {}
            }
        }
        graph
    }
}

impl<K: Into<String>, const LENGTH: usize> From<[(K, Item); LENGTH]> for Graph {
    fn from(items: [(K, Item); LENGTH]) -> Self {
        items.into_iter().collect()
    }
}

impl<K: Into<String>> FromIterator<(K, Item)> for Graph {
    fn from_iter<I: IntoIterator<Item = (K, Item)>>(items: I) -> Self {
        let mut graph = Self::new();
        graph.extend(items);
        graph
    }
}

impl<K: Into<String>> Extend<(K, Item)> for Graph {
    fn extend<I: IntoIterator<Item = (K, Item)>>(&mut self, items: I) {
        for (key, item) in items {
            self.insert(key, item);
        }
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys().map(|key| (key, self.needs(key)));
        f.debug_map().entries(keys).finish()
    }
}
