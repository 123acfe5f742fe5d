//! Descriptions of a bag as text: its stages and its lineage.

use super::Bag;
use crate::lineage;
use crate::pipeline::{Pipeline, Record};
use crate::plan::{self, Plan};

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Describes the stages that an action on this bag would run, as text: their partitions, their operators with the
    /// line that called each, what is shuffled, and the resulting order. Runs nothing.
    ///
    /// ```text
    /// stage 1 (partitions: 10)
    ///   range 10 numbers at src/main.rs:2:18 [order: the source's]
    ///   map at src/main.rs:2:38 [order: kept]
    ///   -> shuffle: by hash of the key
    /// stage 2 (partitions: 64)
    ///   count_by_value <- stage 1 at src/main.rs:2:54 [order: by hash of the key]
    ///   -> result
    /// ```
    ///
    /// # Examples
    ///
    /// ```
    /// let counts = holdall::range(0..10).map(|n| n % 3).count_by_value();
    /// let plan = counts.explain();
    /// assert!(plan.starts_with("stage 1 (partitions: 10)\n  range 10 numbers at "));
    /// assert!(plan.contains("stage 2 (partitions: 64)\n  count_by_value <- stage 1 at "));
    /// ```
    #[must_use]
    pub fn explain(&self) -> String {
        plan::text(&Plan::new(&self.node))
    }

    /// Returns the lineage of this bag as a [Graphviz](https://graphviz.org) graph: a box for each operator, an arrow
    /// for each dependency, and a bold arrow for each shuffle. Runs nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// let dot = holdall::range(0..10).map(|n| n % 3).distinct().lineage_dot();
    /// assert!(dot.starts_with("digraph lineage {"));
    /// assert!(dot.contains("[label=\"shuffle\", style=bold]"));
    /// ```
    #[must_use]
    pub fn lineage_dot(&self) -> String {
        lineage::dot(&self.node)
    }
}
