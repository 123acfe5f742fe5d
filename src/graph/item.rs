//! The meaning of a key of a graph: data, a call of a function, or another key.

use std::fmt;
use std::sync::Arc;

use super::function::{AnyFunction, Fallible, Infallible, TaskFunction, TaskOutput, any_function};
use super::operand::Constant;
use crate::error::{BoxError, Site};
use crate::layers::ValueType;
use crate::pipeline::Data;

/// Meaning of a key of a [`Graph`](super::Graph). Created by [`data`], [`task`], [`try_task`] and [`alias`].
#[derive(Clone)]
pub struct Item(pub(super) Definition);

#[derive(Clone)]
pub(super) enum Definition {
    Data(Constant),
    /// The last one is the task itself. The others are below it, and need only each other and keys.
    Calls(Vec<NewCall>),
    Alias(String),
}

/// A call that is not part of a graph yet.
#[derive(Clone)]
pub(super) struct NewCall {
    pub(super) function: Arc<dyn AnyFunction>,
    pub(super) site: Site,
    pub(super) needs: Vec<NewOperand>,
}

#[derive(Clone)]
pub(super) enum NewOperand {
    Key(String),
    Data(Constant),
    /// An earlier call of the same item.
    Call(usize),
    /// The next operands, of this number, are one argument together.
    All(u32),
}

/// Data: a value that tasks of a [`Graph`](super::Graph) can use.
///
/// It is shared, not copied, on threads. Values beyond 1 KiB are sent once to worker processes, smaller ones with each
/// task that uses them.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall::graph::{Graph, data, task};
///
/// let graph = Graph::from([
///     ("words", data(vec!["a".to_owned(), "bag".to_owned()])),
///     ("count", task(|words: &[String]| words.len(), ["words"])),
/// ]);
/// let count: usize = Context::default().get(&graph, "count")?;
/// assert_eq!(count, 2);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn data<T: Data + Sync>(value: T) -> Item {
    Item(Definition::Data(Constant {
        value: Arc::new(value),
        value_type: const { &ValueType::of::<T>() },
        site: Site::new("data"),
    }))
}

/// A task: the call of a function with the values of other keys.
///
/// `needs` are the arguments: keys in an array or a `Vec`, or a tuple of keys, [`data`], other tasks, and
/// [`all`]. The function takes all of them by value or all by reference; see [`TaskFunction`]. Their number and types
/// are checked before anything runs.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall::graph::{Graph, all, data, task};
///
/// fn inc(x: i64) -> i64 { x + 1 }
/// fn add(x: i64, y: i64) -> i64 { x + y }
/// fn sum(numbers: &[i64]) -> i64 { numbers.iter().sum() }
///
/// let graph = Graph::from([
///     ("a", data(1_i64)),
///     ("b", task(inc, ["a"])),
///     ("c", task(add, ("b", data(10_i64)))),
///     ("d", task(add, ("c", task(inc, ["c"])))),
///     ("e", task(sum, [all(["a", "b", "c", "d"])])),
/// ]);
/// let e: i64 = Context::default().get(&graph, "e")?;
/// assert_eq!(e, 1 + 2 + 12 + 25);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn task<F, M, N>(function: F, needs: N) -> Item
where
    F: TaskFunction<M, Output: Data + Sync>,
    M: 'static,
    N: TaskNeeds,
{
    call::<F, M, Infallible, N>(function, needs, Site::new("task"))
}

/// A task whose function can fail. Its value is that of `Ok`. An error ends the job.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall::graph::{Graph, data, try_task};
///
/// let graph = Graph::from([
///     ("text", data("12a".to_owned())),
///     ("number", try_task(|text: &String| text.parse::<i32>(), ["text"])),
/// ]);
/// let error = Context::default().get::<_, i32>(&graph, "number").unwrap_err();
/// assert!(error.to_string().contains("\"number\""), "{error}");
/// ```
#[track_caller]
pub fn try_task<F, M, N, T, E>(function: F, needs: N) -> Item
where
    F: TaskFunction<M, Output = Result<T, E>>,
    M: 'static,
    N: TaskNeeds,
    T: Data + Sync,
    E: Into<BoxError>,
{
    call::<F, M, Fallible, N>(function, needs, Site::new("try_task"))
}

fn call<F, M, O, N>(function: F, needs: N, site: Site) -> Item
where
    F: TaskFunction<M>,
    M: 'static,
    O: TaskOutput<F::Output>,
    N: TaskNeeds,
{
    let mut calls = Vec::new();
    let mut operands = Vec::new();
    needs.for_each(&mut |TaskNeed(need)| need.flatten(&mut calls, &mut operands));
    calls.push(NewCall {
        function: any_function::<F, M, O>(function),
        site,
        needs: operands,
    });
    Item(Definition::Calls(calls))
}

/// Another key of the graph, by another name.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall::graph::{Graph, alias, data};
///
/// let graph = Graph::from([("version 2", data(7)), ("latest", alias("version 2"))]);
/// assert_eq!(Context::default().get::<_, i32>(&graph, "latest")?, 7);
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn alias(key: impl Into<String>) -> Item {
    Item(Definition::Alias(key.into()))
}

/// Several values as one argument, in their order, for a parameter of type `&[T]`. [`task`] has an example.
pub fn all<N: Into<TaskNeed>>(needs: impl IntoIterator<Item = N>) -> TaskNeed {
    TaskNeed(TaskNeedKind::All(needs.into_iter().map(N::into).collect()))
}

/// Argument of a task: a key, [`data`], another [`task`], or [`all`] of several.
#[derive(Clone)]
pub struct TaskNeed(TaskNeedKind);

#[derive(Clone)]
enum TaskNeedKind {
    Key(String),
    Item(Item),
    All(Vec<TaskNeed>),
}

impl TaskNeedKind {
    /// Appends the operands. Tasks that have no key go to `calls`.
    fn flatten(self, calls: &mut Vec<NewCall>, operands: &mut Vec<NewOperand>) {
        match self {
            Self::Key(key) | Self::Item(Item(Definition::Alias(key))) => {
                operands.push(NewOperand::Key(key));
            }
            Self::Item(Item(Definition::Data(constant))) => {
                operands.push(NewOperand::Data(constant));
            }
            Self::Item(Item(Definition::Calls(mut below))) => {
                // The shorter list is moved behind the longer one, so that a chain of a million tasks takes no more than
                // linear time, and a tree little more.
                let mut task = calls.len() + below.len() - 1;
                if calls.len() < below.len() {
                    std::mem::swap(calls, &mut below);
                    task = calls.len() - 1;
                    operands
                        .iter_mut()
                        .for_each(|operand| operand.shift(calls.len()));
                }
                let first = calls.len();
                calls.extend(below.into_iter().map(|call| call.moved(first)));
                operands.push(NewOperand::Call(task));
            }
            Self::All(needs) => {
                let place = operands.len();
                operands.push(NewOperand::All(0));
                let mut flat = 0;
                for TaskNeed(need) in needs {
                    need.flatten(calls, operands);
                    flat += 1;
                }
                operands[place] = NewOperand::All(flat);
            }
        }
    }
}

impl NewOperand {
    /// Adapts it to calls that are moved by `places`.
    fn shift(&mut self, places: usize) {
        if let Self::Call(number) = self {
            *number += places;
        }
    }
}

impl NewCall {
    /// Moves the call by `places`.
    fn moved(mut self, places: usize) -> Self {
        self.needs.iter_mut().for_each(|need| need.shift(places));
        self
    }
}

impl From<&str> for TaskNeed {
    fn from(key: &str) -> Self {
        Self(TaskNeedKind::Key(key.to_owned()))
    }
}

impl From<String> for TaskNeed {
    fn from(key: String) -> Self {
        Self(TaskNeedKind::Key(key))
    }
}

impl From<&String> for TaskNeed {
    fn from(key: &String) -> Self {
        Self(TaskNeedKind::Key(key.clone()))
    }
}

impl From<Item> for TaskNeed {
    fn from(item: Item) -> Self {
        Self(TaskNeedKind::Item(item))
    }
}

/// Arguments of a [`task`]: an array, a `Vec` or a tuple of what converts into [`TaskNeed`], or `()`.
///
/// Only this library implements it.
pub trait TaskNeeds {
    /// Passes the needs to `each`, in their order.
    #[doc(hidden)]
    fn for_each(self, each: &mut dyn FnMut(TaskNeed));
}

impl<N: Into<TaskNeed>, const LENGTH: usize> TaskNeeds for [N; LENGTH] {
    fn for_each(self, each: &mut dyn FnMut(TaskNeed)) {
        self.into_iter().map(N::into).for_each(each);
    }
}

impl<N: Into<TaskNeed>> TaskNeeds for Vec<N> {
    fn for_each(self, each: &mut dyn FnMut(TaskNeed)) {
        self.into_iter().map(N::into).for_each(each);
    }
}

impl TaskNeeds for () {
    fn for_each(self, _: &mut dyn FnMut(TaskNeed)) {}
}

macro_rules! tuple {
    ($($type:ident $at:tt),*) => {
        impl<$($type: Into<TaskNeed>),*> TaskNeeds for ($($type,)*) {
            fn for_each(self, each: &mut dyn FnMut(TaskNeed)) {
                $(each(self.$at.into());)*
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Definition::Data(constant) => write!(f, "data of {}", (constant.value_type.name)()),
            Definition::Calls(calls) => {
                let name = calls.last().map(|call| call.function.signature().name);
                write!(f, "task of {}", name.map_or("nothing", |name| name()))
            }
            Definition::Alias(key) => write!(f, "alias of {key:?}"),
        }
    }
}

impl fmt::Debug for TaskNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            TaskNeedKind::Key(key) => fmt::Debug::fmt(key, f),
            TaskNeedKind::Item(item) => fmt::Debug::fmt(item, f),
            TaskNeedKind::All(needs) => f.debug_list().entries(needs).finish(),
        }
    }
}
