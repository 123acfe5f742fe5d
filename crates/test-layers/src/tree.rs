//! A reduction by a binary tree.

use holdall::BoxError;
use holdall::extend::{Inputs, Layer, Needs, TaskScope};
use serde::{Deserialize, Serialize};

/// The tree has `leaves` leaves and one inner node less, in one layer. Task 0 is the root, and the children of task `i`
/// are the tasks `2 * i + 1` and `2 * i + 2`. Leaf `n` has the value `n`, and an inner node the sum of its children.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tree {
    /// Number of leaves, at least 1.
    pub leaves: usize,
    /// Number of bytes that a value has besides its number.
    pub padding: usize,
}

impl Tree {
    fn inner(&self) -> usize {
        self.leaves - 1
    }

    /// Returns the value of the root.
    #[must_use]
    pub fn sum(&self) -> u64 {
        (0..self.leaves as u64).sum()
    }
}

impl Layer for Tree {
    type Value = (u64, Vec<u8>);

    fn name(&self) -> &'static str {
        "tree"
    }

    fn tasks(&self) -> usize {
        self.leaves + self.inner()
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        if task < self.inner() {
            needs.add_own(2 * task + 1);
            needs.add_own(2 * task + 2);
        }
    }

    fn run(
        &self,
        task: usize,
        inputs: &Inputs<'_>,
        _: &TaskScope<'_>,
    ) -> Result<Self::Value, BoxError> {
        let number = match task.checked_sub(self.inner()) {
            Some(leaf) => leaf as u64,
            None => inputs.iter::<Self::Value>().map(|(number, _)| number).sum(),
        };
        Ok((number, vec![number as u8; self.padding]))
    }
}
