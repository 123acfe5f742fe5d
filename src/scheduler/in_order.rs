//! Consumes the results of tasks in the order of their partitions. Tasks may finish in any order.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::task::{Flow, Task};

/// Passes results to `consume` in order of partition, and buffers those that arrive early.
pub(crate) struct InOrder<'c, R>(Mutex<State<'c, R>>);

/// Boxed, because each method of each bag has a separate closure, but there are few types of results.
type Consume<'c, R> = Box<dyn FnMut(&Task<'_>, R) -> Flow + Send + 'c>;

struct State<'c, R> {
    /// Number of the next result to be consumed; `end` is the number after the last one that has arrived.
    next: usize,
    end: usize,
    /// Results of neighbouring partitions, with the number of the first, in ascending order. A map of single results
    /// took 40 ns for each, and a map for each type of result takes long to compile.
    waiting: VecDeque<(usize, Vec<R>)>,
    /// `None` while a thread calls it. No thread waits for the call to end: it runs closures of the user, and if these
    /// call rayon, the same thread may enter here again.
    consume: Option<Consume<'c, R>>,
}

impl<R> State<'_, R> {
    /// Adds the results of partitions from `first` on, unless one of them has arrived before.
    fn insert(&mut self, first: usize, results: Vec<R>) -> Result<()> {
        let at = self.waiting.partition_point(|(start, _)| *start < first);
        let before = at.checked_sub(1).and_then(|at| self.waiting.get(at));
        let known = before.map_or(self.next, |(start, results)| start + results.len());
        let end = first + results.len();
        let next = self.waiting.get(at);
        if first < known || next.is_some_and(|(start, _)| *start < end) {
            return Err(out_of_place(first, "it has come before"));
        }
        self.end = self.end.max(end);
        self.waiting.push_back((first, results));
        // Few results arrive early, so this moves few.
        (at + 1..self.waiting.len())
            .rev()
            .for_each(|later| self.waiting.swap(later - 1, later));
        Ok(())
    }

    /// Takes the results that are next, if they have arrived.
    fn take_next(&mut self) -> Option<Vec<R>> {
        let (_, results) = self
            .waiting
            .pop_front_if(|(first, _)| *first == self.next)?;
        self.next += results.len();
        Some(results)
    }
}

impl<'c, R> InOrder<'c, R> {
    pub(crate) fn new(consume: Consume<'c, R>) -> Self {
        Self(Mutex::new(State {
            next: 0,
            end: 0,
            waiting: VecDeque::new(),
            consume: Some(consume),
        }))
    }

    /// Takes a result, or a part of one, that follows all others so far. Breaks once no more results are needed.
    pub(crate) fn put_next(&self, task: &Task<'_>, result: R) -> Flow {
        let mut state = self.lock();
        let number = state.end;
        state.end += 1;
        state.waiting.push_back((number, vec![result]));
        self.consume(state, task)
    }

    /// Takes the results of consecutive partitions, from `first` on. Consumes them now, or leaves them to the thread
    /// that is consuming.
    ///
    /// # Errors
    ///
    /// Returns an error if one of these partitions has arrived before.
    pub(crate) fn put(&self, task: &Task<'_>, first: usize, results: Vec<R>) -> Result<()> {
        if results.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        state.insert(first, results)?;
        let _ = self.consume(state, task);
        Ok(())
    }

    /// Checks that each of `partitions` partitions has arrived and has been consumed.
    ///
    /// # Errors
    ///
    /// Returns an error if one has not.
    pub(crate) fn check_whole(&self, partitions: usize) -> Result<()> {
        let state = self.lock();
        if state.next == partitions && state.waiting.is_empty() {
            return Ok(());
        }
        Err(out_of_place(state.next, "it is missing"))
    }

    /// Returns the number of results that have been consumed.
    pub(crate) fn consumed(&self) -> usize {
        self.lock().next
    }

    fn consume<'s>(&'s self, mut state: MutexGuard<'s, State<'c, R>>, task: &Task<'_>) -> Flow {
        let mut flow = Flow::Continue(());
        let Some(mut consume) = state.consume.take() else {
            return flow;
        };
        while let Some(results) = state.take_next() {
            drop(state);
            for result in results {
                flow = consume(task, result);
            }
            state = self.lock();
        }
        state.consume = Some(consume);
        flow
    }

    fn lock(&self) -> MutexGuard<'_, State<'c, R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cold]
fn out_of_place(partition: usize, what: &str) -> Error {
    Error::internal(format!(
        "the result of partition {partition} is out of place: {what}"
    ))
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::OnceLock;

    use super::*;
    use crate::task::{JobState, Resources};

    #[test]
    fn results_come_in_order_of_partition() {
        let job = JobState::new(Resources::unlimited());
        let task = Task::new(&job, 1, 0);
        let mut seen = Vec::new();
        let results = InOrder::new(Box::new(|_, n| {
            seen.push(n);
            ControlFlow::Continue(())
        }));
        for (first, parts) in [(2, "cd"), (0, "a"), (4, "e"), (1, "b")] {
            let parts = parts.chars().collect();
            results.put(&task, first, parts).unwrap();
        }
        results.check_whole(5).unwrap();
        drop(results);
        assert_eq!(seen, ['a', 'b', 'c', 'd', 'e']);
    }

    #[test]
    fn a_result_that_comes_twice_or_not_at_all_is_an_error() {
        let job = JobState::new(Resources::unlimited());
        let task = Task::new(&job, 1, 0);
        let consumed = Mutex::new(0);
        let results = InOrder::new(Box::new(|_, count: usize| {
            *consumed.lock().unwrap() += count;
            ControlFlow::Continue(())
        }));
        results.put(&task, 0, vec![1, 1]).unwrap();
        results.put(&task, 3, vec![1, 1]).unwrap();
        for (first, count) in [(0, 1), (1, 1), (1, 2), (2, 2), (3, 1), (4, 1), (4, 2)] {
            let error = results.put(&task, first, vec![100; count]).unwrap_err();
            assert!(error.to_string().contains("has come before"), "{error}");
        }
        let error = results.check_whole(5).unwrap_err();
        assert!(error.to_string().contains("partition 2"), "{error}");
        results.put(&task, 2, vec![1]).unwrap();
        assert!(results.check_whole(6).is_err());
        results.check_whole(5).unwrap();
        assert_eq!(*consumed.lock().unwrap(), 5);
    }

    #[test]
    fn what_comes_while_another_is_consumed_is_consumed_after_it() {
        static SEEN: Mutex<Vec<char>> = Mutex::new(Vec::new());
        static RESULTS: OnceLock<InOrder<'static, char>> = OnceLock::new();
        let job = JobState::new(Resources::unlimited());
        let task = Task::new(&job, 1, 0);
        let results = RESULTS.get_or_init(|| {
            InOrder::new(Box::new(|task, n| {
                if n == 'a' {
                    // Simulates that this thread takes up other work of the stage.
                    let results = RESULTS.get().unwrap();
                    results.put(task, 2, vec!['c']).unwrap();
                    results.put(task, 1, vec!['b']).unwrap();
                }
                SEEN.lock().unwrap().push(n);
                ControlFlow::Continue(())
            }))
        });
        results.put(&task, 0, vec!['a']).unwrap();
        assert_eq!(*SEEN.lock().unwrap(), ['a', 'b', 'c']);
    }
}
