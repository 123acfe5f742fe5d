//! The description of a bag: its stages and its lineage.

use super::Bag;
use crate::pipeline::{Pipeline, Record};
use crate::plan::Plan;

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Describes the stages that an action on this bag would run: their partitions, their operators with the line that
    /// called each, the shuffles, and the resulting order. Runs nothing.
    ///
    /// Print the [`Plan`] to read it:
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
    /// A plan can also be searched by a program, serialised, and drawn: see [`Plan`].
    ///
    /// # Examples
    ///
    /// ```
    /// let counts = holdall::range(0..10).map(|n| n % 3).count_by_value();
    /// let plan = counts.explain();
    /// let text = plan.to_string();
    /// assert!(text.starts_with("stage 1 (partitions: 10)\n  range 10 numbers at "));
    /// assert!(text.contains("stage 2 (partitions: 64)\n  count_by_value <- stage 1 at "));
    /// println!("{plan}");
    /// ```
    #[must_use]
    pub fn explain(&self) -> Plan {
        Plan::new(&self.node)
    }
}
