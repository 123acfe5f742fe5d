//! A random graph.

use std::collections::BTreeSet;

use holdall::BoxError;
use holdall::extend::{Inputs, Layer, Needs, TaskScope};
use serde::{Deserialize, Serialize};

/// Each task needs up to four random tasks with smaller numbers, possibly several times. Its value begins with a hash of
/// their values, and has a random length.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Random {
    /// Determines the graph.
    pub seed: u64,
    /// Number of tasks.
    pub tasks: usize,
    /// Maximum length of a value.
    pub bytes: usize,
}

fn hash(numbers: impl IntoIterator<Item = u64>) -> u64 {
    let step = |hash: u64, number: u64| {
        (hash ^ number)
            .wrapping_mul(0x0100_0000_01b3)
            .rotate_left(17)
    };
    numbers.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}

impl Random {
    fn random(&self, task: usize, n: u64) -> usize {
        (hash([self.seed, task as u64, n]) >> 20) as usize
    }

    fn needed(&self, task: usize) -> impl Iterator<Item = usize> {
        let count = if task == 0 {
            0
        } else {
            self.random(task, 0) % 5
        };
        (0..count).map(move |n| self.random(task, 1 + n as u64) % task)
    }

    fn value(&self, task: usize, inputs: impl IntoIterator<Item = u64>) -> Vec<u8> {
        let hash = hash(std::iter::once(task as u64).chain(inputs));
        let mut value = vec![hash as u8; 8 + self.random(task, 9) % (self.bytes + 1)];
        value[..8].copy_from_slice(&hash.to_le_bytes());
        value
    }

    /// Returns the values of all tasks, computed one after the other.
    #[must_use]
    pub fn values(&self) -> Vec<Vec<u8>> {
        let mut values: Vec<Vec<u8>> = Vec::new();
        for task in 0..self.tasks {
            let inputs: Vec<_> = self.needed(task).map(|need| start(&values[need])).collect();
            values.push(self.value(task, inputs));
        }
        values
    }

    /// Returns the number of tasks that are needed for some of them.
    #[must_use]
    pub fn below(&self, tasks: &[usize]) -> usize {
        let mut found: BTreeSet<_> = tasks.iter().copied().collect();
        let mut next: Vec<_> = tasks.to_vec();
        while let Some(task) = next.pop() {
            next.extend(self.needed(task).filter(|need| found.insert(*need)));
        }
        found.len()
    }
}

fn start(value: &[u8]) -> u64 {
    value
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl Layer for Random {
    type Value = Vec<u8>;

    fn name(&self) -> &'static str {
        "random"
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        self.needed(task).for_each(|need| needs.add_own(need));
    }

    fn run(
        &self,
        task: usize,
        inputs: &Inputs<'_>,
        _: &TaskScope<'_>,
    ) -> Result<Vec<u8>, BoxError> {
        Ok(self.value(task, inputs.iter::<Vec<u8>>().map(|value| start(value))))
    }
}
