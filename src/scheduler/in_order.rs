//! Results of tasks, which come as they are done, one by one in the order of their partitions.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::task::{Flow, Task};

/// Hands results to `consume` in order of partition, holding back those that come too early.
pub(crate) struct InOrder<R, F>(Mutex<State<R, F>>);

struct State<R, F> {
    next: usize,
    early: BTreeMap<usize, R>,
    consume: F,
}

impl<R, F: FnMut(&Task<'_>, R) -> Flow> InOrder<R, F> {
    pub(crate) fn new(consume: F) -> Self {
        Self(Mutex::new(State {
            next: 0,
            early: BTreeMap::new(),
            consume,
        }))
    }

    /// Takes a result, or a part of one, that is known to be the next. Breaks off once no more are wanted.
    pub(crate) fn put_next(&self, task: &Task<'_>, result: R) -> Flow {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.consume)(task, result)
    }

    /// Takes the results of some partitions; each partition comes once.
    pub(crate) fn put(&self, task: &Task<'_>, results: impl Iterator<Item = (usize, R)>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        for (partition, result) in results {
            if partition != state.next {
                state.early.insert(partition, result);
                continue;
            }
            let _ = (state.consume)(task, result);
            state.next += 1;
            while let Some(result) = state.early.remove(&state.next) {
                let _ = (state.consume)(task, result);
                state.next += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::task::{JobState, Resources};

    #[test]
    fn results_come_in_order_of_partition() {
        let job = JobState::new(Resources::unlimited());
        let task = Task::new(&job, 1, 0);
        let mut seen = Vec::new();
        let results = InOrder::new(|_, n| {
            seen.push(n);
            ControlFlow::Continue(())
        });
        results.put(&task, [(2, 'c'), (0, 'a')].into_iter());
        results.put(&task, [(3, 'd')].into_iter());
        results.put(&task, [(1, 'b')].into_iter());
        drop(results);
        assert_eq!(seen, ['a', 'b', 'c', 'd']);
    }
}
