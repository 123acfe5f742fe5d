//! Actions for which a thread of the pool waits: no nesting may deadlock.

use std::thread;

use holdall::{Context, ErrorKind, Executor};

use crate::common::{on_every_executor, within_the_limit};

fn sums(context: &Context) -> holdall::Bag<(u64, u64)> {
    context.range(0..1000).map(|n| (n % 2, n)).sum_by_key()
}

/// Returns a context that runs on the pool from which its actions are called.
fn on_rayon() -> Context {
    let context = Context::builder().executor(Executor::GlobalThreads);
    context
        .progress(false)
        .build()
        .expect("the settings are right")
}

fn in_pool<R: Send + 'static>(threads: usize, work: impl FnOnce() -> R + Send + 'static) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.expect("threads");
    within_the_limit("a pool", move || pool.install(work))
}

/// Regression: the producer waited for the thread that waited for its records.
#[test]
fn iter_works_on_a_thread_of_the_pool_that_the_job_runs_on() {
    for threads in [1, 2, 3] {
        let (a, b) = in_pool(threads, || {
            let read = || {
                let records: Vec<_> = sums(&on_rayon()).iter().unwrap().collect();
                records
                    .into_iter()
                    .map(|record| record.unwrap().1)
                    .sum::<u64>()
            };
            rayon::join(read, read)
        });
        assert_eq!((a, b), (499_500, 499_500));
    }
}

#[test]
fn actions_work_on_all_threads_of_the_pool_at_once() {
    for threads in [1, 2] {
        in_pool(threads, || {
            rayon::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|_| {
                        let context = on_rayon();
                        assert_eq!(sums(&context).count().unwrap(), 2);
                        assert_eq!(sums(&context).sort().iter().unwrap().count(), 2);
                    });
                }
            });
        });
    }
}

/// Regression: each thread of the pool waited for a thread that waited for the pool.
#[test]
fn an_action_on_a_thread_that_a_closure_joins_comes_to_its_end() {
    on_every_executor(|context| {
        let inner = context.clone();
        let counts = context.range_partitioned(0..8, 8).map(move |n| {
            let inner = inner.clone();
            let count = thread::spawn(move || {
                let again = inner.clone();
                let count = sums(&inner).map(move |(key, _)| {
                    let again = again.clone();
                    let first = move || again.range(0..5).distinct().first();
                    let first = thread::spawn(first).join().unwrap();
                    assert!(first.unwrap().is_some());
                    key
                });
                count.count()
            });
            count.join().unwrap().unwrap() + n
        });
        assert_eq!(counts.sum::<u64>().unwrap(), 8 * 2 + 28);
    });
}

#[test]
fn iter_on_a_thread_that_a_closure_joins_comes_to_its_end() {
    on_every_executor(|context| {
        let inner = context.clone();
        let counts = context.range_partitioned(0..3, 3).map(move |_| {
            let sums = sums(&inner);
            let count = thread::spawn(move || sums.iter().map(Iterator::count));
            count.join().unwrap().unwrap()
        });
        assert_eq!(counts.collect().unwrap(), [2; 3]);
    });
}

/// A closure may use the pool that it runs on. Its work on other threads may join threads that run actions.
#[test]
fn closures_that_use_rayon_come_to_their_end() {
    for threads in [1, 2, 3] {
        let total = in_pool(threads, || {
            let context = on_rayon();
            let numbers = context.range_partitioned(0..6, 6).map(move |n| {
                let action = || {
                    thread::spawn(|| sums(&on_rayon()).count())
                        .join()
                        .unwrap()
                        .unwrap()
                };
                let (a, b) = rayon::join(action, action);
                a + b + n
            });
            numbers.sum::<u64>().unwrap()
        });
        assert_eq!(total, 6 * 4 + 15);
    }
}

/// Within the closure itself, an action is refused, whichever thread runs the closure.
#[test]
fn an_action_in_a_closure_is_refused_on_the_thread_that_calls_the_action_too() {
    let error = in_pool(1, || {
        let numbers = on_rayon()
            .range(0..3)
            .try_map(|n| on_rayon().range(0..n).count());
        numbers.count().unwrap_err()
    });
    let ErrorKind::Closure { source, .. } = error.kind() else {
        panic!("{error}");
    };
    assert!(source.to_string().contains("inside a closure"), "{source}");
}

/// Work for all threads of the pool, in which one of them waits for another.
fn all_threads_work() -> u64 {
    use rayon::prelude::*;
    let sum = (0..16_u64).into_par_iter().map(|n| {
        thread::sleep(std::time::Duration::from_micros(50));
        n
    });
    sum.sum()
}

/// Regression: results were merged under a lock. The thread that held it took another task of the stage, and waited for
/// itself.
#[test]
fn what_merges_results_may_use_rayon() {
    for threads in [1, 2, 3] {
        let total = in_pool(threads, || {
            let numbers = on_rayon().range_partitioned(0..200, 200);
            numbers
                .reduce(|a, b| a + b + all_threads_work() - 120)
                .unwrap()
        });
        assert_eq!(total, Some(19_900));
    }
}

/// Regression: like above, with the lock of an iterator that is read.
#[test]
fn an_iterator_that_is_read_may_use_rayon() {
    for threads in [1, 2, 3] {
        let total = in_pool(threads, || {
            let numbers = (0..3_000_u64).inspect(|n| {
                if n.is_multiple_of(100) {
                    all_threads_work();
                }
            });
            on_rayon().from_iter(numbers).sum::<u64>().unwrap()
        });
        assert_eq!(total, 4_498_500);
    }
}

/// Regression: like above, with the lock of a task that spills.
#[test]
fn what_serialises_may_use_rayon() {
    #[derive(Clone, serde::Deserialize)]
    struct Text(String);

    impl serde::Serialize for Text {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0.starts_with("777") {
                all_threads_work();
            }
            serializer.serialize_newtype_struct("Text", &self.0)
        }
    }

    for threads in [1, 2, 3] {
        let count = in_pool(threads, move || {
            let context = Context::builder()
                .executor(Executor::GlobalThreads)
                .memory((threads as u64) << 20);
            let context = context.progress(false).build().unwrap();
            let texts = context
                .range_partitioned(0..1_500, 40)
                .map(|n| (n, Text(n.to_string().repeat(500))));
            let first = texts.reduce_by_key(|a, _| a);
            assert_eq!(first.clone().count().unwrap(), 1_500);
            first.sort_by_key(|(n, _)| *n).count().unwrap()
        });
        assert_eq!(count, 1_500);
    }
}
