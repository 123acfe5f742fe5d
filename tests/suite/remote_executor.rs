//! Tests the interface for custom executors with executors that are as difficult as possible.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{Files, assert_empty, within_the_limit};
use holdall::executor::{RemoteExecutor, Report, Stage, TaskSpec, Tasks, Worker};
use holdall::{Context, Counter, Executor, Result};

/// Runs tasks out of order, loses each third attempt, runs each fourth twice, and encodes and decodes all data that it
/// transfers.
#[derive(Default)]
pub(crate) struct Awkward {
    attempts: AtomicUsize,
    workers: AtomicUsize,
    seed: Mutex<u64>,
}

impl Awkward {
    fn random(&self, below: usize) -> usize {
        let mut seed = self.seed.lock().expect("no panic");
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 33).expect("31 bits") % below
    }

    /// Runs a task on a new worker.
    fn run_task(&self, stage: &Stage, task: &TaskSpec, tasks: &Tasks<'_>) -> Result<Report> {
        let mut worker = Worker::new(self.workers.fetch_add(1, Ordering::SeqCst));
        let report = worker.run(
            &carried(stage),
            &carried(task),
            &mut |partition, number, chunk| {
                tasks.chunk(task, partition, number, chunk);
            },
        );
        report.map(|report| carried(&report))
    }
}

/// Returns a copy of a value, encoded and decoded as for a process on another machine.
fn carried<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let bytes = bincode::serde::encode_to_vec(value, bincode::config::standard());
    let bytes = bytes.expect("it is plain data");
    let decoded = bincode::serde::decode_from_slice(&bytes, bincode::config::standard());
    decoded.expect("it comes back").0
}

impl RemoteExecutor for Awkward {
    fn slots(&self) -> usize {
        3
    }

    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()> {
        let mut taken = Vec::new();
        loop {
            while let Some(task) = tasks.try_next() {
                taken.push(task);
            }
            if taken.is_empty() {
                match tasks.next() {
                    Some(task) => taken.push(task),
                    None => return Ok(()),
                }
            }
            let task = taken.swap_remove(self.random(taken.len()));
            let attempt = self.attempts.fetch_add(1, Ordering::SeqCst);
            if self.random(5) == 0 {
                tasks.requeue(&task);
                continue;
            }
            let outcome = self.run_task(stage, &task, tasks);
            // A task must not be lost more often than the job allows.
            if attempt % 3 == 1 && task.attempt < 4 {
                tasks.lost(&task, 7, "on purpose");
                continue;
            }
            match outcome {
                Ok(report) => tasks.done(&task, report),
                Err(error) => tasks.failed(&task, error),
            }
            if attempt.is_multiple_of(4) {
                let again = self.run_task(stage, &task, tasks)?;
                tasks.done(&task, again);
            }
        }
    }
}

fn same_as_inline<R: PartialEq + std::fmt::Debug>(work: impl Fn(&Context) -> Result<R>) {
    let files = Files::new();
    let builder = Context::builder().spill_directory(files.path("spill"));
    let awkward = builder.remote_executor(Awkward::default());
    let inline = Context::builder().executor(Executor::Inline);
    let [awkward, inline] = [awkward, inline].map(|builder| {
        let builder = builder.shuffle_partitions(5).progress(false);
        builder.build().expect("the settings are right")
    });
    assert_eq!(
        work(&awkward).expect("an answer"),
        work(&inline).expect("an answer")
    );
    drop((awkward, inline));
    assert_empty(&files.path("spill"));
}

#[test]
fn order_losses_and_repetitions_do_not_show() {
    within_the_limit("an awkward executor", || {
        same_as_inline(|context| {
            context
                .range(0..10_000)
                .map(|n| n % 101)
                .count_by_value()
                .collect()
        });
        same_as_inline(|context| {
            context
                .range(0..10_000)
                .map(|n| n * 7 % 1_009)
                .sort()
                .collect()
        });
        same_as_inline(|context| context.from_iter(0..5_000_u64).map(|n| n + 1).collect());
        same_as_inline(|context| {
            let pairs = context.range(0..500).map(|n| (n % 50, n));
            let others = context.range(0..300).map(|n| (n % 60, n.to_string()));
            pairs.join(others).collect()
        });
        same_as_inline(|context| {
            context
                .range(0..1_000)
                .map(|n| n.to_string())
                .reduce(|a, b| a + &b)
        });
        same_as_inline(|context| context.range(0..100_000).take(3));
    });
}

#[test]
fn counters_are_exact_whatever_is_repeated() {
    within_the_limit("an awkward executor", || {
        let builder = Context::builder().remote_executor(Awkward::default());
        let context = builder.build().expect("the settings are right");
        let seen = Counter::new("seen");
        let numbers = context.range_partitioned(0..1_000, 50).with(seen.clone());
        let counts = numbers.map(|seen, n| {
            seen.add(1);
            n % 7
        });
        assert_eq!(counts.count_by_value().count().expect("a count"), 7);
        assert_eq!(seen.value(), 1_000);
    });
}

/// Loses every task of some partitions.
struct Careless;

impl RemoteExecutor for Careless {
    fn slots(&self) -> usize {
        1
    }

    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()> {
        let mut worker = Worker::new(1);
        while let Some(task) = tasks.next() {
            if task.partitions.iter().any(|partition| partition.index == 3) {
                // Return without reporting the task.
                return Ok(());
            }
            let outcome = worker.run(stage, &task, &mut |partition, number, chunk| {
                tasks.chunk(&task, partition, number, chunk);
            });
            match outcome {
                Ok(report) => tasks.done(&task, report),
                Err(error) => tasks.failed(&task, error),
            }
        }
        Ok(())
    }
}

#[test]
fn tasks_that_are_never_answered_end_the_job() {
    within_the_limit("a careless executor", || {
        let builder = Context::builder().remote_executor(Careless);
        let context = builder.build().expect("the settings are right");
        let error = context.range_partitioned(0..10, 10).count().unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("4 times") || message.contains("4 attempts"),
            "{message}"
        );
        assert!(message.contains("partition 3"), "{message}");
        assert_eq!(
            context
                .range_partitioned(0..10, 2)
                .count()
                .expect("a count"),
            10
        );
    });
}
