//! Delayed values that a bag needs before a job reads it.

use std::sync::{Arc, OnceLock};

use super::node::{Delayed, DelayedNode};
use crate::layers::Value;
use crate::pipeline::Link;

/// Delayed values, and their values once they are known. Then they belong to the bag.
pub(super) struct Pending {
    pub(super) nodes: Vec<Link<DelayedNode>>,
    values: OnceLock<Vec<Value>>,
}

impl Pending {
    pub(super) fn new<T>(value: Delayed<T>) -> Arc<Self> {
        Self::of_nodes(vec![value.node])
    }

    pub(super) fn of_nodes(nodes: Vec<Link<DelayedNode>>) -> Arc<Self> {
        let values = OnceLock::new();
        Arc::new(Self { nodes, values })
    }

    /// Returns the nodes with their values, or nothing if the values are not known.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Link<DelayedNode>, Value)> {
        let values = self.values.get().into_iter().flatten();
        self.nodes.iter().zip(values.map(Arc::clone))
    }

    pub(super) fn are_known(&self) -> bool {
        self.values.get().is_some()
    }

    /// Sets the values, unless another job has set them.
    pub(super) fn set(&self, values: Vec<Value>) {
        let _ = self.values.set(values);
    }

    /// Returns the first value, of the type `T`.
    ///
    /// # Panics
    ///
    /// Panics if the values are not known, which the job has made sure of, or if it has another type.
    pub(super) fn get<T: Send + Sync + 'static>(&self) -> Arc<T> {
        let value = self.values.get().and_then(|values| values.first());
        let value = value.and_then(|value| Arc::clone(value).downcast().ok());
        value.unwrap_or_else(|| panic!("a state is used before its value is known"))
    }
}
