//! Jobs on several threads, whose results are returned in the order of the jobs.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

type DecodeJob<T> = Box<dyn FnOnce() -> T + Send>;

/// Runs jobs on some helper threads, and on the thread that waits for their results. Dropping it ends the threads.
pub(super) struct OrderedJobs<T> {
    shared: Arc<Shared<T>>,
    added: u64,
    returned: u64,
    helpers: Vec<JoinHandle<()>>,
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    changed: Condvar,
}

struct Queue<T> {
    waiting: VecDeque<(u64, DecodeJob<T>)>,
    done: BTreeMap<u64, Result<T, Box<dyn Any + Send>>>,
    is_closed: bool,
}

impl<T: Send + 'static> OrderedJobs<T> {
    /// Starts up to `helpers` threads. Without them, the thread that waits runs all jobs.
    pub(super) fn new(helpers: usize) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                done: BTreeMap::new(),
                is_closed: false,
            }),
            changed: Condvar::new(),
        });
        let start = |_| {
            let shared = Arc::clone(&shared);
            let builder = thread::Builder::new().name("holdall-decoder".to_owned());
            builder.spawn(move || shared.help()).ok()
        };
        Self {
            helpers: (0..helpers).map_while(start).collect(),
            shared,
            added: 0,
            returned: 0,
        }
    }

    /// Returns the number of jobs whose results have not been returned.
    pub(super) fn len(&self) -> usize {
        (self.added - self.returned) as usize
    }

    pub(super) fn add(&mut self, job: impl FnOnce() -> T + Send + 'static) {
        let job = (self.added, Box::new(job) as DecodeJob<T>);
        self.added += 1;
        self.shared.lock().waiting.push_back(job);
        self.shared.changed.notify_one();
    }

    /// Returns the result of the next job, or `None` if there is none. Runs jobs while it waits.
    ///
    /// # Panics
    ///
    /// Panics if the job has panicked.
    pub(super) fn next(&mut self) -> Option<T> {
        let number = (self.len() > 0).then_some(self.returned)?;
        self.returned += 1;
        let mut queue = self.shared.lock();
        loop {
            if let Some(done) = queue.done.remove(&number) {
                return Some(done.unwrap_or_else(|panic| resume_unwind(panic)));
            }
            queue = match queue.waiting.pop_front() {
                Some(job) => {
                    drop(queue);
                    self.shared.run(job)
                }
                None => {
                    let waited = self.shared.changed.wait(queue);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        // Jobs run without the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, (number, job): (u64, DecodeJob<T>)) -> MutexGuard<'_, Queue<T>> {
        let done = catch_unwind(AssertUnwindSafe(job));
        let mut queue = self.lock();
        queue.done.insert(number, done);
        self.changed.notify_all();
        queue
    }

    /// Runs jobs until the queue is closed.
    fn help(&self) {
        let mut queue = self.lock();
        while !queue.is_closed {
            queue = match queue.waiting.pop_front() {
                Some(job) => {
                    drop(queue);
                    self.run(job)
                }
                None => {
                    let waited = self.changed.wait(queue);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

impl<T> Drop for OrderedJobs<T> {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.is_closed = true;
        queue.waiting.clear();
        drop(queue);
        self.shared.changed.notify_all();
        for helper in self.helpers.drain(..) {
            // Its jobs cannot make it panic.
            let _ = helper.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_on_any_number_of_threads() {
        for helpers in 0..4 {
            let mut jobs = OrderedJobs::new(helpers);
            for n in 0..100_u64 {
                jobs.add(move || {
                    thread::sleep(std::time::Duration::from_micros(n * 7 % 50));
                    n
                });
            }
            let results: Vec<u64> = std::iter::from_fn(|| jobs.next()).collect();
            assert_eq!(results, (0..100).collect::<Vec<_>>());
            assert_eq!(jobs.len(), 0);
        }
    }

    #[test]
    fn a_panic_is_that_of_its_job() {
        let mut jobs = OrderedJobs::new(1);
        jobs.add(|| 1);
        jobs.add(|| panic!("on purpose"));
        jobs.add(|| 3);
        assert_eq!(jobs.next(), Some(1));
        assert!(catch_unwind(AssertUnwindSafe(|| jobs.next())).is_err());
        assert_eq!(jobs.next(), Some(3));
    }
}
