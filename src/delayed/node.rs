//! Delayed values: nodes of a graph that grows with each call.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::bag_result::BagResult;
use crate::error::Site;
use crate::graph::{AnyFunction, Constant};
use crate::layers::{Value, ValueType};
use crate::pipeline::{Data, Link};

/// A value that has not been computed yet: of a constant, of a function that was called with delayed values, or of an
/// action of a bag.
///
/// [`compute`](Self::compute) computes it, and everything that it needs. Clones are the same value, which is computed
/// once if [several](crate::compute) are computed together. Nothing is kept between two calls of `compute`.
///
/// # Examples
///
/// ```
/// use holdall::{delayed, value};
///
/// fn load(name: String) -> Vec<String> { name.split('-').map(str::to_owned).collect() }
/// fn count(words: &[String]) -> usize { words.len() }
///
/// let words = delayed(load)(value("to-be-or-not".to_owned()));
/// let n = delayed(count)(words.clone());
/// let longest = delayed(|words: &[String]| words.iter().map(String::len).max().unwrap_or(0))(words);
/// let line = delayed(|n: usize, longest: usize| format!("{n} words of up to {longest} letters"))(n.clone(), longest);
/// let (n, line) = holdall::compute((n, line))?; // one job; `load` runs once
/// assert_eq!((n, line.as_str()), (4, "4 words of up to 3 letters"));
/// # Ok::<(), holdall::Error>(())
/// ```
#[must_use = "a delayed value is not computed until `compute` is called"]
pub struct Delayed<T> {
    pub(super) node: Link<DelayedNode>,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Delayed<T> {
    fn clone(&self) -> Self {
        Self {
            node: self.node.clone(),
            value: PhantomData,
        }
    }
}

/// A delayed value, whatever its type.
pub struct AnyDelayed(pub(super) Link<DelayedNode>);

pub(super) struct DelayedNode {
    pub(super) work: DelayedWork,
    pub(super) site: Site,
    pub(super) key: Option<Arc<str>>,
    pub(super) value_type: &'static ValueType,
}

/// Computation of a value.
#[derive(Clone)]
pub(super) enum DelayedWork {
    Value(Value),
    Call {
        function: Arc<dyn AnyFunction>,
        arguments: Vec<DelayedArgument>,
    },
    /// An action of a bag.
    Bag(BagResult),
}

#[derive(Clone)]
pub(super) enum DelayedArgument {
    Node(Link<DelayedNode>),
    /// The next arguments, of this number, are one together.
    All(u32),
}

/// Returns what identifies a node while it lives.
pub(super) fn address(node: &Arc<DelayedNode>) -> usize {
    Arc::as_ptr(node).addr()
}

impl DelayedNode {
    /// Returns the value if nothing has to be computed.
    pub(super) fn constant(&self) -> Option<Constant> {
        match &self.work {
            DelayedWork::Value(value) => Some(self.with(Arc::clone(value))),
            DelayedWork::Call { .. } | DelayedWork::Bag(_) => None,
        }
    }

    /// Returns its value as a constant.
    pub(super) fn with(&self, value: Value) -> Constant {
        Constant {
            value,
            value_type: self.value_type,
            site: self.site,
        }
    }

    /// Returns the delayed values with which its function is called.
    pub(super) fn arguments(&self) -> impl Iterator<Item = &Link<DelayedNode>> {
        let arguments: &[DelayedArgument] = match &self.work {
            DelayedWork::Call { arguments, .. } => arguments,
            DelayedWork::Value(_) | DelayedWork::Bag(_) => &[],
        };
        arguments.iter().filter_map(|argument| match argument {
            DelayedArgument::Node(node) => Some(node),
            DelayedArgument::All(_) => None,
        })
    }
}

impl<T: Data + Sync> Delayed<T> {
    pub(super) fn new(work: DelayedWork, site: Site) -> Self {
        let node = DelayedNode {
            work,
            site,
            key: None,
            value_type: const { &ValueType::of::<T>() },
        };
        Self {
            node: Link::new(Arc::new(node)),
            value: PhantomData,
        }
    }

    /// Returns the same value with a name, which errors show. Call it before you clone the value: clones of the unnamed
    /// value are another value from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{delayed, value};
    ///
    /// let fails = |_: i32| -> i32 { panic!("on purpose") };
    /// let error = delayed(fails)(value(1)).named("step 1").compute().unwrap_err();
    /// assert_eq!(error.context().unwrap().key.as_deref(), Some("step 1"));
    /// ```
    pub fn named(self, key: impl Into<Arc<str>>) -> Self {
        let node = DelayedNode {
            work: self.node.work.clone(),
            key: Some(key.into()),
            ..*self.node.as_ref()
        };
        Self {
            node: Link::new(Arc::new(node)),
            value: PhantomData,
        }
    }
}

impl fmt::Debug for AnyDelayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str((self.0.value_type.name)())
    }
}

impl<T> fmt::Debug for Delayed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delayed")
            .field("type", &(self.node.value_type.name)())
            .field("location", &format_args!("{}", self.node.site.location))
            .field("name", &self.node.key)
            .finish()
    }
}
